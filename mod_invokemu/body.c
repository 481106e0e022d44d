/*
 * body.c: reading the body of a request that is no upload. What arrives slowly holds a thread, so
 * bodies from people who have not proved who they are get little time and few threads.
 */
#include "mod_invokemu/body.h"

#include <ap_mpm.h>
#include <http_core.h>
#include <http_log.h>
#include <http_protocol.h>
#include <util_filter.h>
#include <apr_strings.h>
#include <apr_thread_mutex.h>

#include "mod_invokemu/hosts.h"
#include "mod_invokemu/routes.h"
#include "mod_invokemu/validate.h"

APLOG_USE_MODULE(invokemu);

#define READ_BYTES 65536
#define GUARD      "INVOKEMU_BODY"
/* JSON that anybody may send, signed in or not: accounts and passwords need no more. */
#define PUBLIC_BODY 65536
/* A stranger's body has to be there so soon. */
#define STRANGER_TIME apr_time_from_sec(10)
#define MAX_WAITING   32

/* The threads of this child that wait for bodies of strangers, by the network each came from. */
static apr_thread_mutex_t *lock;
static const char *waiting[MAX_WAITING];
static int max_waiting;

typedef struct reader {
    imu_req *req;
    apr_bucket_brigade *bb;
    apr_int64_t max;
    apr_time_t until; /* 0: as long as httpd's own limits allow */
    int place;        /* in waiting, or -1 */
    char *buf;
    apr_size_t used, room;
    int done;
    imu_body_guard guard;
} reader;

void imu_body_child_init(apr_pool_t *pchild, server_rec *s)
{
    int threads = 1;
    apr_status_t rv = apr_thread_mutex_create(&lock, APR_THREAD_MUTEX_DEFAULT, pchild);

    if (rv != APR_SUCCESS) {
        lock = NULL;
        ap_log_error(APLOG_MARK, APLOG_CRIT, rv, s,
                     "IMU0008: slow requests can't be limited in this child");
    }
    ap_mpm_query(AP_MPMQ_MAX_THREADS, &threads);
    max_waiting = threads / 4 < 1 ? 1 : threads / 4 > MAX_WAITING ? MAX_WAITING : threads / 4;
}

/* Takes a place among those that wait; a network gets half of them. @return its number, or -1 */
static int enter(const char *network)
{
    int same = 0, place = -1;

    apr_thread_mutex_lock(lock);
    for (int i = 0; i < max_waiting; i++)
        if (!waiting[i])
            place = i;
        else
            same += strcmp(waiting[i], network) == 0;
    if (same >= (max_waiting + 1) / 2)
        place = -1;
    if (place >= 0)
        waiting[place] = network;
    apr_thread_mutex_unlock(lock);
    return place;
}

static void leave(int place)
{
    if (place < 0)
        return;
    apr_thread_mutex_lock(lock);
    waiting[place] = NULL;
    apr_thread_mutex_unlock(lock);
}

static imu_err *too_large(imu_req *req, apr_int64_t max)
{
    /* What the client still sends is not read: the connection ends after the answer. */
    req->r->connection->keepalive = AP_CONN_CLOSE;
    return imu_error(req->p, 413, "body_too_large",
                     "This is too large. At most %" APR_INT64_T_FMT " KiB can be sent here.",
                     max / 1024);
}

/* Answers that httpd makes to a body it cannot read, before whoever reads it hears of that: a page,
 * and ours would follow it. */
static apr_status_t hold_back(ap_filter_t *f, apr_bucket_brigade *bb)
{
    imu_body_guard *guard = f->ctx;

    for (apr_bucket *b = APR_BRIGADE_FIRST(bb); b != APR_BRIGADE_SENTINEL(bb);
         b = APR_BUCKET_NEXT(b)) {
        if (AP_BUCKET_IS_ERROR(b)) {
            guard->refused = ((ap_bucket_error *)b->data)->status;
            apr_brigade_cleanup(bb);
            return AP_FILTER_ERROR;
        }
    }
    return ap_pass_brigade(f->next, bb);
}

void imu_body_register(void)
{
    ap_register_output_filter(GUARD, hold_back, NULL, AP_FTYPE_RESOURCE);
}

void imu_body_guard_begin(imu_req *req, imu_body_guard *guard)
{
    guard->refused = 0;
    guard->filter = ap_add_output_filter(GUARD, guard, req->r, req->r->connection);
}

void imu_body_guard_end(imu_body_guard *guard)
{
    ap_remove_output_filter(guard->filter);
}

imu_err *imu_body_failed(imu_req *req, const imu_body_guard *guard, apr_status_t rv)
{
    req->r->connection->keepalive = AP_CONN_CLOSE;
    if (APR_STATUS_IS_TIMEUP(rv))
        return imu_error(req->p, 408, "body_timeout", "The request took too long to arrive.");
    if (guard->refused == 413)
        return imu_error(req->p, 413, "body_too_large",
                         "This is larger than this server's administrator allows.");
    return imu_error(req->p, 400, "body_broken", "The request broke off before it was complete.");
}

static imu_err *too_many(imu_req *req)
{
    imu_err *err =
        imu_error(req->p, 429, "slow_requests",
                  "Too many requests arrive too slowly at the moment. Try again in a few seconds.");

    req->r->connection->keepalive = AP_CONN_CLOSE;
    err->retry_after = 2;
    return err;
}

static apr_status_t fetch(reader *rd, apr_read_type_e block)
{
    return ap_get_brigade(rd->req->r->input_filters, rd->bb, AP_MODE_READBYTES, block, READ_BYTES);
}

/* Waits for more, not beyond the reader's time. */
static apr_status_t wait_for(reader *rd)
{
    conn_rec *c = rd->req->r->connection;
    /* A stream of HTTP/2 has no socket of its own; its reads end by themselves. */
    apr_socket_t *socket = c->master ? NULL : ap_get_conn_socket(c);
    apr_interval_time_t left = rd->until - apr_time_now(), usual = -1;
    apr_status_t rv;

    if (left <= 0)
        return APR_TIMEUP;
    if (socket && apr_socket_timeout_get(socket, &usual) != APR_SUCCESS)
        socket = NULL;
    if (socket && (usual < 0 || usual > left))
        apr_socket_timeout_set(socket, left);
    rv = fetch(rd, APR_BLOCK_READ);
    if (socket)
        apr_socket_timeout_set(socket, usual);
    return rv;
}

static imu_err *next_brigade(reader *rd)
{
    apr_status_t rv = fetch(rd, rd->until ? APR_NONBLOCK_READ : APR_BLOCK_READ);

    if (rd->until &&
        (APR_STATUS_IS_EAGAIN(rv) || (rv == APR_SUCCESS && APR_BRIGADE_EMPTY(rd->bb)))) {
        if (rd->place < 0 && (rd->place = enter(imu_network_of(rd->req))) < 0)
            return too_many(rd->req);
        rv = wait_for(rd);
    }
    return rv == APR_SUCCESS ? NULL : imu_body_failed(rd->req, &rd->guard, rv);
}

static void keep(reader *rd, const char *part, apr_size_t n)
{
    if (rd->used + n + 1 > rd->room) {
        apr_size_t bigger = (rd->used + n + 1) * 2;
        char *grown = apr_palloc(rd->req->p, bigger);

        memcpy(grown, rd->buf, rd->used);
        rd->buf = grown;
        rd->room = bigger;
    }
    memcpy(rd->buf + rd->used, part, n);
    rd->used += n;
}

static imu_err *take_brigade(reader *rd)
{
    for (apr_bucket *b = APR_BRIGADE_FIRST(rd->bb); b != APR_BRIGADE_SENTINEL(rd->bb);
         b = APR_BUCKET_NEXT(b)) {
        const char *part;
        apr_status_t rv;
        apr_size_t n;

        if (APR_BUCKET_IS_EOS(b)) {
            rd->done = 1;
            return NULL;
        }
        if (APR_BUCKET_IS_METADATA(b))
            continue;
        if ((rv = apr_bucket_read(b, &part, &n, APR_BLOCK_READ)) != APR_SUCCESS)
            return imu_body_failed(rd->req, &rd->guard, rv);
        if ((apr_int64_t)(rd->used + n) > rd->max)
            return too_large(rd->req, rd->max);
        keep(rd, part, n);
    }
    return NULL;
}

static imu_err *read_all(reader *rd)
{
    const char *declared = apr_table_get(rd->req->r->headers_in, "Content-Length");
    imu_err *err = NULL;

    if (declared && apr_atoi64(declared) > rd->max)
        return too_large(rd->req, rd->max);
    rd->room = declared ? (apr_size_t)apr_atoi64(declared) + 1 : 8192;
    rd->buf = apr_palloc(rd->req->p, rd->room);
    rd->bb = apr_brigade_create(rd->req->p, rd->req->r->connection->bucket_alloc);
    imu_body_guard_begin(rd->req, &rd->guard);
    while (!err && !rd->done) {
        if (!(err = next_brigade(rd)))
            err = take_brigade(rd);
        apr_brigade_cleanup(rd->bb);
    }
    imu_body_guard_end(&rd->guard);
    leave(rd->place);
    if (err)
        return err;
    rd->req->body_done = 1;
    rd->buf[rd->used] = '\0';
    return NULL;
}

static imu_err *read_until(imu_req *req, apr_int64_t max, apr_time_t until, const char **data,
                           apr_size_t *len)
{
    reader rd = {.req = req, .max = max, .until = until, .place = -1};
    imu_err *err = read_all(&rd);

    *data = rd.buf;
    *len = rd.used;
    return err;
}

imu_err *imu_body_read(imu_req *req, apr_int64_t max, const char **data, apr_size_t *len)
{
    return read_until(req, max, 0, data, len);
}

imu_err *imu_body_read_stranger(imu_req *req, apr_int64_t max, const char **data, apr_size_t *len)
{
    return read_until(req, max, lock ? apr_time_now() + STRANGER_TIME : 0, data, len);
}

imu_err *imu_body_json(imu_req *req, json_t **body)
{
    json_error_t why;
    const char *data;
    apr_size_t len;
    imu_err *err = req->route->access == IMU_ACCESS_PUBLIC
                       ? imu_body_read_stranger(req, PUBLIC_BODY, &data, &len)
                       : imu_body_read(req, req->conf->max_body, &data, &len);

    *body = NULL;
    if (err)
        return err;
    if (len == 0)
        return imu_invalid(req->p, "body", NULL, "missing", "Field required");
    *body =
        imu_json_own(req->p, json_loadb(data, len, JSON_DECODE_ANY | JSON_REJECT_DUPLICATES, &why));
    if (!*body)
        return imu_invalid(req->p, "body", apr_psprintf(req->p, "%d", why.position), "json_invalid",
                           "JSON decode error");
    return NULL;
}

imu_err *imu_body_object(imu_req *req, json_t **body)
{
    imu_err *err = imu_body_json(req, body);

    if (!err && !json_is_object(*body))
        err = imu_invalid(req->p, "body", NULL, "model_attributes_type",
                          "Input should be a valid dictionary or object to extract fields from");
    return err;
}
