#include "mod_invokemu/seats.h"

#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <ap_mpm.h>
#include <http_config.h>
#include <http_log.h>
#include <http_main.h>
#include <apr_portable.h>
#include <apr_ring.h>

#include "mod_invokemu/util/clock.h"

APLOG_USE_MODULE(invokemu);

#define BUCKETS 256
/* Each part gets a fifth of what a child takes. The fewer threads are idle the less the MPM takes,
 * a quarter of that while three quarters of them wait (crowd.h): more than one part. */
#define PART      5
#define TELL_TIME apr_time_from_sec(60)
#define LOOK_MS   1000
/* As many as a browser opens at once, and a few: nobody is among those who hold most for that. */
#define FEW 8
/* Event sockets on which nobody has signed in get a quarter of them all. */
#define SOCKETS_PART 4

/* Whose they are: an account, or a network. */
typedef struct holder {
    struct holder *next;
    int held;
    int open; /* of these, those in the ring of the part */
    char name[];
} holder;

/* In the order in which they last asked for something; event sockets in that in which they began.
 */
typedef struct part {
    const char *what;
    APR_RING_HEAD(ring, imu_seat) seats;
    int used;
    apr_time_t told; /* of somebody who had to leave */
    holder *holders[BUCKETS];
} part;

struct imu_seat {
    APR_RING_ENTRY(imu_seat) link;
    part *of; /* NULL: lost, left */
    holder *held_by;
    holder *socket_by; /* of an event socket on which nobody has signed in: in the ring of these */
    int fd;
    int parked; /* an event socket: not in its part's ring */
    int busy;   /* requests under way */
    int lost;
    apr_time_t until; /* 0: nothing is waited for */
};

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static part strangers = {.what = "who have not signed in"}, people = {.what = "who have signed in"},
            sockets = {.what = "who have opened event sockets and not signed in there"};
static int capacity; /* 0: nothing is counted */
static int max_sockets;
static int threads;
static int parked;
static int looking; /* imu_seats_look will be called */
static imu_later *later;

/* ---- how many ---- */

/* The MPM keeps its settings to itself; the configuration shows them. */
static int directive_value(const char *name, int value)
{
    for (const ap_directive_t *d = ap_conftree; d; d = d->next)
        if (ap_cstr_casecmp(d->directive, name) == 0)
            value = (int)strtol(d->args, NULL, 10);
    return value;
}

int imu_seats_capacity(void)
{
    if (ap_mpm_query(AP_MPMQ_MAX_THREADS, &threads) != APR_SUCCESS || threads < 1)
        threads = 1;
    return threads * (directive_value("AsyncRequestWorkerFactor", 2) + 1);
}

void imu_seats_child_init(imu_later *fn, int most_sockets)
{
    struct rlimit files;

    APR_RING_INIT(&strangers.seats, imu_seat, link);
    APR_RING_INIT(&people.seats, imu_seat, link);
    APR_RING_INIT(&sockets.seats, imu_seat, link);
    later = fn;
    max_sockets = most_sockets;
    capacity = imu_seats_capacity();
    /* A child that finds no descriptor for a connection ends. */
    if (getrlimit(RLIMIT_NOFILE, &files) == 0 && files.rlim_cur / 2 < (rlim_t)capacity)
        capacity = (int)(files.rlim_cur / 2);
}

/* What is left to event sockets of strangers by those of people: a few, in any case, or nobody
 * could sign in any more. */
static int share_of_sockets(void)
{
    int left = max_sockets - (parked - sockets.used), most = max_sockets / SOCKETS_PART;

    most = most < left ? most : left;
    return most > FEW ? most : FEW;
}

/* How many a part has. */
static int share(const part *of)
{
    int left = (capacity - parked) / 2, most = capacity / PART;

    if (of == &sockets)
        return share_of_sockets();
    most = most > threads ? most : threads;
    most = most < left ? most : left;
    return most > threads ? most : threads;
}

/* ---- holders ---- */

static holder **bucket_of(part *of, const char *name)
{
    unsigned hash = 5381;

    for (const char *s = name; *s; s++)
        hash = hash * 33 + (unsigned char)*s;
    return &of->holders[hash % BUCKETS];
}

static holder *find_or_add(part *of, const char *name)
{
    holder **bucket = bucket_of(of, name), *h = *bucket;
    size_t len = strlen(name) + 1;

    while (h && strcmp(h->name, name) != 0)
        h = h->next;
    if (h || !(h = calloc(1, sizeof *h + len)))
        return h;
    memcpy(h->name, name, len);
    h->next = *bucket;
    return *bucket = h;
}

static void give_up(part *of, holder *h)
{
    holder **at = bucket_of(of, h->name);

    if (--h->held > 0)
        return;
    while (*at != h)
        at = &(*at)->next;
    *at = h->next;
    free(h);
}

/* ---- places, under the lock ---- */

static part *ring_of(const imu_seat *seat)
{
    return seat->socket_by ? &sockets : seat->parked ? NULL : seat->of;
}

static holder *holder_of(const imu_seat *seat)
{
    return seat->socket_by ? seat->socket_by : seat->held_by;
}

static void append(imu_seat *seat)
{
    part *in = ring_of(seat);

    if (!in)
        return;
    APR_RING_INSERT_TAIL(&in->seats, seat, imu_seat, link);
    in->used++;
    holder_of(seat)->open++;
}

static void unlink_seat(imu_seat *seat)
{
    part *in = ring_of(seat);

    if (!in)
        return;
    APR_RING_REMOVE(seat, link);
    in->used--;
    holder_of(seat)->open--;
}

/* The socket is that of somebody who has signed in, or is none any more. */
static void leave_sockets(imu_seat *seat)
{
    if (!seat->socket_by)
        return;
    unlink_seat(seat);
    give_up(&sockets, seat->socket_by);
    seat->socket_by = NULL;
}

static void leave_part(imu_seat *seat)
{
    leave_sockets(seat);
    unlink_seat(seat);
    give_up(seat->of, seat->held_by);
    seat->of = NULL;
}

static void enter_part(imu_seat *seat, part *of, holder *h)
{
    if (seat->of)
        leave_part(seat);
    seat->of = of;
    seat->held_by = h;
    h->held++;
    append(seat);
}

/* Takes it out of everything. */
static void forget(imu_seat *seat)
{
    if (!seat->of)
        return;
    leave_part(seat);
    parked -= seat->parked;
}

/* Of whoever has most; of these, what has no request under way; of these, the oldest. */
static int leaves_before(const imu_seat *one, const imu_seat *other)
{
    int most = holder_of(one)->open > FEW ? holder_of(one)->open : FEW;
    int others = holder_of(other)->open > FEW ? holder_of(other)->open : FEW;

    return most != others ? most > others : !one->busy && other->busy;
}

static imu_seat *next_to_leave(const part *of)
{
    imu_seat *found = NULL, *s;

    APR_RING_FOREACH(s, &of->seats, imu_seat, link)
    if (!found || leaves_before(s, found))
        found = s;
    return found;
}

static void tell(part *of, const holder *h)
{
    apr_time_t now = imu_clock_steady();

    if (now - of->told < TELL_TIME)
        return;
    of->told = now;
    ap_log_error(APLOG_MARK, APLOG_NOTICE, 0, ap_server_conf,
                 "IMU0108: %d connections of people %s are as many as this child has room for: the "
                 "oldest one of %s, who has %d, ends",
                 of->used, of->what, h->name, h->open);
}

/* Threads find a socket that is shut down readable, at its end; the MPM too. */
static void make_room(part *of)
{
    while (of->used > share(of)) {
        imu_seat *seat = next_to_leave(of);

        tell(of, holder_of(seat));
        seat->lost = 1;
        shutdown(seat->fd, SHUT_RDWR);
        forget(seat);
    }
}

/* ---- time ---- */

/* Under the lock. */
static void look_later(void)
{
    if (!looking)
        looking = later(LOOK_MS) == 0;
}

/* The MPM would wait for as long as Timeout says. */
static int end_late(const part *of, apr_time_t now)
{
    int waiting = 0;
    imu_seat *s;

    APR_RING_FOREACH(s, &of->seats, imu_seat, link)
    {
        if (!s->until)
            continue;
        waiting = 1;
        if (s->until <= now)
            shutdown(s->fd, SHUT_RD);
    }
    return waiting;
}

void imu_seats_look(void)
{
    apr_time_t now = imu_clock_steady();
    int waiting;

    pthread_mutex_lock(&lock);
    looking = 0;
    waiting = end_late(&strangers, now);
    waiting |= end_late(&people, now);
    if (waiting)
        look_later();
    pthread_mutex_unlock(&lock);
}

/* ---- connections ---- */

static apr_status_t cleared(void *seat)
{
    imu_seat_leave(seat);
    return APR_SUCCESS;
}

imu_seat *imu_seat_take(conn_rec *c, apr_socket_t *socket, const char *network)
{
    imu_seat *seat;
    holder *h;

    if (!capacity)
        return NULL;
    seat = apr_pcalloc(c->pool, sizeof *seat);
    if (apr_os_sock_get(&seat->fd, socket) != APR_SUCCESS)
        return NULL;
    pthread_mutex_lock(&lock);
    if ((h = find_or_add(&strangers, network))) {
        enter_part(seat, &strangers, h);
        make_room(&strangers);
    }
    pthread_mutex_unlock(&lock);
    /* The last resort: httpd ends connections through pre_close_connection. */
    apr_pool_pre_cleanup_register(c->pool, seat, cleared);
    return seat;
}

static void move_to_end(imu_seat *seat)
{
    if (seat->of && !seat->parked) {
        unlink_seat(seat);
        append(seat);
    }
}

void imu_seat_known(imu_seat *seat, const char *user_id)
{
    holder *h;

    if (!seat)
        return;
    pthread_mutex_lock(&lock);
    h = seat->of ? find_or_add(&people, user_id) : NULL;
    if (h && h != seat->held_by) {
        enter_part(seat, &people, h);
        make_room(&people);
    }
    move_to_end(seat);
    pthread_mutex_unlock(&lock);
}

void imu_seat_moved(imu_seat *seat)
{
    if (!seat)
        return;
    pthread_mutex_lock(&lock);
    seat->until = 0;
    move_to_end(seat);
    pthread_mutex_unlock(&lock);
}

void imu_seat_busy(imu_seat *seat, int change)
{
    if (!seat)
        return;
    pthread_mutex_lock(&lock);
    seat->busy += change;
    pthread_mutex_unlock(&lock);
}

static void park(imu_seat *seat)
{
    if (seat->parked)
        return;
    unlink_seat(seat);
    seat->parked = 1;
    parked++;
}

void imu_seat_park(imu_seat *seat, const char *network)
{
    holder *h;

    if (!seat)
        return;
    pthread_mutex_lock(&lock);
    if (seat->of) {
        park(seat);
        leave_sockets(seat);
        h = network ? find_or_add(&sockets, network) : NULL;
        if (h) {
            seat->socket_by = h;
            h->held++;
            append(seat);
            make_room(&sockets);
        }
    }
    pthread_mutex_unlock(&lock);
}

void imu_seat_unpark(imu_seat *seat)
{
    if (!seat)
        return;
    pthread_mutex_lock(&lock);
    if (seat->of && seat->parked) {
        leave_sockets(seat);
        seat->parked = 0;
        parked--;
        append(seat);
    }
    pthread_mutex_unlock(&lock);
}

void imu_seat_wait(imu_seat *seat, apr_interval_time_t time)
{
    if (!seat)
        return;
    pthread_mutex_lock(&lock);
    if (!seat->until)
        seat->until = imu_clock_steady() + time;
    look_later();
    pthread_mutex_unlock(&lock);
}

imu_seat_state imu_seat_state_of(imu_seat *seat)
{
    imu_seat_state state = IMU_SEAT_HELD;

    if (!seat)
        return state;
    pthread_mutex_lock(&lock);
    if (seat->lost)
        state = IMU_SEAT_LOST;
    else if (seat->until && seat->until <= imu_clock_steady())
        state = IMU_SEAT_LATE;
    pthread_mutex_unlock(&lock);
    return state;
}

void imu_seat_leave(imu_seat *seat)
{
    if (!seat)
        return;
    pthread_mutex_lock(&lock);
    forget(seat);
    pthread_mutex_unlock(&lock);
}
