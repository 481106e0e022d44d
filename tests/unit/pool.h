/*
 * pool.h: the one pool of a test program or fuzz target whose functions want no more than that.
 */
#ifndef IMU_TEST_POOL_H
#define IMU_TEST_POOL_H

#include <stdint.h>
#include <stdlib.h>

#include <apr_general.h>
#include <apr_strings.h>

static apr_pool_t *pool;

/** cmocka set-up of a group. */
static inline int pool_setup(void **state)
{
    (void)state;
    return apr_initialize() == APR_SUCCESS && apr_pool_create(&pool, NULL) == APR_SUCCESS ? 0 : -1;
}

/** cmocka tear-down of a group. */
static inline int pool_teardown(void **state)
{
    (void)state;
    apr_pool_destroy(pool);
    return 0;
}

/** What a fuzz target was given, as a text in the pool; the target clears that at its end. */
static inline const char *pool_text(const uint8_t *data, size_t size)
{
    if (!pool && pool_setup(NULL) != 0)
        abort();
    return apr_pstrmemdup(pool, (const char *)data, size);
}

#endif
