/* Multistep and singlestep solvers in the half log signal-to-noise ratio: DPM-Solver++, DEIS,
 * UniPC. */
#include "worker/diffusion/scheduler_parts.h"

#include <math.h>
#include <string.h>

enum { FEW_STEPS = 15 }; /* below, the last steps drop to lower orders */

/* A position of the schedule: shares of signal and noise and the half log of their ratio. */
typedef struct level {
    double alpha, sigma, lambda;
} level;

static level level_at(const imu_scheduler *s, int i)
{
    level l;
    imu_sigma_split(s->sigmas[i], &l.alpha, &l.sigma);
    l.lambda = log(l.alpha) - log(l.sigma);
    return l;
}

/* From the sample `x` at level `from`; history holds guesses at x0. `sde`: noise lies in s->noise.
 */
static void first_order(imu_scheduler *s, level from, level to, bool sde, float *x)
{
    double h = to.lambda - from.lambda, decay = exp(-h);
    if (sde) {
        imu_combine(x, s->values, 3,
                    (imu_term[]){{to.sigma / from.sigma * decay, x},
                                 {to.alpha * (1 - decay * decay), s->history[0]},
                                 {to.sigma * sqrt(1 - decay * decay), s->noise}});
        return;
    }
    imu_combine(x, s->values, 2,
                (imu_term[]){{to.sigma / from.sigma, x}, {-to.alpha * (decay - 1), s->history[0]}});
}

static void second_order(imu_scheduler *s, level to, level from, level before, bool sde, float *x)
{
    double h = to.lambda - from.lambda, r = (from.lambda - before.lambda) / h, decay = exp(-h);
    double c = sde ? to.alpha * (1 - decay * decay) : -to.alpha * (decay - 1);
    double keep = to.sigma / from.sigma * (sde ? decay : 1);
    imu_combine(x, s->values, sde ? 4 : 3,
                (imu_term[]){{keep, x},
                             {c * (1 + 0.5 / r), s->history[0]},
                             {-c * 0.5 / r, s->history[1]},
                             {to.sigma * sqrt(1 - decay * decay), s->noise}});
}

static void third_order(imu_scheduler *s, level to, level from, level b1, level b2, float *x)
{
    double h = to.lambda - from.lambda, e = exp(-h) - 1;
    double r0 = (from.lambda - b1.lambda) / h, r1 = (b1.lambda - b2.lambda) / h;
    double c0 = -to.alpha * e, c1 = to.alpha * (e / h + 1),
           c2 = -to.alpha * ((e + h) / (h * h) - 0.5);
    /* The divided differences of the last three guesses. */
    double d1 = 1 + r0 / (r0 + r1), d1_old = -r0 / (r0 + r1), d2 = 1 / (r0 + r1);
    double near = c1 * d1 + c2 * d2, far = c1 * d1_old - c2 * d2;
    imu_combine(x, s->values, 4,
                (imu_term[]){{to.sigma / from.sigma, x},
                             {c0 + near / r0, s->history[0]},
                             {-near / r0 + far / r1, s->history[1]},
                             {-far / r1, s->history[2]}});
}

static int step_multi(imu_scheduler *s, float *x, imu_draw_noise draw, void *user)
{
    int i = s->index, left = s->count - 1 - i;
    bool sde = s->kind == IMU_DPM_MULTI_SDE;
    level to = level_at(s, i + 1), from = level_at(s, i);
    if (sde && draw(user, s->noise, s->values))
        return -1;
    if (s->made < 1 || left == 0)
        first_order(s, from, to, sde, x);
    else if (s->solver_order == 2 || s->made < 2 || (left == 1 && s->count < FEW_STEPS))
        second_order(s, to, from, level_at(s, i - 1), sde, x);
    else
        third_order(s, to, from, level_at(s, i - 1), level_at(s, i - 2), x);
    return 0;
}

/* Pairs of steps: the first of first order, the second spanning both; the last one alone. */
static void step_single(imu_scheduler *s, float *x)
{
    int i = s->index, last = s->count - 1;
    bool second = i % 2 == 1 && i != last && s->made > 0;
    level to = level_at(s, i + 1), here = level_at(s, i);
    if (!second) {
        memcpy(s->saved, x, s->values * sizeof *x);
        first_order(s, here, to, false, x);
        return;
    }
    level start = level_at(s, i - 1);
    double h = to.lambda - start.lambda, r = (here.lambda - start.lambda) / h,
           c = -to.alpha * (exp(-h) - 1);
    imu_combine(x, s->values, 3,
                (imu_term[]){{to.sigma / start.sigma, s->saved},
                             {c * 0.5 / r, s->history[0]},
                             {c * (1 - 0.5 / r), s->history[1]}});
}

/* Antiderivative of log(t / c) / log(b / c). */
static double deis_integral(double t, double b, double c)
{
    return t * (-log(c) + log(t) - 1) / (log(b) - log(c));
}

/* History holds noise, not guesses. */
static void step_deis(imu_scheduler *s, float *x)
{
    int i = s->index, left = s->count - 1 - i;
    level to = level_at(s, i + 1), from = level_at(s, i);
    double h = to.lambda - from.lambda;
    if (s->made < 1 || (left == 0 && s->count < FEW_STEPS)) {
        imu_combine(
            x, s->values, 2,
            (imu_term[]){{to.alpha / from.alpha, x}, {-to.sigma * (exp(h) - 1), s->history[0]}});
        return;
    }
    double rt = s->sigmas[i + 1], r0 = s->sigmas[i], r1 = s->sigmas[i - 1];
    double c0 = deis_integral(rt, r0, r1) - deis_integral(r0, r0, r1);
    double c1 = deis_integral(rt, r1, r0) - deis_integral(r0, r1, r0);
    imu_combine(x, s->values, 3,
                (imu_term[]){{to.alpha / from.alpha, x},
                             {to.alpha * c0, s->history[0]},
                             {to.alpha * c1, s->history[1]}});
}

/* UniPC's B(h) variant 2, orders 1 and 2. */
typedef struct unipc_terms {
    double keep, start, b; /* of the sample, of the guess at the start, B(h) times alpha */
    double r;              /* place of the guess before, in units of h */
    double b1, b2;         /* right-hand sides */
} unipc_terms;

static unipc_terms unipc_setup(level to, level from, level before, int order)
{
    double h = to.lambda - from.lambda, hh = -h, phi1 = expm1(hh), phi_k = phi1 / hh - 1;
    unipc_terms u = {
        .keep = to.sigma / from.sigma, .start = -to.alpha * phi1, .b = to.alpha * phi1};
    u.r = order == 2 ? (before.lambda - from.lambda) / h : 1;
    u.b1 = phi_k / phi1;
    u.b2 = (phi_k / hh - 0.5) * 2 / phi1;
    return u;
}

/* Corrects the sample just reached with the output found there. */
static void unipc_correct(imu_scheduler *s, const float *x0, float *x)
{
    int i = s->index, order = s->last_order;
    level before = order == 2 ? level_at(s, i - 2) : level_at(s, i - 1);
    unipc_terms u = unipc_setup(level_at(s, i), level_at(s, i - 1), before, order);
    double far = 0, near = 0.5;
    if (order == 2) { /* far + near = b1, r * far + near = b2 */
        far = (u.b1 - u.b2) / (1 - u.r);
        near = u.b1 - far;
    }
    /* history[0] is the guess at the start of the step, history[1] the one before it. */
    double slope = order == 2 ? far / u.r : 0;
    imu_combine(x, s->values, 4,
                (imu_term[]){{u.keep, s->saved2},
                             {u.start + u.b * (slope + near), s->history[0]},
                             {-u.b * slope, s->history[1]},
                             {-u.b * near, x0}});
}

static void step_unipc(imu_scheduler *s, const float *x0, float *x)
{
    int i = s->index, left = s->count - i;
    if (s->has_saved2)
        unipc_correct(s, x0, x);
    imu_scheduler_remember(s, x0);
    int order = s->solver_order < left ? s->solver_order : left;
    if (order > s->made + 1)
        order = s->made + 1;
    memcpy(s->saved2, x, s->values * sizeof *x);
    s->has_saved2 = true;
    s->last_order = order;
    level from = level_at(s, i), before = order == 2 ? level_at(s, i - 1) : from;
    unipc_terms u = unipc_setup(level_at(s, i + 1), from, before, order);
    double slope = order == 2 ? 0.5 / u.r : 0;
    imu_combine(x, s->values, 3,
                (imu_term[]){{u.keep, x},
                             {u.start + u.b * slope, s->history[0]},
                             {-u.b * slope, s->history[1]}});
}

int imu_step_solver(imu_scheduler *s, const float *output, float *x, float *x0, imu_draw_noise draw,
                    void *user)
{
    double fx, fo;
    level here = level_at(s, s->index);
    imu_prediction_weights(s->prediction, here.alpha, here.sigma, &fx, &fo);
    imu_combine(x0, s->values, 2, (imu_term[]){{fx, x}, {fo, output}});
    switch (s->kind) {
    case IMU_UNIPC:
        step_unipc(s, x0, x);
        return 0;
    case IMU_DEIS:
        imu_combine(s->noise, s->values, 2,
                    (imu_term[]){{1 / here.sigma, x}, {-here.alpha / here.sigma, x0}});
        imu_scheduler_remember(s, s->noise);
        step_deis(s, x);
        return 0;
    case IMU_DPM_SINGLE:
        imu_scheduler_remember(s, x0);
        step_single(s, x);
        return 0;
    default:
        imu_scheduler_remember(s, x0);
        return step_multi(s, x, draw, user);
    }
}
