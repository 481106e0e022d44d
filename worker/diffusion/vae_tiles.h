/* Large pictures through a network piece by piece: tiles that overlap, and a linear blend from one
 * to the next, as diffusers lays them out. */
#ifndef IMU_DIFFUSION_VAE_TILES_H
#define IMU_DIFFUSION_VAE_TILES_H

#include "worker/diffusion/fault.h"

typedef struct imu_tiling {
    int64_t in, in_overlap;   /* edge of a tile, and what it shares with the next */
    int64_t out, out_overlap; /* the same after the network: as many times as large */
    /* Runs the network on [1, C, h, w]; *to is the caller's. */
    imu_engine_status (*run)(void *user, const imu_array *from, imu_array **to, imu_fault *fault);
    /* Takes what no later tile covers: the first h rows and w columns, which belong at y and x. */
    void (*put)(void *user, const imu_array *tile, int64_t y, int64_t x, int64_t h, int64_t w);
    void *user;
} imu_tiling;

imu_engine_status imu_run_tiles(const imu_tiling *t, const imu_array *from, imu_fault *fault);
/* A `put` for arrays: lays the part of a tile into `to`. */
void imu_lay_tile(imu_array *to, const imu_array *tile, int64_t y, int64_t x, int64_t h, int64_t w);

#endif
