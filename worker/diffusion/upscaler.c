/* Pictures enlarged by networks of the ESRGAN family, in tiles. */
#include "worker/diffusion/upscaler_shape.h"

#include "worker/diffusion/model.h"
#include "worker/diffusion/vae_tiles.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define LEAK     0.2f
#define RESIDUAL 0.2 /* share of a block in what leaves it */

enum {
    CONVOLUTIONS = 5, /* of a dense block */
    DENSE = 3,        /* dense blocks of a residual one */
    COLOURS = 3,
    OVERLAP = 16, /* pixels that tiles share */
    MIN_TILE = 64,
    MAX_EDGE = 16384
};

typedef struct dense_block {
    imu_conv conv[CONVOLUTIONS];
} dense_block;

struct imu_upscaler {
    imu_upscaler_shape shape;
    imu_safetensors *file;
    imu_net *net;
    imu_conv first, body, ups[IMU_MAX_UPS], last_but_one, last;
    dense_block *dense; /* [blocks][DENSE] */
    imu_conv *convs;    /* compact: [blocks] */
    imu_tensor **slopes;
};

/* ---- building ---- */

static imu_engine_status build_dense(imu_upscaler *u, int i, imu_fault *fault)
{
    bool old = u->shape.kind == IMU_UPSCALER_RRDB_OLD;
    int64_t width = u->shape.width, growth = u->shape.growth;
    imu_engine_status s = IMU_ENGINE_OK;
    for (int k = 0; k < CONVOLUTIONS && !s; k++) {
        char name[96];
        snprintf(name, sizeof name, old ? "model.1.sub.%d.RDB%d.conv%d.0" : "body.%d.rdb%d.conv%d",
                 i / DENSE, i % DENSE + 1, k + 1);
        s = imu_net_conv(u->net, name, width + k * growth, k + 1 < CONVOLUTIONS ? growth : width, 3,
                         &u->dense[i].conv[k], fault);
    }
    return s;
}

/* What stands around the blocks; `number` is that of the old names. */
static imu_engine_status build_outer(imu_upscaler *u, const char *name, int number, int64_t in,
                                     int64_t out, imu_conv *conv, imu_fault *fault)
{
    char old[32];
    snprintf(old, sizeof old, "model.%d", number);
    return imu_net_conv(u->net, u->shape.kind == IMU_UPSCALER_RRDB_OLD ? old : name, in, out, 3,
                        conv, fault);
}

static imu_engine_status build_rrdb(imu_upscaler *u, imu_fault *fault)
{
    const imu_upscaler_shape *p = &u->shape;
    bool old = p->kind == IMU_UPSCALER_RRDB_OLD;
    char body[32];
    snprintf(body, sizeof body, old ? "model.1.sub.%d" : "conv_body", p->blocks);
    u->dense = calloc((size_t)p->blocks * DENSE, sizeof *u->dense);
    imu_engine_status s =
        u->dense ? build_outer(u, "conv_first", 0, COLOURS * p->unshuffle * p->unshuffle, p->width,
                               &u->first, fault)
                 : imu_fail_memory(fault);
    for (int i = 0; i < p->blocks * DENSE && !s; i++)
        s = build_dense(u, i, fault);
    if (!s)
        s = imu_net_conv(u->net, body, p->width, p->width, 3, &u->body, fault);
    for (int i = 0; i < p->ups && !s; i++) {
        char name[32];
        snprintf(name, sizeof name, "conv_up%d", i + 1);
        s = build_outer(u, name, p->tail[i], p->width, p->width, &u->ups[i], fault);
    }
    if (!s)
        s = build_outer(u, "conv_hr", p->tail[p->ups], p->width, p->width, &u->last_but_one, fault);
    return s ? s
             : build_outer(u, "conv_last", p->tail[p->ups + 1], p->width, COLOURS, &u->last, fault);
}

static imu_engine_status build_compact(imu_upscaler *u, imu_fault *fault)
{
    const imu_upscaler_shape *p = &u->shape;
    imu_engine_status s = IMU_ENGINE_OK;
    u->convs = calloc((size_t)p->blocks, sizeof *u->convs);
    u->slopes = calloc((size_t)p->blocks, sizeof(imu_tensor *));
    if (!u->convs || !u->slopes)
        return imu_fail_memory(fault);
    for (int i = 0; i < p->blocks && !s; i++) {
        char name[32];
        bool last = i + 1 == p->blocks;
        snprintf(name, sizeof name, "body.%d", 2 * i);
        s = imu_net_conv(u->net, name, i ? p->width : COLOURS,
                         last ? COLOURS * p->scale * p->scale : p->width, 3, &u->convs[i], fault);
        snprintf(name, sizeof name, "body.%d", 2 * i + 1);
        if (!s && !last)
            s = imu_net_vector(u->net, name, p->width, &u->slopes[i], fault);
    }
    return s;
}

imu_engine_status imu_upscaler_open(imu_engine *engine, const char *path, imu_upscaler **out,
                                    imu_fault *fault)
{
    imu_upscaler *u = calloc(1, sizeof *u);
    if (!u)
        return imu_fail_memory(fault);
    imu_engine_status s = imu_st_open(path, &u->file, fault);
    if (!s)
        u->shape = imu_upscaler_shape_of(u->file);
    if (!s && !u->shape.kind)
        s = imu_fail(fault, IMU_ENGINE_BAD_MODEL, "The file holds no upscaler.");
    imu_net_place place = {.file = u->file, .naming = {.prefix = u->shape.prefix}};
    if (!s)
        s = imu_net_open(engine->backend, &place, &u->net, fault);
    if (!s)
        s = u->shape.kind == IMU_UPSCALER_COMPACT ? build_compact(u, fault) : build_rrdb(u, fault);
    if (s)
        imu_upscaler_close(u);
    else
        *out = u;
    return s;
}

void imu_upscaler_close(imu_upscaler *u)
{
    if (!u)
        return;
    imu_net_close(u->net);
    imu_st_close(u->file);
    free(u->dense);
    free(u->convs);
    free(u->slopes);
    free(u);
}

int imu_upscaler_scale(const imu_upscaler *u)
{
    return u->shape.scale;
}

/* ---- running ---- */

/* Takes x over. */
static imu_tensor *leaky_conv(imu_run *run, const imu_conv *c, imu_tensor *x)
{
    imu_tensor *y = imu_conv_run(run, c, x, IMU_F32);
    imu_drop(run, x);
    imu_op_leaky(run, y, NULL, LEAK);
    return y;
}

/* What a block adds to x, as a result of its own; `y` is taken over. */
static imu_tensor *add_to(imu_run *run, const imu_tensor *x, imu_tensor *y)
{
    if (y)
        imu_op_scale_channels(run, y, y->dim[3], RESIDUAL);
    imu_op_add(run, y, x);
    return y;
}

/* Every convolution sees what all before it made. */
static imu_tensor *run_dense(imu_run *run, const dense_block *d, const imu_tensor *x)
{
    imu_tensor *seen = NULL;
    for (int k = 0; k + 1 < CONVOLUTIONS; k++) {
        const imu_tensor *in = seen ? seen : x;
        imu_tensor *y = imu_conv_run(run, &d->conv[k], in, IMU_F32);
        imu_op_leaky(run, y, NULL, LEAK);
        imu_tensor *more = imu_op_concat(run, in, y);
        imu_drop(run, y);
        imu_drop(run, seen);
        seen = more;
        if (!more)
            return NULL;
    }
    imu_tensor *y = imu_conv_run(run, &d->conv[CONVOLUTIONS - 1], seen, IMU_F32);
    imu_drop(run, seen);
    return add_to(run, x, y);
}

static imu_tensor *run_rrdb(imu_run *run, const imu_upscaler *u, imu_tensor *picture)
{
    imu_tensor *first = imu_conv_run(run, &u->first, picture, IMU_F32), *x = first;
    for (int i = 0; i < u->shape.blocks && x; i++) {
        imu_tensor *y = run_dense(run, &u->dense[i * DENSE], x);
        for (int k = 1; k < DENSE; k++) {
            imu_tensor *z = y ? run_dense(run, &u->dense[i * DENSE + k], y) : NULL;
            imu_drop(run, y);
            y = z;
        }
        y = add_to(run, x, y);
        if (x != first)
            imu_drop(run, x);
        x = y;
    }
    imu_tensor *y = imu_conv_run(run, &u->body, x, IMU_F32);
    imu_op_add(run, y, first);
    for (int i = 0; i < u->shape.ups && y; i++) {
        imu_tensor *large = imu_op_upsample(run, y, 2 * y->dim[1], 2 * y->dim[2]);
        imu_drop(run, y);
        y = leaky_conv(run, &u->ups[i], large);
    }
    y = leaky_conv(run, &u->last_but_one, y);
    return imu_conv_run(run, &u->last, y, IMU_F32);
}

static imu_tensor *run_compact(imu_run *run, const imu_upscaler *u, imu_tensor *picture)
{
    imu_tensor *x = picture;
    for (int i = 0; i < u->shape.blocks; i++) {
        imu_tensor *y = imu_conv_run(run, &u->convs[i], x, IMU_F32);
        imu_drop(run, x);
        if (u->slopes[i])
            imu_op_leaky(run, y, u->slopes[i], 0);
        x = y;
    }
    return x;
}

typedef struct upscale_job {
    imu_upscaler *u;
    int (*cancelled)(void *user);
    void *user;
    imu_image *out;
} upscale_job;

/* [1, c, h, w] with `edge` by `edge` pixels of each in one: [1, c edge edge, h / edge, w / edge].
 */
static imu_array *unshuffled(const imu_array *a, int64_t edge)
{
    int64_t h = (a->dim[2] + edge - 1) / edge, w = (a->dim[3] + edge - 1) / edge;
    imu_array *out = imu_array_new(4, (int64_t[]){1, a->dim[1] * edge * edge, h, w});
    for (int64_t c = 0; out && c < out->dim[1]; c++)
        for (int64_t y = 0; y < h; y++)
            for (int64_t x = 0; x < w; x++) {
                /* Beyond the picture, its last row and column go on. */
                int64_t from_y = y * edge + c / edge % edge, from_x = x * edge + c % edge;
                from_y = from_y < a->dim[2] ? from_y : a->dim[2] - 1;
                from_x = from_x < a->dim[3] ? from_x : a->dim[3] - 1;
                out->data[(c * h + y) * w + x] =
                    a->data[(c / (edge * edge) * a->dim[2] + from_y) * a->dim[3] + from_x];
            }
    return out;
}

/* The compact network gives the pixels of a larger picture side by side, less that picture itself,
 * enlarged by repeating pixels. */
static void assemble(const imu_array *channels, const imu_array *small, int64_t scale,
                     imu_array *out)
{
    int64_t h = small->dim[2], w = small->dim[3];
    for (int64_t c = 0; c < COLOURS; c++)
        for (int64_t y = 0; y < h * scale; y++)
            for (int64_t x = 0; x < w * scale; x++) {
                int64_t from = (c * scale + y % scale) * scale + x % scale;
                out->data[(c * h * scale + y) * w * scale + x] =
                    channels->data[(from * h + y / scale) * w + x / scale] +
                    small->data[(c * h + y / scale) * w + x / scale];
            }
}

/* The first rows and columns of a. */
static void crop(const imu_array *a, imu_array *out)
{
    for (int64_t r = 0; r < out->dim[1] * out->dim[2]; r++)
        memcpy(out->data + r * out->dim[3],
               a->data + (r / out->dim[2] * a->dim[2] + r % out->dim[2]) * a->dim[3],
               (size_t)out->dim[3] * sizeof *out->data);
}

/* One tile, from 0 to 1. */
static imu_engine_status run_tile(void *user, const imu_array *tile, imu_array **to,
                                  imu_fault *fault)
{
    upscale_job *job = user;
    const imu_upscaler_shape *p = &job->u->shape;
    bool compact = p->kind == IMU_UPSCALER_COMPACT;
    imu_array *in = compact ? imu_array_clone(tile) : unshuffled(tile, p->unshuffle);
    int64_t grown = compact ? 1 : 1 << p->ups;
    imu_array *made =
        in ? imu_array_new(4, (int64_t[]){1, compact ? COLOURS * p->scale * p->scale : COLOURS,
                                          in->dim[2] * grown, in->dim[3] * grown})
           : NULL;
    imu_array *out =
        imu_array_new(4, (int64_t[]){1, COLOURS, tile->dim[2] * p->scale, tile->dim[3] * p->scale});
    imu_engine_status s = made && out ? IMU_ENGINE_OK : imu_fail_memory(fault);
    if (!s) {
        imu_run run;
        imu_run_begin(&run, imu_net_backend(job->u->net), job->cancelled, job->user);
        imu_tensor *x = imu_op_from_nchw(&run, in->dim, in->data);
        x = compact ? run_compact(&run, job->u, x) : run_rrdb(&run, job->u, x);
        imu_op_to_nchw(&run, x, made->data);
        s = imu_net_status(job->u->net, imu_run_end(&run), fault);
    }
    if (!s && compact)
        assemble(made, tile, p->scale, out);
    else if (!s)
        crop(made, out);
    imu_array_free(in);
    imu_array_free(made);
    if (s)
        imu_array_free(out);
    else
        *to = out;
    return s;
}

static uint8_t to_byte(float v)
{
    return (uint8_t)nearbyintf(255.0f * fminf(fmaxf(v, 0), 1));
}

static void put_tile(void *user, const imu_array *tile, int64_t y, int64_t x, int64_t h, int64_t w)
{
    imu_image *to = ((upscale_job *)user)->out;
    int64_t area = tile->dim[2] * tile->dim[3];
    for (int64_t i = 0; i < h; i++)
        for (int64_t k = 0; k < w; k++)
            for (int64_t c = 0; c < COLOURS; c++)
                to->rgb[((y + i) * to->width + x + k) * COLOURS + c] =
                    to_byte(tile->data[c * area + i * tile->dim[3] + k]);
}

imu_engine_status imu_upscale(imu_upscaler *u, const imu_image *image, const imu_vae_args *args,
                              imu_image **out, imu_fault *fault)
{
    int scale = u->shape.scale,
        longer = image->width > image->height ? image->width : image->height;
    int tile = args->tiled && args->tile_size > 0 ? args->tile_size : longer;
    if (longer > MAX_EDGE / scale)
        return imu_fail(fault, IMU_ENGINE_BAD_INPUT, "The enlarged picture would be too large.");
    if (tile < longer && tile < MIN_TILE)
        tile = MIN_TILE;
    tile += u->shape.unshuffle - 1;
    tile -= tile % u->shape.unshuffle;
    imu_array *in = imu_array_new(4, (int64_t[]){1, COLOURS, image->height, image->width});
    upscale_job job = {u, args->cancelled, args->user,
                       imu_image_new(image->width * scale, image->height * scale)};
    imu_engine_status s = in && job.out ? IMU_ENGINE_OK : imu_fail_memory(fault);
    imu_backend *b = imu_net_backend(u->net);
    b->residency.turn++;
    if (!s) {
        size_t area = (size_t)image->width * (size_t)image->height;
        for (size_t i = 0; i < area * COLOURS; i++)
            in->data[i % COLOURS * area + i / COLOURS] = (float)image->rgb[i] / 255;
        s = imu_run_tiles(&(imu_tiling){.in = tile,
                                        .in_overlap = OVERLAP,
                                        .out = (int64_t)tile * scale,
                                        .out_overlap = OVERLAP * scale,
                                        .run = run_tile,
                                        .put = put_tile,
                                        .user = &job},
                          in, fault);
        b->trim(b);
    }
    imu_array_free(in);
    if (s)
        imu_image_free(job.out);
    else
        *out = job.out;
    return s;
}
