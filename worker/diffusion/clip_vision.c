#include "worker/diffusion/clip_vision.h"

#include "worker/diffusion/clip_layer.h"
#include "worker/diffusion/json_file.h"
#include "worker/diffusion/model.h"

#include <stdlib.h>
#include <string.h>

#define MODEL "vision_model."

enum { COLOURS = 3, MAX_EDGE = 1024, MAX_TOKENS = 16384 };

struct imu_vision {
    imu_net *net;
    imu_vision_info info;
    imu_clip_shape shape;
    int patch; /* edge of one, in pixels */
    imu_conv patches;
    imu_norm before, after;
    imu_clip_layer *layer;
    imu_linear project;
};

static imu_engine_status read_config(const char *folder, imu_clip_shape *shape,
                                     imu_vision_info *info, int *patch, imu_fault *fault)
{
    json_t *c;
    imu_engine_status s = imu_net_config(&(imu_net_place){.folder = folder}, &c, fault);
    if (s)
        return s;
    s = imu_clip_shape_read(c, "picture encoder", shape, fault);
    if (!s)
        s = imu_json_int(c, "projection_dim", 512, 1, 8192, &info->projection, fault);
    if (!s)
        s = imu_json_int(c, "image_size", 224, 1, MAX_EDGE, &info->edge, fault);
    if (!s)
        s = imu_json_int(c, "patch_size", 32, 1, MAX_EDGE, patch, fault);
    json_decref(c);
    if (s)
        return s;
    int side = info->edge / *patch;
    info->width = shape->width;
    info->tokens = side * side + 1;
    return info->edge % *patch || info->tokens > MAX_TOKENS
               ? imu_fail(fault, IMU_ENGINE_BAD_MODEL,
                          "The picture encoder's picture has no whole number of patches.")
               : IMU_ENGINE_OK;
}

imu_engine_status imu_vision_describe(const char *folder, imu_vision_info *info, imu_fault *fault)
{
    imu_clip_shape shape;
    int patch;
    return read_config(folder, &shape, info, &patch, fault);
}

static imu_engine_status build(imu_vision *v, imu_backend *backend, const char *folder,
                               imu_fault *fault)
{
    imu_engine_status s = read_config(folder, &v->shape, &v->info, &v->patch, fault);
    if (!s)
        s = imu_net_open(backend, &(imu_net_place){.folder = folder}, &v->net, fault);
    if (!s)
        s = imu_net_plain_conv(v->net, MODEL "embeddings.patch_embedding", COLOURS, v->info.width,
                               v->patch, &v->patches, fault);
    if (!s) /* misspelt in every file */
        s = imu_net_norm(v->net, MODEL "pre_layrnorm", v->info.width, &v->before, fault);
    if (!s)
        s = imu_clip_layers_build(v->net, MODEL "encoder.layers", &v->shape, &v->layer, fault);
    if (!s)
        s = imu_net_norm(v->net, MODEL "post_layernorm", v->info.width, &v->after, fault);
    return s ? s
             : imu_net_linear(v->net, "visual_projection", v->info.width, v->info.projection,
                              IMU_BIAS_NONE, &v->project, fault);
}

imu_engine_status imu_vision_build(imu_backend *backend, const char *folder, imu_vision **out,
                                   imu_fault *fault)
{
    imu_vision *v = calloc(1, sizeof *v);
    if (!v)
        return imu_fail_memory(fault);
    imu_engine_status s = build(v, backend, folder, fault);
    if (s)
        imu_vision_close(v);
    else
        *out = v;
    return s;
}

imu_engine_status imu_vision_open(imu_engine *engine, const char *folder, imu_vision **out,
                                  imu_fault *fault)
{
    return imu_vision_build(engine->backend, folder, out, fault);
}

void imu_vision_close(imu_vision *v)
{
    if (!v)
        return;
    imu_net_close(v->net);
    free(v->layer);
    free(v);
}

const imu_vision_info *imu_vision_get_info(const imu_vision *v)
{
    return &v->info;
}

int imu_vision_edge(const imu_vision *v)
{
    return v->info.edge;
}

void imu_vision_scale(const imu_image *image, float *pixels)
{
    static const double mean[COLOURS] = {0.48145466, 0.4578275, 0.40821073},
                        deviation[COLOURS] = {0.26862954, 0.26130258, 0.27577711};
    size_t area = (size_t)image->width * (size_t)image->height;
    for (size_t i = 0; i < COLOURS * area; i++) {
        size_t colour = i / area;

        pixels[i] = (float)(((double)image->rgb[i % area * COLOURS + colour] / 255 - mean[colour]) /
                            deviation[colour]);
    }
}

/* The token for all of the picture and the patches, each at its place: [tokens, width] from the
 * patches in the rows behind the first. */
static imu_engine_status place_tokens(imu_vision *v, float *rows, imu_fault *fault)
{
    int64_t dim[2] = {v->info.tokens, v->info.width};
    size_t n = (size_t)(dim[0] * dim[1]);
    float *places = malloc(n * sizeof *places);
    imu_engine_status s =
        places ? imu_net_values(v->net, MODEL "embeddings.class_embedding", 1, &dim[1], rows, fault)
               : imu_fail_memory(fault);
    if (!s)
        s = imu_net_values(v->net, MODEL "embeddings.position_embedding.weight", 2, dim, places,
                           fault);
    for (size_t i = 0; i < n && !s; i++)
        rows[i] += places[i];
    free(places);
    return s;
}

static void fetch(imu_run *run, const imu_tensor *x, float *dst)
{
    if (x && !run->status)
        imu_run_fail(run, run->backend->download(run->backend, x, dst));
}

/* The patches as tokens. */
static imu_engine_status embed(imu_vision *v, const float *pixels, float *rows,
                               int (*cancelled)(void *user), void *user, imu_fault *fault)
{
    imu_run run;
    imu_run_begin(&run, imu_net_backend(v->net), cancelled, user);
    run.compute = IMU_F32;
    imu_tensor *x =
        imu_op_from_nchw(&run, (int64_t[]){1, COLOURS, v->info.edge, v->info.edge}, pixels);
    imu_tensor *y = imu_op_conv(&run, v->patches.w, v->info.width, v->patch, x,
                                &(imu_conv_geometry){v->patch, 0, 0, 0, 0}, IMU_F32);
    fetch(&run, y, rows + v->info.width);
    imu_engine_status s = imu_net_status(v->net, imu_run_end(&run), fault);
    return s ? s : place_tokens(v, rows, fault);
}

static void run_layers(imu_run *run, imu_vision *v, const float *rows, float *hidden, float *vector)
{
    int64_t width = v->info.width;
    imu_tensor *in = imu_op_from(run, 3, (int64_t[]){1, v->info.tokens, width}, rows);
    imu_tensor *x =
        imu_op_layer_norm(run, in, v->before.gamma, v->before.beta, v->shape.eps, IMU_F32);
    imu_drop(run, in);
    for (int i = 0; i < v->shape.layers && x; i++) {
        if (i + 1 == v->shape.layers && hidden)
            fetch(run, x, hidden);
        if (i + 1 < v->shape.layers || vector)
            imu_clip_layer_run(run, &v->layer[i], &v->shape, false, NULL, x);
    }
    if (!x || !vector)
        return;
    /* The first token alone goes on. */
    float *last = malloc((size_t)imu_tensor_count(x) * sizeof *last);
    if (!last) {
        imu_run_fail(run, IMU_TENSOR_NO_MEMORY);
        return;
    }
    fetch(run, x, last);
    imu_tensor *first = imu_op_from(run, 2, (int64_t[]){1, width}, last);
    free(last);
    imu_tensor *n =
        imu_op_layer_norm(run, first, v->after.gamma, v->after.beta, v->shape.eps, IMU_F32);
    fetch(run, imu_linear_run(run, &v->project, n, IMU_F32), vector);
}

imu_engine_status imu_vision_run(imu_vision *v, const float *pixels, float *hidden, float *vector,
                                 int (*cancelled)(void *user), void *user, imu_fault *fault)
{
    float *rows = malloc((size_t)v->info.tokens * (size_t)v->info.width * sizeof *rows);
    imu_engine_status s =
        rows ? embed(v, pixels, rows, cancelled, user, fault) : imu_fail_memory(fault);
    if (!s) {
        imu_run run;
        imu_run_begin(&run, imu_net_backend(v->net), cancelled, user);
        run.compute = IMU_F32; /* once a run, and every step hangs on it */
        run_layers(&run, v, rows, hidden, vector);
        s = imu_net_status(v->net, imu_run_end(&run), fault);
    }
    free(rows);
    return s;
}
