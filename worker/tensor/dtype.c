#include "worker/tensor/dtype.h"

#include "worker/tensor/clones.h"

#include <string.h>

size_t imu_dtype_size(imu_dtype type)
{
    static const uint8_t size[IMU_DTYPE_COUNT] = {
        [IMU_F32] = 4, [IMU_BF16] = 2, [IMU_F16] = 2, [IMU_F64] = 8,
        [IMU_I64] = 8, [IMU_I32] = 4,  [IMU_U8] = 1,
    };
    return size[type];
}

static inline float bits_to_float(uint32_t bits)
{
    float f;
    memcpy(&f, &bits, sizeof f);
    return f;
}

static inline uint32_t float_to_bits(float f)
{
    uint32_t bits;
    memcpy(&bits, &f, sizeof bits);
    return bits;
}

/* Shifting the half's exponent into place leaves it 112 too small; the product mends that for
 * normal and denormal numbers alike, infinities and NaN get their exponent set. */
IMU_CLONES static void widen_f16(const uint16_t *src, float *dst, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        uint32_t h = src[i];
        uint32_t sign = (h & 0x8000u) << 16, rest = (h & 0x7fffu) << 13;
        uint32_t bits = float_to_bits(bits_to_float(rest) * 0x1p112f);
        uint32_t special = rest >= 0x0f800000u ? 0x7f800000u : 0;
        dst[i] = bits_to_float(sign | bits | special);
    }
}

IMU_CLONES static void widen_bf16(const uint16_t *src, float *dst, size_t count)
{
    for (size_t i = 0; i < count; i++)
        dst[i] = bits_to_float((uint32_t)src[i] << 16);
}

void imu_to_f32(imu_dtype type, const void *src, float *dst, size_t count)
{
    switch (type) {
    case IMU_F32:
        memcpy(dst, src, count * sizeof *dst);
        return;
    case IMU_BF16:
        widen_bf16(src, dst, count);
        return;
    case IMU_F16:
        widen_f16(src, dst, count);
        return;
    case IMU_F64:
        for (size_t i = 0; i < count; i++)
            dst[i] = (float)((const double *)src)[i];
        return;
    case IMU_I64:
        for (size_t i = 0; i < count; i++)
            dst[i] = (float)((const int64_t *)src)[i];
        return;
    case IMU_I32:
        for (size_t i = 0; i < count; i++)
            dst[i] = (float)((const int32_t *)src)[i];
        return;
    case IMU_U8:
        for (size_t i = 0; i < count; i++)
            dst[i] = ((const uint8_t *)src)[i];
        return;
    case IMU_DTYPE_COUNT:
        break;
    }
    memset(dst, 0, count * sizeof *dst);
}

IMU_CLONES void imu_f32_to_bf16(const float *src, uint16_t *dst, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        uint32_t bits = float_to_bits(src[i]);
        uint32_t rounded = (bits + 0x7fffu + ((bits >> 16) & 1)) >> 16;
        uint32_t nan = (bits >> 16) | 0x40u;
        dst[i] = (uint16_t)((bits & 0x7fffffffu) > 0x7f800000u ? nan : rounded);
    }
}

static uint16_t narrow_f16(float value)
{
    uint32_t bits = float_to_bits(value);
    uint32_t sign = (bits >> 16) & 0x8000u, magnitude = bits & 0x7fffffffu;
    if (magnitude > 0x7f800000u)
        return (uint16_t)(sign | 0x7e00u);
    if (magnitude >= 0x477ff000u) /* rounds to 65536 or more */
        return (uint16_t)(sign | 0x7c00u);
    if (magnitude < 0x38800000u) { /* denormal: let the adder round at the right bit */
        float shifted = bits_to_float(magnitude) + 0.5f;
        return (uint16_t)(sign | (float_to_bits(shifted) - 0x3f000000u));
    }
    uint32_t rounded = magnitude + 0xfffu + ((magnitude >> 13) & 1);
    return (uint16_t)(sign | ((rounded - 0x38000000u) >> 13));
}

void imu_f32_to_f16(const float *src, uint16_t *dst, size_t count)
{
    for (size_t i = 0; i < count; i++)
        dst[i] = narrow_f16(src[i]);
}
