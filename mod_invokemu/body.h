/*
 * body.h: the body of a request that is no upload, and what reading of bodies has in common.
 */
#ifndef IMU_BODY_H
#define IMU_BODY_H

#include <util_filter.h>

#include "mod_invokemu/request.h"

/** Holds back the pages that httpd answers a broken body with, while one is read. */
typedef struct imu_body_guard {
    ap_filter_t *filter;
    int refused; /**< status of the page that was held back */
} imu_body_guard;

/** Around reading a body. */
void imu_body_guard_begin(imu_req *req, imu_body_guard *guard);
void imu_body_guard_end(imu_body_guard *guard);
/** What reading failed with, for the client; the connection ends after it. @return 408, 413 or 400
 */
imu_err *imu_body_failed(imu_req *req, const imu_body_guard *guard, apr_status_t rv);

/** Registers the filter behind the guard. */
void imu_body_register(void);
void imu_body_child_init(apr_pool_t *pchild, server_rec *s);
/** Reads the whole body, at most max bytes. @return 413 when larger, 400 when it breaks off */
imu_err *imu_body_read(imu_req *req, apr_int64_t max, const char **data, apr_size_t *len);
/**
 * The same for a body from somebody who may not have proved who they are: it has ten seconds, and
 * only a quarter of the child's threads wait for such bodies, half of these for one network.
 * @return 408 too slow, 429 too many of them, or as imu_body_read
 */
imu_err *imu_body_read_stranger(imu_req *req, apr_int64_t max, const char **data, apr_size_t *len);
/** Reads the body as JSON of at most InvokeMUMaxBody bytes (owned by the pool). @return 413, or 422
 * when it is no JSON */
imu_err *imu_body_json(imu_req *req, json_t **body);
/** The same, insisting on an object. */
imu_err *imu_body_object(imu_req *req, json_t **body);

#endif
