/* T2I adapters (Mou et al., 2023): a small network turns a picture into features, once for a run,
 * which are added to the ends of the UNet's levels on the way down. */
#ifndef IMU_DIFFUSION_T2I_H
#define IMU_DIFFUSION_T2I_H

#include "worker/diffusion/unet_parts.h"

/* [rows, h, w, channels] each, one for each level, and behind them one for the middle, if any. */
typedef struct imu_features {
    int count;
    struct {
        int64_t dim[4];
        float *data;
    } item[IMU_UNET_MAX_LEVELS + 1];
} imu_features;

void imu_features_free(imu_features *f);

imu_engine_status imu_t2i_build(imu_backend *backend, const char *folder, imu_t2i **out,
                                imu_fault *fault);
/* What it makes of a picture [3, height, width], 0 to 1; sides are multiples of
 * imu_t2i_pixels(adapter, 1), or what that answers. One row. */
imu_engine_status imu_t2i_run(imu_t2i *t, const float *picture, int64_t height, int64_t width,
                              int (*cancelled)(void *user), void *user, imu_features *out,
                              imu_fault *fault);
/* Whether features are those of this UNet for latents of that many cells. One more than it has
 * levels is for its middle, and left out where it has another shape; more are left out too. */
bool imu_features_fit(imu_features *f, const imu_unet *u, int64_t height, int64_t width);
/* sum += weight * f, in each of `rows` rows; a sum of no items is made. */
imu_engine_status imu_features_add(imu_features *sum, const imu_features *f, double weight,
                                   int64_t rows, imu_fault *fault);

#endif
