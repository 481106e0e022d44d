/* One layer of CLIP's transformers, the same for texts and for pictures. */
#ifndef IMU_DIFFUSION_CLIP_LAYER_H
#define IMU_DIFFUSION_CLIP_LAYER_H

#include "worker/diffusion/net.h"

typedef struct imu_clip_layer {
    imu_norm norm1, norm2;
    imu_linear q, k, v, o, up, down;
} imu_clip_layer;

/* What the layers of a network have in common. */
typedef struct imu_clip_shape {
    int width, inner, layers, heads;
    double eps;
    imu_activation act;
} imu_clip_shape;

/* Reads it from a configuration. `what` is the network, for people: "text encoder". */
imu_engine_status imu_clip_shape_read(const json_t *config, const char *what, imu_clip_shape *shape,
                                      imu_fault *fault);
/* The layers prefix.0, prefix.1, ...: an array to be freed. */
imu_engine_status imu_clip_layers_build(imu_net *net, const char *prefix,
                                        const imu_clip_shape *shape, imu_clip_layer **out,
                                        imu_fault *fault);
/* x += layer(x). `causal`: no token sees a later one; `key_bias` as in imu_op_attention. */
void imu_clip_layer_run(imu_run *run, const imu_clip_layer *l, const imu_clip_shape *shape,
                        bool causal, const imu_tensor *key_bias, imu_tensor *x);

#endif
