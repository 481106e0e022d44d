/*
 * core_cookie.h: the Cookie header of a request (RFC 6265 section 4.2.1), free of httpd.
 */
#ifndef IMU_CORE_COOKIE_H
#define IMU_CORE_COOKIE_H

#include <apr_pools.h>

/**
 * Value of the cookie name in a header, which may be NULL.
 * @return NULL when it is not there, empty, or sent twice
 */
const char *imu_cookie_find(apr_pool_t *p, const char *header, const char *name);

#endif
