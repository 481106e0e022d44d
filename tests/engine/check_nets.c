/* Sections 5 and 9: one call of the UNet, the VAE. */
#include "tests/engine/check.h"

#include "worker/diffusion/control.h"
#include "worker/diffusion/unet.h"
#include "worker/diffusion/vae.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* What a probe of the network's inner stages needs. */
typedef struct stage_check {
    check *c;
    const char *file;
    const imu_safetensors *st;
    double tolerance;
} stage_check;

static void on_stage(void *user, const char *stage, const imu_tensor *x)
{
    stage_check *s = user;
    check_tensor golden = check_read(s->c, s->st, "stage_%s", stage);
    int64_t n = imu_tensor_count(x), channels = x->dim[3], area = x->dim[1] * x->dim[2];
    float *wide = malloc((size_t)n * sizeof *wide), *first = malloc((size_t)n * sizeof *first);
    if (wide && first && golden.value && (int64_t)golden.count == n) {
        imu_to_f32(x->type, x->data, wide, (size_t)n);
        for (int64_t p = 0; p < n / channels; p++)
            for (int64_t i = 0; i < channels; i++)
                first[(p / area * channels + i) * area + p % area] = wide[p * channels + i];
        char where[64];
        snprintf(where, sizeof where, "stage_%s", stage);
        check_compare(s->c, s->file, where, first, &golden, s->tolerance, true);
    } else if (golden.value) {
        check_note(s->c, s->file, stage, 1, 0);
    }
    free(wide);
    free(first);
    check_release(&golden);
}

/* One call; latents, t and context are named by their golden keys. */
typedef struct unet_case {
    const char *where, *latents, *times, *context, *out;
    double fixed_time;
    bool staged, zero_pooled;
    unsigned wrap;
    imu_freeu freeu;
} unet_case;

/* Rows of `a` repeated to `batch` rows. */
static float *repeat(const imu_array *a, int64_t batch)
{
    int64_t n = imu_array_count(a), each = n / a->dim[0];
    float *out = malloc((size_t)(each * batch) * sizeof *out);
    for (int64_t i = 0; out && i < batch; i++)
        memcpy(out + i * each, a->data + (i % a->dim[0]) * each, (size_t)each * sizeof *out);
    return out;
}

static void check_call(check *c, const char *file, imu_safetensors *st, imu_unet *u,
                       const unet_case *k, double tolerance)
{
    imu_array *latents = check_array(c, st, "%s", k->latents),
              *context = check_array(c, st, "%s", k->context);
    imu_array *pooled = check_array(c, st, "pooled_cond"), *ids = check_array(c, st, "time_ids");
    check_tensor times = check_read(c, st, "%s", k->times ? k->times : "none"),
                 golden = check_read(c, st, "%s", k->out);
    if (!latents || !golden.value) {
        imu_array_free(latents);
        imu_array_free(context);
        imu_array_free(pooled);
        imu_array_free(ids);
        check_release(&times);
        check_release(&golden);
        return;
    }
    int64_t batch = latents->dim[0], width = imu_unet_get_info(u)->context_width;
    double t[8] = {0};
    for (int64_t i = 0; i < batch && i < 8; i++)
        t[i] = times.value ? times.value[i] : k->fixed_time;
    if (!context)
        context = imu_array_new(3, (int64_t[]){1, 77, width});
    float *rows = repeat(context, batch), *many_pooled = pooled ? repeat(pooled, batch) : NULL;
    float *many_ids = ids ? repeat(ids, batch) : NULL;
    if (k->zero_pooled && many_pooled)
        memset(many_pooled, 0, (size_t)imu_array_count(pooled) * sizeof *many_pooled);
    float *out = calloc(golden.count, sizeof *out);
    stage_check stages = {c, file, st, tolerance};
    imu_unet_request r = {.batch = batch,
                          .height = latents->dim[2],
                          .width = latents->dim[3],
                          .latents = latents->data,
                          .timesteps = t,
                          .context = rows,
                          .tokens = context->dim[1],
                          .pooled = many_pooled,
                          .time_ids = many_ids,
                          .out = out,
                          .wrap = k->wrap,
                          .freeu = k->freeu,
                          .probe = k->staged ? on_stage : NULL,
                          .probe_user = &stages};
    imu_fault fault = {0};
    if (imu_unet_run(u, &r, &fault))
        check_fail(c, file, k->where, &fault);
    else
        check_compare(c, file, k->where, out, &golden, tolerance, true);
    free(out);
    free(rows);
    free(many_pooled);
    free(many_ids);
    imu_array_free(latents);
    imu_array_free(context);
    imu_array_free(pooled);
    imu_array_free(ids);
    check_release(&times);
    check_release(&golden);
}

static void check_time(check *c, const char *name, imu_unet *u)
{
    char file[96];
    snprintf(file, sizeof file, "%s/time.safetensors", name);
    imu_safetensors *st = check_open(c, file);
    if (!st)
        return;
    check_tensor t = check_read(c, st, "t"), sinusoid = check_read(c, st, "sinusoid"),
                 emb = check_read(c, st, "emb");
    int n = imu_unet_get_info(u)->time_frequencies;
    float *mine = calloc(t.count * (size_t)n + 1, sizeof *mine),
          *out = calloc(emb.count + 1, sizeof *out);
    imu_fault fault = {0};
    for (size_t i = 0; i < t.count; i++)
        imu_unet_sinusoid(u, t.value[i], n, mine + i * (size_t)n);
    check_compare(c, file, "sinusoid", mine, &sinusoid, 1e-4, true);
    if (imu_unet_embed_time(u, mine, (int64_t)t.count, out, &fault))
        check_fail(c, file, "emb", &fault);
    else
        check_compare(c, file, "emb", out, &emb, 1e-4, true);
    free(mine);
    free(out);
    check_release(&t);
    check_release(&sinusoid);
    check_release(&emb);
    imu_st_close(st);
}

static void check_added(check *c, const char *file, imu_safetensors *st, imu_unet *u,
                        double tolerance)
{
    imu_array *pooled = check_array(c, st, "pooled_cond"), *ids = check_array(c, st, "time_ids");
    check_tensor golden = check_read(c, st, "add_embedding"),
                 sinusoid = check_read(c, st, "time_ids_sinusoid");
    const imu_unet_info *info = imu_unet_get_info(u);
    if (pooled && ids && golden.value && sinusoid.value) {
        float *mine = calloc(sinusoid.count, sizeof *mine),
              *out = calloc(golden.count, sizeof *out);
        for (int i = 0; i < 6; i++)
            imu_unet_sinusoid(u, (double)ids->data[i], info->added_frequencies,
                              mine + i * info->added_frequencies);
        check_compare(c, file, "time_ids_sinusoid", mine, &sinusoid, tolerance, true);
        imu_unet_request r = {.batch = 1, .pooled = pooled->data, .time_ids = ids->data};
        imu_fault fault = {0};
        if (imu_unet_embed_added(u, &r, out, &fault))
            check_fail(c, file, "add_embedding", &fault);
        else
            check_compare(c, file, "add_embedding", out, &golden, tolerance, true);
        free(mine);
        free(out);
    }
    imu_array_free(pooled);
    imu_array_free(ids);
    check_release(&golden);
    check_release(&sinusoid);
}

/* One call with a tiny ControlNet on it. */
static void check_control(check *c, const char *file, imu_safetensors *st, imu_unet *u,
                          imu_control *control, const char *out, double scale, bool soft)
{
    imu_array *latents = check_array(c, st, "latents"), *context = check_array(c, st, "cond"),
              *picture = check_array(c, st, "control/picture");
    check_tensor t = check_read(c, st, "t"), golden = check_read(c, st, "%s", out);
    float *mine = calloc(golden.count + 1, sizeof *mine);
    imu_residuals sum = {.count = 0};
    imu_fault fault = {.text = "no inputs"};
    imu_engine_status s = IMU_ENGINE_BAD_INPUT;
    if (latents && context && picture && t.value && golden.value) {
        imu_unet_request r = {.batch = 1,
                              .height = latents->dim[2],
                              .width = latents->dim[3],
                              .latents = latents->data,
                              .timesteps = t.value,
                              .context = context->data,
                              .tokens = context->dim[1],
                              .residuals = &sum,
                              .out = mine};
        s = imu_control_run(control, &r, picture->data, scale, soft, 0, 1, &sum, &fault);
        if (!s)
            s = imu_unet_run(u, &r, &fault);
    }
    if (s)
        check_fail(c, file, out, &fault);
    else
        check_compare(c, file, out, mine, &golden, 2e-4, true);
    imu_residuals_free(&sum);
    imu_array_free(latents);
    imu_array_free(context);
    imu_array_free(picture);
    check_release(&t);
    check_release(&golden);
    free(mine);
}

static void check_controls(check *c, const char *file, imu_safetensors *st, imu_unet *u)
{
    char path[4096];
    imu_control *control;
    imu_fault fault;
    snprintf(path, sizeof path, "%s/tiny-control", c->fixtures);
    if (!imu_st_find(st, "control"))
        return;
    if (imu_control_build(c->backend, &(imu_net_place){.folder = path}, &control, &fault)) {
        check_fail(c, file, "control", &fault);
        return;
    }
    check_note(c, file, "control fits", imu_control_fits(control, u) ? 0 : 1, 0);
    check_control(c, file, st, u, control, "control", 0.8, false);
    check_control(c, file, st, u, control, "control_soft", 1.5, true);
    imu_control_close(control);
}

/* Ways to run the network that the fixtures' description knows nothing of (docs/engine.md). */
static void check_ways(check *c, const char *name, imu_unet *u)
{
    static const unet_case cases[] = {
        {.where = "seamless_x", .out = "seamless_x", .wrap = IMU_WRAP_X},
        {.where = "seamless_y", .out = "seamless_y", .wrap = IMU_WRAP_Y},
        {.where = "seamless_xy", .out = "seamless_xy", .wrap = IMU_WRAP_X | IMU_WRAP_Y},
        {.where = "freeu", .out = "freeu", .freeu = {{0.9, 0.2}, {1.2, 1.4}}},
    };
    char file[96];
    snprintf(file, sizeof file, "%s/ways.safetensors", name);
    imu_safetensors *st = check_open(c, file);
    for (size_t i = 0; st && i < sizeof cases / sizeof *cases; i++) {
        unet_case k = cases[i];
        k.latents = "latents";
        k.times = "t";
        k.context = "cond";
        check_call(c, file, st, u, &k, 2e-4);
    }
    if (st)
        check_controls(c, file, st, u);
    imu_st_close(st);
}

void check_unet(check *c, const char *name)
{
    char file[96], path[4096];
    snprintf(file, sizeof file, "%s/unet.safetensors", name);
    imu_safetensors *st = check_open(c, file);
    imu_unet *u = NULL;
    imu_fault fault = {0};
    if (!st)
        return;
    if (imu_unet_open(c->backend,
                      &(imu_net_place){.folder = check_model_path(c, name, "unet", path)}, &u,
                      &fault)) {
        check_fail(c, file, "open", &fault);
        imu_st_close(st);
        return;
    }
    check_time(c, name, u);
    bool large = imu_unet_get_info(u)->pooled_width > 0;
    double tolerance = large ? 1e-3 : 2e-4, odd_time = large ? 801 : 77;
    const unet_case cases[] = {
        {"stage_out", "latents", "t", "cond", "stage_out", 0, true, false, 0, {{0}, {0}}},
        {"batch2",
         "batch2/latents",
         "batch2/t",
         "batch2/ctx",
         "batch2/out",
         0,
         false,
         false,
         0,
         {{0}, {0}}},
        {"rect", "rect/latents", NULL, "cond", "rect/out", odd_time, false, false, 0, {{0}, {0}}},
        {"odd", "odd/latents", NULL, "cond", "odd/out", odd_time, false, false, 0, {{0}, {0}}},
        {"ctx154", "latents", NULL, "ctx154/ctx", "ctx154/out", 77, false, false, 0, {{0}, {0}}},
        {"zero_ctx", "latents", "t", "none", "zero_ctx/out", 0, false, true, 0, {{0}, {0}}},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++)
        check_call(c, file, st, u, &cases[i], tolerance);
    check_added(c, file, st, u, tolerance);
    check_ways(c, name, u);
    imu_unet_close(u);
    imu_st_close(st);
}

static void check_decode(check *c, const char *file, imu_safetensors *st, imu_vae *v,
                         const char *kind, const imu_vae_args *args, double tolerance)
{
    imu_array *latents = check_array(c, st, "%s/latents", kind), *image = NULL;
    check_tensor golden = check_read(c, st, "%s/image", kind);
    imu_fault fault = {0};
    if (latents && imu_vae_decode(v, latents, args, &image, &fault))
        check_fail(c, file, kind, &fault);
    if (image)
        check_compare(c, file, kind, image->data, &golden, tolerance, true);
    imu_array_free(latents);
    imu_array_free(image);
    check_release(&golden);
}

static void check_encode(check *c, const char *file, imu_safetensors *st, imu_vae *v,
                         const char *kind, const imu_vae_args *args)
{
    imu_array *image = check_array(c, st, "%s/image", kind), *mean = NULL, *logvar = NULL;
    imu_fault fault = {0};
    if (image && imu_vae_encode(v, image, args, &mean, &logvar, &fault))
        check_fail(c, file, kind, &fault);
    if (mean) {
        check_tensor m = check_read(c, st, "%s/mean", kind),
                     l = check_read(c, st, "%s/logvar", kind);
        check_tensor z = check_read(c, st, "%s/latents", kind);
        check_compare(c, file, kind, mean->data, &m, 1e-5, true);
        check_compare(c, file, kind, logvar->data, &l, 1e-5, true);
        for (int64_t i = 0, n = imu_array_count(mean); i < n; i++)
            mean->data[i] *= (float)imu_vae_scaling_factor(v);
        check_compare(c, file, kind, mean->data, &z, 1e-5, true);
        check_release(&m);
        check_release(&l);
        check_release(&z);
    }
    imu_array_free(image);
    imu_array_free(mean);
    imu_array_free(logvar);
}

/* As check_ways. */
static void check_vae_ways(check *c, const char *name, imu_vae *v)
{
    static const imu_vae_args tiles = {.tiled = true, .tile_size = 64};
    static const imu_vae_args by_model = {.tiled = true}; /* the tiny VAE's own: 64 pixels too */
    static const imu_vae_args x = {.seamless_x = true};
    char file[96];
    snprintf(file, sizeof file, "%s/ways.safetensors", name);
    imu_safetensors *st = check_open(c, file);
    if (!st)
        return;
    check_decode(c, file, st, v, "decode_tiles", &tiles, 1e-5);
    check_decode(c, file, st, v, "decode_tiles", &by_model, 1e-5);
    check_decode(c, file, st, v, "decode_seamless_x", &x, 1e-5);
    check_encode(c, file, st, v, "encode_tiles", &tiles);
    imu_st_close(st);
}

void check_vae(check *c, const char *name)
{
    char file[96], path[4096];
    snprintf(file, sizeof file, "%s/vae.safetensors", name);
    imu_safetensors *st = check_open(c, file);
    imu_vae *v = NULL;
    imu_fault fault = {0};
    if (!st)
        return;
    if (imu_vae_open(c->backend, &(imu_net_place){.folder = check_model_path(c, name, "vae", path)},
                     &v, &fault)) {
        check_fail(c, file, "open", &fault);
        imu_st_close(st);
        return;
    }
    check_decode(c, file, st, v, "decode_noise", NULL, 1e-5);
    check_decode(c, file, st, v, "decode_img", NULL, 1e-5);
    check_decode(c, file, st, v, "decode_odd", NULL, 1e-5);
    check_encode(c, file, st, v, "encode_square", NULL);
    check_encode(c, file, st, v, "encode_rect", NULL);
    check_vae_ways(c, name, v);
    imu_vae_close(v);
    imu_st_close(st);
}
