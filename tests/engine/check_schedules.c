/* Sections 6 and 7: schedules, and schedulers on a made-up model. */
#include "tests/engine/check.h"

#include "worker/diffusion/scheduler.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define SCHEDULES "schedules.safetensors"
#define SYNTHETIC "schedulers_synthetic.safetensors"
/* What the made-up model's runs drew with, and how far noise of that seed may lead from what was
 * recorded: the reference had some exponentials with another last digit. */
#define SEED           7
#define SEED_TOLERANCE 3e-3

static json_t *scheduler_config(const check *c, const char *name)
{
    char path[4096];
    json_error_t error;
    return json_load_file(check_model_path(c, name, "scheduler/scheduler_config.json", path), 0,
                          &error);
}

/* A list of whole numbers exactly, others (and all with `tolerant`) within 1e-4 relative. */
static void compare_list(check *c, const char *where, const double *mine, int n,
                         const check_tensor *golden, bool tolerant)
{
    double worst = n == (int)golden->count ? 0 : INFINITY;
    bool whole = !tolerant;
    for (size_t i = 0; i < golden->count; i++)
        whole = whole && golden->value[i] == floor(golden->value[i]);
    for (size_t i = 0; i < golden->count && (int)i < n; i++) {
        double g = golden->value[i], allowed = whole ? 0 : fmax(1e-4 * fabs(g), 1e-7);
        double error = fabs(mine[i] - g);
        worst = fmax(worst, error == 0 ? 0 : error / fmax(allowed, 1e-12));
    }
    check_note(c, SCHEDULES, where, worst * 1e-4, 1e-4);
}

static void check_schedule(check *c, const imu_safetensors *st, const json_t *config,
                           const char *name, const char *scheduler, int steps)
{
    char where[96];
    imu_scheduler *s;
    imu_fault fault = {0};
    snprintf(where, sizeof where, "%s/%s/%d", name, scheduler, steps);
    check_tensor t = check_read(c, st, "%s/timesteps", where),
                 sigmas = check_read(c, st, "%s/sigmas", where);
    check_tensor start = check_read(c, st, "%s/init_noise_sigma", where),
                 order = check_read(c, st, "%s/order", where);
    if (t.value && imu_scheduler_open(config, scheduler, steps, 1, &s, &fault)) {
        check_fail(c, SCHEDULES, where, &fault);
    } else if (t.value) {
        int n;
        double times[2048], first = imu_scheduler_init_noise_sigma(s),
                            calls = imu_scheduler_order(s);
        for (int i = 0; i < imu_scheduler_count(s) && i < 2048; i++)
            times[i] = imu_scheduler_timestep(s, i);
        const double *mine = imu_scheduler_sigmas(s, &n);
        compare_list(c, where, times, imu_scheduler_count(s), &t, false);
        if (sigmas.value)
            compare_list(c, where, mine, n, &sigmas, true);
        compare_list(c, where, &first, 1, &start, true);
        compare_list(c, where, &calls, 1, &order, false);
        imu_scheduler_close(s);
    }
    check_release(&t);
    check_release(&sigmas);
    check_release(&start);
    check_release(&order);
}

static void check_alphas(check *c, const imu_safetensors *st, const json_t *config)
{
    imu_scheduler *s;
    int n;
    check_tensor betas = check_read(c, st, "betas"), alphas = check_read(c, st, "alphas_cumprod");
    if (betas.value && alphas.value && !imu_scheduler_open(config, "ddim", 1, 1, &s, NULL)) {
        const float *mine = imu_scheduler_alphas_cumprod(s, &n);
        check_compare(c, SCHEDULES, "betas", imu_scheduler_betas(s), &betas, 1e-6, true);
        check_compare(c, SCHEDULES, "alphas_cumprod", mine, &alphas, 1e-6, true);
        imu_scheduler_close(s);
    }
    check_release(&betas);
    check_release(&alphas);
}

void check_schedules(check *c, const char *name)
{
    static const int steps[] = {1, 2, 5, 20, 30, 50};
    imu_safetensors *st = check_open(c, SCHEDULES);
    json_t *config = scheduler_config(c, name);
    if (st)
        check_alphas(c, st, config);
    for (const char *const *s = imu_scheduler_names(); st && *s; s++)
        for (size_t i = 0; i < sizeof steps / sizeof *steps; i++)
            check_schedule(c, st, config, name, *s, steps[i]);
    json_decref(config);
    imu_st_close(st);
}

/* Recorded noise, handed out in order. */
typedef struct recording {
    const check_tensor *noise;
    size_t next;
} recording;

static int replay(void *user, float *dst, size_t n)
{
    recording *r = user;
    if (!r->noise->value || r->next + n > r->noise->count)
        return -1;
    for (size_t i = 0; i < n; i++)
        dst[i] = (float)r->noise->value[r->next++];
    return 0;
}

static void made_up_model(const float *x, double scale, double t, const check_tensor *b, float *out)
{
    for (size_t i = 0; i < b->count; i++) {
        double v = (double)x[i] * scale;
        out[i] =
            (float)(0.6 * v / (1 + fabs(v)) + 0.3 * sin(3 * v) * cos(t / 200) + 0.5 * b->value[i]);
    }
}

static void run_made_up(check *c, const imu_safetensors *st, imu_scheduler *s, bool seeded,
                        const char *where)
{
    check_tensor b = check_read(c, st, "b"), noise = check_read(c, st, "noise");
    check_tensor steps = check_read(c, st, "%s/step_noise", where),
                 path = check_read(c, st, "%s/latents", where);
    check_tensor final = check_read(c, st, "%s/final", where);
    size_t n = b.count;
    float *x = calloc(n, sizeof *x), *out = calloc(n, sizeof *out),
          *all = calloc(path.count + n, sizeof *all);
    recording r = {&steps, 0};
    double keep, add;
    imu_scheduler_begin(s, 0);
    imu_scheduler_seed(s, SEED);
    if (!seeded)
        imu_scheduler_use_recorded_noise(s);
    imu_scheduler_noise_level(s, 0, &keep, &add);
    for (size_t i = 0; i < n; i++)
        all[i] = x[i] = (float)(add * noise.value[i]);
    for (int i = 0; i < imu_scheduler_count(s) && (size_t)(i + 2) * n <= path.count; i++) {
        made_up_model(x, imu_scheduler_input_scale(s), imu_scheduler_timestep(s, i), &b, out);
        if (imu_scheduler_step(s, out, x, NULL, replay, &r)) {
            imu_fault fault = {.text = "asked for more noise than was recorded"};
            check_fail(c, SYNTHETIC, where, &fault);
        }
        memcpy(all + (size_t)(i + 1) * n, x, n * sizeof *x);
    }
    check_compare(c, SYNTHETIC, where, all, &path, seeded ? SEED_TOLERANCE : 1e-5, true);
    check_compare(c, SYNTHETIC, where, x, &final, seeded ? SEED_TOLERANCE : 1e-5, true);
    free(x);
    free(out);
    free(all);
    check_release(&b);
    check_release(&noise);
    check_release(&steps);
    check_release(&path);
    check_release(&final);
}

void check_synthetic(check *c, const char *name)
{
    imu_safetensors *st = check_open(c, SYNTHETIC);
    json_t *config = scheduler_config(c, name);
    for (const char *const *n = imu_scheduler_names(); st && *n; n++) {
        char where[96], key[128];
        imu_scheduler *s;
        imu_fault fault = {0};
        snprintf(where, sizeof where, "%s/%s/6", name, *n);
        snprintf(key, sizeof key, "%s/final", where);
        if (!imu_st_find(st, key))
            continue;
        int ways = strncmp(*n, "dpmpp_sde", 9) ? 1 : 2; /* whose noise is of a seed */
        for (int way = 0; way < ways; way++) {
            if (imu_scheduler_open(config, *n, 6, 64, &s, &fault)) {
                check_fail(c, SYNTHETIC, where, &fault);
                continue;
            }
            run_made_up(c, st, s, way == 1, where);
            imu_scheduler_close(s);
        }
    }
    json_decref(config);
    imu_st_close(st);
}
