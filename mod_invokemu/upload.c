#include "mod_invokemu/upload.h"

#include <errno.h>
#include <string.h>

#include <http_protocol.h>
#include <apr_strings.h>

#include "mod_invokemu/body.h"
#include "mod_invokemu/crowd.h"
#include "mod_invokemu/store/files.h"
#include "mod_invokemu/store/picture_files.h"
#include "mod_invokemu/validate.h"

#define MAX_PARTS 10
#define MAX_TEXT  IMU_MAX_PICTURE_TEXT
/* What headers and boundaries may add to the parts themselves. */
#define MAX_FRAMING 65536

#define DECODE_MS 60000
#define MAX_SIDE  16384

typedef struct spool {
    apr_pool_t *p;
    const char *folder;
    int fd;
} spool;

/* The temporary file is made when the first byte of a file arrives, so that refused requests cost
 * none. */
static imu_err *spool_bytes(void *ctx, const char *data, apr_size_t len)
{
    spool *s = ctx;
    imu_err *err = s->fd < 0 ? imu_file_temporary(s->p, s->folder, &s->fd) : NULL;

    if (err)
        return err;
    if (imu_write_all(s->fd, data, len) == 0)
        return NULL;
    if (errno == ENOSPC || errno == EDQUOT)
        return imu_error_disk_full(s->p);
    return imu_error_internal(s->p, "cannot write to a temporary file in %s: %s", s->folder,
                              strerror(errno));
}

/* Pushes what has come; *done is set at the end of the body. */
static imu_err *push(const imu_body_stream *in, imu_multipart *form, apr_int64_t *left, int *done)
{
    for (apr_bucket *b = APR_BRIGADE_FIRST(in->bb); b != APR_BRIGADE_SENTINEL(in->bb) && !*done;
         b = APR_BUCKET_NEXT(b)) {
        const char *data;
        apr_status_t rv;
        apr_size_t len;
        imu_err *err;

        if (APR_BUCKET_IS_EOS(b))
            *done = 1;
        if (APR_BUCKET_IS_METADATA(b))
            continue;
        if ((rv = apr_bucket_read(b, &data, &len, APR_BLOCK_READ)) != APR_SUCCESS)
            return imu_body_failed(in, rv);
        if ((*left -= (apr_int64_t)len) < 0)
            return imu_error(in->req->p, 413, "upload_too_large", "This upload is too large.");
        if ((err = imu_multipart_push(form, data, len)))
            return err;
    }
    return NULL;
}

static imu_err *read_body(imu_req *req, imu_multipart *form, apr_int64_t max)
{
    imu_body_stream in;
    imu_err *err = NULL;
    int done = 0;

    imu_body_open(req, &in);
    while (!err && !done)
        if (!(err = imu_body_next(&in)))
            err = push(&in, form, &max, &done);
    imu_body_close(&in);
    return err ? err : imu_multipart_end(form);
}

/* Reads the whole body. upload->file is the part of that name, or NULL. */
static imu_err *read_form(imu_req *req, const char *field, imu_upload *upload)
{
    const imu_multipart_limits limits = {MAX_PARTS, MAX_TEXT, req->conf->max_upload};
    const apr_int64_t max = req->conf->max_upload + MAX_TEXT + MAX_FRAMING;
    const char *declared = apr_table_get(req->r->headers_in, "Content-Length");
    spool *s = apr_pcalloc(req->p, sizeof *s);
    imu_err *err;

    if ((err = imu_req_disk(req))) {
        req->r->connection->keepalive = AP_CONN_CLOSE;
        return err;
    }
    s->p = req->p;
    s->folder = apr_pstrcat(req->p, req->inst->root, "/tmp", NULL);
    s->fd = -1;
    if ((err = imu_multipart_new(req->p, apr_table_get(req->r->headers_in, "Content-Type"), &limits,
                                 spool_bytes, s, &upload->form)))
        return err;
    if (declared && apr_atoi64(declared) > max)
        err = imu_error(req->p, 413, "upload_too_large",
                        "This upload is too large. At most %" APR_INT64_T_FMT " MiB are accepted.",
                        req->conf->max_upload / 1048576);
    else
        err = read_body(req, upload->form, max);
    if (err) {
        /* What the client still sends is not read: the connection ends after the answer. */
        req->r->connection->keepalive = AP_CONN_CLOSE;
        return err;
    }
    req->body_done = 1;
    upload->file = imu_multipart_part(upload->form, field);
    upload->fd = s->fd;
    return NULL;
}

static imu_err *check_file(imu_req *req, const char *field, const imu_upload *upload)
{
    if (!upload->file || !upload->file->filename)
        return imu_invalid(req->p, "body", field, "missing", "Field required");
    if (upload->fd < 0)
        return imu_error(req->p, 415, "no_picture", "This file is empty.");
    return NULL;
}

imu_err *imu_upload_read(imu_req *req, const char *field, imu_upload *upload)
{
    imu_err *err = read_form(req, field, upload);

    return err ? err : check_file(req, field, upload);
}

/* A form of a web page sends a file field that was left empty as a file without name and bytes. */
static int is_left_empty(const imu_part *file)
{
    return file->filename ? !*file->filename && file->file_bytes == 0 : file->text_len == 0;
}

imu_err *imu_upload_read_optional(imu_req *req, const char *field, imu_upload *upload)
{
    imu_err *err = read_form(req, field, upload);

    if (err)
        return err;
    if (upload->file && is_left_empty(upload->file))
        upload->file = NULL;
    return upload->file ? check_file(req, field, upload) : NULL;
}

static apr_status_t free_result(void *data)
{
    imu_media_result_free(data);
    return APR_SUCCESS;
}

static imu_err *busy(imu_req *req)
{
    imu_err *err = imu_error(req->p, 429, "media_busy",
                             "The server is busy with other uploads. Try again in a moment.");

    err->retry_after = 2;
    return err;
}

static imu_err *refused(imu_req *req, const struct imu_media_result *r)
{
    if (strcmp(r->code, "busy") == 0)
        return busy(req);
    if (strcmp(r->code, "too_large") == 0)
        return imu_error(req->p, 413, "picture_too_large", "%s",
                         *r->message ? r->message : "This picture is too large.");
    return imu_error(req->p, 415, "no_picture", "%s",
                     *r->message ? r->message : "This file is no picture that can be read here.");
}

static imu_err *away(imu_req *req, int code)
{
    imu_err *err = imu_error(req->p, 503, "media_away",
                             "Pictures cannot be taken in at the moment: the media process does "
                             "not answer. Try again in a minute.");

    err->retry_after = 10;
    return imu_error_log(req->p, err, "media process at %s: %s",
                         req->inst->media ? req->inst->media : "(not configured)", strerror(code));
}

imu_err *imu_upload_decode(imu_req *req, const imu_upload *upload, int thumbnail, int width,
                           int height, struct imu_media_result *out)
{
    imu_wait wait = {.known = 1,
                     .who = req->who.user_id,
                     .stream = req->r->connection->master != NULL,
                     .place = IMU_NO_PLACE};
    const struct imu_media_limits limits = {
        .max_pixels = (uint64_t)req->conf->max_pixels,
        .max_side = MAX_SIDE,
        .thumbnail = thumbnail,
        .resize_width = width,
        .resize_height = height,
        .account = req->who.user_id,
        .wanted = imu_crowd_works,
        .user = &wait,
    };
    imu_err *err;
    int fd, rv, code;

    if (!req->inst->media)
        return away(req, ENOENT);
    if ((err = imu_file_reopen(req->p, upload->fd, &fd)))
        return err;
    /* Decoding may take long: nobody else should wait for this connection to the database
     * meanwhile. */
    imu_req_db_release(req);
    if (imu_crowd_enter(&wait) != 0)
        return busy(req);
    errno = 0;
    rv = imu_media_decode(req->inst->media, fd, &limits, DECODE_MS, out);
    code = errno;
    imu_crowd_leave(&wait);
    apr_pool_cleanup_register(req->p, out, free_result, apr_pool_cleanup_null);
    if (rv < 0)
        return code == ECANCELED ? busy(req) : away(req, code);
    return rv > 0 ? refused(req, out) : NULL;
}
