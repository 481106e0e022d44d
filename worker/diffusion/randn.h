/* The normal random numbers that torch draws on the CPU (mt19937, Box-Muller), value by value. */
#ifndef IMU_DIFFUSION_RANDN_H
#define IMU_DIFFUSION_RANDN_H

#include <stddef.h>
#include <stdint.h>

typedef struct imu_rng {
    uint32_t state[624];
    int next;
    double spare; /* the second value of a pair drawn by a call for fewer than 16 values */
    int has_spare;
} imu_rng;

/* Seeds as mt19937's init_genrand does with the low 32 bits of `seed`. */
void imu_rng_seed(imu_rng *rng, uint64_t seed);

/* The next 32 random bits. */
uint32_t imu_rng_next(imu_rng *rng);

/* Fills out[count] with standard normal values, as one torch.randn call does. */
void imu_rng_normal(imu_rng *rng, float *out, size_t count);

#endif
