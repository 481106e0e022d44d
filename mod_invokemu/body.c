/*
 * body.c: reading the bodies of requests. What arrives slowly holds a thread: people get so many of
 * them, and whoever has not proved who they are gets fewer, and little time.
 */
#include "mod_invokemu/body.h"

#include <http_protocol.h>
#include <util_filter.h>
#include <apr_strings.h>

#include "mod_invokemu/arrival.h"
#include "mod_invokemu/hosts.h"
#include "mod_invokemu/routes.h"
#include "mod_invokemu/util/clock.h"
#include "mod_invokemu/validate.h"

#define READ_BYTES 65536
#define GUARD      "INVOKEMU_BODY"
/* JSON that anybody may send, signed in or not: accounts and passwords need no more. */
#define PUBLIC_BODY 65536
/* A stranger's body has to be there so soon. */
#define STRANGER_TIME apr_time_from_sec(10)
/* How often a stream of HTTP/2 is looked at. */
#define LOOK_TIME apr_time_from_msec(50)

typedef struct reader {
    imu_body_stream in;
    apr_int64_t max;
    char *buf;
    apr_size_t used, room;
    int done;
} reader;

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

imu_err *imu_body_failed(const imu_body_stream *in, apr_status_t rv)
{
    imu_req *req = in->req;

    req->r->connection->keepalive = AP_CONN_CLOSE;
    if (APR_STATUS_IS_TIMEUP(rv))
        return imu_error(req->p, 408, "body_timeout", "The request took too long to arrive.");
    if (in->guard.refused == 413)
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

void imu_body_open(imu_req *req, imu_body_stream *in)
{
    int known = req->who.via != IMU_VIA_NONE;

    *in = (imu_body_stream){.req = req,
                            .wait = {.known = known,
                                     .who = known ? req->who.user_id : imu_network_of(req),
                                     .until = known ? 0 : imu_clock_steady() + STRANGER_TIME,
                                     .stream = req->r->connection->master != NULL,
                                     .place = IMU_NO_PLACE}};
    in->bb = apr_brigade_create(req->p, req->r->connection->bucket_alloc);
    in->guard.filter = ap_add_output_filter(GUARD, &in->guard, req->r, req->r->connection);
    in->arrives = imu_arrival_wait_as(req->r->connection, &in->wait);
}

void imu_body_close(imu_body_stream *in)
{
    if (in->arrives)
        imu_arrival_wait_as(in->req->r->connection, NULL);
    ap_remove_output_filter(in->guard.filter);
    apr_brigade_destroy(in->bb);
    imu_crowd_leave(&in->wait);
}

static apr_status_t fetch(imu_body_stream *in, apr_read_type_e block)
{
    return ap_get_brigade(in->req->r->input_filters, in->bb, AP_MODE_READBYTES, block, READ_BYTES);
}

/* A stream of HTTP/2 has no socket of its own that could be polled, and one of mod_http2's threads:
 * it looks now and then, because its place may be lost meanwhile. */
static apr_status_t fetch_of_stream(imu_body_stream *in)
{
    apr_time_t end = imu_clock_steady() + in->req->r->server->timeout;

    if (in->wait.until && in->wait.until < end)
        end = in->wait.until;
    for (;;) {
        apr_status_t rv = fetch(in, APR_NONBLOCK_READ);

        if (!APR_STATUS_IS_EAGAIN(rv) && (rv != APR_SUCCESS || !APR_BRIGADE_EMPTY(in->bb))) {
            imu_crowd_moved(&in->wait);
            return rv;
        }
        if (imu_clock_steady() >= end || imu_crowd_enter(&in->wait) != 0)
            return APR_TIMEUP;
        apr_sleep(LOOK_TIME);
    }
}

imu_err *imu_body_next(imu_body_stream *in)
{
    apr_status_t rv;

    apr_brigade_cleanup(in->bb);
    rv = in->arrives ? fetch(in, APR_BLOCK_READ) : fetch_of_stream(in);
    if (in->wait.refused)
        return too_many(in->req);
    return rv == APR_SUCCESS ? NULL : imu_body_failed(in, rv);
}

static void keep(reader *rd, const char *part, apr_size_t n)
{
    if (rd->used + n + 1 > rd->room) {
        apr_size_t bigger = (rd->used + n + 1) * 2;
        char *grown = apr_palloc(rd->in.req->p, bigger);

        memcpy(grown, rd->buf, rd->used);
        rd->buf = grown;
        rd->room = bigger;
    }
    memcpy(rd->buf + rd->used, part, n);
    rd->used += n;
}

static imu_err *take_brigade(reader *rd)
{
    apr_bucket_brigade *bb = rd->in.bb;

    for (apr_bucket *b = APR_BRIGADE_FIRST(bb); b != APR_BRIGADE_SENTINEL(bb);
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
            return imu_body_failed(&rd->in, rv);
        if ((apr_int64_t)(rd->used + n) > rd->max)
            return too_large(rd->in.req, rd->max);
        keep(rd, part, n);
    }
    return NULL;
}

static imu_err *read_all(reader *rd, imu_req *req)
{
    const char *declared = apr_table_get(req->r->headers_in, "Content-Length");
    imu_err *err = NULL;

    if (declared && apr_atoi64(declared) > rd->max)
        return too_large(req, rd->max);
    rd->room = declared ? (apr_size_t)apr_atoi64(declared) + 1 : 8192;
    rd->buf = apr_palloc(req->p, rd->room);
    imu_body_open(req, &rd->in);
    while (!err && !rd->done)
        if (!(err = imu_body_next(&rd->in)))
            err = take_brigade(rd);
    imu_body_close(&rd->in);
    if (err)
        return err;
    req->body_done = 1;
    rd->buf[rd->used] = '\0';
    return NULL;
}

imu_err *imu_body_read(imu_req *req, apr_int64_t max, const char **data, apr_size_t *len)
{
    reader rd = {.max = max};
    imu_err *err = read_all(&rd, req);

    *data = rd.buf;
    *len = rd.used;
    return err;
}

imu_err *imu_body_json(imu_req *req, json_t **body)
{
    json_error_t why;
    const char *data;
    apr_size_t len;
    int anybody = req->route->access == IMU_ACCESS_PUBLIC;
    imu_err *err = imu_body_read(req, anybody ? PUBLIC_BODY : req->conf->max_body, &data, &len);

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
