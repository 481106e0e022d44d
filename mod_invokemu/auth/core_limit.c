#include "mod_invokemu/auth/core_limit.h"

#include <string.h>

#include "mod_invokemu/util/ids.h"

apr_size_t imu_limits_size(apr_uint32_t kinds, apr_uint32_t buckets)
{
    return sizeof(imu_limits) +
           (apr_size_t)kinds * buckets * IMU_LIMIT_WAYS * sizeof(imu_limit_entry);
}

void imu_limits_init(imu_limits *t, apr_uint32_t kinds, apr_uint32_t buckets)
{
    memset(t, 0, imu_limits_size(kinds, buckets));
    imu_random_bytes(t->seed, sizeof t->seed);
    t->kinds = kinds;
    t->buckets = buckets;
}

static apr_uint64_t mixed(apr_uint64_t h)
{
    h ^= h >> 30;
    h *= 0xBF58476D1CE4E5B9ULL;
    h ^= h >> 27;
    h *= 0x94D049BB133111EBULL;
    return h ^ h >> 31;
}

apr_uint64_t imu_limit_key(const imu_limits *t, unsigned kind, const char *text)
{
    apr_uint64_t h = t->seed[0] ^ kind;

    for (; *text; text++)
        h = mixed(h + t->seed[1] + (unsigned char)*text);
    h = mixed(h);
    /* The lowest bits name the table; the others are never all 0. */
    return (h | (apr_uint64_t)1 << 63) / IMU_LIMIT_MOST_KINDS * IMU_LIMIT_MOST_KINDS + kind;
}

static imu_limit_entry *bucket_of(imu_limits *t, apr_uint64_t key)
{
    apr_size_t kind = key % IMU_LIMIT_MOST_KINDS % t->kinds;
    apr_size_t bucket = key / IMU_LIMIT_MOST_KINDS & (t->buckets - 1);

    return t->entries + (kind * t->buckets + bucket) * IMU_LIMIT_WAYS;
}

static imu_limit_entry *find(imu_limits *t, apr_uint64_t key)
{
    imu_limit_entry *b = bucket_of(t, key);
    int i;

    for (i = 0; i < IMU_LIMIT_WAYS; i++) {
        if (b[i].key == key)
            return b + i;
    }
    return NULL;
}

static imu_limit_entry *make(imu_limits *t, apr_uint64_t key)
{
    imu_limit_entry *b = bucket_of(t, key), *oldest = b;
    int i;

    for (i = 0; i < IMU_LIMIT_WAYS; i++) {
        if (b[i].full < oldest->full)
            oldest = b + i;
    }
    oldest->key = key;
    oldest->full = 0;
    return oldest;
}

apr_interval_time_t imu_limit_take(imu_limits *t, apr_uint64_t key, const imu_limit_rule *rule,
                                   apr_int64_t units, apr_time_t now)
{
    imu_limit_entry *e = find(t, key);
    apr_time_t full = (e && e->full > now ? e->full : now) + units * rule->refill;
    apr_interval_time_t over = full - (now + rule->burst * rule->refill);

    if (over > 0)
        return over;
    if (!e)
        e = make(t, key);
    e->full = full;
    return 0;
}

void imu_limit_charge(imu_limits *t, apr_uint64_t key, const imu_limit_rule *rule, apr_time_t now)
{
    apr_time_t most = now + rule->burst * rule->refill;
    imu_limit_entry *e = find(t, key);

    if (!e)
        e = make(t, key);
    e->full = (e->full > now ? e->full : now) + rule->refill;
    if (e->full > most)
        e->full = most;
}

apr_interval_time_t imu_limit_owed(imu_limits *t, apr_uint64_t key, apr_time_t now)
{
    imu_limit_entry *e = find(t, key);

    return e && e->full > now ? e->full - now : 0;
}

void imu_limit_give_back(imu_limits *t, apr_uint64_t key, const imu_limit_rule *rule,
                         apr_time_t now)
{
    imu_limit_entry *e = find(t, key);

    if (!e)
        return;
    e->full -= rule->refill;
    if (e->full <= now)
        memset(e, 0, sizeof *e);
}
