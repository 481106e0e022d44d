#include "mod_invokemu/events/child_hub.h"

#include <httpd.h>
#include <http_log.h>
#include <apr_strings.h>
#include <apr_time.h>
#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/timerfd.h>
#include <unistd.h>

APLOG_USE_MODULE(invokemu);

#define MAX_QUEUED    (16u * 1024 * 1024)
#define FIRST_PAUSE   20   /* ms */
#define LONGEST_PAUSE 1000 /* ms */
#define MAX_EVENTS    64
/* Tags of what epoll reports; connections have numbers from 16 on. */
#define TAG_WAKE       0
#define TAG_DISPATCHER 1
#define TAG_TIME       2

static struct {
    pthread_mutex_t lock; /* guards fd, writer and connected against senders */
    pthread_cond_t there; /* connected became true */
    pthread_t thread;
    int started;
    atomic_int ending;   /* the thread shall return */
    atomic_int stopping; /* the child ends */
    atomic_int graceful; /* and lets its connections end before it */
    int epoll, wake, timer;
    int fd;
    atomic_int connected;
    imu_wire_reader *reader;
    imu_wire_writer *writer;
    const char *path;
    server_rec *server;
    int pause;
    imu_child_hub_calls calls;
} hub = {.lock = PTHREAD_MUTEX_INITIALIZER,
         .there = PTHREAD_COND_INITIALIZER,
         .epoll = -1,
         .wake = -1,
         .timer = -1,
         .fd = -1};

static void wake(void)
{
    uint64_t one = 1;

    /* A full counter means that the thread will wake up anyway. */
    if (write(hub.wake, &one, sizeof one) < 0 && errno != EAGAIN)
        ap_log_error(APLOG_MARK, APLOG_ERR, errno, hub.server,
                     "IMU0301: the event thread cannot be woken");
}

static int watch(int op, int fd, uint32_t events, uint64_t tag)
{
    struct epoll_event ev = {.events = events, .data.u64 = tag};

    return epoll_ctl(hub.epoll, op, fd, &ev);
}

/* ---- sending ---- */

/* Sends what is queued and asks to be told when there is room for the rest. Under the lock. */
static int flush_locked(void)
{
    int rc = imu_wire_flush(hub.writer, hub.fd);

    if (rc < 0)
        return -1;
    return watch(EPOLL_CTL_MOD, hub.fd, rc ? EPOLLIN : EPOLLIN | EPOLLOUT, TAG_DISPATCHER);
}

int imu_child_hub_send(uint8_t type, json_t *header, const void *payload, size_t len)
{
    char *text = header ? json_dumps(header, JSON_COMPACT) : NULL;
    int rc = -1;

    json_decref(header);
    if (!text)
        return -1;
    pthread_mutex_lock(&hub.lock);
    if (hub.connected) {
        imu_frame frame = {.type = type,
                           .header = text,
                           .header_len = strlen(text),
                           .payload = payload,
                           .payload_len = len};

        rc = imu_wire_queue(hub.writer, &frame);
        /* What fails for good is seen by the thread as well, which then starts anew. */
        if (rc == 0)
            rc = flush_locked();
    }
    pthread_mutex_unlock(&hub.lock);
    free(text);
    return rc;
}

size_t imu_child_hub_pending(void)
{
    size_t pending;

    pthread_mutex_lock(&hub.lock);
    pending = hub.writer ? imu_wire_pending(hub.writer) : 0;
    pthread_mutex_unlock(&hub.lock);
    return pending;
}

int imu_child_hub_connected(void)
{
    return hub.connected;
}

int imu_child_hub_wait(int ms)
{
    struct timespec until;
    int rc = 0;

    clock_gettime(CLOCK_REALTIME, &until);
    until.tv_sec += ms / 1000 + (until.tv_nsec + ms % 1000 * 1000000L) / 1000000000L;
    until.tv_nsec = (until.tv_nsec + ms % 1000 * 1000000L) % 1000000000L;
    pthread_mutex_lock(&hub.lock);
    while (!hub.connected && rc == 0)
        rc = pthread_cond_timedwait(&hub.there, &hub.lock, &until);
    pthread_mutex_unlock(&hub.lock);
    return hub.connected;
}

/* ---- the connection, on the thread ---- */

static void lose(void)
{
    pthread_mutex_lock(&hub.lock);
    hub.connected = 0;
    if (hub.fd >= 0)
        close(hub.fd);
    hub.fd = -1;
    imu_wire_reader_free(hub.reader);
    imu_wire_writer_free(hub.writer);
    hub.reader = NULL;
    hub.writer = NULL;
    pthread_mutex_unlock(&hub.lock);
}

static int connect_to_dispatcher(void)
{
    int fd = imu_wire_connect(hub.path);
    imu_wire_reader *reader;
    imu_wire_writer *writer;

    if (fd < 0)
        return -1;
    reader = imu_wire_reader_new(IMU_WIRE_MAX_FRAME);
    writer = imu_wire_writer_new(MAX_QUEUED);
    if (!reader || !writer || watch(EPOLL_CTL_ADD, fd, EPOLLIN, TAG_DISPATCHER) != 0) {
        imu_wire_reader_free(reader);
        imu_wire_writer_free(writer);
        close(fd);
        return -1;
    }
    pthread_mutex_lock(&hub.lock);
    hub.fd = fd;
    hub.reader = reader;
    hub.writer = writer;
    hub.connected = 1;
    pthread_cond_broadcast(&hub.there);
    pthread_mutex_unlock(&hub.lock);
    return imu_child_hub_send(
        IMU_WIRE_CHILD_HELLO,
        json_pack("{s:i, s:i}", "protocol", IMU_WIRE_PROTOCOL, "pid", (int)getpid()), NULL, 0);
}

static void reconnect(void)
{
    if (connect_to_dispatcher() == 0) {
        hub.pause = FIRST_PAUSE;
        ap_log_error(APLOG_MARK, APLOG_DEBUG, 0, hub.server,
                     "IMU0302: connected to the dispatcher");
        return;
    }
    lose();
    hub.pause = hub.pause * 2 > LONGEST_PAUSE ? LONGEST_PAUSE : hub.pause * 2;
}

/* When the whole server stops, this child hears so a moment later: farewells would only bring
 * answers to threads that are leaving. */
static int server_stops(void)
{
    for (int i = 0; i < 10 && !hub.ending && !hub.stopping; i++)
        apr_sleep(apr_time_from_msec(10));
    return hub.ending || (hub.stopping && !hub.graceful);
}

static void dispatcher_gone(void)
{
    lose();
    hub.pause = FIRST_PAUSE;
    if (server_stops())
        return;
    ap_log_error(APLOG_MARK, APLOG_INFO, 0, hub.server,
                 "IMU0303: the dispatcher went away; event connections start anew");
    hub.calls.lost();
}

static void dispatcher_ready(uint32_t events)
{
    imu_frame frame;
    int rc = 0;

    if (!hub.connected)
        return;
    if (events & EPOLLOUT) {
        pthread_mutex_lock(&hub.lock);
        rc = flush_locked();
        pthread_mutex_unlock(&hub.lock);
    }
    if (events & (EPOLLIN | EPOLLHUP | EPOLLERR))
        while (rc >= 0 && (rc = imu_wire_read(hub.reader, hub.fd, &frame)) > 0) {
            for (int i = 0; i < frame.n_fds; i++)
                close(frame.fds[i]);
            hub.calls.frame(&frame);
        }
    if (rc < 0)
        dispatcher_gone();
}

/* ---- the thread ---- */

static void drain_wake(void)
{
    uint64_t count;

    if (read(hub.wake, &count, sizeof count) < 0 && errno != EAGAIN)
        ap_log_error(APLOG_MARK, APLOG_ERR, errno, hub.server,
                     "IMU0304: the event thread's wake-up cannot be read");
}

static void time_is_up(void)
{
    uint64_t times;

    if (read(hub.timer, &times, sizeof times) == sizeof times)
        hub.calls.time();
}

static void *run(void *baton)
{
    struct epoll_event ev[MAX_EVENTS];
    int told = 0;

    (void)baton;
    while (!hub.ending) {
        int n;

        if (!hub.connected && !hub.stopping)
            reconnect();
        n = epoll_wait(hub.epoll, ev, MAX_EVENTS, hub.connected || hub.stopping ? -1 : hub.pause);
        for (int i = 0; i < n; i++) {
            if (ev[i].data.u64 == TAG_WAKE)
                drain_wake();
            else if (ev[i].data.u64 == TAG_DISPATCHER)
                dispatcher_ready(ev[i].events);
            else if (ev[i].data.u64 == TAG_TIME)
                time_is_up();
            else
                hub.calls.writable(ev[i].data.u64);
        }
        if (n < 0 && errno != EINTR) {
            ap_log_error(APLOG_MARK, APLOG_CRIT, errno, hub.server,
                         "IMU0305: the event thread cannot wait and ends");
            break;
        }
        if (hub.stopping && hub.graceful && !told) {
            told = 1;
            hub.calls.stopping();
        }
    }
    lose();
    return NULL;
}

static apr_status_t end_thread(void *baton)
{
    (void)baton;
    hub.ending = 1;
    wake();
    pthread_join(hub.thread, NULL);
    hub.started = 0;
    return APR_SUCCESS;
}

apr_status_t imu_child_hub_start(apr_pool_t *pchild, server_rec *s, const char *run_dir,
                                 const imu_child_hub_calls *calls)
{
    sigset_t all, before;
    int rc;

    hub.server = s;
    hub.path = apr_pstrcat(pchild, run_dir, "/dispatch.sock", NULL);
    hub.pause = FIRST_PAUSE;
    hub.calls = *calls;
    hub.epoll = epoll_create1(EPOLL_CLOEXEC);
    hub.wake = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    hub.timer = timerfd_create(CLOCK_MONOTONIC, TFD_CLOEXEC | TFD_NONBLOCK);
    if (hub.epoll < 0 || hub.wake < 0 || hub.timer < 0 ||
        watch(EPOLL_CTL_ADD, hub.wake, EPOLLIN, TAG_WAKE) != 0 ||
        watch(EPOLL_CTL_ADD, hub.timer, EPOLLIN, TAG_TIME) != 0)
        return errno;
    /* Signals belong to httpd's own threads. */
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    rc = pthread_create(&hub.thread, NULL, run, NULL);
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    if (rc != 0)
        return rc;
    hub.started = 1;
    apr_pool_cleanup_register(pchild, NULL, end_thread, apr_pool_cleanup_null);
    return APR_SUCCESS;
}

int imu_child_hub_want_write(int fd, uint64_t conn)
{
    if (watch(EPOLL_CTL_MOD, fd, EPOLLOUT | EPOLLONESHOT, conn) == 0)
        return 0;
    return errno == ENOENT ? watch(EPOLL_CTL_ADD, fd, EPOLLOUT | EPOLLONESHOT, conn) : -1;
}

int imu_child_hub_later(int ms)
{
    const struct itimerspec when = {
        .it_value = {.tv_sec = ms / 1000, .tv_nsec = ms % 1000 * 1000000L}};

    return timerfd_settime(hub.timer, 0, &when, NULL);
}

void imu_child_hub_forget(int fd)
{
    epoll_ctl(hub.epoll, EPOLL_CTL_DEL, fd, NULL);
}

void imu_child_hub_stop(int graceful)
{
    if (!hub.started)
        return;
    hub.graceful = graceful;
    hub.stopping = 1;
    wake();
}
