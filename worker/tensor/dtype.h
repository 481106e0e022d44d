/* Number formats of tensors, in files and in memory. */
#ifndef IMU_TENSOR_DTYPE_H
#define IMU_TENSOR_DTYPE_H

#include <stddef.h>
#include <stdint.h>

typedef enum imu_dtype {
    IMU_F32 = 0,
    IMU_BF16,
    IMU_F16,
    IMU_F64,
    IMU_I64,
    IMU_I32,
    IMU_U8,
    IMU_DTYPE_COUNT
} imu_dtype;

/* Bytes of one value. */
size_t imu_dtype_size(imu_dtype type);

/* Widens `count` values to float32. IMU_I64 and IMU_F64 lose what float32 can't hold. */
void imu_to_f32(imu_dtype type, const void *src, float *dst, size_t count);

/* Rounds float32 to bf16, to nearest, ties to even. */
void imu_f32_to_bf16(const float *src, uint16_t *dst, size_t count);

/* Rounds float32 to f16, to nearest, ties to even. */
void imu_f32_to_f16(const float *src, uint16_t *dst, size_t count);

#endif
