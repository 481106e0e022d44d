#include "worker/diffusion/t2i.h"

#include "worker/diffusion/json_file.h"
#include "worker/diffusion/model.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { COLOURS = 3, MAX_RESNETS = 16, MAX_WIDTH = 8192, MAX_SCALE = 32, CELL = 8 };
enum { LIGHT_SHARE = 4 }; /* a light adapter's blocks work in a quarter of their channels */

typedef enum t2i_kind { FULL, FULL_XL, LIGHT } t2i_kind;

typedef struct t2i_block {
    bool halves;        /* makes the features half as large first */
    imu_linear in, out; /* w NULL: there is none */
    imu_conv first[MAX_RESNETS];
    imu_linear second[MAX_RESNETS]; /* of a full adapter */
    imu_conv last[MAX_RESNETS];     /* of a light one, in its place */
} t2i_block;

struct imu_t2i {
    imu_net *net;
    t2i_kind kind;
    int colours, scale; /* of the picture: channels, and pixels folded into one */
    int blocks, resnets;
    int channels[IMU_UNET_MAX_LEVELS + 1]; /* of each block */
    imu_conv conv_in;                      /* not of a light one */
    t2i_block block[IMU_UNET_MAX_LEVELS + 1];
};

/* ---- building ---- */

static imu_engine_status read_kind(const json_t *c, t2i_kind *kind, imu_fault *fault)
{
    static const char *const names[] = {"full_adapter", "full_adapter_xl", "light_adapter"};
    const char *type = imu_json_string(c, "adapter_type", names[FULL]);
    for (int i = FULL; i <= LIGHT; i++)
        if (!strcmp(type, names[i])) {
            *kind = (t2i_kind)i;
            return IMU_ENGINE_OK;
        }
    return imu_fail(fault, IMU_ENGINE_UNSUPPORTED, "The T2I adapter's type %.60s is unknown.",
                    type);
}

static imu_engine_status read_config(imu_t2i *t, const char *folder, imu_fault *fault)
{
    json_t *c;
    imu_engine_status s = imu_net_config(&(imu_net_place){.folder = folder}, &c, fault);
    if (s)
        return s;
    size_t count = json_array_size(json_object_get(c, "channels"));
    s = read_kind(c, &t->kind, fault);
    /* A light one has a block more than it names. */
    t->blocks = (int)count + (t->kind == LIGHT);
    if (!s && (count < 1 || count > IMU_UNET_MAX_LEVELS || (t->kind == FULL_XL && count != 4)))
        s = imu_fail(fault, IMU_ENGINE_BAD_MODEL,
                     "The T2I adapter's config.json names no usable number of channels.");
    if (!s)
        s = imu_json_ints(c, "channels", 0, LIGHT_SHARE, MAX_WIDTH, (int)count, t->channels, fault);
    if (!s)
        s = imu_json_int(c, "num_res_blocks", 2, 1, MAX_RESNETS, &t->resnets, fault);
    if (!s)
        s = imu_json_int(c, "downscale_factor", t->kind == FULL_XL ? 16 : CELL, 1, MAX_SCALE,
                         &t->scale, fault);
    if (!s)
        s = imu_json_int(c, "in_channels", COLOURS, 1, COLOURS, &t->colours, fault);
    if (!s && t->kind == LIGHT)
        t->channels[count] = t->channels[count - 1];
    json_decref(c);
    return s;
}

/* Whether block i halves: each but the first, of XL's adapter the third alone. */
static bool halves(const imu_t2i *t, int i)
{
    return t->kind == FULL_XL ? i == 2 : i > 0;
}

static imu_engine_status build_resnet(imu_t2i *t, int i, int k, int64_t width, imu_fault *fault)
{
    char name[96];
    t2i_block *b = &t->block[i];
    snprintf(name, sizeof name, "adapter.body.%d.resnets.%d.block1", i, k);
    imu_engine_status s = imu_net_conv(t->net, name, width, width, 3, &b->first[k], fault);
    snprintf(name, sizeof name, "adapter.body.%d.resnets.%d.block2", i, k);
    if (s)
        return s;
    return t->kind == LIGHT ? imu_net_conv(t->net, name, width, width, 3, &b->last[k], fault)
                            : imu_net_linear(t->net, name, width, width, IMU_BIAS_REQUIRED,
                                             &b->second[k], fault);
}

static imu_engine_status build_block(imu_t2i *t, int i, int64_t in, imu_fault *fault)
{
    char name[96];
    t2i_block *b = &t->block[i];
    int64_t out = t->channels[i], inner = t->kind == LIGHT ? out / LIGHT_SHARE : out;
    imu_engine_status s = IMU_ENGINE_OK;
    b->halves = halves(t, i);
    snprintf(name, sizeof name, "adapter.body.%d.in_conv", i);
    if (t->kind == LIGHT || in != out)
        s = imu_net_linear(t->net, name, in, inner, IMU_BIAS_REQUIRED, &b->in, fault);
    for (int k = 0; k < t->resnets && !s; k++)
        s = build_resnet(t, i, k, inner, fault);
    snprintf(name, sizeof name, "adapter.body.%d.out_conv", i);
    return s || t->kind != LIGHT
               ? s
               : imu_net_linear(t->net, name, inner, out, IMU_BIAS_REQUIRED, &b->out, fault);
}

static imu_engine_status build(imu_t2i *t, imu_fault *fault)
{
    int64_t in = (int64_t)t->colours * t->scale * t->scale;
    imu_engine_status s = IMU_ENGINE_OK;
    if (t->kind != LIGHT) {
        s = imu_net_conv(t->net, "adapter.conv_in", in, t->channels[0], 3, &t->conv_in, fault);
        in = t->channels[0];
    }
    for (int i = 0; i < t->blocks && !s; i++) {
        s = build_block(t, i, in, fault);
        in = t->channels[i];
    }
    return s;
}

imu_engine_status imu_t2i_build(imu_backend *backend, const char *folder, imu_t2i **out,
                                imu_fault *fault)
{
    imu_t2i *t = calloc(1, sizeof *t);
    if (!t)
        return imu_fail_memory(fault);
    imu_engine_status s = read_config(t, folder, fault);
    if (!s)
        s = imu_net_open(backend, &(imu_net_place){.folder = folder}, &t->net, fault);
    if (!s)
        s = build(t, fault);
    if (s)
        imu_t2i_close(t);
    else
        *out = t;
    return s;
}

imu_engine_status imu_t2i_open(imu_engine *engine, const char *folder, imu_t2i **out,
                               imu_fault *fault)
{
    return imu_t2i_build(engine->backend, folder, out, fault);
}

void imu_t2i_close(imu_t2i *t)
{
    if (!t)
        return;
    imu_net_close(t->net);
    free(t);
}

int64_t imu_t2i_pixels(const imu_t2i *t, int64_t cells)
{
    int64_t rest = cells * CELL % t->scale;
    return cells * CELL + (rest ? t->scale - rest : 0);
}

/* ---- running ---- */

/* Adds the mean of each two by two places of from [n, h, w, c] to the place in `to` that stands for
 * them; where the edge is odd, of those that are there. */
static void add_means(const int64_t dim[4], const float *from, float *to)
{
    int64_t h = dim[1], w = dim[2], c = dim[3], rows = (h + 1) / 2, columns = (w + 1) / 2;
    for (int64_t p = 0; p < dim[0] * h * w; p++) {
        int64_t n = p / (h * w), row = p / w % h, column = p % w;
        float share = (float)(((row | 1) < h ? 2 : 1) * ((column | 1) < w ? 2 : 1));
        float *at = to + ((n * rows + row / 2) * columns + column / 2) * c;
        for (int64_t i = 0; i < c; i++)
            at[i] += from[p * c + i] / share;
    }
}

/* Means of 2 by 2 pixels; at an odd edge, of what is there. On the host: this network runs once,
 * and no device needs an operation for it. Takes x over. */
static imu_tensor *halved(imu_run *run, imu_tensor *x)
{
    if (!x || imu_run_check(run))
        return NULL;
    int64_t dim[4] = {x->dim[0], (x->dim[1] + 1) / 2, (x->dim[2] + 1) / 2, x->dim[3]};
    float *from = calloc((size_t)imu_tensor_count(x), sizeof *from);
    float *to = calloc((size_t)(dim[0] * dim[1] * dim[2] * dim[3]), sizeof *to);
    imu_tensor *y = NULL;
    imu_run_fail(run,
                 from && to ? run->backend->download(run->backend, x, from) : IMU_TENSOR_NO_MEMORY);
    if (from && to && !run->status) {
        add_means(x->dim, from, to);
        y = imu_op_from(run, 4, dim, to);
    }
    free(from);
    free(to);
    imu_drop(run, x);
    return y;
}

/* x += the block of convolutions of x */
static void run_resnet(imu_run *run, const imu_t2i *t, const t2i_block *b, int k, imu_tensor *x)
{
    imu_tensor *h = imu_conv_run(run, &b->first[k], x, IMU_F32);
    if (h)
        imu_op_leaky(run, h, NULL, 0);
    imu_tensor *y = t->kind == LIGHT ? imu_conv_run(run, &b->last[k], h, IMU_F32)
                                     : imu_linear_run(run, &b->second[k], h, IMU_F32);
    imu_drop(run, h);
    imu_op_add(run, x, y);
    imu_drop(run, y);
}

/* Takes x over. */
static imu_tensor *run_block(imu_run *run, const imu_t2i *t, const t2i_block *b, imu_tensor *x)
{
    if (b->halves)
        x = halved(run, x);
    if (b->in.w) {
        imu_tensor *y = imu_linear_run(run, &b->in, x, IMU_F32);
        imu_drop(run, x);
        x = y;
    }
    for (int k = 0; k < t->resnets; k++)
        run_resnet(run, t, b, k, x);
    if (!b->out.w)
        return x;
    imu_tensor *y = imu_linear_run(run, &b->out, x, IMU_F32);
    imu_drop(run, x);
    return y;
}

static void keep(imu_run *run, const imu_tensor *x, imu_features *out)
{
    if (!x || run->status)
        return;
    memcpy(out->item[out->count].dim, x->dim, sizeof x->dim);
    float *data = malloc((size_t)imu_tensor_count(x) * sizeof *data);
    out->item[out->count++].data = data;
    imu_run_fail(run, data ? run->backend->download(run->backend, x, data) : IMU_TENSOR_NO_MEMORY);
}

/* [c, h, w] with scale by scale pixels of each in one. NULL without memory. */
static imu_array *folded(const imu_t2i *t, const float *picture, int64_t height, int64_t width)
{
    int64_t k = t->scale, h = height / k, w = width / k;
    imu_array *out = imu_array_new(4, (int64_t[]){1, t->colours * k * k, h, w});
    for (int64_t i = 0; out && i < imu_array_count(out); i++) {
        int64_t c = i / (h * w), y = i / w % h * k + c / k % k, x = i % w * k + c % k;
        out->data[i] = picture[(c / (k * k) * height + y) * width + x];
    }
    return out;
}

imu_engine_status imu_t2i_run(imu_t2i *t, const float *picture, int64_t height, int64_t width,
                              int (*cancelled)(void *user), void *user, imu_features *out,
                              imu_fault *fault)
{
    if (height < 1 || width < 1 || height % t->scale || width % t->scale)
        return imu_fail(fault, IMU_ENGINE_BAD_INPUT,
                        "The T2I adapter's picture has no multiple of %d pixels a side.", t->scale);
    imu_array *in = folded(t, picture, height, width);
    if (!in)
        return imu_fail_memory(fault);
    imu_run run;
    imu_run_begin(&run, imu_net_backend(t->net), cancelled, user);
    run.compute = IMU_F32; /* once a run, and every step hangs on it */
    imu_tensor *x = imu_op_from_nchw(&run, in->dim, in->data);
    imu_array_free(in);
    if (t->kind != LIGHT) {
        imu_tensor *y = imu_conv_run(&run, &t->conv_in, x, IMU_F32);
        imu_drop(&run, x);
        x = y;
    }
    for (int i = 0; i < t->blocks && !run.status; i++) {
        x = run_block(&run, t, &t->block[i], x);
        keep(&run, x, out);
    }
    return imu_net_status(t->net, imu_run_end(&run), fault);
}

/* ---- features ---- */

void imu_features_free(imu_features *f)
{
    for (int i = 0; i < f->count; i++)
        free(f->item[i].data);
    f->count = 0;
}

static bool has_shape(const int64_t dim[4], int64_t height, int64_t width, int64_t channels)
{
    return dim[1] == height && dim[2] == width && dim[3] == channels;
}

static void leave_out(imu_features *f, int from)
{
    for (int i = from; i < f->count; i++)
        free(f->item[i].data);
    f->count = f->count < from ? f->count : from;
}

bool imu_features_fit(imu_features *f, const imu_unet *u, int64_t height, int64_t width)
{
    if (f->count < u->levels)
        return false;
    for (int i = 0; i < u->levels; i++) {
        int64_t below_h = u->down[i].resamples ? (height + 1) / 2 : height,
                below_w = u->down[i].resamples ? (width + 1) / 2 : width;
        bool attends = u->down[i].attends;
        if (!has_shape(f->item[i].dim, attends ? height : below_h, attends ? width : below_w,
                       u->channels[i]))
            return false;
        height = below_h;
        width = below_w;
    }
    bool middle = f->count > u->levels &&
                  has_shape(f->item[u->levels].dim, height, width, u->channels[u->levels - 1]);
    leave_out(f, u->levels + middle);
    return true;
}

imu_engine_status imu_features_add(imu_features *sum, const imu_features *f, double weight,
                                   int64_t rows, imu_fault *fault)
{
    for (int i = 0; i < f->count; i++) {
        size_t each = (size_t)(f->item[i].dim[1] * f->item[i].dim[2] * f->item[i].dim[3]);
        if (i == sum->count) {
            memcpy(sum->item[i].dim, f->item[i].dim, sizeof f->item[i].dim);
            sum->item[i].dim[0] = rows;
            sum->item[i].data = calloc((size_t)rows * each, sizeof(float));
            sum->count++;
        }
        if (!sum->item[i].data)
            return imu_fail_memory(fault);
        for (size_t k = 0; k < (size_t)rows * each; k++)
            sum->item[i].data[k] += (float)weight * f->item[i].data[k % each];
    }
    return IMU_ENGINE_OK;
}
