/*
 * core_equal.h: comparing secrets in a time that tells nothing about them.
 */
#ifndef IMU_CORE_EQUAL_H
#define IMU_CORE_EQUAL_H

#include <stddef.h>

/** True when both have the same len bytes; looks at all of them in any case. */
static inline int imu_equal(const void *a, const void *b, size_t len)
{
    const volatile unsigned char *x = a, *y = b;
    unsigned char difference = 0;
    size_t i;

    for (i = 0; i < len; i++)
        difference |= (unsigned char)(x[i] ^ y[i]);
    return difference == 0;
}

#endif
