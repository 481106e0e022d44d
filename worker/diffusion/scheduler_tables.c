/* Timesteps and sigmas of every schedule. */
#include "worker/diffusion/brownian.h"
#include "worker/diffusion/scheduler_parts.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#define LCM_ORIGINAL_STEPS 50

/* ((1 - a) / a)^0.5 in float32, as the reference rounds it. */
static double train_sigma(const imu_scheduler *s, int t)
{
    float a = s->alphas_cumprod[t];
    return (double)sqrtf((1.0f - a) / a);
}

static double interpolated_sigma(const imu_scheduler *s, double t)
{
    int last = s->train_steps - 1;
    if (t <= 0)
        return train_sigma(s, 0);
    if (t >= last)
        return train_sigma(s, last);
    int low = (int)t;
    return train_sigma(s, low) + (train_sigma(s, low + 1) - train_sigma(s, low)) * (t - low);
}

static float log_train_sigma(const imu_scheduler *s, int t)
{
    return logf((float)train_sigma(s, t));
}

/* The last training timestep but one, at most, whose noise level is not above exp(wanted). */
static int locate_log_sigma(const imu_scheduler *s, double wanted)
{
    int low = 0;
    for (int t = 0; t < s->train_steps && log(train_sigma(s, t)) <= wanted; t++)
        low = t;
    return low > s->train_steps - 2 ? s->train_steps - 2 : low;
}

/* The (fractional) timestep whose noise level is `sigma`. */
static double sigma_to_timestep(const imu_scheduler *s, double sigma)
{
    double wanted = log(fmax(sigma, 1e-10));
    int low = locate_log_sigma(s, wanted);
    double a = log(train_sigma(s, low)), b = log(train_sigma(s, low + 1));
    double w = fmin(fmax((a - wanted) / (a - b), 0), 1);
    return (1 - w) * low + w * (low + 1);
}

/* The same as the reference computes it from a float32 sigma, where near a whole timestep digits
 * are lost. */
static double sigma32_to_timestep(const imu_scheduler *s, float sigma)
{
    float wanted = logf(fmaxf(sigma, 1e-10f));
    int low = locate_log_sigma(s, (double)wanted);
    float a = log_train_sigma(s, low), b = log_train_sigma(s, low + 1);
    float w = fminf(fmaxf((a - wanted) / (a - b), 0), 1);
    return (double)(float)((double)(1 - w) * low + (double)w * (low + 1));
}

/* Halfway between two sigmas, in logarithms and float32. */
static double halfway(double from, double to)
{
    if (from <= 0 || to <= 0)
        return 0;
    float a = logf((float)from), b = logf((float)to);
    return (double)expf(b - (b - a) * 0.5f);
}

/* A timestep between whole ones, which most classes hold in float32. The Brownian path wants DPM
 * SDE's sigmas to the last digit, and its class has timesteps in double. */
static double fraction(const imu_scheduler *s, double t)
{
    return s->kind == IMU_DPM_SDE ? t : (double)(float)t;
}

/* The timesteps before any Karras change, highest first. Whole numbers except for `fractional` ones
 * evenly spread. `extra` 1: one point more is spread and the lowest left out. */
static void spread_timesteps(const imu_scheduler *s, imu_spacing spacing, int extra,
                             bool fractional, double *t)
{
    int n = s->steps, points = n + extra, train = s->train_steps;
    for (int i = 0; i < n; i++) {
        int rank = points - 1 - i; /* counted from the lowest */
        if (spacing == IMU_LINSPACE) {
            double v = points > 1 ? rank * ((double)(train - 1) / (points - 1))
                                  : 0; /* rounds as numpy does */
            t[i] = fractional ? fraction(s, v) : nearbyint(v);
        } else if (spacing == IMU_LEADING) {
            int apart = train / points; /* whole, as in diffusers */
            t[i] = (double)rank * apart + s->steps_offset;
        } else {
            t[i] = nearbyint(train - i * ((double)train / n)) - 1;
        }
    }
}

static void karras_sigmas(double low, double high, int n, double *sigmas)
{
    const double rho = 7;
    double a = pow(high, 1 / rho), b = pow(low, 1 / rho);
    for (int i = 0; i < n; i++)
        sigmas[i] = pow(a + (n > 1 ? (double)i / (n - 1) : 0) * (b - a), rho);
}

/* The n sigmas of the steps, and their timesteps after Karras. */
static void step_sigmas(imu_scheduler *s, bool whole, bool full_range, double *t, double *sigmas)
{
    int n = s->steps;
    for (int i = 0; i < n; i++)
        sigmas[i] = interpolated_sigma(s, t[i]);
    if (!s->karras)
        return;
    double high = full_range ? train_sigma(s, s->train_steps - 1) : sigmas[0];
    double low = full_range ? train_sigma(s, 0) : sigmas[n - 1];
    karras_sigmas(low, high, n, sigmas);
    for (int i = 0; i < n; i++) {
        double v = sigma_to_timestep(s, sigmas[i]);
        t[i] = whole ? nearbyint(v) : fraction(s, v);
    }
}

static void to_float(double *v, int n)
{
    for (int i = 0; i < n; i++)
        v[i] = (double)(float)v[i];
}

/* Room for `calls` timesteps and `sigmas` sigmas. */
static int make_room(imu_scheduler *s, int calls, int sigmas)
{
    s->count = calls;
    s->sigma_count = sigmas;
    s->timesteps = calloc((size_t)calls, sizeof *s->timesteps);
    size_t n = (size_t)(sigmas ? sigmas : 1);
    s->sigmas = calloc(4 * n, sizeof *s->sigmas);
    if (!s->timesteps || !s->sigmas)
        return -1;
    s->between = s->sigmas + n;
    s->up = s->between + n;
    s->down = s->up + n;
    return 0;
}

/* v[0], v[1], v[1], v[2], v[2], ... into out[count]: `n` values; the last repeats to the end. */
static void doubled(const double *v, int n, double *out, int count)
{
    for (int i = 0; i < count; i++) {
        int k = (i + 1) / 2;
        out[i] = v[k < n ? k : n - 1];
    }
}

static imu_engine_status fill_alpha(imu_scheduler *s, imu_fault *fault)
{
    bool distilled = s->kind == IMU_LCM || s->kind == IMU_TCD;
    if (distilled && s->steps > LCM_ORIGINAL_STEPS)
        return imu_fail(fault, IMU_ENGINE_BAD_INPUT,
                        "The schedulers lcm and tcd take at most %d steps.", LCM_ORIGINAL_STEPS);
    bool repeats =
        s->kind == IMU_PNDM && s->steps > 1; /* PNDM warms up by visiting its second time twice */
    if (make_room(s, s->steps + repeats, 0))
        return imu_fail_memory(fault);
    if (distilled) {
        int apart = s->train_steps / LCM_ORIGINAL_STEPS;
        for (int i = 0; i < s->steps; i++) {
            int skipped = i * LCM_ORIGINAL_STEPS / s->steps; /* whole, as in diffusers */
            s->timesteps[i] = (LCM_ORIGINAL_STEPS - skipped) * apart - 1;
        }
        return IMU_ENGINE_OK;
    }
    imu_spacing spacing = s->spacing == IMU_SPACING_DEFAULT ? IMU_LEADING : s->spacing;
    spread_timesteps(s, spacing, 0, false, s->timesteps);
    if (repeats) {
        memmove(s->timesteps + 2, s->timesteps + 1, (size_t)(s->steps - 1) * sizeof *s->timesteps);
        s->timesteps[1] = s->timesteps[2];
    }
    return IMU_ENGINE_OK;
}

/* KDPM2 looks halfway (in log sigma) between a sigma and the next, or the next's deterministic
 * part. */
static void fill_kdpm2(imu_scheduler *s, const double *t, const double *sigma, double *work)
{
    int n = s->steps;
    double *between = work, *up = work + n + 1, *down = work + 2 * (n + 1);
    bool ancestral = s->kind == IMU_KDPM2_A;
    for (int i = 0; i <= n; i++) {
        /* In float32 like the reference: the difference below can cancel to nothing. */
        float here = (float)sigma[i], next = i < n ? (float)sigma[i + 1] : 0;
        float squares = here * here - next * next, part = next * next * squares;
        float up32 = here > 0 ? sqrtf(part / (here * here)) : 0, up_square = up32 * up32;
        up[i] = (double)up32;
        down[i] = (double)sqrtf(fmaxf(next * next - up_square, 0));
        if (ancestral)
            between[i] = i < n - 1 ? halfway(sigma[i], down[i]) : 0;
        else
            between[i] = i > 0 ? halfway(sigma[i], sigma[i - 1]) : 0;
    }
    doubled(sigma, n + 1, s->sigmas, s->sigma_count);
    doubled(between, n + 1, s->between, s->sigma_count);
    doubled(up, n + 1, s->up, s->sigma_count);
    doubled(down, n + 1, s->down, s->sigma_count);
    s->timesteps[0] = t[0];
    for (int i = 1; i < n; i++) {
        s->timesteps[2 * i - 1] = sigma32_to_timestep(s, (float)between[ancestral ? i - 1 : i]);
        s->timesteps[2 * i] = t[i];
    }
}

static void fill_two_calls(imu_scheduler *s, const double *t, const double *sigma)
{
    int n = s->steps;
    doubled(sigma, n + 1, s->sigmas, s->sigma_count);
    doubled(t, n, s->timesteps, s->count);
    if (s->kind == IMU_DPM_SDE)
        for (int i = 1; i < n; i++)
            s->timesteps[2 * i - 1] = sigma_to_timestep(s, sqrt(sigma[i - 1] * sigma[i]));
}

static imu_engine_status fill_sigma(imu_scheduler *s, imu_fault *fault)
{
    int n = s->steps;
    bool kdpm2 = s->kind == IMU_KDPM2 || s->kind == IMU_KDPM2_A;
    int calls = s->order == 2 ? 2 * n - 1 : n;
    int sigmas = kdpm2 ? 2 * n + 2 : s->order == 2 ? 2 * n : n + 1;
    double *t = calloc((size_t)n * 5 + 8, sizeof *t);
    if (!t || make_room(s, calls, sigmas)) {
        free(t);
        return imu_fail_memory(fault);
    }
    double *sigma = t + n;
    spread_timesteps(s, s->spacing == IMU_SPACING_DEFAULT ? IMU_LINSPACE : s->spacing, 0, true, t);
    step_sigmas(s, kdpm2, false, t, sigma);
    if (s->kind == IMU_DPM_SDE && !(sigma[0] <= IMU_BROWNIAN_HIGHEST)) {
        free(t);
        return imu_fail(fault, IMU_ENGINE_UNSUPPORTED,
                        "The model's noise is too strong for this scheduler.");
    }
    to_float(sigma, n);
    sigma[n] = 0;
    if (kdpm2) {
        fill_kdpm2(s, t, sigma, sigma + n + 1);
    } else if (s->order == 2) {
        fill_two_calls(s, t, sigma);
    } else {
        memcpy(s->timesteps, t, (size_t)n * sizeof *t);
        memcpy(s->sigmas, sigma, (size_t)(n + 1) * sizeof *t);
    }
    free(t);
    return IMU_ENGINE_OK;
}

static imu_engine_status fill_solver(imu_scheduler *s, imu_fault *fault)
{
    int n = s->steps;
    if (make_room(s, n, n + 1))
        return imu_fail_memory(fault);
    /* The singlestep class knows no other spacing. */
    imu_spacing spacing =
        s->spacing == IMU_SPACING_DEFAULT || s->kind == IMU_DPM_SINGLE ? IMU_LINSPACE : s->spacing;
    spread_timesteps(s, spacing, 1, false, s->timesteps);
    step_sigmas(s, true, true, s->timesteps, s->sigmas);
    s->sigmas[n] = 0;
    if (s->kind == IMU_DEIS) /* its formula has no limit at 0 */
        s->sigmas[n] = s->karras ? s->sigmas[n - 1] : train_sigma(s, 0);
    to_float(s->sigmas, n + 1);
    return IMU_ENGINE_OK;
}

imu_engine_status imu_scheduler_fill_tables(imu_scheduler *s, imu_fault *fault)
{
    if (s->kind <= IMU_TCD)
        return fill_alpha(s, fault);
    return s->kind <= IMU_DPM_SDE ? fill_sigma(s, fault) : fill_solver(s, fault);
}
