#include "mod_invokemu/departure.h"

#include <sys/ioctl.h>
#include <linux/sockios.h>
#include <http_config.h>
#include <http_connection.h>
#include <http_core.h>
#include <http_log.h>
#include <http_protocol.h>
#include <util_filter.h>
#include <apr_poll.h>
#include <apr_portable.h>
#include <apr_strings.h>
#include <apr_thread_mutex.h>

#include "mod_invokemu/crowd.h"
#include "mod_invokemu/hosts.h"
#include "mod_invokemu/ports.h"
#include "mod_invokemu/util/clock.h"

APLOG_USE_MODULE(invokemu);

/* Below TLS, right above the core, which keeps what can't be sent and gives it to the MPM. */
#define PLACE (AP_FTYPE_NETWORK - 1)
/* Bytes of memory handed to the core at a time, and as many as it may keep: always less than
 * FlushMaxThreshold's default, from which it would wait by itself. */
#define PIECE 16384
#define KEPT  49152

typedef struct departure {
    conn_rec *c;
    apr_bucket_brigade *piece; /* empty between two calls */
    apr_size_t kept;           /* at most so much of what was handed on is in memory still */
    imu_wait wait;
    int waits; /* has entered the crowd */
    const char *network;
    char user[64]; /* or "": nobody known. Set by threads of streams, under the lock */
    char counted[64];
} departure;

static ap_filter_rec_t *filter;
static apr_thread_mutex_t *lock;

/* ---- waiting ---- */

static void take_name(departure *d)
{
    if (lock)
        apr_thread_mutex_lock(lock);
    apr_cpystrn(d->counted, d->user, sizeof d->counted);
    if (lock)
        apr_thread_mutex_unlock(lock);
    d->wait.known = d->counted[0] != '\0';
    d->wait.who = d->wait.known ? d->counted : d->network;
}

/* Lets the core send what the socket takes. */
static apr_status_t send_kept(departure *d, ap_filter_t *f)
{
    while (f->next)
        f = f->next;
    /* NULL asks for just that, as the MPM does when a socket takes more. */
    return d->c->data_in_output_filters ? f->frec->filter_func.out_func(f, NULL) : APR_SUCCESS;
}

/* How much of what was sent the client has not taken yet. The socket is called writable again only
 * when a third of its buffer is free: megabytes, and seconds even for who reads steadily. */
static int untaken(const departure *d)
{
    apr_os_sock_t fd;
    int bytes = 0;

    if (apr_os_sock_get(&fd, ap_get_conn_socket(d->c)) != APR_SUCCESS ||
        ioctl(fd, SIOCOUTQ, &bytes) != 0)
        return 0;
    return bytes;
}

static apr_status_t wait_until_writable(departure *d)
{
    apr_pollfd_t what = {.p = d->c->pool,
                         .desc_type = APR_POLL_SOCKET,
                         .reqevents = APR_POLLOUT | APR_POLLHUP | APR_POLLERR,
                         .desc.s = ap_get_conn_socket(d->c)};
    apr_interval_time_t idle = -1;
    apr_time_t end;
    apr_int32_t n;
    apr_status_t rv;
    int before = untaken(d);

    if (apr_socket_timeout_get(what.desc.s, &idle) != APR_SUCCESS || idle <= 0)
        idle = d->c->base_server->timeout;
    if (!d->waits) {
        take_name(d);
        d->waits = imu_crowd_enter(&d->wait) == 0;
        if (!d->waits)
            return APR_EBUSY;
    }
    end = imu_clock_steady() + idle;
    do {
        int now;

        rv = apr_poll(&what, 1, &n, IMU_CROWD_LOOK);
        if (imu_crowd_lost(&d->wait))
            return APR_EGENERAL;
        if ((now = untaken(d)) < before)
            imu_crowd_moved(&d->wait);
        before = now;
    } while (APR_STATUS_IS_EINTR(rv) || (APR_STATUS_IS_TIMEUP(rv) && imu_clock_steady() < end));
    if (rv == APR_SUCCESS)
        imu_crowd_moved(&d->wait);
    return rv;
}

/* Nothing more goes to this client: an answer can't be refused in its middle. */
static apr_status_t give_up(departure *d, apr_status_t rv)
{
    const char *why = rv == APR_EBUSY      ? "too many others wait for slow readers"
                      : rv == APR_EGENERAL ? "it was read slowly, and others had to wait"
                                           : "it was not read in time";

    ap_log_cerror(APLOG_MARK, APLOG_INFO, APR_STATUS_IS_TIMEUP(rv) ? rv : 0, d->c,
                  "IMU0106: an answer was cut off: %s", why);
    d->c->aborted = 1;
    d->c->keepalive = AP_CONN_CLOSE;
    return APR_ECONNABORTED;
}

static apr_status_t drain(departure *d, ap_filter_t *f)
{
    apr_status_t rv = send_kept(d, f);

    while (rv == APR_SUCCESS && d->c->data_in_output_filters) {
        if ((rv = wait_until_writable(d)) != APR_SUCCESS)
            return give_up(d, rv);
        rv = send_kept(d, f);
    }
    d->kept = 0;
    return rv;
}

/* ---- pieces ---- */

/* Moves the next piece out of `bb`. @return its bytes in memory; `flush`: all of it must have gone
 * before more comes */
static apr_size_t next_piece(departure *d, apr_bucket_brigade *bb, int *flush)
{
    apr_size_t bytes = 0;

    *flush = 0;
    while (bytes < PIECE && !*flush && !APR_BRIGADE_EMPTY(bb)) {
        apr_bucket *b = APR_BRIGADE_FIRST(bb);

        if (APR_BUCKET_IS_FLUSH(b)) {
            *flush = 1;
            apr_bucket_delete(b);
            continue;
        }
        /* Of what is no memory, the core takes only what it can send. */
        if (!APR_BUCKET_IS_METADATA(b) && (!APR_BUCKET_IS_FILE(b) || b->length == (apr_size_t)-1)) {
            if (b->length != (apr_size_t)-1 && b->length > PIECE - bytes)
                apr_bucket_split(b, PIECE - bytes);
            bytes += b->length == (apr_size_t)-1 ? PIECE : b->length;
        }
        APR_BUCKET_REMOVE(b);
        APR_BRIGADE_INSERT_TAIL(d->piece, b);
    }
    return bytes;
}

static apr_status_t hand_on(departure *d, ap_filter_t *f, apr_bucket_brigade *bb)
{
    int flush;
    apr_size_t bytes = next_piece(d, bb, &flush);
    apr_status_t rv = APR_SUCCESS;

    if (!d->c->data_in_output_filters)
        d->kept = 0;
    if (d->kept + bytes > KEPT)
        rv = drain(d, f);
    if (rv == APR_SUCCESS && !APR_BRIGADE_EMPTY(d->piece))
        rv = ap_pass_brigade(f->next, d->piece);
    d->kept += bytes;
    apr_brigade_cleanup(d->piece);
    return rv == APR_SUCCESS && flush ? drain(d, f) : rv;
}

static apr_status_t departing(ap_filter_t *f, apr_bucket_brigade *bb)
{
    departure *d = f->ctx;
    apr_status_t rv = d->c->aborted ? APR_ECONNABORTED : APR_SUCCESS;

    if (rv == APR_SUCCESS && APR_BRIGADE_EMPTY(bb))
        return ap_pass_brigade(f->next, bb);
    while (rv == APR_SUCCESS && !APR_BRIGADE_EMPTY(bb))
        rv = hand_on(d, f, bb);
    imu_crowd_leave(&d->wait);
    d->waits = 0;
    apr_brigade_cleanup(bb);
    return rv;
}

/* ---- connections ---- */

void imu_departure_known(conn_rec *c, const char *user_id)
{
    conn_rec *whole = c->master ? c->master : c;

    for (ap_filter_t *f = whole->output_filters; f; f = f->next)
        if (f->frec == filter) {
            departure *d = f->ctx;

            /* Only streams of HTTP/2 have others beside them. */
            if (!c->master && strcmp(d->user, user_id) == 0)
                return;
            if (lock)
                apr_thread_mutex_lock(lock);
            apr_cpystrn(d->user, user_id, sizeof d->user);
            if (lock)
                apr_thread_mutex_unlock(lock);
            return;
        }
}

static int pre_connection(conn_rec *c, void *socket)
{
    departure *d;

    (void)socket;
    if (!imu_ports_ours(c))
        return DECLINED;
    d = apr_pcalloc(c->pool, sizeof *d);
    d->c = c;
    d->piece = apr_brigade_create(c->pool, c->bucket_alloc);
    d->network = imu_network_at(c->pool, c->client_addr, c->client_ip);
    d->wait.place = IMU_NO_PLACE;
    d->wait.leaving = 1;
    ap_add_output_filter_handle(filter, d, NULL, c);
    return DECLINED;
}

void imu_departure_register(void)
{
    filter = ap_register_output_filter("INVOKEMU_DEPARTURE", departing, NULL, PLACE);
    ap_hook_pre_connection(pre_connection, NULL, NULL, APR_HOOK_MIDDLE);
}

void imu_departure_child_init(apr_pool_t *pchild, server_rec *s)
{
    apr_status_t rv = apr_thread_mutex_create(&lock, APR_THREAD_MUTEX_DEFAULT, pchild);

    if (rv != APR_SUCCESS) {
        lock = NULL;
        ap_log_error(APLOG_MARK, APLOG_CRIT, rv, s,
                     "IMU0107: who waits can't be told apart in this child");
    }
}
