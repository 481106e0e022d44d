/* Large pictures through a network piece by piece: tiles that overlap by a quarter, and a linear
 * blend from one to the next, as diffusers lays them out. */
#ifndef IMU_DIFFUSION_VAE_TILES_H
#define IMU_DIFFUSION_VAE_TILES_H

#include "worker/diffusion/fault.h"

typedef struct imu_tiling {
    int64_t in, out; /* edge of a tile before and after the network; multiples of 4 */
    /* Runs the network on [1, C, h, w]; *to is the caller's. */
    imu_engine_status (*run)(void *user, const imu_array *from, imu_array **to, imu_fault *fault);
    void *user;
} imu_tiling;

/* Fills `to` [1, C', H', W'], whose edges are to those of `from` as t->out to t->in. */
imu_engine_status imu_run_tiles(const imu_tiling *t, const imu_array *from, imu_array *to,
                                imu_fault *fault);

#endif
