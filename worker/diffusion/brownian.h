/* The path of a Brownian motion over the noise levels of a run, as torchsde's BrownianInterval
 * draws it: a tree that halves the levels again and again, each of whose nodes has a seed of its
 * own, so that what lies between two levels depends on the path's seed and ends alone, and on
 * nobody's having asked before. */
#ifndef IMU_DIFFUSION_BROWNIAN_H
#define IMU_DIFFUSION_BROWNIAN_H

#include <stddef.h>
#include <stdint.h>

/* Levels above this have no path: halves down to a millionth would lie too deep. */
#define IMU_BROWNIAN_HIGHEST 1e6

/* A path of `values` numbers side by side, between the levels low and high (0 <= low < high <=
 * IMU_BROWNIAN_HIGHEST). Nothing to free. */
typedef struct imu_brownian {
    uint64_t seed;
    double low, high;
    size_t values;
} imu_brownian;

/* How far the path goes from level `from` up to level `to`, into out[values]; its variance is their
 * distance. What lies beyond the path's ends counts as the end; nothing lies between levels that
 * are the same millionth. 0, or -1 when there is no memory for the halves on the way. */
int imu_brownian_increment(const imu_brownian *b, double from, double to, float *out);

#endif
