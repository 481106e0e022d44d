/* The inside of a scheduler, shared by the files that make its tables and the families that step.
 */
#ifndef IMU_DIFFUSION_SCHEDULER_PARTS_H
#define IMU_DIFFUSION_SCHEDULER_PARTS_H

#include "worker/diffusion/scheduler.h"

typedef enum imu_sampler {
    IMU_DDIM,
    IMU_DDPM,
    IMU_PNDM,
    IMU_LCM,
    IMU_TCD, /* in terms of alphas */
    IMU_EULER,
    IMU_EULER_A,
    IMU_LMS,
    IMU_HEUN,
    IMU_KDPM2,
    IMU_KDPM2_A,
    IMU_DPM_SDE, /* of sigmas */
    IMU_DPM_SINGLE,
    IMU_DPM_MULTI,
    IMU_DPM_MULTI_SDE,
    IMU_DEIS,
    IMU_UNIPC /* of half log SNR */
} imu_sampler;

typedef enum imu_prediction { IMU_PREDICT_NOISE, IMU_PREDICT_V, IMU_PREDICT_SAMPLE } imu_prediction;

typedef enum imu_spacing {
    IMU_SPACING_DEFAULT,
    IMU_LINSPACE,
    IMU_LEADING,
    IMU_TRAILING
} imu_spacing;

enum { IMU_HISTORY = 4 };

struct imu_scheduler {
    imu_sampler kind;
    bool karras;
    int order;        /* model calls a step */
    int solver_order; /* of multistep solvers */
    imu_prediction prediction;
    imu_spacing spacing;
    int train_steps, steps_offset;
    float *betas, *alphas_cumprod; /* [train_steps] */
    double final_alpha;

    int steps, count;
    double *timesteps; /* [count] */
    double *sigmas;    /* [sigma_count], as the sampler walks them */
    int sigma_count;
    double *between, *up, *down; /* KDPM2: sigmas between two, ancestral parts; as long as sigmas */

    size_t values;
    int index;                   /* position of the next call */
    int made;                    /* calls so far */
    bool second;                 /* the next call is the second of its step */
    float *history[IMU_HISTORY]; /* newest first */
    int history_count;
    float *saved;         /* the sample a step began with */
    float *saved2;        /* the first slope of a Heun step; the last sample of UniPC */
    float *noise, *guess; /* work space */
    bool has_saved2;
    int last_order;  /* UniPC: order of the step just made */
    double midpoint; /* DPM SDE: sigma between */
    uint64_t seed;   /* DPM SDE: of the path that its noise follows */
    bool recorded;   /* DPM SDE: noise is asked for instead */
};

/* One term of a weighted sum of vectors. */
typedef struct imu_term {
    double weight;
    const float *vector;
} imu_term;

/* dst[n] = sum of the terms; dst may be one of them. */
void imu_combine(float *dst, size_t n, int count, const imu_term *terms);
/* Puts a copy of v first in the history. */
void imu_scheduler_remember(imu_scheduler *s, const float *v);
/* alphas_cumprod at a whole timestep (clamped), or final_alpha below 0. */
double imu_scheduler_alpha(const imu_scheduler *s, int t);
/* What a sigma is as signal and noise share: alpha^2 + sigma^2 = 1. */
void imu_sigma_split(double sigma, double *alpha, double *share);
/* x0 = *from_x * x + *from_output * output at the given alpha and noise share. */
void imu_prediction_weights(imu_prediction p, double alpha, double share, double *from_x,
                            double *from_output);

/* scheduler_tables.c: timesteps and sigmas. */
imu_engine_status imu_scheduler_fill_tables(imu_scheduler *s, imu_fault *fault);

/* One step each; `x0` has room for the guess. 0, or -1 when drawing failed. */
int imu_step_alpha(imu_scheduler *s, const float *output, float *x, float *x0, imu_draw_noise draw,
                   void *user);
int imu_step_sigma(imu_scheduler *s, const float *output, float *x, float *x0, imu_draw_noise draw,
                   void *user);
int imu_step_solver(imu_scheduler *s, const float *output, float *x, float *x0, imu_draw_noise draw,
                    void *user);

#endif
