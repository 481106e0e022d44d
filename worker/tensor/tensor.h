/* Tensors and the interface that every compute backend fills in.
 *
 * Layout: dense, last dimension fastest. Pictures inside a network are channels-last, [N, H, W, C];
 * token sequences are [N, T, C], so that one is the other without a copy. Activations are float32
 * or bf16.
 *
 * A backend belongs to one thread at a time. Kernels write into tensors the caller has made, and
 * answer IMU_TENSOR_OK or an error whose sentence lies in backend->error. Networks use
 * worker/tensor/ops.h, which adds allocation, sticky errors and cancellation.
 */
#ifndef IMU_TENSOR_TENSOR_H
#define IMU_TENSOR_TENSOR_H

#include "worker/tensor/dtype.h"
#include "worker/tensor/residency.h"

#include <stdbool.h>

enum {
    IMU_TENSOR_OK = 0,
    IMU_TENSOR_NO_MEMORY = -1,
    IMU_TENSOR_REFUSED = -2,
    IMU_TENSOR_SOURCE = -3,
    IMU_TENSOR_CANCELLED = -4
};

typedef struct imu_tensor {
    imu_dtype type;
    int ndim;
    int64_t dim[4];
    void *data; /* memory of the device */
    size_t bytes;
} imu_tensor;

static inline int64_t imu_tensor_count(const imu_tensor *t)
{
    int64_t n = 1;
    for (int i = 0; i < t->ndim; i++)
        n *= t->dim[i];
    return n;
}

/* Where the values of a weight come from; read again whenever the backend needs them in another
 * form. */
typedef struct imu_weight_source {
    /* Writes `count` float32 values, row-major. 0, or IMU_TENSOR_SOURCE after noting why elsewhere.
     */
    int (*read)(void *user, const void *key, float *dst, size_t count);
    void *user;
    const void *key; /* NULL: there is none (a layer without bias) */
    /* May be NULL. The type of the values in the file, where those are all there is to know; else
     * IMU_DTYPE_COUNT. */
    imu_dtype (*type)(void *user, const void *key);
    /* Writes values [at, at + count) in that type. Several threads may ask at once. */
    int (*part)(void *user, const void *key, size_t at, size_t count, void *dst);
} imu_weight_source;

/* A linear layer's [out, in] or a convolution's [out, in, kernel_h, kernel_w] and its bias [out].
 */
typedef struct imu_weight_desc {
    int64_t out, in;
    int kernel_h, kernel_w; /* 0, 0 for a linear layer */
    imu_weight_source weight, bias;
} imu_weight_desc;

typedef struct imu_weight imu_weight;

typedef struct imu_conv_geometry {
    int stride;
    int pad_top, pad_left, pad_bottom, pad_right;
} imu_conv_geometry;

typedef enum imu_activation {
    IMU_ACT_NONE = 0,
    IMU_ACT_SILU,
    IMU_ACT_GELU,      /* exact, with erf */
    IMU_ACT_QUICK_GELU /* x * sigmoid(1.702 x) */
} imu_activation;

typedef struct imu_backend imu_backend;

struct imu_backend {
    const char *name;
    char description[96];
    imu_dtype compute; /* what products take in: IMU_F32 or IMU_BF16 */
    char error[200];
    bool lost; /* the device answers no more: nothing works until the program is started anew */
    /* Whether the run is still wanted, for kernels that take long; from one thread at a time. May
     * be NULL. */
    int (*cancelled)(void *user);
    void *cancel_user;
    /* Bytes: on the processor of weights, which those of the present turn may exceed; on a GPU of
     * all that is allocated, which nothing exceeds. */
    uint64_t budget;
    imu_residency residency;

    void (*close)(imu_backend *b);
    /* Prepares the calling thread, e.g. the threads that help it. Before a series of calls. */
    int (*enter)(imu_backend *b);

    /* Work memory, for as long as a run takes (arena.h). */
    void *(*alloc)(imu_backend *b, size_t bytes);
    void (*release)(imu_backend *b, void *data, size_t bytes);
    /* Gives work memory that nothing lies in back to the system. */
    void (*trim)(imu_backend *b);
    /* Memory for what stays, beside the work memory. */
    void *(*hold)(imu_backend *b, size_t bytes);
    void (*let_go)(imu_backend *b, void *data, size_t bytes);
    int (*upload)(imu_backend *b, imu_tensor *dst, const float *src);
    int (*download)(imu_backend *b, const imu_tensor *src, float *dst);

    int (*weight_new)(imu_backend *b, const imu_weight_desc *desc, imu_weight **out);
    void (*weight_free)(imu_backend *b, imu_weight *w);
    /* Drops every copy of the values; the next use reads them again. */
    void (*weight_unload)(imu_backend *b, imu_weight *w);
    uint64_t (*weight_bytes)(const imu_weight *w);

    /* y[rows, out] = x[rows, in] W' + bias, plus the old y with `accumulate`. */
    int (*linear)(imu_backend *b, imu_weight *w, const imu_tensor *x, imu_tensor *y,
                  bool accumulate);
    int (*conv2d)(imu_backend *b, imu_weight *w, const imu_tensor *x, const imu_conv_geometry *g,
                  imu_tensor *y, bool accumulate);
    /* Normalises over pixels and the channels of a group, scales and shifts by channel, activates.
     */
    int (*group_norm)(imu_backend *b, const imu_tensor *x, const imu_tensor *gamma,
                      const imu_tensor *beta, int groups, float eps, imu_activation act,
                      imu_tensor *y);
    int (*layer_norm)(imu_backend *b, const imu_tensor *x, const imu_tensor *gamma,
                      const imu_tensor *beta, float eps, imu_tensor *y);
    /* softmax(q k' / sqrt(width of a head) + key_bias) v for each head; [N, T, heads * width].
     * key_bias is NULL or float32 [N, keys]; causal: a query sees no later key. */
    int (*attention)(imu_backend *b, const imu_tensor *q, const imu_tensor *k, const imu_tensor *v,
                     int heads, bool causal, const imu_tensor *key_bias, imu_tensor *y);
    int (*activate)(imu_backend *b, const imu_tensor *x, imu_activation act,
                    imu_tensor *y); /* may be in place */
    /* y = first half of the last dimension * gelu(second half) */
    int (*geglu)(imu_backend *b, const imu_tensor *x, imu_tensor *y);
    int (*add)(imu_backend *b, imu_tensor *y, const imu_tensor *x); /* y += x */
    int (*add_channels)(imu_backend *b, imu_tensor *y,
                        const imu_tensor *c); /* y[n, ..., i] += c[n, i] */
    /* y[n, ..., i] *= rows[n, ...]; rows is float32 and has one value for each row of y. */
    int (*scale_rows)(imu_backend *b, imu_tensor *y, const imu_tensor *rows);
    int (*upsample)(imu_backend *b, const imu_tensor *x, imu_tensor *y); /* nearest, to y's size */
    /* These four may be NULL: then what needs them is refused with a sentence. */
    /* y is x with `top` rows and `left` columns more before it, and others behind, each what lies
     * at the opposite edge of x. */
    int (*wrap)(imu_backend *b, const imu_tensor *x, int top, int left, imu_tensor *y);
    /* Multiplies what is below zero by `slope`, or by that of its channel when there are slopes
     * [C]. Float32. */
    int (*leaky)(imu_backend *b, imu_tensor *y, const imu_tensor *slopes, float slope);
    /* Multiplies the first `channels` of each pixel of a float32 tensor. */
    int (*scale_channels)(imu_backend *b, imu_tensor *y, int64_t channels, float factor);
    /* Multiplies what a float32 tensor [N, H, W, C] has of the frequencies 0 and -1 of each axis,
     * and keeps the real part: the mean, and the slowest waves by half. */
    int (*scale_low)(imu_backend *b, imu_tensor *y, float factor);
    int (*concat)(imu_backend *b, const imu_tensor *x1, const imu_tensor *x2,
                  imu_tensor *y); /* last dim */
    int (*cast)(imu_backend *b, const imu_tensor *x, imu_tensor *y);
    int (*to_channels_last)(imu_backend *b, const imu_tensor *nchw, imu_tensor *nhwc);
    int (*to_channels_first)(imu_backend *b, const imu_tensor *nhwc, imu_tensor *nchw);
};

/* The processor, by oneDNN. threads 0: as many as the process may use. `bf16` is honoured where the
 * processor has AVX512-BF16. NULL without memory or when oneDNN refuses. */
imu_backend *imu_backend_cpu(int threads, bool bf16);

/* GPU number `index`, by CUDA; bf16 from compute capability 8 on. It lives in invokemu-cuda.so
 * beside the program, loaded when it is asked for. NULL when there is none, with the reason in
 * `why`. */
imu_backend *imu_backend_cuda(int index, bool bf16, char *why, size_t size);

/* Whether this processor computes bf16 products in hardware. */
bool imu_cpu_has_bf16(void);

#endif
