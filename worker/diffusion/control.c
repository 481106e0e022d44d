#include "worker/diffusion/control.h"

#include "worker/diffusion/json_file.h"
#include "worker/diffusion/model.h"
#include "worker/diffusion/single_file.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { COLOURS = 3, STAGES = 4, HINT_SCALE = 8, MAX_WIDTH = 4096 };

struct imu_control {
    imu_single_file *single; /* where its tensors are, or NULL */
    imu_unet *unet;          /* the way down and the middle */
    imu_conv hint_in, hint[2 * (STAGES - 1)], hint_out;
    imu_linear zero[IMU_UNET_MAX_SKIPS], zero_mid;
    int skips;
};

void imu_residuals_free(imu_residuals *r)
{
    for (int i = 0; i < r->count; i++)
        free(r->item[i].data);
    r->count = 0;
}

/* Channels of the skip connections, in the order of the way down. @return how many there are */
static int skip_channels(const imu_unet *u, int64_t channels[IMU_UNET_MAX_SKIPS])
{
    int n = 0;
    channels[n++] = u->channels[0];
    for (int i = 0; i < u->levels; i++) {
        for (int k = 0; k < u->layers; k++)
            channels[n++] = u->channels[i];
        if (i + 1 < u->levels)
            channels[n++] = u->channels[i];
    }
    return n;
}

/* Widths of the stages that turn the picture into features; those of every ControlNet in use when
 * the configuration says nothing. */
static imu_engine_status read_widths(const imu_net_place *place, int width[STAGES],
                                     imu_fault *fault)
{
    static const int usual[STAGES] = {16, 32, 96, 256};
    json_t *config;
    imu_engine_status s = imu_net_config(place, &config, fault);
    if (s)
        return s;
    memcpy(width, usual, sizeof usual);
    if (json_object_get(config, "conditioning_embedding_out_channels"))
        s = imu_json_ints(config, "conditioning_embedding_out_channels", 0, 1, MAX_WIDTH, STAGES,
                          width, fault);
    if (!s &&
        strcmp(imu_json_string(config, "controlnet_conditioning_channel_order", "rgb"), "rgb"))
        s = imu_fail(fault, IMU_ENGINE_UNSUPPORTED,
                     "The ControlNet takes colours in another order.");
    json_decref(config);
    return s;
}

/* Picture to features: each stage keeps the size once, then halves it. */
static imu_engine_status build_hint(imu_control *c, const int width[STAGES], imu_fault *fault)
{
    imu_net *net = imu_unet_net(c->unet);
    imu_engine_status s = imu_net_conv(net, "controlnet_cond_embedding.conv_in", COLOURS, width[0],
                                       3, &c->hint_in, fault);
    for (int i = 0; i < 2 * (STAGES - 1) && !s; i++) {
        char name[64];
        snprintf(name, sizeof name, "controlnet_cond_embedding.blocks.%d", i);
        s = imu_net_conv(net, name, width[i / 2], width[(i + 1) / 2], 3, &c->hint[i], fault);
    }
    return s ? s
             : imu_net_conv(net, "controlnet_cond_embedding.conv_out", width[STAGES - 1],
                            c->unet->channels[0], 3, &c->hint_out, fault);
}

static imu_engine_status build(imu_control *c, const int width[STAGES], imu_fault *fault)
{
    int64_t channels[IMU_UNET_MAX_SKIPS], top = c->unet->channels[c->unet->levels - 1];
    imu_net *net = imu_unet_net(c->unet);
    imu_engine_status s = build_hint(c, width, fault);
    c->skips = skip_channels(c->unet, channels);
    for (int i = 0; i < c->skips && !s; i++) {
        char name[64];
        snprintf(name, sizeof name, "controlnet_down_blocks.%d", i);
        s = imu_net_linear(net, name, channels[i], channels[i], IMU_BIAS_REQUIRED, &c->zero[i],
                           fault);
    }
    return s ? s
             : imu_net_linear(net, "controlnet_mid_block", top, top, IMU_BIAS_REQUIRED,
                              &c->zero_mid, fault);
}

/* The shape of one in a file was told by its tensors, as a UNet's: none may be left over. */
static imu_engine_status check_told_shape(imu_control *c, imu_fault *fault)
{
    static const char *const blocks[] = {"input_blocks.", "middle_block.", "middle_block_out.",
                                         "zero_convs.", "input_hint_block."};
    imu_engine_status s = IMU_ENGINE_OK;
    for (size_t i = 0; i < sizeof blocks / sizeof *blocks && !s; i++)
        s = imu_net_all_read(imu_unet_net(c->unet), blocks[i], fault);
    return s;
}

imu_engine_status imu_control_build(imu_backend *backend, const imu_net_place *place,
                                    imu_control **out, imu_fault *fault)
{
    imu_control *c = calloc(1, sizeof *c);
    if (!c)
        return imu_fail_memory(fault);
    int width[STAGES];
    imu_engine_status s = read_widths(place, width, fault);
    if (!s)
        s = imu_unet_open_down(backend, place, &c->unet, fault);
    if (!s)
        s = build(c, width, fault);
    if (!s && !place->folder)
        s = check_told_shape(c, fault);
    if (s)
        imu_control_close(c);
    else
        *out = c;
    return s;
}

imu_engine_status imu_control_open(imu_engine *engine, const char *path, imu_control **out,
                                   imu_fault *fault)
{
    imu_single_file *single = NULL;
    imu_net_place place = {.folder = path};
    imu_engine_status s = IMU_ENGINE_OK;
    if (imu_is_weights_file(path)) {
        s = imu_single_control_open(path, &single, fault);
        if (s)
            return s;
        place = (imu_net_place){
            .file = single->file, .naming = single->unet.naming, .config = single->unet.config};
    }
    s = imu_control_build(engine->backend, &place, out, fault);
    if (s)
        imu_single_file_close(single);
    else
        (*out)->single = single;
    return s;
}

void imu_control_close(imu_control *c)
{
    if (!c)
        return;
    imu_unet_close(c->unet);
    imu_single_file_close(c->single);
    free(c);
}

bool imu_control_fits(const imu_control *c, const imu_unet *u)
{
    int64_t mine[IMU_UNET_MAX_SKIPS], its[IMU_UNET_MAX_SKIPS];
    int n = skip_channels(u, its);
    return n == skip_channels(c->unet, mine) && !memcmp(mine, its, (size_t)n * sizeof *mine) &&
           c->unet->info.context_width == u->info.context_width &&
           c->unet->info.in_channels == u->info.out_channels &&
           c->unet->info.pooled_width == u->info.pooled_width;
}

static imu_tensor *hint_conv(imu_run *run, const imu_conv *conv, int stride, imu_tensor *x)
{
    imu_tensor *y = imu_op_conv(run, conv->w, conv->out, 3, x,
                                &(imu_conv_geometry){stride, 1, 1, 1, 1}, IMU_F32);
    imu_drop(run, x);
    imu_tensor *active = imu_op_activate(run, y, IMU_ACT_SILU);
    imu_drop(run, y);
    return active;
}

/* The picture as what is added to the first features, for each row of the batch. */
static imu_tensor *run_hint(imu_run *run, const imu_control *c, const imu_unet_request *r,
                            const float *picture)
{
    int64_t dim[4] = {r->batch, COLOURS, r->height * HINT_SCALE, r->width * HINT_SCALE};
    size_t one = (size_t)(dim[1] * dim[2] * dim[3]);
    float *rows = malloc((size_t)r->batch * one * sizeof *rows);
    if (!rows) {
        imu_run_fail(run, IMU_TENSOR_NO_MEMORY);
        return NULL;
    }
    for (int64_t n = 0; n < r->batch; n++)
        memcpy(rows + (size_t)n * one, picture, one * sizeof *rows);
    imu_tensor *x = imu_op_from_nchw(run, dim, rows);
    free(rows);
    x = hint_conv(run, &c->hint_in, 1, x);
    for (int i = 0; i < 2 * (STAGES - 1); i++)
        x = hint_conv(run, &c->hint[i], i % 2 ? 2 : 1, x);
    imu_tensor *y = imu_conv_run(run, &c->hint_out, x, IMU_F32);
    imu_drop(run, x);
    return y;
}

/* Adds a tensor to rows of the sum's item, which is made when it is new. */
static void add_residual(imu_run *run, const imu_tensor *x, int item, double scale,
                         int64_t first_row, int64_t rows, imu_residuals *sum)
{
    if (!x || run->status)
        return;
    size_t n = (size_t)imu_tensor_count(x), each = n / (size_t)x->dim[0];
    float *values = malloc(n * sizeof *values);
    if (item == sum->count) {
        memcpy(sum->item[item].dim, x->dim, sizeof x->dim);
        sum->item[item].dim[0] = rows;
        sum->item[item].data = calloc((size_t)rows * each, sizeof *values);
        sum->count++;
    }
    if (!values || !sum->item[item].data) {
        imu_run_fail(run, IMU_TENSOR_NO_MEMORY);
    } else if (!run->backend->download(run->backend, x, values)) {
        float *to = sum->item[item].data + (size_t)first_row * each;
        for (size_t i = 0; i < n; i++)
            to[i] += (float)scale * values[i];
    } else {
        imu_run_fail(run, IMU_TENSOR_REFUSED);
    }
    free(values);
}

static void run_network(imu_run *run, const imu_control *c, const imu_unet_request *r,
                        const float *picture, double scale, bool soft, int64_t first_row,
                        int64_t rows, imu_residuals *sum)
{
    imu_skip_stack skips = {.count = 0};
    imu_tensor *hint = run_hint(run, c, r, picture);
    imu_tensor *middle = imu_unet_descend(run, c->unet, r, hint, NULL, NULL, &skips);
    for (int i = 0; i <= c->skips && !run->status; i++) {
        /* From a tenth for the finest level to all of it in the middle. */
        double share = soft ? pow(10, (double)i / c->skips - 1) : 1;
        const imu_linear *zero = i < c->skips ? &c->zero[i] : &c->zero_mid;
        imu_tensor *y = imu_linear_run(run, zero, i < c->skips ? skips.item[i] : middle, IMU_F32);
        add_residual(run, y, i, scale * share, first_row, rows, sum);
        imu_drop(run, y);
    }
}

imu_engine_status imu_control_run(imu_control *c, const imu_unet_request *r, const float *picture,
                                  double scale, bool soft, int64_t first_row, int64_t rows,
                                  imu_residuals *sum, imu_fault *fault)
{
    imu_net *net = imu_unet_net(c->unet);
    imu_run run;
    imu_run_begin(&run, imu_net_backend(net), r->cancelled, r->user);
    run.wrap = r->wrap;
    run_network(&run, c, r, picture, scale, soft, first_row, rows, sum);
    return imu_net_status(net, imu_run_end(&run), fault);
}
