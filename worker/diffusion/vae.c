#include "worker/diffusion/vae.h"

#include "worker/diffusion/blocks.h"
#include "worker/diffusion/json_file.h"
#include "worker/diffusion/vae_tiles.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define VAE_EPS 1e-6

enum { MAX_LEVELS = 8, MAX_LAYERS = 8, MAX_LATENT_EDGE = 2048 };
enum { MIN_TILE = 8 }; /* cells of latents: smaller tiles are mostly borders */

typedef struct vae_level {
    int layers;
    imu_resnet resnet[MAX_LAYERS + 1];
    imu_conv resample; /* resample.w NULL: the last level */
} vae_level;

typedef struct vae_mid {
    imu_resnet first, second;
    imu_norm norm;
    imu_attention attention; /* attention.heads 0: none */
} vae_mid;

typedef struct vae_half {
    imu_conv conv_in, conv_out;
    imu_norm norm_out;
    vae_mid mid;
    vae_level level[MAX_LEVELS];
} vae_half;

struct imu_vae {
    imu_net *net;
    int levels, layers, groups, latent, sample_size, channels[MAX_LEVELS];
    double scaling, shift;
    bool attends, has_encoder;
    vae_half encoder, decoder;
    imu_linear quant, post_quant; /* 1x1 convolutions; w NULL when the model has none */
};

static imu_engine_status check_types(const json_t *c, const char *key, const char *type,
                                     imu_fault *fault)
{
    const json_t *list = json_object_get(c, key);
    for (size_t i = 0; i < json_array_size(list); i++) {
        const char *name = json_string_value(json_array_get(list, i));
        if (!name || strcmp(name, type))
            return imu_fail(fault, IMU_ENGINE_UNSUPPORTED, "The VAE's %s must all be %s.", key,
                            type);
    }
    return IMU_ENGINE_OK;
}

static imu_engine_status read_config(imu_vae *v, const json_t *c, imu_fault *fault)
{
    size_t levels = json_array_size(json_object_get(c, "block_out_channels"));
    if (levels < 1 || levels > MAX_LEVELS)
        return imu_fail(fault, IMU_ENGINE_BAD_MODEL, "The VAE must have 1 to %d levels.",
                        MAX_LEVELS);
    int colours;
    v->levels = (int)levels;
    v->attends = imu_json_bool(c, "mid_block_add_attention", true);
    imu_engine_status s =
        imu_json_ints(c, "block_out_channels", 0, 1, 8192, v->levels, v->channels, fault);
    if (!s)
        s = imu_json_int(c, "layers_per_block", 1, 1, MAX_LAYERS, &v->layers, fault);
    if (!s)
        s = imu_json_int(c, "norm_num_groups", 32, 1, 1024, &v->groups, fault);
    if (!s)
        s = imu_json_int(c, "latent_channels", 4, 1, 64, &v->latent, fault);
    /* Pixels of the pictures it was made for; a tile's edge when nobody says. */
    if (!s)
        s = imu_json_int(c, "sample_size", 512, 1, 8192, &v->sample_size, fault);
    if (!s)
        s = imu_json_int(c, "in_channels", 3, 3, 3, &colours, fault);
    if (!s)
        s = imu_json_int(c, "out_channels", 3, 3, 3, &colours, fault);
    if (!s)
        s = imu_json_double(c, "scaling_factor", 0.18215, &v->scaling, fault);
    if (!s)
        s = imu_json_double(c, "shift_factor", 0, &v->shift, fault);
    if (!s && v->scaling <= 0)
        s = imu_fail(fault, IMU_ENGINE_BAD_MODEL, "The VAE's scaling_factor must be positive.");
    if (!s && v->sample_size < MIN_TILE << (v->levels - 1))
        v->sample_size = MIN_TILE << (v->levels - 1);
    if (!s)
        s = check_types(c, "down_block_types", "DownEncoderBlock2D", fault);
    if (!s)
        s = check_types(c, "up_block_types", "UpDecoderBlock2D", fault);
    if (!s && strcmp(imu_json_string(c, "act_fn", "silu"), "silu"))
        s = imu_fail(fault, IMU_ENGINE_UNSUPPORTED, "The VAE's act_fn must be silu.");
    return s;
}

static imu_engine_status build_mid(imu_vae *v, const char *half, vae_mid *m, imu_fault *fault)
{
    char name[96];
    int c = v->channels[v->levels - 1];
    snprintf(name, sizeof name, "%s.mid_block.resnets.0", half);
    imu_engine_status s =
        imu_resnet_build(v->net, name, c, c, 0, v->groups, VAE_EPS, &m->first, fault);
    snprintf(name, sizeof name, "%s.mid_block.resnets.1", half);
    if (!s)
        s = imu_resnet_build(v->net, name, c, c, 0, v->groups, VAE_EPS, &m->second, fault);
    if (s || !v->attends)
        return s;
    snprintf(name, sizeof name, "%s.mid_block.attentions.0.group_norm", half);
    s = imu_net_norm(v->net, name, c, &m->norm, fault);
    snprintf(name, sizeof name, "%s.mid_block.attentions.0", half);
    return s ? s : imu_attention_build(v->net, name, c, c, 1, &m->attention, fault);
}

static imu_engine_status build_level(imu_vae *v, const char *base, int layers, int in, int out,
                                     const char *resampler, vae_level *l, imu_fault *fault)
{
    char name[96];
    imu_engine_status s = IMU_ENGINE_OK;
    l->layers = layers;
    for (int k = 0; k < layers && !s; k++) {
        snprintf(name, sizeof name, "%s.resnets.%d", base, k);
        s = imu_resnet_build(v->net, name, k ? out : in, out, 0, v->groups, VAE_EPS, &l->resnet[k],
                             fault);
    }
    if (s || !resampler)
        return s;
    snprintf(name, sizeof name, "%s.%s.0.conv", base, resampler);
    return imu_net_conv(v->net, name, out, out, 3, &l->resample, fault);
}

static imu_engine_status build_decoder(imu_vae *v, imu_fault *fault)
{
    vae_half *d = &v->decoder;
    int top = v->levels - 1;
    imu_engine_status s =
        imu_net_conv(v->net, "decoder.conv_in", v->latent, v->channels[top], 3, &d->conv_in, fault);
    if (!s)
        s = build_mid(v, "decoder", &d->mid, fault);
    for (int i = 0; i < v->levels && !s; i++) {
        char base[48];
        int out = v->channels[top - i], in = i ? v->channels[top - i + 1] : out;
        snprintf(base, sizeof base, "decoder.up_blocks.%d", i);
        s = build_level(v, base, v->layers + 1, in, out, i < top ? "upsamplers" : NULL,
                        &d->level[i], fault);
    }
    if (!s)
        s = imu_net_norm(v->net, "decoder.conv_norm_out", v->channels[0], &d->norm_out, fault);
    if (!s)
        s = imu_net_conv(v->net, "decoder.conv_out", v->channels[0], 3, 3, &d->conv_out, fault);
    if (!s && imu_net_has(v->net, "post_quant_conv.weight"))
        s = imu_net_linear(v->net, "post_quant_conv", v->latent, v->latent, IMU_BIAS_REQUIRED,
                           &v->post_quant, fault);
    return s;
}

static imu_engine_status build_encoder(imu_vae *v, imu_fault *fault)
{
    vae_half *e = &v->encoder;
    int top = v->levels - 1;
    imu_engine_status s =
        imu_net_conv(v->net, "encoder.conv_in", 3, v->channels[0], 3, &e->conv_in, fault);
    for (int i = 0; i < v->levels && !s; i++) {
        char base[48];
        int out = v->channels[i], in = i ? v->channels[i - 1] : out;
        snprintf(base, sizeof base, "encoder.down_blocks.%d", i);
        s = build_level(v, base, v->layers, in, out, i < top ? "downsamplers" : NULL, &e->level[i],
                        fault);
    }
    if (!s)
        s = build_mid(v, "encoder", &e->mid, fault);
    if (!s)
        s = imu_net_norm(v->net, "encoder.conv_norm_out", v->channels[top], &e->norm_out, fault);
    if (!s)
        s = imu_net_conv(v->net, "encoder.conv_out", v->channels[top], 2 * v->latent, 3,
                         &e->conv_out, fault);
    if (!s && imu_net_has(v->net, "quant_conv.weight"))
        s = imu_net_linear(v->net, "quant_conv", 2 * v->latent, 2 * v->latent, IMU_BIAS_REQUIRED,
                           &v->quant, fault);
    return s;
}

imu_engine_status imu_vae_open(imu_backend *backend, const imu_net_place *place, imu_vae **out,
                               imu_fault *fault)
{
    json_t *config;
    imu_engine_status s = imu_net_config(place, &config, fault);
    if (s)
        return s;
    imu_vae *v = calloc(1, sizeof *v);
    s = v ? read_config(v, config, fault) : imu_fail_memory(fault);
    json_decref(config);
    for (int i = 0; !s && i < v->levels; i++)
        if (v->channels[i] % v->groups)
            s = imu_fail(fault, IMU_ENGINE_BAD_MODEL,
                         "The VAE's channels are no multiple of its norm groups.");
    if (!s)
        s = imu_net_open(backend, place, &v->net, fault);
    if (!s)
        s = build_decoder(v, fault);
    if (!s && imu_net_has(v->net, "encoder.conv_in.weight")) {
        v->has_encoder = true;
        s = build_encoder(v, fault);
    }
    if (s)
        imu_vae_close(v);
    else
        *out = v;
    return s;
}

void imu_vae_close(imu_vae *v)
{
    if (!v)
        return;
    imu_net_close(v->net);
    free(v);
}

imu_net *imu_vae_net(imu_vae *v)
{
    return v->net;
}

int imu_vae_scale(const imu_vae *v)
{
    return 1 << (v->levels - 1);
}

double imu_vae_scaling_factor(const imu_vae *v)
{
    return v->scaling;
}

/* Takes x over. */
static imu_tensor *run_resnet(imu_run *run, const imu_resnet *r, imu_tensor *x)
{
    imu_tensor *y = imu_resnet_run(run, r, x, NULL);
    imu_drop(run, x);
    return y;
}

/* Takes x over. */
static imu_tensor *run_mid(imu_run *run, const imu_vae *v, const vae_mid *m, imu_tensor *x)
{
    x = run_resnet(run, &m->first, x);
    if (v->attends && x) {
        int64_t h = x->dim[1], w = x->dim[2];
        imu_tensor *n = imu_op_group_norm(run, x, m->norm.gamma, m->norm.beta, v->groups, VAE_EPS,
                                          IMU_ACT_NONE);
        if (n) { /* pixels as tokens */
            n->ndim = x->ndim = 3;
            n->dim[1] = x->dim[1] = h * w;
            n->dim[2] = x->dim[2] = x->dim[3];
        }
        imu_attention_add(run, &m->attention, n, x);
        imu_drop(run, n);
        x->ndim = 4;
        x->dim[3] = x->dim[2];
        x->dim[1] = h;
        x->dim[2] = w;
    }
    return run_resnet(run, &m->second, x);
}

/* Takes x over. */
static imu_tensor *run_end(imu_run *run, const imu_vae *v, const vae_half *half, imu_tensor *x)
{
    imu_tensor *n = imu_op_group_norm(run, x, half->norm_out.gamma, half->norm_out.beta, v->groups,
                                      VAE_EPS, IMU_ACT_SILU);
    imu_drop(run, x);
    imu_tensor *y = imu_conv_run(run, &half->conv_out, n, IMU_F32);
    imu_drop(run, n);
    return y;
}

/* Takes x over. */
static imu_tensor *run_point(imu_run *run, const imu_linear *l, imu_tensor *x)
{
    if (!l->w)
        return x;
    imu_tensor *y = imu_linear_run(run, l, x, IMU_F32);
    imu_drop(run, x);
    return y;
}

static void run_decoder(imu_run *run, const imu_vae *v, const int64_t *dim, const float *latents,
                        float *image)
{
    const vae_half *d = &v->decoder;
    imu_tensor *z = run_point(run, &v->post_quant, imu_op_from_nchw(run, dim, latents));
    imu_tensor *x = imu_conv_run(run, &d->conv_in, z, IMU_F32);
    imu_drop(run, z);
    x = run_mid(run, v, &d->mid, x);
    for (int i = 0; i < v->levels; i++) {
        for (int k = 0; k < d->level[i].layers; k++)
            x = run_resnet(run, &d->level[i].resnet[k], x);
        if (d->level[i].resample.w && x) {
            imu_tensor *large = imu_op_upsample(run, x, 2 * x->dim[1], 2 * x->dim[2]);
            imu_drop(run, x);
            x = imu_conv_run(run, &d->level[i].resample, large, IMU_F32);
            imu_drop(run, large);
        }
    }
    imu_op_to_nchw(run, run_end(run, v, d, x), image);
}

static void run_encoder(imu_run *run, const imu_vae *v, const int64_t *dim, const float *image,
                        float *moments)
{
    const vae_half *e = &v->encoder;
    imu_tensor *in = imu_op_from_nchw(run, dim, image);
    imu_tensor *x = imu_conv_run(run, &e->conv_in, in, IMU_F32);
    imu_drop(run, in);
    for (int i = 0; i < v->levels; i++) {
        for (int k = 0; k < e->level[i].layers; k++)
            x = run_resnet(run, &e->level[i].resnet[k], x);
        const imu_conv *c = &e->level[i].resample;
        if (c->w) { /* padded below and to the right only */
            imu_tensor *y =
                imu_op_conv(run, c->w, c->out, 3, x, &(imu_conv_geometry){2, 0, 0, 1, 1}, IMU_F32);
            imu_drop(run, x);
            x = y;
        }
    }
    x = run_end(run, v, e, run_mid(run, v, &e->mid, x));
    imu_op_to_nchw(run, run_point(run, &v->quant, x), moments);
}

static const imu_vae_args plain = {.user = NULL};

/* A VAE at work. */
typedef struct vae_job {
    imu_vae *vae;
    const imu_vae_args *args;
    imu_array *whole; /* what tiles are laid into */
} vae_job;

static void put_piece(void *user, const imu_array *tile, int64_t y, int64_t x, int64_t h, int64_t w)
{
    imu_lay_tile(((vae_job *)user)->whole, tile, y, x, h, w);
}

/* How tiles of `in` lie, of which the network makes ones of `out`: a quarter overlaps. */
static imu_tiling tiles_of(vae_job *job, int64_t in, int64_t out)
{
    return (imu_tiling){.in = in,
                        .in_overlap = in / 4,
                        .out = out,
                        .out_overlap = out / 4,
                        .put = put_piece,
                        .user = job};
}

static imu_engine_status finish(imu_vae *v, imu_run *run, imu_fault *fault)
{
    imu_engine_status s = imu_net_status(v->net, imu_run_end(run), fault);
    run->backend->trim(run->backend); /* pictures need far more room than latents */
    return s;
}

static void begin(const vae_job *job, imu_run *run)
{
    imu_run_begin(run, imu_net_backend(job->vae->net), job->args->cancelled, job->args->user);
    if (job->args->full_precision)
        run->compute = IMU_F32;
}

/* Unscaled latents, or a tile of them, to pixels. */
static imu_engine_status decode_piece(void *user, const imu_array *z, imu_array **image,
                                      imu_fault *fault)
{
    vae_job *job = user;
    int scale = imu_vae_scale(job->vae);
    imu_run run;
    imu_array *out = imu_array_new(4, (int64_t[]){1, 3, z->dim[2] * scale, z->dim[3] * scale});
    if (!out)
        return imu_fail_memory(fault);
    begin(job, &run);
    run.wrap = imu_wrap_of(job->args->seamless_x, job->args->seamless_y);
    run_decoder(&run, job->vae, z->dim, z->data, out->data);
    imu_engine_status s = finish(job->vae, &run, fault);
    if (s)
        imu_array_free(out);
    else
        *image = out;
    return s;
}

/* Pixels, or a tile of them, to what the encoder gives: means and log variances. */
static imu_engine_status encode_piece(void *user, const imu_array *image, imu_array **moments,
                                      imu_fault *fault)
{
    vae_job *job = user;
    int scale = imu_vae_scale(job->vae);
    imu_run run;
    imu_array *out = imu_array_new(
        4, (int64_t[]){1, 2 * job->vae->latent, image->dim[2] / scale, image->dim[3] / scale});
    if (!out)
        return imu_fail_memory(fault);
    begin(job, &run);
    run_encoder(&run, job->vae, image->dim, image->data, out->data);
    imu_engine_status s = finish(job->vae, &run, fault);
    if (s)
        imu_array_free(out);
    else
        *moments = out;
    return s;
}

/* The edge of a tile in cells of latents; 0: all in one piece. What tiles at its edges is not cut:
 * a tile would meet itself. */
static int64_t tile_of(const imu_vae *v, const imu_vae_args *a, int64_t height, int64_t width)
{
    int64_t cells = (a->tile_size ? a->tile_size : v->sample_size) / imu_vae_scale(v);
    cells -= cells % 4; /* a quarter of it overlaps, in whole cells */
    bool seamless = a->seamless_x || a->seamless_y;
    return a->tiled && !seamless && (height > cells || width > cells) ? cells : 0;
}

static imu_engine_status check_tiles(const imu_vae *v, const imu_vae_args *a, imu_fault *fault)
{
    int least = MIN_TILE * imu_vae_scale(v);
    if (a->tiled && (a->tile_size < 0 || (a->tile_size > 0 && a->tile_size < least)))
        return imu_fail(fault, IMU_ENGINE_BAD_INPUT,
                        "Tiles must be at least %d pixels wide; 0 leaves their size to the model.",
                        least);
    return IMU_ENGINE_OK;
}

imu_engine_status imu_vae_decode(imu_vae *v, const imu_array *latents, const imu_vae_args *args,
                                 imu_array **image, imu_fault *fault)
{
    vae_job job = {v, args ? args : &plain, NULL};
    if (latents->ndim != 4 || latents->dim[0] != 1 || latents->dim[1] != v->latent ||
        latents->dim[2] > MAX_LATENT_EDGE || latents->dim[3] > MAX_LATENT_EDGE)
        return imu_fail(fault, IMU_ENGINE_BAD_INPUT,
                        "The latents don't have the shape this VAE decodes.");
    imu_engine_status s = check_tiles(v, job.args, fault);
    if (s)
        return s;
    int64_t scale = imu_vae_scale(v), h = latents->dim[2], w = latents->dim[3],
            cells = tile_of(v, job.args, h, w);
    imu_array *z = imu_array_clone(latents), *whole = NULL;
    if (!z)
        return imu_fail_memory(fault);
    for (int64_t i = 0, n = imu_array_count(z); i < n; i++)
        z->data[i] = (float)((double)z->data[i] / v->scaling + v->shift);
    if (!cells) {
        s = decode_piece(&job, z, &whole, fault);
    } else if (!(whole = imu_array_new(4, (int64_t[]){1, 3, h * scale, w * scale}))) {
        s = imu_fail_memory(fault);
    } else {
        imu_tiling t = tiles_of(&job, cells, cells * scale);
        t.run = decode_piece;
        job.whole = whole;
        s = imu_run_tiles(&t, z, fault);
    }
    imu_array_free(z);
    if (s)
        imu_array_free(whole);
    else
        *image = whole;
    return s;
}

/* The two halves of what the encoder gives. */
static imu_engine_status split(const imu_vae *v, const imu_array *moments, imu_array **mean,
                               imu_array **logvar, imu_fault *fault)
{
    int64_t dim[4] = {1, v->latent, moments->dim[2], moments->dim[3]};
    imu_array *m = imu_array_new(4, dim), *l = imu_array_new(4, dim);
    if (!m || !l) {
        imu_array_free(m);
        imu_array_free(l);
        return imu_fail_memory(fault);
    }
    int64_t n = imu_array_count(m);
    memcpy(m->data, moments->data, (size_t)n * sizeof *m->data);
    for (int64_t i = 0; i < n; i++)
        l->data[i] = fminf(fmaxf(moments->data[n + i], -30.0f), 20.0f);
    *mean = m;
    *logvar = l;
    return IMU_ENGINE_OK;
}

imu_engine_status imu_vae_encode(imu_vae *v, const imu_array *image, const imu_vae_args *args,
                                 imu_array **mean, imu_array **logvar, imu_fault *fault)
{
    vae_job job = {v, args ? args : &plain, NULL};
    int64_t scale = imu_vae_scale(v);
    if (!v->has_encoder)
        return imu_fail(fault, IMU_ENGINE_UNSUPPORTED, "This VAE has no encoder.");
    if (image->ndim != 4 || image->dim[0] != 1 || image->dim[1] != 3 || image->dim[2] % scale ||
        image->dim[3] % scale || image->dim[2] / scale > MAX_LATENT_EDGE ||
        image->dim[3] / scale > MAX_LATENT_EDGE)
        return imu_fail(fault, IMU_ENGINE_BAD_INPUT, "The picture's sides must be multiples of %d.",
                        (int)scale);
    imu_engine_status s = check_tiles(v, job.args, fault);
    if (s)
        return s;
    int64_t h = image->dim[2] / scale, w = image->dim[3] / scale,
            cells = tile_of(v, job.args, h, w);
    imu_array *moments = NULL;
    if (!cells) {
        s = encode_piece(&job, image, &moments, fault);
    } else if (!(moments = imu_array_new(4, (int64_t[]){1, 2 * v->latent, h, w}))) {
        s = imu_fail_memory(fault);
    } else {
        imu_tiling t = tiles_of(&job, cells * scale, cells);
        t.run = encode_piece;
        job.whole = moments;
        s = imu_run_tiles(&t, image, fault);
    }
    if (!s)
        s = split(v, moments, mean, logvar, fault);
    imu_array_free(moments);
    return s;
}
