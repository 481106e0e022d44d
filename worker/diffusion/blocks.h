/* The building blocks that UNet and VAE share: residual block, attention, transformer. */
#ifndef IMU_DIFFUSION_BLOCKS_H
#define IMU_DIFFUSION_BLOCKS_H

#include "worker/diffusion/net.h"

typedef struct imu_resnet {
    imu_norm norm1, norm2;
    imu_conv conv1, conv2;
    imu_linear time;     /* time.w NULL: not conditioned on time (VAE) */
    imu_linear shortcut; /* shortcut.w NULL: as many channels out as in */
    int groups;
    double eps;
} imu_resnet;

/* `time_width` 0: no time embedding. */
imu_engine_status imu_resnet_build(imu_net *net, const char *prefix, int64_t in, int64_t out,
                                   int64_t time_width, int groups, double eps, imu_resnet *r,
                                   imu_fault *fault);
/* `time` is [N, time_width] after its activation, or NULL. Float32 result. */
imu_tensor *imu_resnet_run(imu_run *run, const imu_resnet *r, const imu_tensor *x,
                           const imu_tensor *time);

typedef struct imu_attention {
    imu_linear q, k, v, o;
    int heads;
} imu_attention;

/* to_q, to_k, to_v (with bias if there is one) and to_out.0. */
imu_engine_status imu_attention_build(imu_net *net, const char *prefix, int64_t width,
                                      int64_t context_width, int heads, imu_attention *a,
                                      imu_fault *fault);
/* What attentions on another context look at. */
typedef struct imu_context {
    const imu_tensor *text;           /* [N, T, D] */
    const struct imu_ip_state *extra; /* of IP adapters (ip.h), or NULL */
} imu_context;

/* y += attention of x (already normed) on x itself */
void imu_attention_add(imu_run *run, const imu_attention *a, const imu_tensor *x, imu_tensor *y);
/* The same on a context; `number` is that of the attention in its UNet. */
void imu_attention_add_cross(imu_run *run, const imu_attention *a, const imu_tensor *x,
                             const imu_context *context, int number, imu_tensor *y);

typedef struct imu_transformer_layer {
    imu_norm norm1, norm2, norm3;
    imu_attention self, cross;
    int number; /* of the cross attention in its UNet */
    imu_linear up, down;
} imu_transformer_layer;

typedef struct imu_transformer {
    imu_norm norm;
    imu_linear in, out; /* 1x1 convolutions in some models: the same product in channels-last */
    int depth, groups;
    imu_transformer_layer *layer;
} imu_transformer;

imu_engine_status imu_transformer_build(imu_net *net, const char *prefix, int64_t width,
                                        int64_t context_width, int heads, int depth, int groups,
                                        imu_transformer *t, imu_fault *fault);
void imu_transformer_free(imu_transformer *t);
/* [N, H, W, C] on a context; float32 result. */
imu_tensor *imu_transformer_run(imu_run *run, const imu_transformer *t, const imu_tensor *x,
                                const imu_context *context);

#endif
