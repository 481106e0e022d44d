#include "worker/diffusion/blocks.h"

#include "worker/diffusion/ip.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define TRANSFORMER_EPS 1e-6
#define LAYER_EPS       1e-5

/* prefix.part in `name`; too long a name then simply isn't found in the file. */
static const char *join(char name[320], const char *prefix, const char *part)
{
    snprintf(name, 320, "%s.%s", prefix, part);
    return name;
}

imu_engine_status imu_resnet_build(imu_net *net, const char *prefix, int64_t in, int64_t out,
                                   int64_t time_width, int groups, double eps, imu_resnet *r,
                                   imu_fault *fault)
{
    char name[320];
    memset(r, 0, sizeof *r);
    r->groups = groups;
    r->eps = eps;
    if (in % groups || out % groups)
        return imu_fail(fault, IMU_ENGINE_BAD_MODEL,
                        "%.100s: channels are no multiple of the norm groups.", prefix);
    imu_engine_status s = imu_net_norm(net, join(name, prefix, "norm1"), in, &r->norm1, fault);
    if (!s)
        s = imu_net_conv(net, join(name, prefix, "conv1"), in, out, 3, &r->conv1, fault);
    if (!s && time_width)
        s = imu_net_linear(net, join(name, prefix, "time_emb_proj"), time_width, out,
                           IMU_BIAS_REQUIRED, &r->time, fault);
    if (!s)
        s = imu_net_norm(net, join(name, prefix, "norm2"), out, &r->norm2, fault);
    if (!s)
        s = imu_net_conv(net, join(name, prefix, "conv2"), out, out, 3, &r->conv2, fault);
    if (!s && in != out)
        s = imu_net_linear(net, join(name, prefix, "conv_shortcut"), in, out, IMU_BIAS_REQUIRED,
                           &r->shortcut, fault);
    return s;
}

/* A float32 copy to add a branch to. */
static imu_tensor *copy_of(imu_run *run, const imu_tensor *x)
{
    imu_tensor *y = x ? imu_op_new(run, IMU_F32, x->ndim, x->dim) : NULL;
    if (y)
        imu_run_fail(run, run->backend->cast(run->backend, x, y));
    return y;
}

imu_tensor *imu_resnet_run(imu_run *run, const imu_resnet *r, const imu_tensor *x,
                           const imu_tensor *time)
{
    imu_tensor *n =
        imu_op_group_norm(run, x, r->norm1.gamma, r->norm1.beta, r->groups, r->eps, IMU_ACT_SILU);
    imu_tensor *h = imu_conv_run(run, &r->conv1, n, IMU_F32);
    imu_drop(run, n);
    if (r->time.w) {
        imu_tensor *shift = imu_linear_run(run, &r->time, time, IMU_F32);
        imu_op_add_channels(run, h, shift);
        imu_drop(run, shift);
    }
    n = imu_op_group_norm(run, h, r->norm2.gamma, r->norm2.beta, r->groups, r->eps, IMU_ACT_SILU);
    imu_drop(run, h);
    imu_tensor *y = r->shortcut.w ? imu_linear_run(run, &r->shortcut, x, IMU_F32) : copy_of(run, x);
    imu_op_conv_add(run, r->conv2.w, n, &(imu_conv_geometry){1, 1, 1, 1, 1}, y);
    imu_drop(run, n);
    return y;
}

imu_engine_status imu_attention_build(imu_net *net, const char *prefix, int64_t width,
                                      int64_t context_width, int heads, imu_attention *a,
                                      imu_fault *fault)
{
    char name[320];
    if (heads < 1 || width % heads)
        return imu_fail(fault, IMU_ENGINE_BAD_MODEL,
                        "%.100s: the width is no multiple of the heads.", prefix);
    a->heads = heads;
    imu_engine_status s = imu_net_linear(net, join(name, prefix, "to_q"), width, width,
                                         IMU_BIAS_OPTIONAL, &a->q, fault);
    if (!s)
        s = imu_net_linear(net, join(name, prefix, "to_k"), context_width, width, IMU_BIAS_OPTIONAL,
                           &a->k, fault);
    if (!s)
        s = imu_net_linear(net, join(name, prefix, "to_v"), context_width, width, IMU_BIAS_OPTIONAL,
                           &a->v, fault);
    if (!s)
        s = imu_net_linear(net, join(name, prefix, "to_out.0"), width, width, IMU_BIAS_REQUIRED,
                           &a->o, fault);
    return s;
}

/* y += attention of x on `source`, and of an IP adapter on its pictures. */
static void attend(imu_run *run, const imu_attention *a, const imu_tensor *x,
                   const imu_tensor *source, const imu_ip_state *extra, int number, imu_tensor *y)
{
    imu_tensor *q = imu_linear_run(run, &a->q, x, run->compute);
    imu_tensor *k = imu_linear_run(run, &a->k, source, run->compute);
    imu_tensor *v = imu_linear_run(run, &a->v, source, run->compute);
    imu_tensor *mixed = imu_op_attention(run, q, k, v, a->heads, false, NULL);
    imu_ip_add(run, extra, number, q, a->heads, mixed);
    imu_drop(run, q);
    imu_drop(run, k);
    imu_drop(run, v);
    imu_op_linear_add(run, a->o.w, mixed, y);
    imu_drop(run, mixed);
}

void imu_attention_add(imu_run *run, const imu_attention *a, const imu_tensor *x, imu_tensor *y)
{
    attend(run, a, x, x, NULL, 0, y);
}

void imu_attention_add_cross(imu_run *run, const imu_attention *a, const imu_tensor *x,
                             const imu_context *context, int number, imu_tensor *y)
{
    attend(run, a, x, context->text, context->extra, number, y);
}

static imu_engine_status build_layer(imu_net *net, const char *prefix, int64_t width,
                                     int64_t context_width, int heads, imu_transformer_layer *l,
                                     imu_fault *fault)
{
    char name[320];
    imu_engine_status s = imu_net_norm(net, join(name, prefix, "norm1"), width, &l->norm1, fault);
    if (!s)
        s = imu_net_norm(net, join(name, prefix, "norm2"), width, &l->norm2, fault);
    if (!s)
        s = imu_net_norm(net, join(name, prefix, "norm3"), width, &l->norm3, fault);
    if (!s)
        s = imu_attention_build(net, join(name, prefix, "attn1"), width, width, heads, &l->self,
                                fault);
    if (!s)
        s = imu_attention_build(net, join(name, prefix, "attn2"), width, context_width, heads,
                                &l->cross, fault);
    if (!s)
        s = imu_net_linear(net, join(name, prefix, "ff.net.0.proj"), width, 8 * width,
                           IMU_BIAS_REQUIRED, &l->up, fault);
    if (!s)
        s = imu_net_linear(net, join(name, prefix, "ff.net.2"), 4 * width, width, IMU_BIAS_REQUIRED,
                           &l->down, fault);
    return s;
}

imu_engine_status imu_transformer_build(imu_net *net, const char *prefix, int64_t width,
                                        int64_t context_width, int heads, int depth, int groups,
                                        imu_transformer *t, imu_fault *fault)
{
    char name[320];
    memset(t, 0, sizeof *t);
    t->groups = groups;
    t->depth = depth;
    t->layer = calloc((size_t)depth, sizeof *t->layer);
    if (!t->layer)
        return imu_fail_memory(fault);
    if (width % groups)
        return imu_fail(fault, IMU_ENGINE_BAD_MODEL,
                        "%.100s: channels are no multiple of the norm groups.", prefix);
    imu_engine_status s = imu_net_norm(net, join(name, prefix, "norm"), width, &t->norm, fault);
    if (!s)
        s = imu_net_linear(net, join(name, prefix, "proj_in"), width, width, IMU_BIAS_REQUIRED,
                           &t->in, fault);
    if (!s)
        s = imu_net_linear(net, join(name, prefix, "proj_out"), width, width, IMU_BIAS_REQUIRED,
                           &t->out, fault);
    for (int i = 0; i < depth && !s; i++) {
        char part[128];
        snprintf(part, sizeof part, "%.90s.transformer_blocks.%d", prefix, i);
        s = build_layer(net, part, width, context_width, heads, &t->layer[i], fault);
    }
    return s;
}

void imu_transformer_free(imu_transformer *t)
{
    free(t->layer);
    t->layer = NULL;
}

/* x += layer(x) */
static void run_layer(imu_run *run, const imu_transformer_layer *l, const imu_context *context,
                      imu_tensor *x)
{
    imu_tensor *n =
        imu_op_layer_norm(run, x, l->norm1.gamma, l->norm1.beta, LAYER_EPS, run->compute);
    imu_attention_add(run, &l->self, n, x);
    imu_drop(run, n);
    n = imu_op_layer_norm(run, x, l->norm2.gamma, l->norm2.beta, LAYER_EPS, run->compute);
    imu_attention_add_cross(run, &l->cross, n, context, l->number, x);
    imu_drop(run, n);
    n = imu_op_layer_norm(run, x, l->norm3.gamma, l->norm3.beta, LAYER_EPS, run->compute);
    imu_tensor *wide = imu_linear_run(run, &l->up, n, run->compute);
    imu_drop(run, n);
    imu_tensor *gated = imu_op_geglu(run, wide);
    imu_drop(run, wide);
    imu_op_linear_add(run, l->down.w, gated, x);
    imu_drop(run, gated);
}

imu_tensor *imu_transformer_run(imu_run *run, const imu_transformer *t, const imu_tensor *x,
                                const imu_context *context)
{
    imu_tensor *y = copy_of(run, x);
    imu_tensor *n = imu_op_group_norm(run, x, t->norm.gamma, t->norm.beta, t->groups,
                                      TRANSFORMER_EPS, IMU_ACT_NONE);
    imu_tensor *h = imu_linear_run(run, &t->in, n, IMU_F32);
    imu_drop(run, n);
    if (h) { /* pixels become tokens: the same memory */
        h->dim[1] *= h->dim[2];
        h->dim[2] = h->dim[3];
        h->ndim = 3;
    }
    for (int i = 0; i < t->depth && !run->status; i++)
        run_layer(run, &t->layer[i], context, h);
    imu_op_linear_add(run, t->out.w, h, y);
    imu_drop(run, h);
    return y;
}
