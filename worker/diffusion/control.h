/* ControlNets: a copy of a UNet's way down that sees a picture as well, and says what to add to the
 * UNet's skip connections and its middle. */
#ifndef IMU_DIFFUSION_CONTROL_H
#define IMU_DIFFUSION_CONTROL_H

#include "worker/diffusion/unet_parts.h"

/* What is to be added: [rows, h, w, channels] each, in the order of the way down; last the middle.
 */
typedef struct imu_residuals {
    int count;
    struct {
        int64_t dim[4];
        float *data;
    } item[IMU_UNET_MAX_SKIPS + 1];
} imu_residuals;

void imu_residuals_free(imu_residuals *r);

imu_engine_status imu_control_build(imu_backend *backend, const imu_net_place *place,
                                    imu_control **out, imu_fault *fault);
/* Whether its residuals fit that UNet. */
bool imu_control_fits(const imu_control *c, const imu_unet *u);

/*
 * Runs it for the rows of a request to the UNet and adds `scale` times what it says to rows
 * [first_row ...) of `sum`, which has `rows` in all and is made when it is empty.
 * `soft`: finer levels count less, from a tenth up.
 * `picture` is [3, 8 height, 8 width], from 0 to 1.
 */
imu_engine_status imu_control_run(imu_control *c, const imu_unet_request *r, const float *picture,
                                  double scale, bool soft, int64_t first_row, int64_t rows,
                                  imu_residuals *sum, imu_fault *fault);

#endif
