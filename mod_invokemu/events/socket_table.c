/* socket_table.c: the sockets of this child by number, and their references. */
#include "mod_invokemu/events/socket_internal.h"
#include "wire/wire.h"

#include <stdlib.h>
#include <string.h>

#define SLOT_BITS 20

static struct {
    pthread_mutex_t lock;
    imu_socket **slots;
    uint32_t *free_slots;
    uint32_t n_free, n_slots;
    uint64_t sequence;
} table = {.lock = PTHREAD_MUTEX_INITIALIZER};

int imu_sockets_init(int max)
{
    uint32_t n = max > (1 << SLOT_BITS) ? 1u << SLOT_BITS : (uint32_t)max;

    /* The table is one of pointers. */
    table.slots = calloc(n, sizeof *table.slots); /* NOLINT(bugprone-sizeof-expression) */
    table.free_slots = calloc(n, sizeof *table.free_slots);
    if (!table.slots || !table.free_slots)
        return -1;
    table.n_slots = table.n_free = n;
    for (uint32_t i = 0; i < n; i++)
        table.free_slots[i] = n - 1 - i;
    return 0;
}

imu_socket *imu_socket_new(conn_rec *c, int is_ws, const char *network)
{
    imu_socket *s = calloc(1, sizeof *s);
    int placed;

    if (!s || !(s->network = strdup(network))) {
        free(s);
        return NULL;
    }
    pthread_mutex_init(&s->lock, NULL);
    pthread_cond_init(&s->answered, NULL);
    s->c = c;
    s->fd = -1;
    s->is_ws = is_ws;
    s->state = IMU_SOCKET_WAITING;
    s->last = &s->first;
    s->refs = 2; /* the table's and the caller's */
    imu_ws_init(&s->reader, IMU_WIRE_MAX_MESSAGE);
    pthread_mutex_lock(&table.lock);
    if ((placed = table.n_free > 0)) {
        uint32_t slot = table.free_slots[--table.n_free];

        s->id = ++table.sequence << SLOT_BITS | slot;
        table.slots[slot] = s;
    }
    pthread_mutex_unlock(&table.lock);
    if (!placed) {
        s->refs = 1;
        imu_socket_release(s);
        return NULL;
    }
    return s;
}

void imu_socket_release(imu_socket *s)
{
    int left;

    pthread_mutex_lock(&table.lock);
    left = --s->refs;
    pthread_mutex_unlock(&table.lock);
    if (left > 0)
        return;
    imu_socket_drop_queue(s);
    imu_ws_clear(&s->reader);
    free(s->answer.body);
    free(s->network);
    free(s->account);
    free(s->head);
    free(s->keep_alive);
    pthread_cond_destroy(&s->answered);
    pthread_mutex_destroy(&s->lock);
    free(s);
}

imu_socket *imu_socket_find(uint64_t id)
{
    uint64_t slot = id & ((1u << SLOT_BITS) - 1);
    imu_socket *s = NULL;

    pthread_mutex_lock(&table.lock);
    if (slot < table.n_slots && (s = table.slots[slot]) && s->id == id)
        s->refs++;
    else
        s = NULL;
    pthread_mutex_unlock(&table.lock);
    return s;
}

void imu_socket_forget(imu_socket *s)
{
    uint64_t slot = s->id & ((1u << SLOT_BITS) - 1);
    int was_there;

    pthread_mutex_lock(&table.lock);
    if ((was_there = table.slots[slot] == s)) {
        table.slots[slot] = NULL;
        table.free_slots[table.n_free++] = (uint32_t)slot;
    }
    pthread_mutex_unlock(&table.lock);
    if (was_there)
        imu_socket_release(s);
}

void imu_socket_each(void (*fn)(imu_socket *s, int code), int code)
{
    for (uint32_t i = 0; i < table.n_slots; i++) {
        imu_socket *s;

        pthread_mutex_lock(&table.lock);
        if ((s = table.slots[i]))
            s->refs++;
        pthread_mutex_unlock(&table.lock);
        if (s) {
            fn(s, code);
            imu_socket_release(s);
        }
    }
}
