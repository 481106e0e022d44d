/* Samplers of Karras' form, x = x0 + sigma * noise: Euler, LMS, Heun, KDPM2, DPM++ SDE. */
#include "worker/diffusion/brownian.h"
#include "worker/diffusion/scheduler_parts.h"

#include <math.h>
#include <string.h>

/* x = (from + slope * dt), where slope = (x - x0) / sigma */
static void follow(imu_scheduler *s, const float *from, float *x, const float *x0, double sigma,
                   double dt)
{
    imu_combine(x, s->values, 3, (imu_term[]){{1, from}, {dt / sigma, x}, {-dt / sigma, x0}});
}

static int add_noise(imu_scheduler *s, float *x, double amount, imu_draw_noise draw, void *user)
{
    if (draw(user, s->noise, s->values))
        return -1;
    imu_combine(x, s->values, 2, (imu_term[]){{1, x}, {amount, s->noise}});
    return 0;
}

/* What an ancestral step adds as noise, and how far down it goes without. */
static void ancestral(double from, double to, double *up, double *down)
{
    *up = sqrt(to * to * (from * from - to * to) / (from * from));
    *down = sqrt(fmax(to * to - *up * *up, 0));
}

static int step_euler_a(imu_scheduler *s, float *x, const float *x0, imu_draw_noise draw,
                        void *user)
{
    double up, down, sigma = s->sigmas[s->index];
    ancestral(sigma, s->sigmas[s->index + 1], &up, &down);
    follow(s, x, x, x0, sigma, down - sigma);
    return add_noise(s, x, up, draw, user);
}

/* Integral from sigma[i] to sigma[i + 1] of the Lagrange polynomial that is 1 at sigma[i - which],
 * by a Gauss-Legendre rule that is exact for it. */
static double lms_weight(const imu_scheduler *s, int order, int which)
{
    static const double node[] = {-0.861136311594052575, -0.339981043584856265,
                                  0.339981043584856265, 0.861136311594052575};
    static const double weight[] = {0.347854845137453857, 0.652145154862546143,
                                    0.652145154862546143, 0.347854845137453857};
    int i = s->index;
    double from = s->sigmas[i], to = s->sigmas[i + 1], half = (to - from) / 2, sum = 0;
    for (int k = 0; k < 4; k++) {
        double tau = from + half * (1 + node[k]), product = 1;
        for (int j = 0; j < order; j++)
            if (j != which)
                product *= (tau - s->sigmas[i - j]) / (s->sigmas[i - which] - s->sigmas[i - j]);
        sum += weight[k] * product;
    }
    return sum * half;
}

static void step_lms(imu_scheduler *s, float *x, const float *x0)
{
    double sigma = s->sigmas[s->index];
    int order = s->index + 1 < s->solver_order ? s->index + 1 : s->solver_order;
    imu_combine(s->noise, s->values, 2, (imu_term[]){{1 / sigma, x}, {-1 / sigma, x0}});
    imu_scheduler_remember(s, s->noise);
    imu_term terms[1 + IMU_HISTORY] = {{1, x}};
    int n = 1;
    for (int k = 0; k < order && k < s->history_count; k++)
        terms[n++] = (imu_term){lms_weight(s, order, k), s->history[k]};
    imu_combine(x, s->values, n, terms);
}

static void step_heun(imu_scheduler *s, float *x, const float *x0)
{
    if (!s->second) {
        double sigma = s->sigmas[s->index], dt = s->sigmas[s->index + 1] - sigma;
        memcpy(s->saved, x, s->values * sizeof *x);
        imu_combine(s->saved2, s->values, 2, (imu_term[]){{1 / sigma, x}, {-1 / sigma, x0}});
        imu_combine(x, s->values, 2, (imu_term[]){{1, s->saved}, {dt, s->saved2}});
    } else {
        double next = s->sigmas[s->index], dt = next - s->sigmas[s->index - 1];
        imu_combine(
            x, s->values, 4,
            (imu_term[]){
                {1, s->saved}, {dt / 2, s->saved2}, {dt / 2 / next, x}, {-dt / 2 / next, x0}});
    }
    s->second = !s->second;
}

static void step_kdpm2(imu_scheduler *s, float *x, const float *x0)
{
    if (!s->second) {
        double sigma = s->sigmas[s->index];
        memcpy(s->saved, x, s->values * sizeof *x);
        follow(s, x, x, x0, sigma, s->between[s->index + 1] - sigma);
    } else {
        double dt = s->sigmas[s->index] - s->sigmas[s->index - 1];
        follow(s, s->saved, x, x0, s->between[s->index], dt);
    }
    s->second = !s->second;
}

static int step_kdpm2_a(imu_scheduler *s, float *x, const float *x0, imu_draw_noise draw,
                        void *user)
{
    s->second = !s->second;
    if (s->second) {
        double sigma = s->sigmas[s->index];
        memcpy(s->saved, x, s->values * sizeof *x);
        follow(s, x, x, x0, sigma, s->between[s->index] - sigma);
        return 0;
    }
    int i = s->index - 1;
    follow(s, s->saved, x, x0, s->between[i], s->down[i] - s->sigmas[i]);
    return add_noise(s, x, s->up[i], draw, user);
}

/* Noise of unit variance into s->noise: what the path of the run's seed does from sigma `from` to
 * where this call goes on the way to `to`. A step's second call begins where its first did.
 * Levels go through logarithms and back in float32, as the reference has them: another last digit
 * is another place of the path, and noise that is off by a thousandth. */
static int follow_path(imu_scheduler *s, double from, double to, imu_draw_noise draw, void *user)
{
    if (s->recorded)
        return draw(user, s->noise, s->values);
    double lowest = s->sigmas[s->sigma_count - 2]; /* the last is 0 */
    imu_brownian path = {s->seed, lowest, s->sigmas[0], s->values};
    float t = -logf((float)from), t_next = -logf((float)to);
    if (!s->second)
        t_next = t + (t_next - t) * 0.5f;
    float high = expf(-t), low = expf(-t_next);
    if (imu_brownian_increment(&path, (double)low, (double)high, s->noise))
        return -1;
    float length = sqrtf(fabsf(low - high));
    for (size_t i = 0; i < s->values && length > 0; i++)
        s->noise[i] = -s->noise[i] / length;
    return 0;
}

static int step_dpm_sde(imu_scheduler *s, float *x, const float *x0, imu_draw_noise draw,
                        void *user)
{
    int i = s->second ? s->index - 1 : s->index;
    double from = s->sigmas[i], next = s->sigmas[i + 1], up, down;
    if (next <= 0) {
        follow(s, x, x, x0, from, -from);
        return 0;
    }
    double to = s->second ? next : sqrt(from * next);
    if (!s->second) {
        memcpy(s->saved, x, s->values * sizeof *x);
        s->midpoint = to;
    }
    ancestral(from, to, &up, &down);
    if (follow_path(s, from, next, draw, user))
        return -1;
    imu_combine(
        x, s->values, 3,
        (imu_term[]){{down / from, s->saved}, {1 - down / from, x0}, {fmin(up, to), s->noise}});
    s->second = !s->second;
    return 0;
}

/* The noise level at which the model just looked. */
static double seen_sigma(const imu_scheduler *s)
{
    if (s->second && s->kind == IMU_KDPM2)
        return s->between[s->index];
    if (s->second && s->kind == IMU_KDPM2_A)
        return s->between[s->index - 1];
    return s->second && s->kind == IMU_DPM_SDE ? s->midpoint : s->sigmas[s->index];
}

static void guess(imu_scheduler *s, const float *output, const float *x, float *x0)
{
    double sigma = seen_sigma(s), square = sigma * sigma + 1;
    double fx = 1, fo = -sigma;
    if (s->prediction == IMU_PREDICT_V) {
        fx = 1 / square;
        fo = -sigma / sqrt(square);
    } else if (s->prediction == IMU_PREDICT_SAMPLE) {
        fx = 0;
        fo = 1;
    }
    imu_combine(x0, s->values, 2, (imu_term[]){{fx, x}, {fo, output}});
}

int imu_step_sigma(imu_scheduler *s, const float *output, float *x, float *x0, imu_draw_noise draw,
                   void *user)
{
    guess(s, output, x, x0);
    switch (s->kind) {
    case IMU_EULER_A:
        return step_euler_a(s, x, x0, draw, user);
    case IMU_LMS:
        step_lms(s, x, x0);
        return 0;
    case IMU_HEUN:
        step_heun(s, x, x0);
        return 0;
    case IMU_KDPM2:
        step_kdpm2(s, x, x0);
        return 0;
    case IMU_KDPM2_A:
        return step_kdpm2_a(s, x, x0, draw, user);
    case IMU_DPM_SDE:
        return step_dpm_sde(s, x, x0, draw, user);
    default:
        follow(s, x, x, x0, s->sigmas[s->index], s->sigmas[s->index + 1] - s->sigmas[s->index]);
        return 0;
    }
}
