/*
 * cache.h: some finished answers, each good for one version of the database. Belongs to one
 * connection and, with it, to one thread at a time. Knows nothing of SQL.
 */
#ifndef IMU_CACHE_H
#define IMU_CACHE_H

#include <apr_pools.h>

typedef struct imu_cache imu_cache;

/** A cache that goes with its pool. */
imu_cache *imu_cache_new(apr_pool_t *p);
/** A copy in p of what was put under key at that version, or NULL. */
const char *imu_cache_get(imu_cache *c, apr_pool_t *p, const char *key, const char *version,
                          apr_size_t *len);
/** Puts an answer in; the oldest make room. More than 64 KiB is not kept, nor 1 MiB of all. */
void imu_cache_put(imu_cache *c, const char *key, const char *version, const char *data,
                   apr_size_t len);

#endif
