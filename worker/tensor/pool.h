/* Released blocks, kept for the next tensor of that size: networks ask for the same sizes over and
 * over. */
#ifndef IMU_TENSOR_POOL_H
#define IMU_TENSOR_POOL_H

#include <stdbool.h>
#include <stddef.h>

enum { IMU_POOL_SLOTS = 256 };

typedef struct imu_pool {
    struct {
        void *data;
        size_t bytes;
    } slot[IMU_POOL_SLOTS];
    int used;
} imu_pool;

/* A kept block of that size, the last one given back; or NULL. */
static inline void *imu_pool_take(imu_pool *p, size_t bytes)
{
    for (int i = p->used - 1; i >= 0; i--)
        if (p->slot[i].bytes == bytes) {
            void *data = p->slot[i].data;
            p->slot[i] = p->slot[--p->used];
            return data;
        }
    return NULL;
}

/* Keeps a block. False when the pool is full: the block is the caller's to free. */
static inline bool imu_pool_keep(imu_pool *p, void *data, size_t bytes)
{
    if (p->used == IMU_POOL_SLOTS)
        return false;
    p->slot[p->used].data = data;
    p->slot[p->used++].bytes = bytes;
    return true;
}

/* Takes any block out, for freeing, and says its size; NULL when there is none. */
static inline void *imu_pool_drain(imu_pool *p, size_t *bytes)
{
    if (!p->used)
        return NULL;
    *bytes = p->slot[--p->used].bytes;
    return p->slot[p->used].data;
}

#endif
