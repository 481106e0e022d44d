#include "mod_invokemu/events/socket_internal.h"

#include <http_connection.h>
#include <http_core.h>
#include <http_log.h>
#include <http_protocol.h>
#include <apr_date.h>
#include <apr_portable.h>
#include <apr_strings.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <util_filter.h>

#include "mod_invokemu/events/child_hub.h"

APLOG_USE_MODULE(invokemu);

#define READ_SIZE 8192

/* ---- writing, under the lock ---- */

/* Wakes the worker: the socket becomes readable for good, and what the browser still sends is not
 * read. */
static void wake(imu_socket *s)
{
    if (s->c && s->fd >= 0)
        shutdown(s->fd, SHUT_RD);
}

static void abort_socket(imu_socket *s)
{
    s->abort = s->ending = 1;
    imu_socket_drop_queue(s);
    wake(s);
}

static void enqueue_close(imu_socket *s, int code)
{
    char data[2] = {(char)(code >> 8), (char)code};

    /* A browser for which there is no room for it would not read it soon either. */
    if (imu_socket_queue_frame(s, IMU_WS_CLOSE, data, sizeof data) != 0)
        abort_socket(s);
    s->ending = 1;
}

/* Writes what is queued if that can be done now. */
static void flush_parked(imu_socket *s)
{
    if (s->state == IMU_SOCKET_PARKED && s->c && imu_socket_flush(s) < 0)
        abort_socket(s);
}

/* ---- answers to polls, under the lock ---- */

static int enqueue_answer(imu_socket *s)
{
    char date[APR_RFC822_DATE_LEN];
    const char *parts[] = {NULL, s->head, s->close_after ? "Connection: close\r\n" : s->keep_alive,
                           "\r\n"};
    char line[512];
    size_t used = 0, all = s->answer.len;
    imu_message *out;
    int len, rc;

    apr_rfc822_date(date, apr_time_now());
    len = snprintf(line, sizeof line,
                   "HTTP/1.1 %s\r\nDate: %s\r\nContent-Type: %s\r\nContent-Length: %zu\r\n%s",
                   ap_get_status_line(s->answer.status), date, s->answer.type, s->answer.len,
                   s->answer.status == HTTP_TOO_MANY_REQUESTS
                       ? "Retry-After: " IMU_SOCKET_RETRY_AFTER "\r\n"
                       : "");
    parts[0] = line;
    for (unsigned i = 0; i < sizeof parts / sizeof parts[0]; i++)
        all += strlen(parts[i]);
    if (len < 0 || (size_t)len >= sizeof line || !(out = imu_message_new(all)))
        return -1;
    for (unsigned i = 0; i < sizeof parts / sizeof parts[0]; i++) {
        memcpy(out->data + used, parts[i], strlen(parts[i]));
        used += strlen(parts[i]);
    }
    memcpy(out->data + used, s->answer.body, s->answer.len);
    rc = imu_socket_append(s, out, 0);
    imu_message_release(out);
    return rc;
}

/* The answer is out: the connection is the core's again at the next thing the browser sends. */
static void poll_done(imu_socket *s)
{
    if (s->close_after) {
        s->ending = 1;
        wake(s);
    } else {
        s->state = IMU_SOCKET_OVER;
        imu_socket_part(s);
    }
}

static void send_answer(imu_socket *s)
{
    int rc = enqueue_answer(s) == 0 ? imu_socket_flush(s) : -1;

    if (rc < 0)
        abort_socket(s);
    else if (rc > 0)
        poll_done(s);
}

static void keep_answer(imu_socket *s, int status, const char *type, const char *body, size_t len)
{
    char *copy = malloc(len ? len : 1);

    if (!copy)
        return;
    memcpy(copy, body, len);
    free(s->answer.body);
    s->answer = (imu_answer){status,
                             strstr(type, "json")   ? "application/json"
                             : strstr(type, "html") ? "text/html"
                                                    : "text/plain; charset=UTF-8",
                             copy, len};
}

/* ---- the hub thread ---- */

static void answer(imu_socket *s, int status, const char *type, const char *body, size_t len)
{
    pthread_mutex_lock(&s->lock);
    if (!s->is_ws && !s->answer.status && s->state != IMU_SOCKET_OVER) {
        keep_answer(s, status, type, body, len);
        if (s->state == IMU_SOCKET_PARKED && s->c && s->answer.status)
            send_answer(s);
        else
            pthread_cond_signal(&s->answered);
    }
    pthread_mutex_unlock(&s->lock);
}

void imu_sockets_answer(uint64_t id, int status, const char *type, const char *body, size_t len)
{
    imu_socket *s = imu_socket_find(id);

    if (!s)
        return;
    answer(s, status, type, body, len);
    imu_socket_release(s);
}

void imu_sockets_send(uint64_t id, imu_message *message, int preview)
{
    imu_socket *s = imu_socket_find(id);

    if (!s)
        return;
    pthread_mutex_lock(&s->lock);
    if (s->is_ws && s->c && !s->ending) {
        if (imu_socket_queue(s, message, preview) != 0)
            abort_socket(s);
        else
            flush_parked(s);
    }
    pthread_mutex_unlock(&s->lock);
    imu_socket_release(s);
}

void imu_sockets_forget_events(uint64_t id)
{
    imu_socket *s = imu_socket_find(id);

    if (!s)
        return;
    pthread_mutex_lock(&s->lock);
    imu_socket_drop_events(s);
    pthread_mutex_unlock(&s->lock);
    imu_socket_release(s);
}

static void end_socket(imu_socket *s, int code)
{
    if (!s->is_ws) {
        answer(s, HTTP_OK, "text/plain", "6", 1);
        return;
    }
    pthread_mutex_lock(&s->lock);
    if (s->c && !s->ending) {
        enqueue_close(s, code);
        flush_parked(s);
        imu_socket_part(s);
    }
    pthread_mutex_unlock(&s->lock);
}

void imu_sockets_close(uint64_t id, int code)
{
    imu_socket *s = imu_socket_find(id);

    if (!s)
        return;
    end_socket(s, code);
    imu_socket_release(s);
}

/* Asks the dispatcher to answer a poll now, with whatever there is: an answer of our own could
 * cross one of its own and lose it. */
static int ask_for_release(const imu_socket *s)
{
    return imu_child_hub_send(IMU_WIRE_EIO_GONE,
                              json_pack("{s:I, s:b}", "conn", (json_int_t)s->id, "release", 1),
                              NULL, 0);
}

static void end_parked(imu_socket *s, int code)
{
    int waits;

    pthread_mutex_lock(&s->lock);
    s->close_after = 1;
    waits = !s->is_ws && s->state != IMU_SOCKET_OVER;
    /* Answered, and waiting for the next request of a browser that may never come. */
    if (!s->is_ws && !waits)
        wake(s);
    pthread_mutex_unlock(&s->lock);
    if (!waits || ask_for_release(s) != 0)
        end_socket(s, code);
}

void imu_sockets_let_go(uint64_t id)
{
    imu_socket *s = imu_socket_find(id);

    if (!s)
        return;
    if (ask_for_release(s) != 0)
        end_socket(s, IMU_WS_GOING_AWAY);
    imu_socket_release(s);
}

void imu_sockets_end_all(int code)
{
    imu_socket_each(end_parked, code);
}

void imu_sockets_writable(uint64_t id)
{
    imu_socket *s = imu_socket_find(id);

    if (!s)
        return;
    pthread_mutex_lock(&s->lock);
    if (s->c && s->state == IMU_SOCKET_PARKED) {
        int rc = imu_socket_flush(s);

        if (rc < 0)
            abort_socket(s);
        else if (rc > 0 && !s->is_ws)
            poll_done(s);
    }
    pthread_mutex_unlock(&s->lock);
    imu_socket_release(s);
}

/* ---- workers ---- */

void imu_socket_detach(imu_socket *s)
{
    int told;

    pthread_mutex_lock(&s->lock);
    told = s->is_ws || !s->answer.status;
    if (s->c && s->fd >= 0)
        imu_child_hub_forget(s->fd);
    /* Farewells of a connection that takes no more would keep a worker waiting. */
    if (s->c && (s->abort || s->first))
        s->c->aborted = 1;
    s->c = NULL;
    s->seat = NULL;
    s->fd = -1;
    s->state = IMU_SOCKET_OVER;
    imu_socket_drop_queue(s);
    pthread_mutex_unlock(&s->lock);
    if (told)
        imu_child_hub_send(IMU_WIRE_EIO_GONE, json_pack("{s:I}", "conn", (json_int_t)s->id), NULL,
                           0);
    imu_socket_forget(s);
}

int imu_socket_wait(imu_socket *s, int ms)
{
    struct timespec until;
    int rc = 0;

    clock_gettime(CLOCK_REALTIME, &until);
    until.tv_sec += ms / 1000 + (until.tv_nsec + ms % 1000 * 1000000L) / 1000000000L;
    until.tv_nsec = (until.tv_nsec + ms % 1000 * 1000000L) % 1000000000L;
    pthread_mutex_lock(&s->lock);
    while (!s->answer.status && rc == 0)
        rc = pthread_cond_timedwait(&s->answered, &s->lock, &until);
    rc = s->answer.status != 0;
    if (!rc)
        s->state = IMU_SOCKET_HANDED;
    pthread_mutex_unlock(&s->lock);
    return rc;
}

static int take_message(imu_socket *s, const imu_ws_event *event)
{
    if (imu_socket_too_fast(s, 0, 1))
        return -1;
    return event->what == IMU_WS_GOT_PING ? imu_socket_keep_pong(s, event->data, event->len)
                                          : imu_socket_pass_on(s, event->data, event->len);
}

/* One frame from the browser. @return 0, or -1 when the connection is to end */
static int take_event(imu_socket *s, const imu_ws_event *event)
{
    switch (event->what) {
    case IMU_WS_GOT_TEXT:
    case IMU_WS_GOT_PING:
        if (take_message(s, event) == 0)
            return 0;
        enqueue_close(s, IMU_WS_TRY_LATER);
        return -1;
    case IMU_WS_GOT_CLOSE:
    case IMU_WS_BROKEN:
        enqueue_close(s, event->code);
        return -1;
    default:
        return 0;
    }
}

static int take_bytes(imu_socket *s, const char *data, size_t len)
{
    imu_ws_event event;
    int rc = 0;

    if (imu_socket_too_fast(s, len, 0)) {
        enqueue_close(s, IMU_WS_TRY_LATER);
        return -1;
    }
    do {
        size_t used = imu_ws_feed(&s->reader, data, len, &event);

        data += used;
        len -= used;
        rc = take_event(s, &event);
    } while (rc == 0 && event.what != IMU_WS_MORE);
    return rc;
}

static int take_brigade(imu_socket *s)
{
    for (apr_bucket *b = APR_BRIGADE_FIRST(s->in); b != APR_BRIGADE_SENTINEL(s->in);
         b = APR_BUCKET_NEXT(b)) {
        const char *data;
        apr_size_t len;

        if (APR_BUCKET_IS_EOS(b))
            return -1;
        if (APR_BUCKET_IS_METADATA(b))
            continue;
        if (apr_bucket_read(b, &data, &len, APR_NONBLOCK_READ) != APR_SUCCESS ||
            (len && take_bytes(s, data, len) != 0))
            return -1;
    }
    return 0;
}

/* Reads until nothing is left, also not inside of TLS, where the MPM would not see it. */
static imu_next read_frames(imu_socket *s)
{
    apr_status_t rv;
    int rc;

    if (s->ending)
        return IMU_NEXT_CLOSE;
    do {
        rv = ap_get_brigade(s->c->input_filters, s->in, AP_MODE_READBYTES, APR_NONBLOCK_READ,
                            READ_SIZE);
        if (rv != APR_SUCCESS && !APR_STATUS_IS_EAGAIN(rv))
            return IMU_NEXT_CLOSE;
        if (rv == APR_SUCCESS && APR_BRIGADE_EMPTY(s->in))
            rv = APR_EAGAIN;
        rc = rv == APR_SUCCESS ? take_brigade(s) : 0;
        apr_brigade_cleanup(s->in);
    } while (rc == 0 && rv == APR_SUCCESS);
    if (imu_socket_flush(s) < 0 || rc != 0)
        return IMU_NEXT_CLOSE;
    return IMU_NEXT_WAIT;
}

/* The browser has no business to speak before its poll is answered: it left, or sends requests
 * ahead, which are not taken here. */
static imu_next poll_readable(imu_socket *s)
{
    char byte;
    ssize_t n;

    if (s->ending)
        return IMU_NEXT_CLOSE;
    if (s->state == IMU_SOCKET_OVER)
        return IMU_NEXT_REQUEST;
    /* Who asks for more before having read the answer can't be waited for: the lock is ours, and
     * the thread that writes to everybody may want it. */
    if (s->answer.status)
        return imu_socket_flush(s) > 0 ? IMU_NEXT_REQUEST : IMU_NEXT_CLOSE;
    n = recv(s->fd, &byte, 1, MSG_PEEK | MSG_DONTWAIT);
    return n < 0 && (errno == EAGAIN || errno == EINTR) ? IMU_NEXT_WAIT : IMU_NEXT_CLOSE;
}

imu_next imu_socket_readable(imu_socket *s)
{
    imu_next next;

    pthread_mutex_lock(&s->lock);
    next = s->c ? (s->is_ws ? read_frames(s) : poll_readable(s)) : IMU_NEXT_CLOSE;
    pthread_mutex_unlock(&s->lock);
    return next;
}

imu_next imu_socket_park(imu_socket *s)
{
    conn_rec *c = s->c;
    imu_next next = IMU_NEXT_WAIT;
    apr_os_sock_t fd = -1;

    pthread_mutex_lock(&s->lock);
    if (apr_os_sock_get(&fd, ap_get_conn_socket(c)) != APR_SUCCESS || c->aborted) {
        next = IMU_NEXT_CLOSE;
    } else {
        s->fd = fd;
        s->out = apr_brigade_create(c->pool, c->bucket_alloc);
        s->in = apr_brigade_create(c->pool, c->bucket_alloc);
        s->state = IMU_SOCKET_PARKED;
        /* Requests sent ahead lie in filters where nobody would see them. */
        if (!s->is_ws && c->data_in_input_filters)
            s->close_after = 1;
        if (s->is_ws && s->ending)
            next = imu_socket_flush(s) < 0 ? IMU_NEXT_CLOSE : IMU_NEXT_WAIT;
        else if (s->is_ws)
            next = read_frames(s);
        else if (s->answer.status)
            send_answer(s);
    }
    pthread_mutex_unlock(&s->lock);
    return next;
}
