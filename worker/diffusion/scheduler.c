#include "worker/diffusion/scheduler_parts.h"

#include "worker/diffusion/json_file.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#define MAX_STEPS 1000

static const struct sampler_row {
    const char *name;
    imu_sampler kind;
    bool karras;
    int order, solver_order;
} samplers[] = {
    {"ddim", IMU_DDIM, false, 1, 1},
    {"ddpm", IMU_DDPM, false, 1, 1},
    {"deis", IMU_DEIS, false, 1, 2},
    {"deis_k", IMU_DEIS, true, 1, 2},
    {"lms", IMU_LMS, false, 1, 4},
    {"lms_k", IMU_LMS, true, 1, 4},
    {"pndm", IMU_PNDM, false, 1, 4},
    {"heun", IMU_HEUN, false, 2, 2},
    {"heun_k", IMU_HEUN, true, 2, 2},
    {"euler", IMU_EULER, false, 1, 1},
    {"euler_k", IMU_EULER, true, 1, 1},
    {"euler_a", IMU_EULER_A, false, 1, 1},
    {"kdpm_2", IMU_KDPM2, false, 2, 2},
    {"kdpm_2_k", IMU_KDPM2, true, 2, 2},
    {"kdpm_2_a", IMU_KDPM2_A, false, 2, 2},
    {"kdpm_2_a_k", IMU_KDPM2_A, true, 2, 2},
    {"dpmpp_2s", IMU_DPM_SINGLE, false, 1, 2},
    {"dpmpp_2s_k", IMU_DPM_SINGLE, true, 1, 2},
    {"dpmpp_2m", IMU_DPM_MULTI, false, 1, 2},
    {"dpmpp_2m_k", IMU_DPM_MULTI, true, 1, 2},
    {"dpmpp_2m_sde", IMU_DPM_MULTI_SDE, false, 1, 2},
    {"dpmpp_2m_sde_k", IMU_DPM_MULTI_SDE, true, 1, 2},
    {"dpmpp_3m", IMU_DPM_MULTI, false, 1, 3},
    {"dpmpp_3m_k", IMU_DPM_MULTI, true, 1, 3},
    {"dpmpp_sde", IMU_DPM_SDE, false, 2, 2},
    {"dpmpp_sde_k", IMU_DPM_SDE, true, 2, 2},
    {"unipc", IMU_UNIPC, false, 1, 2},
    {"unipc_k", IMU_UNIPC, true, 1, 2},
    {"lcm", IMU_LCM, false, 1, 1},
    {"tcd", IMU_TCD, false, 1, 1},
};

enum { SAMPLERS = sizeof samplers / sizeof *samplers };

const char *const *imu_scheduler_names(void)
{
    static const char *const names[] = {
        "ddim",      "ddpm",        "deis",         "deis_k",         "lms",      "lms_k",
        "pndm",      "heun",        "heun_k",       "euler",          "euler_k",  "euler_a",
        "kdpm_2",    "kdpm_2_k",    "kdpm_2_a",     "kdpm_2_a_k",     "dpmpp_2s", "dpmpp_2s_k",
        "dpmpp_2m",  "dpmpp_2m_k",  "dpmpp_2m_sde", "dpmpp_2m_sde_k", "dpmpp_3m", "dpmpp_3m_k",
        "dpmpp_sde", "dpmpp_sde_k", "unipc",        "unipc_k",        "lcm",      "tcd",
        NULL};
    _Static_assert(sizeof names / sizeof *names == SAMPLERS + 1, "names and samplers must agree");
    return names;
}

/* torch.linspace in float32, rounded as its vector code rounds: blocks of eight from a base that is
 * counted from the nearer end, each by a fused multiply-add. */
static float linspace32(float from, float to, int i, int n)
{
    float step = (to - from) / (float)(n - 1);
    int lane = i / 8 * 8 + 8 <= n ? i % 8 : 0, first = i - lane;
    float base =
        first < n / 2 ? fmaf(step, (float)first, from) : fmaf(-step, (float)(n - 1 - first), to);
    return fmaf(step, (float)lane, base);
}

static imu_engine_status fill_alphas(imu_scheduler *s, double start, double end, bool scaled,
                                     imu_fault *fault)
{
    size_t n = (size_t)s->train_steps;
    s->betas = calloc(2 * n, sizeof *s->betas);
    if (!s->betas)
        return imu_fail_memory(fault);
    s->alphas_cumprod = s->betas + n;
    double product = 1;
    for (int i = 0; i < s->train_steps; i++) {
        float beta = scaled ? linspace32((float)sqrt(start), (float)sqrt(end), i, s->train_steps)
                            : linspace32((float)start, (float)end, i, s->train_steps);
        s->betas[i] = scaled ? beta * beta : beta;
        product *= (double)(1.0f - s->betas[i]);
        s->alphas_cumprod[i] = (float)product;
    }
    return IMU_ENGINE_OK;
}

static imu_engine_status read_choices(imu_scheduler *s, const json_t *c, imu_fault *fault)
{
    const char *prediction = imu_json_string(c, "prediction_type", "epsilon");
    const char *spacing = imu_json_string(c, "timestep_spacing", "");
    if (!strcmp(prediction, "epsilon"))
        s->prediction = IMU_PREDICT_NOISE;
    else if (!strcmp(prediction, "v_prediction"))
        s->prediction = IMU_PREDICT_V;
    else if (!strcmp(prediction, "sample"))
        s->prediction = IMU_PREDICT_SAMPLE;
    else
        return imu_fail(fault, IMU_ENGINE_UNSUPPORTED, "The prediction type %.40s is unknown.",
                        prediction);
    s->spacing = !strcmp(spacing, "linspace")   ? IMU_LINSPACE
                 : !strcmp(spacing, "leading")  ? IMU_LEADING
                 : !strcmp(spacing, "trailing") ? IMU_TRAILING
                                                : IMU_SPACING_DEFAULT;
    static const char *const off[] = {"clip_sample", "thresholding", "rescale_betas_zero_snr"};
    for (size_t i = 0; i < sizeof off / sizeof *off; i++)
        if (imu_json_bool(c, off[i], false))
            return imu_fail(fault, IMU_ENGINE_UNSUPPORTED,
                            "The scheduler setting %s is not supported.", off[i]);
    return IMU_ENGINE_OK;
}

static imu_engine_status read_config(imu_scheduler *s, const json_t *c, imu_fault *fault)
{
    double start, end;
    const char *schedule = imu_json_string(c, "beta_schedule", "scaled_linear");
    bool scaled = !strcmp(schedule, "scaled_linear");
    if (!scaled && strcmp(schedule, "linear"))
        return imu_fail(fault, IMU_ENGINE_UNSUPPORTED, "The beta schedule %.40s is not supported.",
                        schedule);
    imu_engine_status f = read_choices(s, c, fault);
    if (!f)
        f = imu_json_int(c, "num_train_timesteps", 1000, 50, 10000, &s->train_steps, fault);
    if (!f)
        f = imu_json_int(c, "steps_offset", 1, 0, 1000, &s->steps_offset, fault);
    if (!f)
        f = imu_json_double(c, "beta_start", 0.00085, &start, fault);
    if (!f)
        f = imu_json_double(c, "beta_end", 0.012, &end, fault);
    if (!f && !(start > 0 && start < 1 && end > 0 && end < 1))
        f = imu_fail(fault, IMU_ENGINE_BAD_MODEL,
                     "The scheduler's betas must lie between 0 and 1.");
    if (!f)
        f = fill_alphas(s, start, end, scaled, fault);
    if (!f)
        s->final_alpha =
            imu_json_bool(c, "set_alpha_to_one", false) ? 1.0 : (double)s->alphas_cumprod[0];
    return f;
}

static imu_engine_status make_vectors(imu_scheduler *s, imu_fault *fault)
{
    float **vectors[] = {&s->history[0], &s->history[1], &s->history[2], &s->history[3],
                         &s->saved,      &s->saved2,     &s->noise,      &s->guess};
    for (size_t i = 0; i < sizeof vectors / sizeof *vectors; i++) {
        *vectors[i] = calloc(s->values ? s->values : 1, sizeof(float));
        if (!*vectors[i])
            return imu_fail_memory(fault);
    }
    return IMU_ENGINE_OK;
}

imu_engine_status imu_scheduler_open(const json_t *config, const char *name, int steps,
                                     size_t values, imu_scheduler **out, imu_fault *fault)
{
    const struct sampler_row *row = NULL;
    for (int i = 0; i < SAMPLERS && name && !row; i++)
        if (!strcmp(samplers[i].name, name))
            row = &samplers[i];
    if (!row)
        return imu_fail(fault, IMU_ENGINE_BAD_INPUT, "There is no scheduler named %.40s.",
                        name ? name : "(none)");
    if (steps < 1 || steps > MAX_STEPS)
        return imu_fail(fault, IMU_ENGINE_BAD_INPUT, "The number of steps must be from 1 to %d.",
                        MAX_STEPS);
    imu_scheduler *s = calloc(1, sizeof *s);
    if (!s)
        return imu_fail_memory(fault);
    s->kind = row->kind;
    s->karras = row->karras;
    s->order = row->order;
    s->solver_order = row->solver_order;
    s->steps = steps;
    s->values = values;
    imu_engine_status f = read_config(s, config, fault);
    if (!f && steps > s->train_steps)
        f = imu_fail(fault, IMU_ENGINE_BAD_INPUT, "The model knows only %d timesteps.",
                     s->train_steps);
    if (!f)
        f = imu_scheduler_fill_tables(s, fault);
    if (!f)
        f = make_vectors(s, fault);
    if (f)
        imu_scheduler_close(s);
    else
        *out = s;
    return f;
}

void imu_scheduler_close(imu_scheduler *s)
{
    if (!s)
        return;
    for (int i = 0; i < IMU_HISTORY; i++)
        free(s->history[i]);
    free(s->saved);
    free(s->saved2);
    free(s->noise);
    free(s->guess);
    free(s->betas);
    free(s->timesteps);
    free(s->sigmas);
    free(s);
}

int imu_scheduler_count(const imu_scheduler *s)
{
    return s->count;
}

int imu_scheduler_order(const imu_scheduler *s)
{
    return s->order;
}

double imu_scheduler_timestep(const imu_scheduler *s, int i)
{
    return s->timesteps[i];
}

const double *imu_scheduler_sigmas(const imu_scheduler *s, int *n)
{
    *n = s->sigma_count;
    return s->sigmas;
}

double imu_scheduler_init_noise_sigma(const imu_scheduler *s)
{
    if (s->kind < IMU_EULER || s->kind > IMU_DPM_SDE)
        return 1;
    double top = s->sigmas[0];
    return s->spacing == IMU_LEADING ? sqrt(top * top + 1) : top;
}

const float *imu_scheduler_alphas_cumprod(const imu_scheduler *s, int *n)
{
    *n = s->train_steps;
    return s->alphas_cumprod;
}

const float *imu_scheduler_betas(const imu_scheduler *s)
{
    return s->betas;
}

void imu_scheduler_window(const imu_scheduler *s, double start, double end, int *first, int *count)
{
    double from = nearbyint(s->train_steps * (1 - start)),
           to = nearbyint(s->train_steps * (1 - end));
    int skipped = 0, kept = 0;
    for (int i = 0; i < s->count; i += s->order) {
        if (s->timesteps[i] >= from)
            skipped++;
        else if (s->timesteps[i] >= to)
            kept++;
    }
    *first = skipped * s->order;
    *count = kept * s->order;
    if (*first > s->count)
        *first = s->count;
    if (*count > s->count - *first)
        *count = s->count - *first;
}

void imu_scheduler_begin(imu_scheduler *s, int first)
{
    s->index = first;
    s->made = 0;
    s->second = false;
    s->history_count = 0;
    s->has_saved2 = false;
    s->last_order = 0;
}

void imu_scheduler_seed(imu_scheduler *s, uint64_t seed)
{
    s->seed = seed;
}

void imu_scheduler_use_recorded_noise(imu_scheduler *s)
{
    s->recorded = true;
}

void imu_sigma_split(double sigma, double *alpha, double *share)
{
    *alpha = 1 / sqrt(sigma * sigma + 1);
    *share = sigma * *alpha;
}

double imu_scheduler_alpha(const imu_scheduler *s, int t)
{
    if (t < 0)
        return s->final_alpha;
    return (double)s->alphas_cumprod[t < s->train_steps ? t : s->train_steps - 1];
}

void imu_prediction_weights(imu_prediction p, double alpha, double share, double *from_x,
                            double *from_output)
{
    switch (p) {
    case IMU_PREDICT_NOISE:
        *from_x = 1 / alpha;
        *from_output = -share / alpha;
        return;
    case IMU_PREDICT_V:
        *from_x = alpha;
        *from_output = -share;
        return;
    case IMU_PREDICT_SAMPLE:
        break;
    }
    *from_x = 0;
    *from_output = 1;
}

void imu_scheduler_noise_level(const imu_scheduler *s, int i, double *keep, double *add)
{
    if (s->kind <= IMU_TCD) {
        double a = imu_scheduler_alpha(s, (int)s->timesteps[i]);
        *keep = sqrt(a);
        *add = sqrt(1 - a);
    } else if (s->kind <= IMU_DPM_SDE) {
        *keep = 1;
        *add = s->sigmas[i];
    } else {
        imu_sigma_split(s->sigmas[i], keep, add);
    }
}

double imu_scheduler_input_scale(const imu_scheduler *s)
{
    if (s->kind < IMU_EULER || s->kind > IMU_DPM_SDE)
        return 1;
    double sigma = s->sigmas[s->index];
    if (s->second && s->kind == IMU_KDPM2)
        sigma = s->between[s->index];
    else if (s->second && s->kind == IMU_KDPM2_A)
        sigma = s->between[s->index - 1];
    else if (s->second && s->kind == IMU_DPM_SDE)
        sigma = s->midpoint;
    return 1 / sqrt(sigma * sigma + 1);
}

void imu_combine(float *dst, size_t n, int count, const imu_term *terms)
{
    for (size_t i = 0; i < n; i++) {
        double sum = 0;
        for (int k = 0; k < count; k++)
            sum += terms[k].weight * (double)terms[k].vector[i];
        dst[i] = (float)sum;
    }
}

void imu_scheduler_remember(imu_scheduler *s, const float *v)
{
    float *oldest = s->history[IMU_HISTORY - 1];
    memmove(s->history + 1, s->history, (IMU_HISTORY - 1) * sizeof *s->history);
    s->history[0] = oldest;
    memcpy(oldest, v, s->values * sizeof *v);
    if (s->history_count < IMU_HISTORY)
        s->history_count++;
}

int imu_scheduler_step(imu_scheduler *s, const float *output, float *x, float *x0,
                       imu_draw_noise draw, void *user)
{
    if (s->index >= s->count)
        return -1;
    float *guess = x0 ? x0 : s->guess;
    int rc = s->kind <= IMU_TCD       ? imu_step_alpha(s, output, x, guess, draw, user)
             : s->kind <= IMU_DPM_SDE ? imu_step_sigma(s, output, x, guess, draw, user)
                                      : imu_step_solver(s, output, x, guess, draw, user);
    s->index++;
    s->made++;
    return rc;
}
