/* Samplers that walk whole timesteps by their cumulated alphas: DDIM, DDPM, PNDM, LCM, TCD. */
#include "worker/diffusion/scheduler_parts.h"

#include <math.h>
#include <string.h>

#define LCM_TIMESTEP_SCALING 10.0
#define LCM_SIGMA_DATA       0.5
#define SMALLEST_VARIANCE    1e-20

/* The noise that an output means: eps = *from_x * x + *from_output * output. */
static void noise_weights(imu_prediction p, double alpha, double share, double *from_x,
                          double *from_output)
{
    *from_x = p == IMU_PREDICT_V ? share : p == IMU_PREDICT_SAMPLE ? 1 / share : 0;
    *from_output = p == IMU_PREDICT_V ? alpha : p == IMU_PREDICT_SAMPLE ? -alpha / share : 1;
}

/* x = for_x0 * x0 + for_noise * (the noise that the output means) */
static void mix(imu_scheduler *s, double a, double for_x0, double for_noise, const float *output,
                float *x, const float *x0)
{
    double fx, fo;
    noise_weights(s->prediction, sqrt(a), sqrt(1 - a), &fx, &fo);
    imu_combine(x, s->values, 3,
                (imu_term[]){{for_x0, x0}, {for_noise * fx, x}, {for_noise * fo, output}});
}

static void step_ddim(imu_scheduler *s, int t, double a, const float *output, float *x,
                      const float *x0)
{
    double before = imu_scheduler_alpha(s, t - s->train_steps / s->steps);
    mix(s, a, sqrt(before), sqrt(1 - before), output, x, x0);
}

static int step_ddpm(imu_scheduler *s, int t, double a, float *x, const float *x0,
                     imu_draw_noise draw, void *user)
{
    double before =
        s->index + 1 < s->count ? imu_scheduler_alpha(s, (int)s->timesteps[s->index + 1]) : 1;
    double current = a / before, beta = 1 - current;
    double variance = fmax((1 - before) / (1 - a) * beta, SMALLEST_VARIANCE);
    double deviation = t > 0 ? sqrt(variance) : 0;
    if (t > 0 && draw(user, s->noise, s->values))
        return -1;
    imu_combine(x, s->values, 3,
                (imu_term[]){{sqrt(before) * beta / (1 - a), x0},
                             {sqrt(current) * (1 - before) / (1 - a), x},
                             {deviation, s->noise}});
    return 0;
}

/* The linear multistep part of PNDM. The second call repeats the first step with the mean of both
 * slopes. */
static void step_pndm(imu_scheduler *s, int t, const float *output, float *x)
{
    static const double weights[5][4] = {{0},
                                         {1},
                                         {1.5, -0.5},
                                         {23.0 / 12, -16.0 / 12, 5.0 / 12},
                                         {55.0 / 24, -59.0 / 24, 37.0 / 24, -9.0 / 24}};
    int apart = s->train_steps / s->steps, before = t - apart;
    float *slope = s->noise; /* no noise is drawn here: the work space is free */
    if (s->made != 1) {
        imu_scheduler_remember(s, output);
        int n = s->history_count;
        imu_term terms[IMU_HISTORY];
        for (int i = 0; i < n; i++)
            terms[i] = (imu_term){weights[n][i], s->history[i]};
        imu_combine(slope, s->values, n, terms);
        if (s->made == 0)
            memcpy(s->saved, x, s->values * sizeof *x);
    } else {
        before = t;
        t += apart;
        imu_combine(slope, s->values, 2, (imu_term[]){{0.5, output}, {0.5, s->history[0]}});
        memcpy(x, s->saved, s->values * sizeof *x);
    }
    double a = imu_scheduler_alpha(s, t), b = imu_scheduler_alpha(s, before);
    if (s->prediction == IMU_PREDICT_V)
        imu_combine(slope, s->values, 2, (imu_term[]){{sqrt(a), slope}, {sqrt(1 - a), x}});
    double divisor = a * sqrt(1 - b) + sqrt(a * (1 - a) * b);
    imu_combine(x, s->values, 2, (imu_term[]){{sqrt(b / a), x}, {-(b - a) / divisor, slope}});
}

static int step_lcm(imu_scheduler *s, int t, float *x, const float *x0, imu_draw_noise draw,
                    void *user)
{
    bool last = s->index + 1 >= s->count;
    double before = imu_scheduler_alpha(s, last ? t : (int)s->timesteps[s->index + 1]);
    double scaled = t * LCM_TIMESTEP_SCALING, data2 = LCM_SIGMA_DATA * LCM_SIGMA_DATA;
    double skip = data2 / (scaled * scaled + data2), out = scaled / sqrt(scaled * scaled + data2);
    if (!last && draw(user, s->noise, s->values))
        return -1;
    double keep = last ? 1 : sqrt(before), add = last ? 0 : sqrt(1 - before);
    imu_combine(x, s->values, 3, (imu_term[]){{keep * out, x0}, {keep * skip, x}, {add, s->noise}});
    return 0;
}

/* With eta 1: down to the lowest time, then noise anew. */
static int step_tcd(imu_scheduler *s, double a, const float *output, float *x, const float *x0,
                    imu_draw_noise draw, void *user)
{
    bool last = s->index + 1 >= s->count;
    double lowest = imu_scheduler_alpha(s, 0);
    mix(s, a, sqrt(lowest), sqrt(1 - lowest), output, x, x0);
    if (last)
        return 0;
    double before = imu_scheduler_alpha(s, (int)s->timesteps[s->index + 1]);
    if (draw(user, s->noise, s->values))
        return -1;
    imu_combine(x, s->values, 2,
                (imu_term[]){{sqrt(before / lowest), x}, {sqrt(1 - before / lowest), s->noise}});
    return 0;
}

int imu_step_alpha(imu_scheduler *s, const float *output, float *x, float *x0, imu_draw_noise draw,
                   void *user)
{
    int t = (int)s->timesteps[s->index];
    double a = imu_scheduler_alpha(s, t), fx, fo;
    imu_prediction_weights(s->prediction, sqrt(a), sqrt(1 - a), &fx, &fo);
    imu_combine(x0, s->values, 2, (imu_term[]){{fx, x}, {fo, output}});
    switch (s->kind) {
    case IMU_DDPM:
        return step_ddpm(s, t, a, x, x0, draw, user);
    case IMU_PNDM:
        step_pndm(s, t, output, x);
        return 0;
    case IMU_LCM:
        return step_lcm(s, t, x, x0, draw, user);
    case IMU_TCD:
        return step_tcd(s, a, output, x, x0, draw, user);
    default:
        step_ddim(s, t, a, output, x, x0);
        return 0;
    }
}
