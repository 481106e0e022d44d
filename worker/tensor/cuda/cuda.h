/* What the files of the CUDA backend share. */
#ifndef IMU_TENSOR_CUDA_CUDA_H
#define IMU_TENSOR_CUDA_CUDA_H

#include "worker/tensor/arena.h"
#include "worker/tensor/cuda/device.h"
#include "worker/tensor/cuda/kernels.h"
#include "worker/tensor/tensor.h"

/* Bytes that unfolded windows, or scores, may take at a time. */
#define IMU_CUDA_SCRATCH ((int64_t)256 << 20)

typedef struct imu_cuda {
    imu_backend base; /* first: a backend pointer is this pointer */
    imu_device *device;
    void *stream;
    imu_arena arena;
    uint64_t held;            /* bytes of the device that are in use, or work memory */
    const imu_resident *busy; /* the weight that is computed with */
    uint64_t full;            /* the turn in which weights stopped to stay in memory */
    float *host;              /* values on their way to the device */
    size_t host_count;
    int64_t scratch; /* IMU_CUDA_SCRATCH; tests make it small */
} imu_cuda;

/* Notes that the device answered an error in `what`, and whether it is lost. Returns
 * IMU_TENSOR_REFUSED. */
int imu_cuda_failed(imu_cuda *c, const char *what);
/* The same for what the caller asked wrongly. */
int imu_cuda_refused(imu_cuda *c, const char *why);
/* Host memory for `count` values, the same for one call after the other; NULL without memory. */
float *imu_cuda_host(imu_cuda *c, size_t count);
/* Memory of the device. Where it is short, unused work memory is given back, then weights
 * leave, those of the present turn last. NULL when all of that is not enough. */
void *imu_cuda_memory(imu_cuda *c, size_t bytes);
/* Gives it back to the device; NULL is fine. */
void imu_cuda_free(imu_cuda *c, void *data, size_t bytes);
/* Whether `bytes` more fit beside what is in use once weights of earlier turns have left. When they
 * once don't, no weight that is brought later in the turn stays. */
bool imu_cuda_has_room(imu_cuda *c, uint64_t bytes);

static inline imu_values imu_cuda_values(const imu_tensor *t)
{
    return (imu_values){t->data, t->type == IMU_BF16};
}

/* What the plugin is loaded for; see imu_backend_cuda. Tests that link it open it by itself. */
__attribute__((visibility("default"))) imu_backend *imu_cuda_open(int index, bool bf16, char *why,
                                                                  size_t size);

/* cuda_weights.c */
int imu_cuda_weight_new(imu_backend *b, const imu_weight_desc *desc, imu_weight **out);
void imu_cuda_weight_free(imu_backend *b, imu_weight *w);
void imu_cuda_weight_unload(imu_backend *b, imu_weight *w);
uint64_t imu_cuda_weight_bytes(const imu_weight *w);
int imu_cuda_linear(imu_backend *b, imu_weight *w, const imu_tensor *x, imu_tensor *y,
                    bool accumulate);
int imu_cuda_conv2d(imu_backend *b, imu_weight *w, const imu_tensor *x, const imu_conv_geometry *g,
                    imu_tensor *y, bool accumulate);
/* cuda_ops.c */
int imu_cuda_group_norm(imu_backend *b, const imu_tensor *x, const imu_tensor *gamma,
                        const imu_tensor *beta, int groups, float eps, imu_activation act,
                        imu_tensor *y);
int imu_cuda_layer_norm(imu_backend *b, const imu_tensor *x, const imu_tensor *gamma,
                        const imu_tensor *beta, float eps, imu_tensor *y);
int imu_cuda_attention(imu_backend *b, const imu_tensor *q, const imu_tensor *k,
                       const imu_tensor *v, int heads, bool causal, const imu_tensor *key_bias,
                       imu_tensor *y);
int imu_cuda_activate(imu_backend *b, const imu_tensor *x, imu_activation act, imu_tensor *y);
int imu_cuda_geglu(imu_backend *b, const imu_tensor *x, imu_tensor *y);
int imu_cuda_add(imu_backend *b, imu_tensor *y, const imu_tensor *x);
int imu_cuda_add_channels(imu_backend *b, imu_tensor *y, const imu_tensor *c);
int imu_cuda_upsample(imu_backend *b, const imu_tensor *x, imu_tensor *y);
int imu_cuda_wrap(imu_backend *b, const imu_tensor *x, int top, int left, imu_tensor *y);
int imu_cuda_leaky(imu_backend *b, imu_tensor *y, const imu_tensor *slopes, float slope);
int imu_cuda_scale_channels(imu_backend *b, imu_tensor *y, int64_t channels, float factor);
int imu_cuda_scale_low(imu_backend *b, imu_tensor *y, float factor);
int imu_cuda_scale_rows(imu_backend *b, imu_tensor *y, const imu_tensor *rows);
int imu_cuda_concat(imu_backend *b, const imu_tensor *x1, const imu_tensor *x2, imu_tensor *y);
int imu_cuda_cast(imu_backend *b, const imu_tensor *x, imu_tensor *y);
int imu_cuda_to_channels_last(imu_backend *b, const imu_tensor *nchw, imu_tensor *nhwc);
int imu_cuda_to_channels_first(imu_backend *b, const imu_tensor *nhwc, imu_tensor *nchw);

#endif
