/* Writes safetensors files for tests. */
#ifndef IMU_TEST_ST_WRITE_H
#define IMU_TEST_ST_WRITE_H

#include "worker/diffusion/safetensors.h"

typedef struct st_item {
    const char *name;
    imu_dtype type;
    int ndim;
    int64_t dim[4];
    const void *data; /* as in the file */
} st_item;

/* @return 0, or -1 */
int st_write(const char *path, const st_item *items, size_t count);

#endif
