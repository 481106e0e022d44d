/*
 * core_limit.h: a table of "how often has this failed lately", made to live in memory that several
 * processes share.
 *
 * Each key has one allowance that refills steadily (the generic cell rate algorithm: a single time
 * stamp per key). The table has a fixed size; when a bucket of it is full, the entry that is
 * closest to having recovered makes room. Callers hold a lock.
 */
#ifndef IMU_CORE_LIMIT_H
#define IMU_CORE_LIMIT_H

#include <apr_time.h>

#define IMU_LIMIT_WAYS 8

typedef struct imu_limit_entry {
    apr_uint64_t key; /**< 0: free */
    apr_time_t full;  /**< when the allowance is whole again */
} imu_limit_entry;

typedef struct imu_limits {
    apr_uint64_t seed[2]; /**< so that nobody can aim at a bucket */
    apr_uint32_t buckets; /**< a power of two */
    imu_limit_entry entries[];
} imu_limits;

/** An allowance: burst failures at once, and one more every refill. */
typedef struct imu_limit_rule {
    int burst;
    apr_interval_time_t refill;
} imu_limit_rule;

/** Bytes of a table with that many buckets (a power of two) of IMU_LIMIT_WAYS keys each. */
apr_size_t imu_limits_size(apr_uint32_t buckets);
/** Empties a table. */
void imu_limits_init(imu_limits *t, apr_uint32_t buckets);
/** Key of a text within a kind (so that an account and an address never meet). */
apr_uint64_t imu_limit_key(const imu_limits *t, char kind, const char *text);
/** Takes one from the key's allowance. @return 0, or how long until one is there (nothing is taken
 * then) */
apr_interval_time_t imu_limit_take(imu_limits *t, apr_uint64_t key, const imu_limit_rule *rule,
                                   apr_time_t now);
/** Gives one back: the attempt was a good one. */
void imu_limit_give_back(imu_limits *t, apr_uint64_t key, const imu_limit_rule *rule,
                         apr_time_t now);

#endif
