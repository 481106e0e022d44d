#include "worker/diffusion/randn.h"

#include "worker/diffusion/pipeline.h"

#include <math.h>

enum { MT_SIZE = 624, MT_SHIFT = 397, BLOCK = 16 };

void imu_rng_seed(imu_rng *rng, uint64_t seed)
{
    rng->state[0] = (uint32_t)seed;
    for (uint32_t i = 1; i < MT_SIZE; i++) {
        uint32_t before = rng->state[i - 1];
        rng->state[i] = 1812433253u * (before ^ (before >> 30)) + i;
    }
    rng->next = MT_SIZE;
    rng->has_spare = 0;
    rng->spare = 0;
}

static void twist(imu_rng *rng)
{
    uint32_t *s = rng->state;
    for (int i = 0; i < MT_SIZE; i++) {
        uint32_t y = (s[i] & 0x80000000u) | (s[(i + 1) % MT_SIZE] & 0x7fffffffu);
        s[i] = s[(i + MT_SHIFT) % MT_SIZE] ^ (y >> 1) ^ ((y & 1) ? 0x9908b0dfu : 0);
    }
    rng->next = 0;
}

uint32_t imu_rng_next(imu_rng *rng)
{
    if (rng->next >= MT_SIZE)
        twist(rng);
    uint32_t y = rng->state[rng->next++];
    y ^= y >> 11;
    y ^= (y << 7) & 0x9d2c5680u;
    y ^= (y << 15) & 0xefc60000u;
    return y ^ (y >> 18);
}

static float uniform24(imu_rng *rng)
{
    return (float)(imu_rng_next(rng) & 0xFFFFFF) * (1.0f / 16777216.0f);
}

static double uniform53(imu_rng *rng)
{
    uint64_t high = imu_rng_next(rng);
    uint64_t bits = (high << 32) | imu_rng_next(rng);
    return (double)(bits & (((uint64_t)1 << 53) - 1)) * 0x1p-53;
}

/* Turns 16 uniforms into 16 normals in place. */
static void box_muller16(float *v)
{
    for (int j = 0; j < BLOCK / 2; j++) {
        float radius = sqrtf(-2.0f * logf(1.0f - v[j]));
        float angle = 2.0f * (float)M_PI * v[j + BLOCK / 2];
        v[j] = radius * cosf(angle);
        v[j + BLOCK / 2] = radius * sinf(angle);
    }
}

static float normal_scalar(imu_rng *rng)
{
    if (rng->has_spare) {
        rng->has_spare = 0;
        return (float)rng->spare;
    }
    double first = uniform53(rng), second = uniform53(rng);
    double radius = sqrt(-2.0 * log1p(-second)), angle = 2.0 * M_PI * first;
    rng->spare = radius * sin(angle);
    rng->has_spare = 1;
    return (float)(radius * cos(angle));
}

void imu_rng_normal(imu_rng *rng, float *out, size_t count)
{
    if (count < BLOCK) {
        for (size_t i = 0; i < count; i++)
            out[i] = normal_scalar(rng);
        return;
    }
    for (size_t i = 0; i < count; i++)
        out[i] = uniform24(rng);
    for (size_t i = 0; i + BLOCK <= count; i += BLOCK)
        box_muller16(out + i);
    if (count % BLOCK) {
        float *tail = out + count - BLOCK;
        for (int i = 0; i < BLOCK; i++)
            tail[i] = uniform24(rng);
        box_muller16(tail);
    }
}

imu_array *imu_noise(uint64_t seed, int channels, int width, int height, int scale)
{
    if (channels < 1 || channels > 64 || scale < 1 || scale > 64 || width < scale ||
        height < scale || width > 65536 || height > 65536 || width % scale || height % scale)
        return NULL;
    imu_array *noise = imu_array_new(4, (int64_t[]){1, channels, height / scale, width / scale});
    if (!noise)
        return NULL;
    imu_rng rng;
    imu_rng_seed(&rng, seed);
    imu_rng_normal(&rng, noise->data, (size_t)imu_array_count(noise));
    return noise;
}
