#include "mod_invokemu/edge.h"

#include <http_core.h>
#include <http_log.h>
#include <http_protocol.h>
#include <http_request.h>
#include <util_filter.h>
#include <apr_strings.h>

#include "mod_invokemu/departure.h"

APLOG_USE_MODULE(invokemu);

void imu_edge_common_headers(request_rec *r)
{
    apr_table_setn(r->err_headers_out, "X-Content-Type-Options", "nosniff");
    apr_table_setn(r->err_headers_out, "Referrer-Policy", "same-origin");
    apr_table_setn(r->err_headers_out, "X-Frame-Options", "DENY");
    apr_table_setn(r->err_headers_out, "Cross-Origin-Resource-Policy", "same-origin");
}

/* They say something about what can be a page. */
static void leave_out_page_headers(request_rec *r)
{
    apr_table_unset(r->err_headers_out, "Referrer-Policy");
    apr_table_unset(r->err_headers_out, "X-Frame-Options");
}

/* Answers that may not carry a body at all (RFC 9110 section 6.4.1). */
static int bodiless(int status)
{
    return status == 204 || status == 304;
}

int imu_edge_body_left(const imu_req *req)
{
    const char *length = apr_table_get(req->r->headers_in, "Content-Length");

    return !req->body_done && (apr_table_get(req->r->headers_in, "Transfer-Encoding") ||
                               (length && apr_atoi64(length) > 0));
}

void imu_edge_leave_body(const imu_req *req)
{
    if (imu_edge_body_left(req))
        req->r->connection->keepalive = AP_CONN_CLOSE;
}

static int pass(request_rec *r, apr_bucket_brigade *bb)
{
    apr_status_t rv;

    APR_BRIGADE_INSERT_TAIL(bb, apr_bucket_eos_create(bb->bucket_alloc));
    rv = ap_pass_brigade(r->output_filters, bb);
    /* The client went away, or a filter has sent an answer of its own (416 to a range): nothing to
     * mend, and httpd logs it where that is wanted. */
    return rv == APR_SUCCESS || r->status != HTTP_OK || r->connection->aborted ? OK
                                                                               : AP_FILTER_ERROR;
}

static int send_bytes(request_rec *r, const imu_reply *reply)
{
    apr_bucket_brigade *bb = apr_brigade_create(r->pool, r->connection->bucket_alloc);

    if (!bodiless(reply->status)) {
        ap_set_content_length(r, (apr_off_t)reply->length);
        if (reply->length)
            APR_BRIGADE_INSERT_TAIL(
                bb, apr_bucket_pool_create(reply->body, reply->length, r->pool, bb->bucket_alloc));
    }
    return pass(r, bb);
}

/* Bytes. Mapped, a file counts as memory, and a thread waits until no more of that than this
 * (FlushMaxThreshold's default) is left to be sent; one that is read goes out without it. */
#define LARGEST_MAPPED 65536

/* Bytes. Mapping, reading and unmapping a file of this size costs more than copying it does. */
#define LARGEST_COPIED 32768

/* Puts the file into `bb`. Returns the reading's status. */
static apr_status_t insert_file(apr_bucket_brigade *bb, apr_file_t *file, apr_off_t size,
                                apr_pool_t *p)
{
    char *bytes;
    apr_status_t rv;

    if (size == 0 || size > LARGEST_COPIED) {
        apr_bucket *content = apr_brigade_insert_file(bb, file, 0, size, p);

        if (content && size > LARGEST_MAPPED)
            apr_bucket_file_enable_mmap(content, 0);
        return APR_SUCCESS;
    }
    bytes = apr_palloc(p, (apr_size_t)size);
    rv = apr_file_read_full(file, bytes, (apr_size_t)size, NULL);
    if (rv == APR_SUCCESS)
        APR_BRIGADE_INSERT_TAIL(
            bb, apr_bucket_pool_create(bytes, (apr_size_t)size, p, bb->bucket_alloc));
    apr_file_close(file);
    return rv;
}

/* As the core opens its own files: EnableSendfile holds for ours too. */
static apr_int32_t open_flags(request_rec *r)
{
    const core_dir_config *core = ap_get_core_module_config(r->per_dir_config);

    return APR_FOPEN_READ | APR_FOPEN_BINARY |
           (core->enable_sendfile == ENABLE_SENDFILE_ON ? APR_FOPEN_SENDFILE_ENABLED : 0);
}

static int send_file(imu_req *req)
{
    request_rec *r = req->r;
    apr_bucket_brigade *bb;
    apr_file_t *file;
    apr_finfo_t info;
    int status;

    if (apr_file_open(&file, req->reply.file, open_flags(r), APR_OS_DEFAULT, r->pool) !=
            APR_SUCCESS ||
        apr_file_info_get(&info, APR_FINFO_SIZE | APR_FINFO_MTIME | APR_FINFO_TYPE, file) !=
            APR_SUCCESS ||
        info.filetype != APR_REG)
        return imu_edge_send_error(req, imu_error_log(req->p,
                                                      imu_error(req->p, 404, "file_missing",
                                                                "This file is no longer there."),
                                                      "file missing: %s", req->reply.file));
    if (req->reply.etag)
        apr_table_setn(r->headers_out, "ETag", req->reply.etag);
    ap_set_content_length(r, info.size);
    if (req->reply.whole) {
        apr_table_unset(r->headers_in, "Range");
        apr_table_setn(r->headers_out, "Accept-Ranges", "none");
    } else {
        apr_table_setn(r->headers_out, "Accept-Ranges", "bytes");
        if ((status = ap_meets_conditions(r)) != OK) {
            r->status = status;
            return status;
        }
    }
    bb = apr_brigade_create(r->pool, r->connection->bucket_alloc);
    if (insert_file(bb, file, info.size, r->pool) != APR_SUCCESS)
        return imu_edge_send_error(req,
                                   imu_error_internal(req->p, "cannot read %s", req->reply.file));
    return pass(r, bb);
}

int imu_edge_send(imu_req *req)
{
    request_rec *r = req->r;
    const imu_reply *reply = &req->reply;

    imu_req_db_release(req);
    if (req->who.via != IMU_VIA_NONE)
        imu_departure_known(r->connection, req->who.user_id);
    imu_edge_leave_body(req);
    imu_edge_common_headers(r);
    if (reply->part_of_page)
        leave_out_page_headers(r);
    if (reply->status == 0)
        return imu_edge_send_error(
            req, imu_error_internal(req->p, "the handler of %s left no reply", r->uri));
    r->status = reply->status;
    apr_table_setn(r->headers_out, "Cache-Control", reply->cache ? reply->cache : "no-store");
    if (reply->type)
        ap_set_content_type(r, reply->type);
    return reply->file ? send_file(req) : send_bytes(r, reply);
}

static const char *error_body(imu_req *req, const imu_err *err)
{
    json_t *body = json_object();
    char *text;
    const char *kept;

    json_object_set_new(body, "detail",
                        err->fields ? json_incref(err->fields) : json_string(err->detail));
    text = json_dumps(body, JSON_COMPACT);
    kept = text ? apr_pstrdup(req->p, text) : "{\"detail\":\"\"}";
    free(text);
    json_decref(body);
    return kept;
}

int imu_edge_send_error(imu_req *req, const imu_err *err)
{
    request_rec *r = req->r;
    const char *body = error_body(req, err);

    imu_req_db_release(req);
    imu_edge_leave_body(req);
    if (err->status >= 500 && err->status != 501)
        ap_log_rerror(APLOG_MARK, err->status == 500 ? APLOG_ERR : APLOG_WARNING, 0, r,
                      "IMU0101: %s %s failed (%s): %s", r->method, r->uri, err->code,
                      err->log ? err->log : err->detail);
    else if (err->log)
        ap_log_rerror(APLOG_MARK, APLOG_DEBUG, 0, r, "IMU0102: %s %s refused (%s): %s", r->method,
                      r->uri, err->code, err->log);
    imu_edge_common_headers(r);
    if (err->retry_after > 0)
        apr_table_setn(r->err_headers_out, "Retry-After", apr_itoa(r->pool, err->retry_after));
    if (err->status == 401)
        apr_table_setn(r->err_headers_out, "WWW-Authenticate", "Bearer");
    apr_table_setn(r->headers_out, "Cache-Control", "no-store");
    ap_set_content_type(r, "application/json");
    r->status = err->status;
    imu_reply_bytes(req, err->status, "application/json", body, strlen(body));
    return send_bytes(r, &req->reply);
}
