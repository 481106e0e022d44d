#include "worker/diffusion/text_encoder.h"

#include "worker/diffusion/clip_layer.h"
#include "worker/diffusion/json_file.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define TOKENS     "text_model.embeddings.token_embedding.weight"
#define POSITIONS  "text_model.embeddings.position_embedding.weight"
#define MAX_CHUNKS 64

struct imu_text_encoder {
    imu_net *net;
    imu_clip_shape shape;
    int length, vocab, projection;
    imu_clip_layer *layer;
    imu_norm final_norm;
    imu_linear project;
};

static imu_engine_status read_config(imu_text_encoder *e, const imu_net_place *place,
                                     imu_fault *fault)
{
    json_t *c;
    imu_engine_status s = imu_net_config(place, &c, fault);
    if (s)
        return s;
    s = imu_clip_shape_read(c, "text encoder", &e->shape, fault);
    if (!s)
        s = imu_json_int(c, "max_position_embeddings", 77, 4, 1024, &e->length, fault);
    if (!s)
        s = imu_json_int(c, "vocab_size", 49408, 4, 1000000, &e->vocab, fault);
    if (!s)
        s = imu_json_int(c, "projection_dim", 512, 1, 8192, &e->projection, fault);
    json_decref(c);
    return s;
}

static imu_engine_status build(imu_text_encoder *e, imu_backend *backend,
                               const imu_net_place *place, imu_fault *fault)
{
    imu_engine_status s = read_config(e, place, fault);
    if (!s)
        s = imu_net_open(backend, place, &e->net, fault);
    if (!s)
        s = imu_clip_layers_build(e->net, "text_model.encoder.layers", &e->shape, &e->layer, fault);
    if (!s)
        s = imu_net_norm(e->net, "text_model.final_layer_norm", e->shape.width, &e->final_norm,
                         fault);
    if (s)
        return s;
    if (!imu_net_has(e->net, "text_projection.weight")) {
        e->projection = 0;
        return IMU_ENGINE_OK;
    }
    return imu_net_linear(e->net, "text_projection", e->shape.width, e->projection, IMU_BIAS_NONE,
                          &e->project, fault);
}

imu_engine_status imu_text_encoder_open(imu_backend *backend, const imu_net_place *place,
                                        imu_text_encoder **out, imu_fault *fault)
{
    imu_text_encoder *e = calloc(1, sizeof *e);
    if (!e)
        return imu_fail_memory(fault);
    imu_engine_status s = build(e, backend, place, fault);
    if (s)
        imu_text_encoder_close(e);
    else
        *out = e;
    return s;
}

void imu_text_encoder_close(imu_text_encoder *e)
{
    if (!e)
        return;
    imu_net_close(e->net);
    free(e->layer);
    free(e);
}

imu_net *imu_text_encoder_net(imu_text_encoder *e)
{
    return e->net;
}

int imu_text_encoder_width(const imu_text_encoder *e)
{
    return e->shape.width;
}

int imu_text_encoder_length(const imu_text_encoder *e)
{
    return e->length;
}

int imu_text_encoder_layers(const imu_text_encoder *e)
{
    return e->shape.layers;
}

int imu_text_encoder_projection(const imu_text_encoder *e)
{
    return e->projection;
}

/* Token plus position embedding of every id into `out`. */
static imu_engine_status embed(imu_text_encoder *e, const imu_text_request *r, float *out,
                               imu_fault *fault)
{
    size_t width = (size_t)e->shape.width;
    float *position = malloc(width * sizeof *position);
    imu_engine_status s = position ? IMU_ENGINE_OK : imu_fail_memory(fault);
    for (int p = 0; p < e->length && !s; p++) {
        s = imu_net_row(e->net, POSITIONS, p, e->shape.width, position, fault);
        for (int n = 0; n < r->count && !s; n++) {
            float *row = out + ((size_t)n * (size_t)e->length + (size_t)p) * width;
            int id = r->ids[n * e->length + p];
            if (id >= IMU_LEARNED_ID)
                memcpy(row, r->learned + (size_t)(id - IMU_LEARNED_ID) * width,
                       width * sizeof *row);
            else
                s = imu_net_row(e->net, TOKENS, id, e->shape.width, row, fault);
            for (size_t i = 0; i < width && !s; i++)
                row[i] += position[i];
        }
    }
    free(position);
    return s;
}

/* Where the text ends: its mark is the last word of the vocabulary. */
static int first_highest(const int *ids, int n)
{
    int best = 0;
    for (int i = 1; i < n; i++)
        if (ids[i] > ids[best] && ids[i] < IMU_LEARNED_ID)
            best = i;
    return best;
}

/* Picks each chunk's pooled row out of the final hidden states, and projects it. */
static void pool(imu_run *run, const imu_text_encoder *e, const imu_text_request *r,
                 const float *last)
{
    size_t width = (size_t)e->shape.width;
    for (int n = 0; n < r->count; n++) {
        int first = n * e->length, row_at = first + first_highest(r->ids + first, e->length);
        size_t row = (size_t)row_at;
        memcpy(r->pooled + (size_t)n * width, last + row * width, width * sizeof *last);
    }
    if (!r->projected || !e->projection)
        return;
    imu_tensor *x = imu_op_from(run, 2, (int64_t[]){r->count, e->shape.width}, r->pooled);
    imu_tensor *y = imu_linear_run(run, &e->project, x, IMU_F32);
    if (y)
        imu_run_fail(run, run->backend->download(run->backend, y, r->projected));
}

static void fetch(imu_run *run, const imu_tensor *x, float *dst)
{
    if (x && !run->status)
        imu_run_fail(run, run->backend->download(run->backend, x, dst));
}

static void run_encoder(imu_run *run, imu_text_encoder *e, const imu_text_request *r, float *work)
{
    int64_t dim[3] = {r->count, e->length, e->shape.width};
    imu_tensor *x = imu_op_from(run, 3, dim, work);
    imu_tensor *bias = r->key_bias ? imu_op_from(run, 2, dim, r->key_bias) : NULL;
    for (int i = 0; i < e->shape.layers - r->skip && x; i++)
        imu_clip_layer_run(run, &e->layer[i], &e->shape, true, bias, x);
    imu_tensor *last = r->final_norm || r->pooled
                           ? imu_op_layer_norm(run, x, e->final_norm.gamma, e->final_norm.beta,
                                               e->shape.eps, IMU_F32)
                           : NULL;
    fetch(run, r->final_norm ? last : x, r->hidden);
    if (!r->pooled)
        return;
    fetch(run, last, work);
    if (!run->status)
        pool(run, e, r, work);
}

imu_engine_status imu_text_encode(imu_text_encoder *e, const imu_text_request *r, imu_fault *fault)
{
    if (r->count < 1 || r->count > MAX_CHUNKS || r->skip < 0 || r->skip > e->shape.layers)
        return imu_fail(fault, IMU_ENGINE_BAD_INPUT,
                        "The prompt is too long or skips more layers than there are.");
    size_t count = (size_t)r->count * (size_t)e->length * (size_t)e->shape.width;
    float *work = malloc(count * sizeof *work);
    imu_engine_status s = work ? embed(e, r, work, fault) : imu_fail_memory(fault);
    if (!s && r->embeddings_only) {
        memcpy(r->hidden, work, count * sizeof *work);
    } else if (!s) {
        imu_run run;
        imu_run_begin(&run, imu_net_backend(e->net), r->cancelled, r->user);
        run.compute = IMU_F32; /* small, and every step of the picture hangs on it */
        run_encoder(&run, e, r, work);
        s = imu_net_status(e->net, imu_run_end(&run), fault);
    }
    free(work);
    return s;
}
