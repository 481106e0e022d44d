#include "mod_invokemu/events/blocked.h"

#include <string.h>

/* What has waited for so long yields to anybody who has fewer, and to the next one of its own. */
#define A_WHILE apr_time_from_sec(3)

static struct {
    pthread_mutex_t lock;
    imu_blocked *first; /* the newest */
    int all;            /* how many may wait */
    int strangers;      /* and how many of them for somebody who has not signed in */
    int stopping;
} table = {.lock = PTHREAD_MUTEX_INITIALIZER, .all = 2, .strangers = 1};

void imu_blocked_init(int threads)
{
    table.all = threads / 4 > 2 ? threads / 4 : 2;
    table.strangers = table.all / 3 > 1 ? table.all / 3 : 1;
}

/* ---- who waits, under the lock ---- */

/* How many wait; known: -1 all, else people or strangers. */
static int count(int known, const char *who)
{
    int n = 0;

    for (const imu_blocked *b = table.first; b; b = b->next)
        n += !b->ending && (known < 0 || b->known == known) &&
             (!who || (b->who && strcmp(b->who, who) == 0));
    return n;
}

static int ending(void)
{
    int n = 0;

    for (const imu_blocked *b = table.first; b; b = b->next)
        n += b->ending;
    return n;
}

static int has_room(int known)
{
    int most = known ? table.all - table.strangers : table.strangers;

    return count(-1, NULL) < table.all && count(known, NULL) < most;
}

/* May that one, of `held`, be ended for a newcomer who has `same`? */
static int yields(const imu_blocked *b, int held, int same, const char *who)
{
    return held > same + 1 ||
           ((held > same || strcmp(b->who, who) == 0) && apr_time_now() - b->since >= A_WHILE);
}

/* Of the people who have most, the oldest poll that may be ended; NULL for none. */
static imu_blocked *next_to_end(const char *who)
{
    int same = count(1, who), most = 0;
    imu_blocked *found = NULL;

    for (imu_blocked *b = table.first; b; b = b->next) {
        int held;

        if (b->ending || !b->socket || !b->known)
            continue;
        held = count(1, b->who);
        if (held >= most && yields(b, held, same, who)) {
            found = b;
            most = held;
        }
    }
    return found;
}

/* Makes room for one more. @param ended  the poll that has to end for it, or 0
 * @return 0, or -1 when there is none */
static int make_room(int known, const char *who, uint64_t *ended)
{
    imu_blocked *other = NULL;

    *ended = 0;
    if (table.stopping)
        return -1;
    if (has_room(known))
        return 0;
    /* Each of those holds a thread until the dispatcher has answered it. */
    if (!known || ending() >= table.all || !(other = next_to_end(who)))
        return -1;
    other->ending = 1;
    *ended = other->socket->id;
    return 0;
}

static void add(imu_blocked *wait)
{
    wait->since = apr_time_now();
    wait->next = table.first;
    table.first = wait;
}

/* ---- coming and going ---- */

int imu_blocked_enter(imu_blocked *wait, imu_socket *s)
{
    uint64_t ended;
    int rc;

    *wait = (imu_blocked){.socket = s};
    pthread_mutex_lock(&table.lock);
    wait->who = imu_socket_owner(s, &wait->known);
    rc = make_room(wait->known, wait->who, &ended);
    if (rc == 0)
        add(wait);
    pthread_mutex_unlock(&table.lock);
    if (ended)
        imu_sockets_let_go(ended);
    return rc;
}

int imu_blocked_enter_for_good(imu_blocked *wait)
{
    int rc = -1;

    *wait = (imu_blocked){.known = 1};
    pthread_mutex_lock(&table.lock);
    if (count(-1, NULL) < table.all) {
        add(wait);
        rc = 0;
    }
    pthread_mutex_unlock(&table.lock);
    return rc;
}

void imu_blocked_leave(imu_blocked *wait)
{
    imu_blocked **link = &table.first;

    pthread_mutex_lock(&table.lock);
    while (*link != wait)
        link = &(*link)->next;
    *link = wait->next;
    pthread_mutex_unlock(&table.lock);
}

void imu_blocked_stop(int at_once)
{
    pthread_mutex_lock(&table.lock);
    table.stopping = 1;
    for (const imu_blocked *b = table.first; at_once && b; b = b->next)
        if (b->socket)
            imu_sockets_close(b->socket->id, IMU_WS_GOING_AWAY);
    pthread_mutex_unlock(&table.lock);
}

/* It stays among strangers where people have no place for it. */
static void join_people(imu_blocked *b, uint64_t *ended)
{
    int known;
    const char *who = imu_socket_owner(b->socket, &known);

    b->ending = 1; /* not to be counted, nor to be ended for itself */
    if (make_room(known, who, ended) == 0) {
        b->known = known;
        b->who = who;
    }
    b->ending = 0;
}

void imu_blocked_known(const imu_socket *s)
{
    uint64_t ended = 0;

    pthread_mutex_lock(&table.lock);
    for (imu_blocked *b = table.first; b; b = b->next)
        if (b->socket == s && !b->known && !b->ending)
            join_people(b, &ended);
    pthread_mutex_unlock(&table.lock);
    if (ended)
        imu_sockets_let_go(ended);
}
