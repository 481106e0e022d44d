/*
 * err.h: the one error value. Every function that can fail for a caller-visible reason returns NULL
 * for success or an imu_err; the HTTP edge turns it into a reply once (routes.c), the command line
 * into a line of text. Lives in the pool it was made in. Free of httpd.
 */
#ifndef IMU_ERR_H
#define IMU_ERR_H

#include <apr_pools.h>
#include <jansson.h>

typedef struct imu_err {
    int status;         /**< HTTP status */
    const char *code;   /**< stable short code for tests and logs, such as "board_not_found" */
    const char *detail; /**< the sentence for the person */
    const char *log;    /**< detail for the log alone, or NULL */
    json_t *fields;     /**< 422: list of {type, loc, msg, input}; freed with the pool */
    int retry_after;    /**< seconds for Retry-After, 0 for none */
} imu_err;

/** Makes an error. detail is a printf format. */
imu_err *imu_error(apr_pool_t *p, int status, const char *code, const char *detail, ...)
    __attribute__((format(printf, 4, 5)));
/** A 500 whose cause goes to the log alone. */
imu_err *imu_error_internal(apr_pool_t *p, const char *log, ...)
    __attribute__((format(printf, 2, 3)));
/** 507 "disk_full": what was to be written had no room. */
imu_err *imu_error_disk_full(apr_pool_t *p);
/** The same error in a pool that lives longer; without its fields. */
imu_err *imu_error_keep(apr_pool_t *p, const imu_err *err);
/** Adds a log detail. @return err */
imu_err *imu_error_log(apr_pool_t *p, imu_err *err, const char *log, ...)
    __attribute__((format(printf, 3, 4)));
/** True when err is set and carries that code. */
int imu_error_is(const imu_err *err, const char *code);
/** Makes the pool own a reference to json. @return json */
json_t *imu_json_own(apr_pool_t *p, json_t *json);

#ifdef __clang_analyzer__
/* The analyzer reads one file at a time, and takes an error for a possible success otherwise. */
static inline imu_err *imu_error_known(imu_err *err)
{
    if (!err)
        __builtin_unreachable();
    return err;
}
#define imu_error(...)          imu_error_known(imu_error(__VA_ARGS__))
#define imu_error_internal(...) imu_error_known(imu_error_internal(__VA_ARGS__))
#endif

#endif
