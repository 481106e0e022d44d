/* exp, erf and the activations in a form that compilers turn into vector code: no branches, no
 * calls. */
#ifndef IMU_TENSOR_CPU_VECTOR_MATH_H
#define IMU_TENSOR_CPU_VECTOR_MATH_H

#include <stdint.h>
#include <string.h>

/* exp(x), relative error below 2e-7; below -87 as for -87, above 88 as for 88. */
static inline __attribute__((always_inline)) float imu_expf(float x)
{
    const float log2e = 1.44269504f, ln2_high = 0.693359375f, ln2_low = -2.12194440e-4f;
    const float magic = 12582912.0f; /* 1.5 * 2^23: adding it rounds to whole numbers */
    x = x < -87.0f ? -87.0f : x;
    x = x > 88.0f ? 88.0f : x;
    float n = (x * log2e + magic) - magic;
    float r = (x - n * ln2_high) - n * ln2_low;
    float p = 1.9875691500e-4f;
    p = p * r + 1.3981999507e-3f;
    p = p * r + 8.3334519073e-3f;
    p = p * r + 4.1665795894e-2f;
    p = p * r + 1.6666665459e-1f;
    p = p * r + 5.0000001201e-1f;
    p = p * r * r + r + 1.0f;
    int32_t bits = ((int32_t)n + 127) * (1 << 23);
    float scale;
    memcpy(&scale, &bits, sizeof scale);
    return p * scale;
}

/* erf(x), absolute error below 2e-7 (Abramowitz and Stegun 7.1.26). */
static inline __attribute__((always_inline)) float imu_erff(float x)
{
    float a = x < 0 ? -x : x;
    float t = 1.0f / (1.0f + 0.3275911f * a);
    float p = 1.061405429f;
    p = p * t - 1.453152027f;
    p = p * t + 1.421413741f;
    p = p * t - 0.284496736f;
    p = p * t + 0.254829592f;
    float y = 1.0f - p * t * imu_expf(-a * a);
    return x < 0 ? -y : y;
}

static inline __attribute__((always_inline)) float imu_silu(float x)
{
    return x / (1.0f + imu_expf(-x));
}

static inline __attribute__((always_inline)) float imu_gelu(float x)
{
    return 0.5f * x * (1.0f + imu_erff(x * 0.70710678f));
}

static inline __attribute__((always_inline)) float imu_quick_gelu(float x)
{
    return x / (1.0f + imu_expf(-1.702f * x));
}

#endif
