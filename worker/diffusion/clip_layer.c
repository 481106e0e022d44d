#include "worker/diffusion/clip_layer.h"

#include "worker/diffusion/json_file.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

imu_engine_status imu_clip_shape_read(const json_t *c, const char *what, imu_clip_shape *shape,
                                      imu_fault *fault)
{
    imu_engine_status s = imu_json_int(c, "hidden_size", 512, 1, 8192, &shape->width, fault);
    if (!s)
        s = imu_json_int(c, "intermediate_size", 2048, 1, 65536, &shape->inner, fault);
    if (!s)
        s = imu_json_int(c, "num_hidden_layers", 12, 1, 128, &shape->layers, fault);
    if (!s)
        s = imu_json_int(c, "num_attention_heads", 8, 1, 256, &shape->heads, fault);
    if (!s)
        s = imu_json_double(c, "layer_norm_eps", 1e-5, &shape->eps, fault);
    if (!s && shape->width % shape->heads)
        s = imu_fail(fault, IMU_ENGINE_BAD_MODEL, "The %s's width is no multiple of its heads.",
                     what);
    const char *act = imu_json_string(c, "hidden_act", "quick_gelu");
    shape->act = strcmp(act, "gelu") ? IMU_ACT_QUICK_GELU : IMU_ACT_GELU;
    if (!s && strcmp(act, "gelu") && strcmp(act, "quick_gelu"))
        s = imu_fail(fault, IMU_ENGINE_UNSUPPORTED, "The %s's activation %.40s is unknown.", what,
                     act);
    return s;
}

static imu_engine_status build_layer(imu_net *net, const char *base, const imu_clip_shape *shape,
                                     imu_clip_layer *l, imu_fault *fault)
{
    char name[160];
    int64_t width = shape->width, inner = shape->inner;
    const struct {
        const char *part;
        int64_t in, out;
        imu_linear *layer;
    } linear[] = {
        {"self_attn.q_proj", width, width, &l->q}, {"self_attn.k_proj", width, width, &l->k},
        {"self_attn.v_proj", width, width, &l->v}, {"self_attn.out_proj", width, width, &l->o},
        {"mlp.fc1", width, inner, &l->up},         {"mlp.fc2", inner, width, &l->down}};
    for (size_t i = 0; i < sizeof linear / sizeof *linear; i++) {
        snprintf(name, sizeof name, "%s.%s", base, linear[i].part);
        imu_engine_status s = imu_net_linear(net, name, linear[i].in, linear[i].out,
                                             IMU_BIAS_REQUIRED, linear[i].layer, fault);
        if (s)
            return s;
    }
    snprintf(name, sizeof name, "%s.layer_norm1", base);
    imu_engine_status s = imu_net_norm(net, name, width, &l->norm1, fault);
    snprintf(name, sizeof name, "%s.layer_norm2", base);
    return s ? s : imu_net_norm(net, name, width, &l->norm2, fault);
}

imu_engine_status imu_clip_layers_build(imu_net *net, const char *prefix,
                                        const imu_clip_shape *shape, imu_clip_layer **out,
                                        imu_fault *fault)
{
    imu_clip_layer *layer = calloc((size_t)shape->layers, sizeof *layer);
    imu_engine_status s = layer ? IMU_ENGINE_OK : imu_fail_memory(fault);
    for (int i = 0; i < shape->layers && !s; i++) {
        char base[96];
        snprintf(base, sizeof base, "%s.%d", prefix, i);
        s = build_layer(net, base, shape, &layer[i], fault);
    }
    if (s)
        free(layer);
    else
        *out = layer;
    return s;
}

void imu_clip_layer_run(imu_run *run, const imu_clip_layer *l, const imu_clip_shape *shape,
                        bool causal, const imu_tensor *key_bias, imu_tensor *x)
{
    imu_dtype type = run->compute;
    imu_tensor *n = imu_op_layer_norm(run, x, l->norm1.gamma, l->norm1.beta, shape->eps, type);
    imu_tensor *q = imu_linear_run(run, &l->q, n, type), *k = imu_linear_run(run, &l->k, n, type);
    imu_tensor *v = imu_linear_run(run, &l->v, n, type);
    imu_drop(run, n);
    imu_tensor *a = imu_op_attention(run, q, k, v, shape->heads, causal, key_bias);
    imu_drop(run, q);
    imu_drop(run, k);
    imu_drop(run, v);
    imu_op_linear_add(run, l->o.w, a, x);
    imu_drop(run, a);
    n = imu_op_layer_norm(run, x, l->norm2.gamma, l->norm2.beta, shape->eps, type);
    imu_tensor *up = imu_linear_run(run, &l->up, n, type);
    imu_drop(run, n);
    imu_tensor *act = imu_op_activate(run, up, shape->act);
    imu_drop(run, up);
    imu_op_linear_add(run, l->down.w, act, x);
    imu_drop(run, act);
}
