/* What the CUDA backend needs of a device: memory, copies, matrix products, one ordered stream.
 *
 * device_cuda.c does it with the CUDA runtime and cuBLASLt. The tests link another implementation
 * that computes on the processor, so that everything above this line is tested without a GPU.
 * Nothing here waits for the device, except where it says so.
 */
#ifndef IMU_TENSOR_CUDA_DEVICE_H
#define IMU_TENSOR_CUDA_DEVICE_H

#include "worker/tensor/dtype.h"

#include <stdbool.h>

typedef struct imu_device imu_device;

/* c[rows, cols] = alpha a[rows, inner] b + bias[cols], plus the old c with `accumulate`, `batch`
 * times over. b is [cols, inner] (`b_by_columns`: as weights lie) or [inner, cols]. `ld` are values
 * from one row to the next, `step` from one of the batch to the next. */
typedef struct imu_product {
    int64_t rows, cols, inner, batch;
    int64_t a_ld, b_ld, c_ld, a_step, b_step, c_step;
    imu_dtype in, out; /* IMU_F32 or IMU_BF16; IMU_BF16 can't come of IMU_F32 */
    bool b_by_columns, accumulate;
    float alpha;
} imu_product;

/* Opens device number `index`. NULL when there is none, with the reason in `why`. */
imu_device *imu_device_open(int index, char *why, size_t size);
void imu_device_close(imu_device *d);
/* Makes it the calling thread's device. 0, or -1. */
int imu_device_enter(imu_device *d);
const char *imu_device_name(const imu_device *d);
/* Whether its matrix units take bf16. */
bool imu_device_has_bf16(const imu_device *d);
/* The stream that kernels are started on; NULL where there is none. */
void *imu_device_stream(const imu_device *d);

/* Bytes that are free, also for other programs; UINT64_MAX when it does not say. */
uint64_t imu_device_memory(imu_device *d);
/* NULL without memory. */
void *imu_device_alloc(imu_device *d, size_t bytes);
void imu_device_free(imu_device *d, void *data);
/* Copies that end before the call does. 0, or -1. */
int imu_device_upload(imu_device *d, void *dst, const void *src, size_t bytes);
int imu_device_download(imu_device *d, void *dst, const void *src, size_t bytes);
/* Waits for everything started. 0, or -1 when something started since the last time failed. */
int imu_device_wait(imu_device *d);
/* Whether it answers no more, after anything here or a kernel failed: an error that asking again
 * does not clear, such as an illegal address, uncorrectable memory, or a card that fell off its
 * bus. */
bool imu_device_lost(imu_device *d);
/* What failed last, in a few words. */
const char *imu_device_error(const imu_device *d);

/* `bias` is NULL or in the type of the result. 0, or -1. */
int imu_device_product(imu_device *d, const imu_product *p, const void *a, const void *b,
                       const void *bias, void *c);

#endif
