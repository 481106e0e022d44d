#include "mod_invokemu/events/allowance.h"

#include <pthread.h>

#include "mod_invokemu/auth/core_limit.h"
#include "mod_invokemu/util/clock.h"

#define KINDS   1
#define BUCKETS 32 /* of those who have sent most lately */

/* In bytes: 2 MiB at once, and 200 KB a second. */
static const imu_limit_rule rule = {2 * 1024 * 1024, 5};

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static imu_limits *limits;

void imu_allowance_child_init(apr_pool_t *pchild)
{
    limits = apr_palloc(pchild, imu_limits_size(KINDS, BUCKETS));
    imu_limits_init(limits, KINDS, BUCKETS);
}

int imu_allowance_take(const char *who, size_t bytes)
{
    int there;

    pthread_mutex_lock(&lock);
    there = imu_limit_take(limits, imu_limit_key(limits, 0, who), &rule, (apr_int64_t)bytes,
                           imu_clock_steady()) == 0;
    pthread_mutex_unlock(&lock);
    return there;
}
