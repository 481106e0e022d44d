/* Samplers: which times a run visits and how each model output moves the latents. Thirty of them,
 * with the names InvokeAI's clients use, computing what diffusers' classes of those names compute.
 *
 * A scheduler holds the state of one run. Calls: open, begin, then for each position i: scale the
 * latents with imu_scheduler_input_scale, evaluate the model at imu_scheduler_timestep(i),
 * imu_scheduler_step. */
#ifndef IMU_DIFFUSION_SCHEDULER_H
#define IMU_DIFFUSION_SCHEDULER_H

#include "worker/diffusion/fault.h"

#include <jansson.h>

typedef struct imu_scheduler imu_scheduler;

/* How noise is asked for: fills dst[n]. Nonzero ends the step with that failure. */
typedef int (*imu_draw_noise)(void *user, float *dst, size_t n);

/* `config`: the model's scheduler_config.json, or NULL for Stable Diffusion's values. `values`: how
 * many numbers the latents have. steps: 1 .. 1000. */
imu_engine_status imu_scheduler_open(const json_t *config, const char *name, int steps,
                                     size_t values, imu_scheduler **out, imu_fault *fault);
void imu_scheduler_close(imu_scheduler *s);

/* Model calls of the whole schedule, and how many make one step (1 or 2). */
int imu_scheduler_count(const imu_scheduler *s);
int imu_scheduler_order(const imu_scheduler *s);
double imu_scheduler_timestep(const imu_scheduler *s, int i);
/* For comparison: the sigmas (count in *n; 0 for those without), and what unit noise is scaled by.
 */
const double *imu_scheduler_sigmas(const imu_scheduler *s, int *n);
double imu_scheduler_init_noise_sigma(const imu_scheduler *s);
const float *imu_scheduler_alphas_cumprod(const imu_scheduler *s, int *n);
const float *imu_scheduler_betas(const imu_scheduler *s);

/* Positions [*first, *first + *count) of the schedule that lie in a window of the run, 0 .. 1. */
void imu_scheduler_window(const imu_scheduler *s, double start, double end, int *first, int *count);

/* Forgets all history and stands at position `first`. */
void imu_scheduler_begin(imu_scheduler *s, int first);
/* Latents with the noise of position i: *keep * original + *add * noise. */
void imu_scheduler_noise_level(const imu_scheduler *s, int i, double *keep, double *add);
/* The model sees the latents times this. */
double imu_scheduler_input_scale(const imu_scheduler *s);
/* The seed of the Brownian path that dpmpp_sde and dpmpp_sde_k take their noise from, 0 if none is
 * set: they never ask for noise. Others ask for theirs and have no seed. */
void imu_scheduler_seed(imu_scheduler *s, uint64_t seed);
/* Has these two ask for noise after all, and take it as it is: it comes from a recording. */
void imu_scheduler_use_recorded_noise(imu_scheduler *s);
/* Moves x[values] by the model's output at the current position, and on to the next. x0 (may be
 * NULL) becomes the guess at the end result. -1 when `draw` failed or there is no memory. */
int imu_scheduler_step(imu_scheduler *s, const float *output, float *x, float *x0,
                       imu_draw_noise draw, void *user);

#endif
