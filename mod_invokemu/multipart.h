/*
 * multipart.h: reads a multipart/form-data body (RFC 7578) as it arrives.
 *
 * Bytes are pushed in pieces of any size. Text parts are kept in memory; the content of the one
 * file part goes to a sink. Every size is bounded before anything is kept. What a client says about
 * a file (name, type) is kept as a claim and trusted nowhere. Free of httpd; owned by one thread;
 * everything lives in the pool it was made in.
 */
#ifndef IMU_MULTIPART_H
#define IMU_MULTIPART_H

#include "mod_invokemu/util/err.h"

/** Takes the next bytes of the file part. @return NULL, or what ends the reading */
typedef imu_err *imu_multipart_sink(void *ctx, const char *data, apr_size_t len);

typedef struct imu_multipart_limits {
    int parts;        /**< most parts */
    apr_size_t text;  /**< most bytes of all text parts together */
    apr_int64_t file; /**< most bytes of the file part */
} imu_multipart_limits;

typedef struct imu_part {
    const char *name;
    const char *filename; /**< as claimed, or NULL for a text part */
    const char *type;     /**< Content-Type as claimed, or NULL */
    const char *text;     /**< content of a text part, NUL-terminated; NULL for the file */
    apr_size_t text_len;
    apr_int64_t file_bytes;
} imu_part;

typedef struct imu_multipart imu_multipart;

/**
 * @param content_type  the request's Content-Type
 * @param sink          receives the file's bytes
 * @return 415 "not_multipart" for another type, 422 for a missing or malformed boundary
 */
imu_err *imu_multipart_new(apr_pool_t *p, const char *content_type,
                           const imu_multipart_limits *limits, imu_multipart_sink *sink, void *ctx,
                           imu_multipart **reader);
/** @return 413 "upload_too_large", 422 "multipart_invalid", or the sink's error. After an error,
 * push nothing more. */
imu_err *imu_multipart_push(imu_multipart *reader, const char *data, apr_size_t len);
/** The body has ended. @return 422 when its closing boundary never came */
imu_err *imu_multipart_end(imu_multipart *reader);
/** A part by its name (the first one of that name), or NULL. */
const imu_part *imu_multipart_part(const imu_multipart *reader, const char *name);

#endif
