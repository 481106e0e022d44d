#include "worker/diffusion/ip.h"

#include "worker/diffusion/model.h"

#include <limits.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define PROJECTION "image_proj."
#define EPS        1e-5

enum { MAX_ATTENTIONS = 1024, MAX_DEPTH = 64, HEAD = 64, MAX_WIDTH = 16384, MAX_TOKENS = 256 };

/* How the encoder's numbers become tokens. */
typedef enum ip_kind {
    LINEAR = 1, /* one product of the vector, cut into tokens */
    MLP,        /* two products of each hidden token */
    RESAMPLER   /* learned tokens that look at the hidden ones, layer by layer */
} ip_kind;

typedef struct ip_layer {
    imu_norm norm_hidden, norm_own, norm_ff;
    imu_linear q, kv, o, up, down; /* kv: keys and values in one product */
} ip_layer;

struct imu_ip {
    imu_safetensors *file;
    imu_net *net;
    ip_kind kind;
    int64_t in, width, inner, dim; /* of what comes in, a token, attentions, the resampler */
    int64_t tokens;                /* MLP: 0, as many as come in */
    int depth, attentions;
    imu_linear first, second;
    imu_norm norm;
    ip_layer *layer;
    imu_linear *k, *v; /* of each attention of the UNet */
    int64_t *widths;
};

/* ---- shapes ---- */

/* A dimension of a tensor of the file; 0 when there is none. */
static int64_t dim_of(const imu_ip *ip, int which, const char *format, ...)
    __attribute__((format(printf, 3, 4)));
static int64_t dim_of(const imu_ip *ip, int which, const char *format, ...)
{
    char name[128];
    va_list ap;
    va_start(ap, format);
    vsnprintf(name, sizeof name, format, ap);
    va_end(ap);
    const imu_st_entry *e = imu_st_find(ip->file, name);
    return e && which < e->ndim ? e->dim[which] : 0;
}

static imu_engine_status read_shape(imu_ip *ip, imu_fault *fault)
{
    ip->width = dim_of(ip, 1, "ip_adapter.1.to_k_ip.weight");
    while (ip->attentions < MAX_ATTENTIONS &&
           dim_of(ip, 0, "ip_adapter.%d.to_k_ip.weight", 2 * ip->attentions + 1))
        ip->attentions++;
    if (dim_of(ip, 0, PROJECTION "proj.weight")) {
        ip->kind = LINEAR;
        ip->in = dim_of(ip, 1, PROJECTION "proj.weight");
        ip->tokens = ip->width ? dim_of(ip, 0, PROJECTION "proj.weight") / ip->width : 0;
    } else if (dim_of(ip, 0, PROJECTION "proj.0.weight")) {
        ip->kind = MLP;
        ip->in = dim_of(ip, 1, PROJECTION "proj.0.weight");
        ip->tokens = 1;
    } else {
        ip->kind = RESAMPLER;
        ip->in = dim_of(ip, 1, PROJECTION "proj_in.weight");
        ip->dim = dim_of(ip, 0, PROJECTION "proj_in.weight");
        ip->inner = dim_of(ip, 0, PROJECTION "layers.0.0.to_q.weight");
        ip->tokens = dim_of(ip, 1, PROJECTION "latents");
        while (ip->depth < MAX_DEPTH &&
               dim_of(ip, 0, PROJECTION "layers.%d.0.to_q.weight", ip->depth))
            ip->depth++;
    }
    bool good = ip->width > 0 && ip->width <= MAX_WIDTH && ip->attentions > 0 && ip->in > 0 &&
                ip->in <= MAX_WIDTH && ip->tokens > 0 && ip->tokens <= MAX_TOKENS;
    if (ip->kind == RESAMPLER)
        good = good && ip->dim > 0 && ip->dim <= MAX_WIDTH && ip->depth > 0 && ip->inner >= HEAD &&
               ip->inner <= MAX_WIDTH && ip->inner % HEAD == 0;
    return good ? IMU_ENGINE_OK
                : imu_fail(fault, IMU_ENGINE_BAD_MODEL,
                           "The file holds no IP adapter of a kind that is known here.");
}

/* ---- building ---- */

static imu_engine_status build_attentions(imu_ip *ip, imu_fault *fault)
{
    size_t n = (size_t)ip->attentions;
    imu_engine_status s = IMU_ENGINE_OK;
    ip->k = calloc(n, sizeof *ip->k);
    ip->v = calloc(n, sizeof *ip->v);
    ip->widths = calloc(n, sizeof *ip->widths);
    if (!ip->k || !ip->v || !ip->widths)
        return imu_fail_memory(fault);
    for (int i = 0; i < ip->attentions && !s; i++) {
        char name[64];
        ip->widths[i] = dim_of(ip, 0, "ip_adapter.%d.to_k_ip.weight", 2 * i + 1);
        snprintf(name, sizeof name, "ip_adapter.%d.to_k_ip", 2 * i + 1);
        s = imu_net_linear(ip->net, name, ip->width, ip->widths[i], IMU_BIAS_OPTIONAL, &ip->k[i],
                           fault);
        snprintf(name, sizeof name, "ip_adapter.%d.to_v_ip", 2 * i + 1);
        /* Without a bias, so that tokens times a weight are values times it. */
        if (!s)
            s = imu_net_linear(ip->net, name, ip->width, ip->widths[i], IMU_BIAS_NONE, &ip->v[i],
                               fault);
    }
    return s;
}

static imu_engine_status build_layer(imu_ip *ip, int i, ip_layer *l, imu_fault *fault)
{
    char name[96];
    const struct {
        const char *part;
        int64_t in, out;
        imu_linear *linear;
    } linear[] = {{"0.to_q", ip->dim, ip->inner, &l->q},
                  {"0.to_kv", ip->dim, 2 * ip->inner, &l->kv},
                  {"0.to_out", ip->inner, ip->dim, &l->o},
                  {"1.1", ip->dim, 4 * ip->dim, &l->up},
                  {"1.3", 4 * ip->dim, ip->dim, &l->down}};
    const struct {
        const char *part;
        imu_norm *norm;
    } norm[] = {{"0.norm1", &l->norm_hidden}, {"0.norm2", &l->norm_own}, {"1.0", &l->norm_ff}};
    imu_engine_status s = IMU_ENGINE_OK;
    for (size_t k = 0; k < sizeof linear / sizeof *linear && !s; k++) {
        snprintf(name, sizeof name, PROJECTION "layers.%d.%s", i, linear[k].part);
        s = imu_net_linear(ip->net, name, linear[k].in, linear[k].out, IMU_BIAS_NONE,
                           linear[k].linear, fault);
    }
    for (size_t k = 0; k < sizeof norm / sizeof *norm && !s; k++) {
        snprintf(name, sizeof name, PROJECTION "layers.%d.%s", i, norm[k].part);
        s = imu_net_norm(ip->net, name, ip->dim, norm[k].norm, fault);
    }
    return s;
}

static imu_engine_status build_resampler(imu_ip *ip, imu_fault *fault)
{
    imu_engine_status s = imu_net_linear(ip->net, PROJECTION "proj_in", ip->in, ip->dim,
                                         IMU_BIAS_REQUIRED, &ip->first, fault);
    if (!s)
        s = imu_net_linear(ip->net, PROJECTION "proj_out", ip->dim, ip->width, IMU_BIAS_REQUIRED,
                           &ip->second, fault);
    if (!s)
        s = imu_net_norm(ip->net, PROJECTION "norm_out", ip->width, &ip->norm, fault);
    ip->layer = calloc((size_t)ip->depth, sizeof *ip->layer);
    if (!s && !ip->layer)
        s = imu_fail_memory(fault);
    for (int i = 0; i < ip->depth && !s; i++)
        s = build_layer(ip, i, &ip->layer[i], fault);
    return s;
}

static imu_engine_status build_projection(imu_ip *ip, imu_fault *fault)
{
    imu_engine_status s;
    switch (ip->kind) {
    case LINEAR:
        s = imu_net_linear(ip->net, PROJECTION "proj", ip->in, ip->tokens * ip->width,
                           IMU_BIAS_REQUIRED, &ip->first, fault);
        return s ? s : imu_net_norm(ip->net, PROJECTION "norm", ip->width, &ip->norm, fault);
    case MLP:
        s = imu_net_linear(ip->net, PROJECTION "proj.0", ip->in, ip->in, IMU_BIAS_REQUIRED,
                           &ip->first, fault);
        if (!s)
            s = imu_net_linear(ip->net, PROJECTION "proj.2", ip->in, ip->width, IMU_BIAS_REQUIRED,
                               &ip->second, fault);
        return s ? s : imu_net_norm(ip->net, PROJECTION "proj.3", ip->width, &ip->norm, fault);
    default:
        return build_resampler(ip, fault);
    }
}

imu_engine_status imu_ip_build(imu_backend *backend, const char *path, imu_ip **out,
                               imu_fault *fault)
{
    imu_ip *ip = calloc(1, sizeof *ip);
    if (!ip)
        return imu_fail_memory(fault);
    imu_engine_status s = imu_st_open(path, &ip->file, fault);
    if (!s)
        s = read_shape(ip, fault);
    if (!s)
        s = imu_net_open(backend, &(imu_net_place){.file = ip->file}, &ip->net, fault);
    if (!s)
        s = build_projection(ip, fault);
    if (!s)
        s = build_attentions(ip, fault);
    if (s)
        imu_ip_close(ip);
    else
        *out = ip;
    return s;
}

imu_engine_status imu_ip_open(imu_engine *engine, const char *path, imu_ip **out, imu_fault *fault)
{
    char inner[PATH_MAX];
    if (imu_is_weights_file(path))
        return imu_ip_build(engine->backend, path, out, fault);
    int n = snprintf(inner, sizeof inner, "%s/" IMU_IP_WEIGHTS, path);
    return n > 0 && n < (int)sizeof inner
               ? imu_ip_build(engine->backend, inner, out, fault)
               : imu_fail(fault, IMU_ENGINE_BAD_MODEL, "The model's path is too long.");
}

void imu_ip_close(imu_ip *ip)
{
    if (!ip)
        return;
    imu_net_close(ip->net);
    imu_st_close(ip->file);
    free(ip->layer);
    free(ip->k);
    free(ip->v);
    free(ip->widths);
    free(ip);
}

bool imu_ip_fits(const imu_ip *ip, const imu_unet *u)
{
    bool same = ip->attentions == u->crossing_count && ip->width == u->info.context_width;
    for (int i = 0; i < ip->attentions && same; i++)
        same = ip->widths[i] == u->crossing[i].width;
    return same;
}

bool imu_ip_takes(const imu_ip *ip, const char *vision_folder)
{
    imu_vision_info info;
    return !imu_vision_describe(vision_folder, &info, NULL) &&
           ip->in == (ip->kind == LINEAR ? info.projection : info.width);
}

int64_t imu_ip_width(const imu_ip *ip)
{
    return ip->width;
}

/* ---- pictures to tokens ---- */

/* Rows of two tensors, one below the other: [1, a + b, width]. On the host: once a run. */
static imu_tensor *stacked(imu_run *run, const imu_tensor *a, const imu_tensor *b)
{
    if (!a || !b || run->status)
        return NULL;
    int64_t dim[3] = {1, a->dim[1] + b->dim[1], a->dim[2]};
    float *rows = malloc((size_t)(dim[1] * dim[2]) * sizeof *rows);
    imu_tensor *y = NULL;
    if (!rows) {
        imu_run_fail(run, IMU_TENSOR_NO_MEMORY);
        return NULL;
    }
    imu_run_fail(run, run->backend->download(run->backend, a, rows));
    if (!run->status)
        imu_run_fail(run, run->backend->download(run->backend, b, rows + imu_tensor_count(a)));
    if (!run->status)
        y = imu_op_from(run, 3, dim, rows);
    free(rows);
    return y;
}

/* The half of what a product of keys and values side by side gives. */
static imu_tensor *half_of(imu_run *run, const imu_tensor *both, int which)
{
    if (!both || run->status)
        return NULL;
    int64_t rows = both->dim[1], width = both->dim[2] / 2;
    float *all = malloc((size_t)imu_tensor_count(both) * sizeof *all);
    imu_tensor *y = NULL;
    if (!all) {
        imu_run_fail(run, IMU_TENSOR_NO_MEMORY);
        return NULL;
    }
    imu_run_fail(run, run->backend->download(run->backend, both, all));
    for (int64_t r = 0; r < rows; r++)
        memmove(all + r * width, all + (2 * r + which) * width, (size_t)width * sizeof *all);
    if (!run->status)
        y = imu_op_from(run, 3, (int64_t[]){1, rows, width}, all);
    free(all);
    return y;
}

/* x += layer(x), which looks at the hidden tokens and at itself */
static void run_layer(imu_run *run, const imu_ip *ip, const ip_layer *l, const imu_tensor *hidden,
                      imu_tensor *x)
{
    imu_tensor *h =
        imu_op_layer_norm(run, hidden, l->norm_hidden.gamma, l->norm_hidden.beta, EPS, IMU_F32);
    imu_tensor *own = imu_op_layer_norm(run, x, l->norm_own.gamma, l->norm_own.beta, EPS, IMU_F32);
    imu_tensor *seen = stacked(run, h, own), *q = imu_linear_run(run, &l->q, own, IMU_F32);
    imu_tensor *both = imu_linear_run(run, &l->kv, seen, IMU_F32);
    imu_tensor *k = half_of(run, both, 0), *v = half_of(run, both, 1);
    imu_op_linear_add(run, l->o.w,
                      imu_op_attention(run, q, k, v, (int)(ip->inner / HEAD), false, NULL), x);
    imu_tensor *n = imu_op_layer_norm(run, x, l->norm_ff.gamma, l->norm_ff.beta, EPS, IMU_F32);
    imu_op_linear_add(run, l->down.w,
                      imu_op_activate(run, imu_linear_run(run, &l->up, n, IMU_F32), IMU_ACT_GELU),
                      x);
}

/* Hidden tokens [1, n, in] to tokens of the resampler. */
static imu_tensor *resample(imu_run *run, imu_ip *ip, const float *latents, const imu_tensor *in)
{
    imu_tensor *hidden = imu_linear_run(run, &ip->first, in, IMU_F32);
    imu_tensor *x = imu_op_from(run, 3, (int64_t[]){1, ip->tokens, ip->dim}, latents);
    for (int i = 0; i < ip->depth; i++)
        run_layer(run, ip, &ip->layer[i], hidden, x);
    return imu_linear_run(run, &ip->second, x, IMU_F32);
}

/* The encoder's numbers [rows, in] to tokens [tokens, width]. */
static imu_engine_status project(imu_ip *ip, const float *numbers, int64_t rows, float *out,
                                 int (*cancelled)(void *user), void *user, imu_fault *fault)
{
    int64_t learned[3] = {1, ip->tokens, ip->dim};
    float *latents = NULL;
    if (ip->kind == RESAMPLER) {
        latents = malloc((size_t)(ip->tokens * ip->dim) * sizeof *latents);
        imu_engine_status s =
            latents ? imu_net_values(ip->net, PROJECTION "latents", 3, learned, latents, fault)
                    : imu_fail_memory(fault);
        if (s) {
            free(latents);
            return s;
        }
    }
    imu_run run;
    imu_run_begin(&run, imu_net_backend(ip->net), cancelled, user);
    run.compute = IMU_F32; /* once a run, and every step hangs on it */
    imu_tensor *in = imu_op_from(&run, 3, (int64_t[]){1, rows, ip->in}, numbers), *x;
    if (ip->kind == RESAMPLER) {
        x = resample(&run, ip, latents, in);
    } else {
        x = imu_linear_run(&run, &ip->first, in, IMU_F32);
        if (ip->kind == MLP)
            x = imu_linear_run(&run, &ip->second, imu_op_activate(&run, x, IMU_ACT_GELU), IMU_F32);
    }
    if (x && ip->kind == LINEAR) { /* one long row is the tokens behind each other */
        x->dim[1] = ip->tokens;
        x->dim[2] = ip->width;
    }
    imu_tensor *y = imu_op_layer_norm(&run, x, ip->norm.gamma, ip->norm.beta, EPS, IMU_F32);
    if (y && !run.status)
        imu_run_fail(&run, run.backend->download(run.backend, y, out));
    imu_engine_status s = imu_net_status(ip->net, imu_run_end(&run), fault);
    free(latents);
    return s;
}

/* Tokens of one picture in the encoder's scale; NULL: of nothing. */
static imu_engine_status encode_one(imu_ip *ip, imu_vision *v, const float *pixels, float *out,
                                    int (*cancelled)(void *user), void *user, imu_fault *fault)
{
    const imu_vision_info *info = imu_vision_get_info(v);
    bool whole = ip->kind == LINEAR;
    int64_t rows = whole ? 1 : info->tokens;
    float *numbers = calloc((size_t)(rows * ip->in), sizeof *numbers);
    float *nothing = calloc(3 * (size_t)info->edge * (size_t)info->edge, sizeof *nothing);
    imu_engine_status s = numbers && nothing ? IMU_ENGINE_OK : imu_fail_memory(fault);
    if (!s && (pixels || !whole)) /* of nothing: zeros in place of the vector, or of the picture */
        s = imu_vision_run(v, pixels ? pixels : nothing, whole ? NULL : numbers,
                           whole ? numbers : NULL, cancelled, user, fault);
    if (!s)
        s = project(ip, numbers, rows, out, cancelled, user, fault);
    free(numbers);
    free(nothing);
    return s;
}

imu_engine_status imu_ip_encode(imu_ip *ip, imu_vision *v, const imu_image *const *images,
                                int count, int (*cancelled)(void *user), void *user,
                                imu_array **out, imu_fault *fault)
{
    const imu_vision_info *info = imu_vision_get_info(v);
    if (ip->in != (ip->kind == LINEAR ? info->projection : info->width))
        return imu_fail(fault, IMU_ENGINE_BAD_INPUT,
                        "The IP adapter was made for another encoder of pictures.");
    int64_t each = ip->kind == MLP ? info->tokens : ip->tokens;
    imu_array *made = count > 0 ? imu_array_new(3, (int64_t[]){2, count * each, ip->width}) : NULL;
    float *pixels = malloc((size_t)(3 * info->edge * info->edge) * sizeof *pixels);
    imu_engine_status s = made && pixels ? IMU_ENGINE_OK : imu_fail_memory(fault);
    size_t one = (size_t)(each * ip->width);
    imu_net_backend(ip->net)->residency.turn++;
    for (int i = 0; i < count && !s; i++) {
        float *nothing = made->data + (size_t)i * one, *to = nothing + (size_t)count * one;
        if (images[i]->width != info->edge || images[i]->height != info->edge)
            s = imu_fail(fault, IMU_ENGINE_BAD_INPUT,
                         "The IP adapter's picture has another size than its encoder takes.");
        if (!s && !i)
            s = encode_one(ip, v, NULL, nothing, cancelled, user, fault);
        else if (!s)
            memcpy(nothing, made->data, one * sizeof *nothing);
        if (!s)
            imu_vision_scale(images[i], pixels);
        if (!s)
            s = encode_one(ip, v, pixels, to, cancelled, user, fault);
    }
    free(pixels);
    if (s)
        imu_array_free(made);
    else
        *out = made;
    return s;
}

/* ---- in the UNet ---- */

/* Values on the device, each times `weight`. */
static imu_tensor *sent(imu_run *run, const imu_ip_call *c, const float *from, int64_t rows,
                        double weight)
{
    int64_t dim[3] = {rows, c->tokens, c->ip->width};
    size_t n = (size_t)(dim[0] * dim[1] * dim[2]);
    float *scaled = malloc(n * sizeof *scaled);
    if (!scaled) {
        imu_run_fail(run, IMU_TENSOR_NO_MEMORY);
        return NULL;
    }
    for (size_t i = 0; i < n; i++)
        scaled[i] = (float)(weight * (double)from[i]);
    imu_tensor *x = imu_op_from(run, 3, dim, scaled);
    free(scaled);
    return x;
}

/* A mask for each row of the features of a level. */
static imu_tensor *sent_mask(imu_run *run, const float *mask, int64_t rows, int64_t area)
{
    float *all = malloc((size_t)(rows * area) * sizeof *all);
    if (!all) {
        imu_run_fail(run, IMU_TENSOR_NO_MEMORY);
        return NULL;
    }
    for (int64_t r = 0; r < rows; r++)
        memcpy(all + r * area, mask, (size_t)area * sizeof *all);
    imu_tensor *x = imu_op_from(run, 2, (int64_t[]){rows, area}, all);
    free(all);
    return x;
}

static void begin_call(imu_run *run, const imu_ip_call *c, const imu_unet *u,
                       const imu_unet_request *r, imu_ip_tokens_there *there)
{
    const float *from[2] = {c->values, c->averse};
    int64_t height = r->height, width = r->width;
    for (int k = 0; k < 2 && from[k]; k++) {
        there->keys[k] = sent(run, c, from[k], r->batch, 1);
        there->values[k] = sent(run, c, from[k], r->batch, c->weight);
    }
    for (int i = 0; i < u->levels && c->mask; i++) {
        there->mask[i] = sent_mask(run, c->mask[i], r->batch, height * width);
        height = (height + 1) / 2;
        width = (width + 1) / 2;
    }
}

int imu_ip_begin(imu_run *run, const imu_unet *u, const imu_unet_request *r, imu_ip_state *state)
{
    const imu_ip_calls *calls = r->ips;
    *state = (imu_ip_state){.calls = calls, .crossing = u->crossing};
    if (!calls || !calls->count)
        return 0;
    state->there = calloc((size_t)calls->count, sizeof *state->there);
    if (!state->there) {
        imu_run_fail(run, IMU_TENSOR_NO_MEMORY);
        return -1;
    }
    for (int i = 0; i < calls->count; i++)
        begin_call(run, &calls->call[i], u, r, &state->there[i]);
    return 0;
}

void imu_ip_add(imu_run *run, const imu_ip_state *state, int number, const imu_tensor *q, int heads,
                imu_tensor *mixed)
{
    for (int i = 0; state && state->there && i < state->calls->count; i++) {
        const imu_ip_call *c = &state->calls->call[i];
        int how = c->where[number];
        if (how == IMU_IP_OFF)
            continue;
        imu_tensor *keys = state->there[i].keys[how == IMU_IP_AVERSE],
                   *values = state->there[i].values[how == IMU_IP_AVERSE];
        imu_tensor *k = imu_linear_run(run, &c->ip->k[number], keys, run->compute);
        imu_tensor *v = imu_linear_run(run, &c->ip->v[number], values, run->compute);
        imu_tensor *found = imu_op_attention(run, q, k, v, heads, false, NULL);
        imu_drop(run, k);
        imu_drop(run, v);
        imu_op_scale_rows(run, found, state->there[i].mask[state->crossing[number].level]);
        imu_op_add(run, mixed, found);
        imu_drop(run, found);
    }
}
