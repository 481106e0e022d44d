/* See outbox.h. */
#include "worker/outbox.h"

#include <errno.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define WRITER_LOW   (4u * 1024 * 1024) /* the writer gets more while it holds less than this */
#define MAX_PROGRESS 8 /* previews that wait; a slow dispatcher gets fewer, not later ones */

struct item {
    struct item *next;
    uint8_t type;
    bool keep, sent;
    char *header;
    void *payload;
    size_t payload_len;
    int fds[IMU_WIRE_MAX_FDS];
    int n_fds;
    char run_id[64];
    json_int_t item_id, seq;
};

struct imu_outbox {
    pthread_mutex_t lock;
    struct item *head, **tail;
    int wake_fd;
    bool connected;
    int progress; /* waiting PROGRESS frames */
};

imu_outbox *imu_outbox_new(int wake_fd)
{
    imu_outbox *o = calloc(1, sizeof *o);
    if (!o)
        return NULL;
    pthread_mutex_init(&o->lock, NULL);
    o->tail = &o->head;
    o->wake_fd = wake_fd;
    return o;
}

static void free_item(struct item *i)
{
    for (int k = 0; k < i->n_fds; k++)
        close(i->fds[k]);
    free(i->header);
    free(i->payload);
    free(i);
}

void imu_outbox_free(imu_outbox *o)
{
    if (!o)
        return;
    for (struct item *i = o->head, *next; i; i = next) {
        next = i->next;
        free_item(i);
    }
    pthread_mutex_destroy(&o->lock);
    free(o);
}

static int fail_with(struct item *i, int err)
{
    if (i)
        free_item(i);
    errno = err;
    return -1;
}

static char *header_text(const imu_message *m)
{
    json_t *header = json_copy((json_t *)m->header);
    if (header && m->n_fds > 0)
        json_object_set_new(header, "fds", json_integer(m->n_fds));
    char *text = header ? json_dumps(header, JSON_COMPACT) : NULL;
    json_decref(header);
    return text;
}

static struct item *make_item(const imu_message *m)
{
    struct item *i = calloc(1, sizeof *i);
    if (!i) {
        for (int k = 0; k < m->n_fds; k++)
            close(m->fds[k]);
        return NULL;
    }
    for (int k = 0; k < m->n_fds; k++)
        i->fds[i->n_fds++] = m->fds[k];
    const char *run_id = imu_json_str(m->header, "run_id");
    i->type = m->type;
    i->keep = m->keep;
    i->item_id = json_integer_value(json_object_get(m->header, "item_id"));
    i->seq = json_integer_value(json_object_get(m->header, "seq"));
    if (run_id)
        memcpy(i->run_id, run_id, strnlen(run_id, sizeof i->run_id - 1));
    i->header = header_text(m);
    i->payload = m->payload_len ? malloc(m->payload_len) : NULL;
    i->payload_len = m->payload_len;
    if (!i->header || (m->payload_len && !i->payload)) {
        free_item(i);
        return NULL;
    }
    if (m->payload_len)
        memcpy(i->payload, m->payload, m->payload_len);
    return i;
}

int imu_outbox_put(imu_outbox *o, const imu_message *m)
{
    struct item *i = make_item(m);
    if (!i)
        return fail_with(NULL, ENOMEM);
    size_t header_len = strlen(i->header);
    if (header_len > IMU_WIRE_MAX_HEADER || header_len + i->payload_len > IMU_WIRE_MAX_FRAME - 16)
        return fail_with(i, EMSGSIZE);
    pthread_mutex_lock(&o->lock);
    bool progress = i->type == IMU_WIRE_PROGRESS;
    bool drop = !i->keep && (!o->connected || (progress && o->progress >= MAX_PROGRESS));
    if (!drop) {
        o->progress += progress;
        *o->tail = i;
        o->tail = &i->next;
    }
    pthread_mutex_unlock(&o->lock);
    if (drop) {
        free_item(i);
        return 0;
    }
    uint64_t one = 1;
    if (write(o->wake_fd, &one, sizeof one) < 0 && errno != EAGAIN)
        return -1;
    return 0;
}

/* Unlinks *at and frees it; the lock is held. */
static void drop_item(imu_outbox *o, struct item **at)
{
    struct item *i = *at;
    *at = i->next;
    if (o->tail == &i->next)
        o->tail = at;
    o->progress -= i->type == IMU_WIRE_PROGRESS;
    free_item(i);
}

static int queue_item(imu_wire_writer *wr, const struct item *i)
{
    imu_frame f = {.type = i->type,
                   .header = i->header,
                   .header_len = strlen(i->header),
                   .payload = i->payload,
                   .payload_len = i->payload_len,
                   .n_fds = i->n_fds};
    memcpy(f.fds, i->fds, sizeof f.fds);
    return imu_wire_queue(wr, &f);
}

int imu_outbox_pump(imu_outbox *o, imu_wire_writer *wr)
{
    int rc = 0, moved = 0;
    pthread_mutex_lock(&o->lock);
    for (struct item **at = &o->head; *at && rc == 0 && imu_wire_pending(wr) < WRITER_LOW;) {
        struct item *i = *at;
        if (!i->sent) {
            rc = queue_item(wr, i);
            moved = 1;
        }
        if (rc == 0 && !i->keep) {
            drop_item(o, at);
        } else {
            i->sent = i->sent || rc == 0;
            at = &i->next;
        }
    }
    pthread_mutex_unlock(&o->lock);
    return rc ? -1 : moved;
}

void imu_outbox_connected(imu_outbox *o, bool connected)
{
    pthread_mutex_lock(&o->lock);
    o->connected = connected;
    for (struct item **at = &o->head; *at;) {
        (*at)->sent = false;
        if (!(*at)->keep)
            drop_item(o, at);
        else
            at = &(*at)->next;
    }
    pthread_mutex_unlock(&o->lock);
}

void imu_outbox_ack(imu_outbox *o, const char *run_id, json_int_t seq)
{
    pthread_mutex_lock(&o->lock);
    for (struct item **at = &o->head; *at;) {
        if ((*at)->keep && (*at)->seq == seq && !strcmp((*at)->run_id, run_id))
            drop_item(o, at);
        else
            at = &(*at)->next;
    }
    pthread_mutex_unlock(&o->lock);
}

json_t *imu_outbox_held(imu_outbox *o)
{
    json_t *held = json_array();
    const char *last = NULL;
    pthread_mutex_lock(&o->lock);
    for (const struct item *i = o->head; i; i = i->next) {
        if (!i->keep || (last && !strcmp(last, i->run_id)))
            continue; /* frames of one run follow each other */
        last = i->run_id;
        json_array_append_new(held,
                              json_pack("{s:s,s:I}", "run_id", i->run_id, "item_id", i->item_id));
    }
    pthread_mutex_unlock(&o->lock);
    return held;
}

size_t imu_outbox_count(imu_outbox *o)
{
    size_t n = 0;
    pthread_mutex_lock(&o->lock);
    for (const struct item *i = o->head; i; i = i->next)
        n += i->keep;
    pthread_mutex_unlock(&o->lock);
    return n;
}
