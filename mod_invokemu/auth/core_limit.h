/*
 * core_limit.h: tables of "how often has this failed lately", or how much somebody has sent, made
 * to live in memory that several processes share.
 *
 * Each key has one allowance that refills steadily (the generic cell rate algorithm: a single time
 * stamp per key). Each kind of keys has a table of its own, of a fixed size; when a bucket of it is
 * full, the entry that is closest to having recovered makes room. So whoever wants an entry to be
 * forgotten has to use up the allowances of a whole table of others of its kind, each at the same
 * price, and faster than they refill. Callers hold a lock, and say by imu_clock_steady() what time
 * it is: by a clock that is set back nothing would refill for so long.
 */
#ifndef IMU_CORE_LIMIT_H
#define IMU_CORE_LIMIT_H

#include <apr_time.h>

#define IMU_LIMIT_WAYS       8
#define IMU_LIMIT_MOST_KINDS 16

typedef struct imu_limit_entry {
    apr_uint64_t key; /**< 0: free */
    apr_time_t full;  /**< when the allowance is whole again */
} imu_limit_entry;

typedef struct imu_limits {
    apr_uint64_t seed[2]; /**< so that nobody can aim at a bucket */
    apr_uint32_t kinds;
    apr_uint32_t buckets; /**< of each kind; a power of two */
    imu_limit_entry entries[];
} imu_limits;

/** An allowance: burst failures (or other units) at once, and one more every refill. */
typedef struct imu_limit_rule {
    int burst;
    apr_interval_time_t refill;
} imu_limit_rule;

/** Bytes of tables for so many kinds (IMU_LIMIT_MOST_KINDS at most), each with that many buckets (a
 * power of two) of IMU_LIMIT_WAYS keys each. */
apr_size_t imu_limits_size(apr_uint32_t kinds, apr_uint32_t buckets);
/** Empties the tables. */
void imu_limits_init(imu_limits *t, apr_uint32_t kinds, apr_uint32_t buckets);
/** Key of a text within a kind, 0 to kinds - 1: an account and an address never meet. */
apr_uint64_t imu_limit_key(const imu_limits *t, unsigned kind, const char *text);
/** Takes so many units from the key's allowance. @return 0, or how long until they are there
 * (nothing is taken then) */
apr_interval_time_t imu_limit_take(imu_limits *t, apr_uint64_t key, const imu_limit_rule *rule,
                                   apr_int64_t units, apr_time_t now);
/** Takes one, whether it is there or not; what is owed never gets more than the whole allowance. */
void imu_limit_charge(imu_limits *t, apr_uint64_t key, const imu_limit_rule *rule, apr_time_t now);
/** How long until the key's allowance is whole again. */
apr_interval_time_t imu_limit_owed(imu_limits *t, apr_uint64_t key, apr_time_t now);
/** Gives one back: the attempt was a good one. */
void imu_limit_give_back(imu_limits *t, apr_uint64_t key, const imu_limit_rule *rule,
                         apr_time_t now);

#endif
