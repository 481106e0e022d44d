/* What the files of the CPU backend share. */
#ifndef IMU_TENSOR_CPU_CPU_H
#define IMU_TENSOR_CPU_CPU_H

#include "worker/tensor/arena.h"
#include "worker/tensor/tensor.h"

#include <oneapi/dnnl/dnnl.h>

typedef struct imu_cpu {
    imu_backend base; /* first: a backend pointer is this pointer */
    dnnl_engine_t engine;
    dnnl_stream_t stream;
    int threads;
    imu_arena arena;
} imu_cpu;

/* Notes that oneDNN answered `status` in `what`; returns the tensor error for it. */
int imu_cpu_dnnl_error(imu_cpu *cpu, dnnl_status_t status, const char *what);

static inline dnnl_data_type_t imu_cpu_dnnl_type(imu_dtype type)
{
    return type == IMU_BF16 ? dnnl_bf16 : dnnl_f32;
}

/* Up to `count` values of a float32 or bf16 tensor from index `at`, as float32. Returns the
 * tensor's own memory when it is float32, else `buffer` filled. */
static inline const float *imu_cpu_load(const imu_tensor *t, int64_t at, size_t count,
                                        float *buffer)
{
    if (t->type == IMU_F32)
        return (const float *)t->data + at;
    imu_to_f32(t->type, (const uint16_t *)t->data + at, buffer, count);
    return buffer;
}

/* Where to compute float32 results meant for t[at ...]: in place, or in `buffer`, stored by
 * imu_cpu_store. */
static inline float *imu_cpu_target(imu_tensor *t, int64_t at, float *buffer)
{
    return t->type == IMU_F32 ? (float *)t->data + at : buffer;
}

static inline void imu_cpu_store(imu_tensor *t, int64_t at, size_t count, const float *buffer)
{
    if (t->type == IMU_BF16)
        imu_f32_to_bf16(buffer, (uint16_t *)t->data + at, count);
}

/* cpu_memory.c: a block for free(), at a multiple of IMU_ARENA_ALIGN. Where memory is short, unused
 * work memory is given back, then weights of earlier turns leave. NULL when that is not enough. */
void *imu_cpu_memory(imu_cpu *cpu, size_t bytes);
/* Has the system hold ready what oneDNN takes by itself, by the same means. Before each call of it
 * that makes something or computes: without memory it ends the process. 0, or
 * IMU_TENSOR_NO_MEMORY. */
int imu_cpu_leave_reserve(imu_cpu *cpu);
int imu_cpu_enter(imu_backend *b);
/* cpu_layout.c: fills `to`, which is as large as `md` says, with a weight's values in that layout.
 */
int imu_cpu_lay_out(imu_cpu *cpu, const imu_weight_desc *d, const dnnl_memory_desc_t *md, void *to);
/* cpu_weights.c */
int imu_cpu_weight_new(imu_backend *b, const imu_weight_desc *desc, imu_weight **out);
void imu_cpu_weight_free(imu_backend *b, imu_weight *w);
void imu_cpu_weight_unload(imu_backend *b, imu_weight *w);
uint64_t imu_cpu_weight_bytes(const imu_weight *w);
int imu_cpu_linear(imu_backend *b, imu_weight *w, const imu_tensor *x, imu_tensor *y,
                   bool accumulate);
int imu_cpu_conv2d(imu_backend *b, imu_weight *w, const imu_tensor *x, const imu_conv_geometry *g,
                   imu_tensor *y, bool accumulate);
/* cpu_norm.c */
int imu_cpu_group_norm(imu_backend *b, const imu_tensor *x, const imu_tensor *gamma,
                       const imu_tensor *beta, int groups, float eps, imu_activation act,
                       imu_tensor *y);
int imu_cpu_layer_norm(imu_backend *b, const imu_tensor *x, const imu_tensor *gamma,
                       const imu_tensor *beta, float eps, imu_tensor *y);
/* cpu_attention.c */
int imu_cpu_attention(imu_backend *b, const imu_tensor *q, const imu_tensor *k, const imu_tensor *v,
                      int heads, bool causal, const imu_tensor *key_bias, imu_tensor *y);
/* cpu_frequencies.c */
int imu_cpu_scale_low(imu_backend *b, imu_tensor *y, float factor);
/* cpu_pointwise.c */
int imu_cpu_activate(imu_backend *b, const imu_tensor *x, imu_activation act, imu_tensor *y);
int imu_cpu_geglu(imu_backend *b, const imu_tensor *x, imu_tensor *y);
int imu_cpu_add(imu_backend *b, imu_tensor *y, const imu_tensor *x);
int imu_cpu_add_channels(imu_backend *b, imu_tensor *y, const imu_tensor *c);
int imu_cpu_upsample(imu_backend *b, const imu_tensor *x, imu_tensor *y);
int imu_cpu_wrap(imu_backend *b, const imu_tensor *x, int top, int left, imu_tensor *y);
int imu_cpu_leaky(imu_backend *b, imu_tensor *y, const imu_tensor *slopes, float slope);
int imu_cpu_scale_channels(imu_backend *b, imu_tensor *y, int64_t channels, float factor);
int imu_cpu_scale_rows(imu_backend *b, imu_tensor *y, const imu_tensor *rows);
int imu_cpu_concat(imu_backend *b, const imu_tensor *x1, const imu_tensor *x2, imu_tensor *y);
int imu_cpu_cast(imu_backend *b, const imu_tensor *x, imu_tensor *y);
int imu_cpu_to_channels_last(imu_backend *b, const imu_tensor *nchw, imu_tensor *nhwc);
int imu_cpu_to_channels_first(imu_backend *b, const imu_tensor *nhwc, imu_tensor *nchw);

#endif
