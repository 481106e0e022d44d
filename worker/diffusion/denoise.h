/* A run of denoising from the inside, for those who make its steps in an order of their own. */
#ifndef IMU_DIFFUSION_DENOISE_H
#define IMU_DIFFUSION_DENOISE_H

#include "worker/diffusion/guidance.h"
#include "worker/diffusion/model.h"
#include "worker/diffusion/randn.h"
#include "worker/diffusion/scheduler.h"
#include "worker/diffusion/t2i.h"

/* Set `model` and `args`, the rest to zero; then prepare, and free whatever came of it. */
typedef struct imu_denoising {
    imu_model *model;
    const imu_denoise_args *args;
    imu_scheduler *scheduler;
    imu_rng rng;
    size_t values;
    imu_array *x, *x0;       /* the latents now, and the guess at the end result */
    float *scaled;           /* [2][in_values] */
    float *output;           /* [2][values] */
    size_t in_values;        /* that the UNet takes for one row: latents, and what stays of them */
    float *context, *pooled; /* [2][...]: negative, positive */
    float time_ids[2 * IMU_MAX_TIME_IDS];
    imu_inpaint inpaint;
    imu_features *t2i;     /* of each T2I adapter */
    struct imu_ip_run *ip; /* of each IP adapter */
    int step, steps;       /* model calls made, and those of the whole run */
    imu_array *drawn;      /* noise for the mask when the caller gave none; or NULL */
} imu_denoising;

/* Whether the arguments fit together and the model, whose UNet is open. */
imu_engine_status imu_denoising_check(const imu_model *model, const imu_denoise_args *args,
                                      imu_fault *fault);
/* Everything that steps need, for latents of the shape of `args`; opens the scheduler. */
imu_engine_status imu_denoising_prepare(imu_denoising *r, imu_fault *fault);
/* Another scheduler of a prepared run: each tile of a picture has its own. */
imu_engine_status imu_denoising_open_scheduler(const imu_denoising *r, imu_scheduler **out,
                                               imu_fault *fault);
/* x: the latents with the noise of that position of the schedule; untouched without noise. */
void imu_denoising_add_noise(const imu_scheduler *s, int first, const imu_denoise_args *args,
                             imu_array *x);
/* One model call, for a position of the schedule: moves x and x0, then reports to `args->progress`.
 * `done` of `total` calls were made before it. */
imu_engine_status imu_denoising_step(imu_denoising *r, int position, int done, int total,
                                     imu_fault *fault);
void imu_denoising_free(imu_denoising *r);

#endif
