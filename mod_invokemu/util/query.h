/*
 * query.h: the query string of an address (application/x-www-form-urlencoded), free of httpd.
 */
#ifndef IMU_QUERY_H
#define IMU_QUERY_H

#include <apr_pools.h>

typedef struct imu_query_arg {
    const char *name;
    const char *value; /**< "" when there is no = */
} imu_query_arg;

/**
 * Splits and decodes a query string. Parameters without a name are left out.
 * @param text  the part behind the question mark, or NULL
 * @param max   most parameters
 * @param list  the parameters in their order, in p
 * @return how many there are; IMU_QUERY_MANY for more than max, IMU_QUERY_BROKEN for a broken
 * escape or what is no clean text. *list is not touched then
 */
int imu_query_split(apr_pool_t *p, const char *text, int max, const imu_query_arg **list);
#define IMU_QUERY_MANY   (-1)
#define IMU_QUERY_BROKEN (-2)

#endif
