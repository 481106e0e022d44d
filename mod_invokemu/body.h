/*
 * body.h: the bodies of requests. Waiting for one holds a thread: crowd.h says how many. Whoever
 * has not signed in has ten seconds.
 */
#ifndef IMU_BODY_H
#define IMU_BODY_H

#include <util_filter.h>

#include "mod_invokemu/crowd.h"
#include "mod_invokemu/request.h"

/** Holds back the pages that httpd answers a broken body with, while one is read. */
typedef struct imu_body_guard {
    ap_filter_t *filter;
    int refused; /**< status of the page that was held back */
} imu_body_guard;

/** A body that is being read. Don't move it: a filter refers to it. */
typedef struct imu_body_stream {
    imu_req *req;
    apr_bucket_brigade *bb; /**< what has come */
    imu_wait wait;
    int arrives; /**< the connection waits as `wait` says; else each reading has to */
    imu_body_guard guard;
} imu_body_stream;

/** Around reading a body. */
void imu_body_open(imu_req *req, imu_body_stream *in);
void imu_body_close(imu_body_stream *in);
/** Puts what comes next into in->bb, in place of what was there. @return 408 too slow, 429 too many
 * of them, or as imu_body_failed */
imu_err *imu_body_next(imu_body_stream *in);
/** What reading failed with, for the client; the connection ends after it. @return 408, 413 or 400
 */
imu_err *imu_body_failed(const imu_body_stream *in, apr_status_t rv);

/** Registers the filter behind the guard. */
void imu_body_register(void);
/** Reads the whole body, at most max bytes. @return 413 when larger, or as imu_body_next */
imu_err *imu_body_read(imu_req *req, apr_int64_t max, const char **data, apr_size_t *len);
/** Reads the body as JSON of at most InvokeMUMaxBody bytes (owned by the pool). @return 413, or 422
 * when it is no JSON */
imu_err *imu_body_json(imu_req *req, json_t **body);
/** The same, insisting on an object. */
imu_err *imu_body_object(imu_req *req, json_t **body);

#endif
