/* IP adapters in a run of denoising. */
#ifndef IMU_DIFFUSION_DENOISE_IP_H
#define IMU_DIFFUSION_DENOISE_IP_H

#include "worker/diffusion/ip.h"

/* What one adapter needs in every step. */
typedef struct imu_ip_run {
    unsigned char *where;             /* of each attention of the UNet: IMU_IP_... */
    float *averse;                    /* [2, tokens, width]: the pictures, then nothing */
    float *mask[IMU_UNET_MAX_LEVELS]; /* of each level; NULL: there is none */
} imu_ip_run;

/* Whether the adapters fit the UNet; of each, for latents of that many cells, what `runs` holds, to
 * be freed after a failure too.
 */
imu_engine_status imu_ip_runs_prepare(const imu_unet *u, const imu_ip_use *uses, int count,
                                      int64_t height, int64_t width, imu_ip_run **runs,
                                      imu_fault *fault);
void imu_ip_runs_free(imu_ip_run *runs, int count);
/* A call for rows from `first` of (negative, positive). */
void imu_ip_run_call(const imu_ip_use *use, const imu_ip_run *run, int first, double weight,
                     imu_ip_call *call);

#endif
