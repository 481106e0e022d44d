/* One evaluation of the UNet. */
#include "worker/diffusion/control.h"
#include "worker/diffusion/ip.h"
#include "worker/diffusion/t2i.h"
#include "worker/diffusion/unet_parts.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

void imu_unet_sinusoid(const imu_unet *u, double t, int n, float *out)
{
    int half = n / 2;
    for (int i = 0; i < half; i++) {
        float exponent = (float)(-log(10000.0) * i) / ((float)half - (float)u->frequency_shift);
        float angle = (float)t * expf(exponent);
        out[u->cosine_first ? i : half + i] = cosf(angle);
        out[u->cosine_first ? half + i : i] = sinf(angle);
    }
    if (n % 2)
        out[n - 1] = 0;
}

static imu_tensor *run_mlp(imu_run *run, const imu_linear *first, const imu_linear *second,
                           const imu_tensor *x)
{
    imu_tensor *h = imu_linear_run(run, first, x, IMU_F32);
    imu_tensor *a = imu_op_activate(run, h, IMU_ACT_SILU);
    imu_drop(run, h);
    imu_tensor *y = imu_linear_run(run, second, a, IMU_F32);
    imu_drop(run, a);
    return y;
}

/* The sinusoids of the size numbers, after the pooled text. */
static imu_tensor *embed_added(imu_run *run, const imu_unet *u, const imu_unet_request *r)
{
    int frequencies = u->info.added_frequencies, pooled = u->info.pooled_width,
        numbers = u->info.size_numbers, width = pooled + numbers * frequencies;
    float *row = malloc((size_t)r->batch * (size_t)width * sizeof *row);
    if (!row) {
        imu_run_fail(run, IMU_TENSOR_NO_MEMORY);
        return NULL;
    }
    for (int64_t n = 0; n < r->batch; n++) {
        float *to = row + n * width;
        memcpy(to, r->pooled + n * pooled, (size_t)pooled * sizeof *to);
        for (int i = 0; i < numbers; i++)
            imu_unet_sinusoid(u, r->time_ids[n * numbers + i], frequencies,
                              to + pooled + i * frequencies);
    }
    imu_tensor *x = imu_op_from(run, 2, (int64_t[]){r->batch, width}, row);
    free(row);
    imu_tensor *y = run_mlp(run, &u->added1, &u->added2, x);
    imu_drop(run, x);
    return y;
}

/* The activated embedding that every residual block projects. */
static imu_tensor *embed(imu_run *run, const imu_unet *u, const imu_unet_request *r)
{
    int width = u->info.time_frequencies;
    float *rows = malloc((size_t)r->batch * (size_t)width * sizeof *rows);
    if (!rows) {
        imu_run_fail(run, IMU_TENSOR_NO_MEMORY);
        return NULL;
    }
    for (int64_t n = 0; n < r->batch; n++)
        imu_unet_sinusoid(u, r->timesteps[n], width, rows + n * width);
    imu_tensor *x = imu_op_from(run, 2, (int64_t[]){r->batch, width}, rows);
    free(rows);
    imu_tensor *e = run_mlp(run, &u->time1, &u->time2, x);
    imu_drop(run, x);
    if (u->info.added_frequencies) {
        imu_tensor *added = embed_added(run, u, r);
        imu_op_add(run, e, added);
        imu_drop(run, added);
    }
    imu_tensor *active = imu_op_activate(run, e, IMU_ACT_SILU);
    imu_drop(run, e);
    return active;
}

static void probe(imu_run *run, const imu_tensor *x, const char *format, int i, int k)
{
    char stage[48];
    if (!run->probe)
        return;
    snprintf(stage, sizeof stage, format, i, k);
    imu_run_probe(run, stage, x);
}

static void push(imu_skip_stack *s, imu_tensor *x)
{
    s->item[s->count++] = x;
}

/* Adds what T2I adapters say to the end of level i, or behind the last one to the middle. */
static void add_features(imu_run *run, const imu_features *f, int i, imu_tensor *x)
{
    if (!f || i >= f->count || !x)
        return;
    imu_tensor *y = imu_op_from(run, 4, f->item[i].dim, f->item[i].data);
    imu_op_add(run, x, y);
    imu_drop(run, y);
}

/* Each result is a skip too, so the stack owns them all; the last one is returned. */
static imu_tensor *run_down(imu_run *run, const imu_unet *u, int i, imu_tensor *x,
                            const imu_unet_request *r, const imu_tensor *time,
                            const imu_context *context, imu_skip_stack *skips)
{
    const imu_unet_level *l = &u->down[i];
    for (int k = 0; k < l->layers; k++) {
        imu_tensor *y = imu_resnet_run(run, &l->resnet[k], x, time);
        if (k == 0)
            probe(run, y, "down%d_res%d", i, k);
        if (l->attends) {
            imu_tensor *z = imu_transformer_run(run, &l->transformer[k], y, context);
            imu_drop(run, y);
            y = z;
            if (k == 0)
                probe(run, y, "down%d_attn%d", i, k);
        }
        if (l->attends && k + 1 == l->layers)
            add_features(run, r->features, i, y);
        push(skips, y);
        x = y;
    }
    if (l->resamples) {
        x = imu_op_conv(run, l->resample.w, l->resample.out, 3, x,
                        &(imu_conv_geometry){2, 1, 1, 1, 1}, IMU_F32);
        push(skips, x);
    }
    if (!l->attends)
        add_features(run, r->features, i, x);
    probe(run, x, "down%d", i, 0);
    return x;
}

static void apply_freeu(imu_run *run, const imu_freeu *f, int level, imu_tensor *x,
                        imu_tensor *skip)
{
    if (level > 1 || f->skip[0] == 0 || f->skip[1] == 0 || f->backbone[0] == 0 ||
        f->backbone[1] == 0 || !x || !skip)
        return;
    imu_op_scale_channels(run, x, x->dim[3] / 2, f->backbone[level]);
    imu_op_scale_low(run, skip, f->skip[level]);
}

/* Takes x over. */
static imu_tensor *run_up(imu_run *run, const imu_unet *u, int i, imu_tensor *x,
                          const imu_unet_request *r, const imu_tensor *time,
                          const imu_context *context, imu_skip_stack *skips)
{
    const imu_unet_level *l = &u->up[i];
    for (int k = 0; k < l->layers; k++) {
        imu_tensor *skip = skips->item[--skips->count];
        apply_freeu(run, &r->freeu, i, x, skip);
        imu_tensor *both = imu_op_concat(run, x, skip);
        imu_drop(run, x);
        imu_drop(run, skip);
        x = imu_resnet_run(run, &l->resnet[k], both, time);
        imu_drop(run, both);
        if (l->attends) {
            imu_tensor *y = imu_transformer_run(run, &l->transformer[k], x, context);
            imu_drop(run, x);
            x = y;
        }
    }
    if (l->resamples && !run->status) {
        const imu_tensor *next = skips->item[skips->count - 1];
        /* NOLINTNEXTLINE(clang-analyzer-core.NullDereference): there while nothing failed */
        imu_tensor *large = imu_op_upsample(run, x, next->dim[1], next->dim[2]);
        imu_drop(run, x);
        x = imu_conv_run(run, &l->resample, large, IMU_F32);
        imu_drop(run, large);
    }
    probe(run, x, "up%d", i, 0);
    return x;
}

static imu_tensor *run_mid(imu_run *run, const imu_unet *u, const imu_tensor *x,
                           const imu_tensor *time, const imu_context *context)
{
    imu_tensor *a = imu_resnet_run(run, &u->mid1, x, time);
    imu_tensor *b = imu_transformer_run(run, &u->mid, a, context);
    imu_drop(run, a);
    imu_tensor *c = imu_resnet_run(run, &u->mid2, b, time);
    imu_drop(run, b);
    imu_run_probe(run, "mid", c);
    return c;
}

static imu_tensor *run_out(imu_run *run, const imu_unet *u, imu_tensor *x)
{
    if (run->probe) {
        imu_tensor *plain = imu_op_group_norm(run, x, u->norm_out.gamma, u->norm_out.beta,
                                              u->groups, u->eps, IMU_ACT_NONE);
        imu_run_probe(run, "conv_norm_out", plain);
        imu_drop(run, plain);
    }
    imu_tensor *n = imu_op_group_norm(run, x, u->norm_out.gamma, u->norm_out.beta, u->groups,
                                      u->eps, IMU_ACT_SILU);
    imu_drop(run, x);
    imu_tensor *y = imu_conv_run(run, &u->conv_out, n, IMU_F32);
    imu_drop(run, n);
    return y;
}

imu_tensor *imu_unet_descend(imu_run *run, const imu_unet *u, const imu_unet_request *r,
                             const imu_tensor *added, imu_tensor **time, imu_context *context,
                             imu_skip_stack *skips)
{
    imu_tensor *when = embed(run, u, r);
    imu_context own = {.extra = NULL}, *said = context ? context : &own;
    said->text =
        imu_op_from(run, 3, (int64_t[]){r->batch, r->tokens, u->info.context_width}, r->context);
    imu_tensor *in = imu_op_from_nchw(
        run, (int64_t[]){r->batch, u->info.in_channels, r->height, r->width}, r->latents);
    imu_tensor *x = imu_conv_run(run, &u->conv_in, in, IMU_F32);
    imu_drop(run, in);
    if (added)
        imu_op_add(run, x, added);
    imu_run_probe(run, "conv_in", x);
    push(skips, x);
    for (int i = 0; i < u->levels; i++)
        x = run_down(run, u, i, x, r, when, said, skips);
    if (time)
        *time = when;
    return run_mid(run, u, x, when, said);
}

/* Adds what ControlNets say to the skip connections and the middle. */
static void add_residuals(imu_run *run, const imu_residuals *r, imu_skip_stack *skips,
                          imu_tensor *middle)
{
    for (int i = 0; i < r->count && !run->status; i++) {
        imu_tensor *x = imu_op_from(run, 4, r->item[i].dim, r->item[i].data);
        imu_op_add(run, i < skips->count ? skips->item[i] : middle, x);
        imu_drop(run, x);
    }
}

static void run_network(imu_run *run, const imu_unet *u, const imu_unet_request *r)
{
    imu_skip_stack skips = {.count = 0};
    imu_tensor *time;
    imu_ip_state pictures;
    imu_context context = {.extra = &pictures};
    if (imu_ip_begin(run, u, r, &pictures))
        return;
    imu_tensor *x = imu_unet_descend(run, u, r, NULL, &time, &context, &skips);
    add_features(run, r->features, u->levels, x);
    if (r->residuals)
        add_residuals(run, r->residuals, &skips, x);
    for (int i = 0; i < u->levels; i++)
        x = run_up(run, u, i, x, r, time, &context, &skips);
    x = run_out(run, u, x);
    imu_run_probe(run, "out", x);
    imu_op_to_nchw(run, x, r->out);
    free(pictures.there);
}

imu_engine_status imu_unet_run(imu_unet *u, const imu_unet_request *r, imu_fault *fault)
{
    if (r->batch < 1 || r->height < 1 || r->width < 1 || r->tokens < 1)
        return imu_fail(fault, IMU_ENGINE_BAD_INPUT, "The latents or the conditioning are empty.");
    if (u->info.added_frequencies && (!r->pooled || !r->time_ids))
        return imu_fail(fault, IMU_ENGINE_BAD_INPUT,
                        "This model needs the pooled text and the picture's size.");
    imu_run run;
    imu_run_begin(&run, imu_net_backend(u->net), r->cancelled, r->user);
    run.probe = r->probe;
    run.probe_user = r->probe_user;
    run.wrap = r->wrap;
    run_network(&run, u, r);
    return imu_net_status(u->net, imu_run_end(&run), fault);
}

imu_engine_status imu_unet_embed_time(imu_unet *u, const float *sinusoids, int64_t count,
                                      float *out, imu_fault *fault)
{
    imu_run run;
    imu_run_begin(&run, imu_net_backend(u->net), NULL, NULL);
    imu_tensor *x = imu_op_from(&run, 2, (int64_t[]){count, u->info.time_frequencies}, sinusoids);
    imu_tensor *y = run_mlp(&run, &u->time1, &u->time2, x);
    if (y)
        imu_run_fail(&run, run.backend->download(run.backend, y, out));
    return imu_net_status(u->net, imu_run_end(&run), fault);
}

imu_engine_status imu_unet_embed_added(imu_unet *u, const imu_unet_request *r, float *out,
                                       imu_fault *fault)
{
    if (!u->info.added_frequencies)
        return imu_fail(fault, IMU_ENGINE_BAD_INPUT, "This model has no added embedding.");
    imu_run run;
    imu_run_begin(&run, imu_net_backend(u->net), NULL, NULL);
    imu_tensor *y = embed_added(&run, u, r);
    if (y)
        imu_run_fail(&run, run.backend->download(run.backend, y, out));
    return imu_net_status(u->net, imu_run_end(&run), fault);
}
