/* The backend's own kernels. Each call starts one on the stream and returns at once; 0, or -1 when
 * it could not be started. Values are float32, or bf16 where the `..._bf16` flag beside them says
 * so; sizes are in values. */
#ifndef IMU_TENSOR_CUDA_KERNELS_H
#define IMU_TENSOR_CUDA_KERNELS_H

#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

/* One operand. */
typedef struct imu_values {
    void *data;
    int bf16;
} imu_values;

/* y = act(x); `act` is an imu_activation. With act 0, a conversion. */
int imu_kernel_activate(void *stream, imu_values x, imu_values y, int64_t count, int act);
/* y += x */
int imu_kernel_add(void *stream, imu_values y, imu_values x, int64_t count);
/* y[n, pixel, i] += c[n, i]; `pixels` of each of the pictures */
int imu_kernel_add_channels(void *stream, float *y, const float *c, int64_t count, int64_t pixels,
                            int64_t channels);
/* y[r, i] = x[r, i] * gelu(x[r, width + i]) */
int imu_kernel_geglu(void *stream, imu_values x, imu_values y, int64_t rows, int64_t width);
/* Copies columns: y[r, at + i] = x[r, i] for i < width; y is y_width wide. */
int imu_kernel_place(void *stream, imu_values x, imu_values y, int64_t rows, int64_t width,
                     int64_t y_width, int64_t at);

/* The shape of a picture or of one row of pictures, channels last. */
typedef struct imu_extent {
    int64_t n, height, width, channels;
} imu_extent;

/* Nearest neighbour from `from` to `to`; n and channels are the same. */
int imu_kernel_upsample(void *stream, imu_values x, imu_values y, imu_extent from, imu_extent to);
/* `from` in the middle of `to`, `top` and `left` pixels in; around it, what is on its other side.
 */
int imu_kernel_wrap(void *stream, imu_values x, imu_values y, imu_extent from, imu_extent to,
                    int top, int left);
/* What is negative, times its channel's slope or, with NULL, `slope`. */
int imu_kernel_leaky(void *stream, float *y, const float *slopes, int64_t rows, int64_t width,
                     float slope);
/* y[r, i] *= factor for i < channels */
int imu_kernel_scale_channels(void *stream, float *y, int64_t rows, int64_t width, int64_t channels,
                              float factor);
/* y[r, i] *= rows[r] */
int imu_kernel_scale_rows(void *stream, imu_values y, const float *rows, int64_t count,
                          int64_t width);
/* The four slowest waves of each channel, times `factor`. */
int imu_kernel_scale_low(void *stream, float *y, imu_extent e, float factor);
/* [n, channels, height, width] to channels-last and, with `back`, the other way. */
int imu_kernel_permute(void *stream, const float *x, float *y, imu_extent e, int back);

/* A convolution's windows. */
typedef struct imu_windows {
    int kernel_h, kernel_w, stride, pad_top, pad_left;
    int64_t out_height, out_width;
} imu_windows;

/* Lays the windows of output pixels first .. first + rows out as rows of kernel_h * kernel_w *
 * channels values, zeros outside the picture. x and y are of the same type. */
int imu_kernel_unfold(void *stream, imu_values x, imu_values y, imu_extent e, imu_windows w,
                      int64_t first, int64_t rows);
/* A file's [out, in, area] filters to [out, area, in]. */
int imu_kernel_pack(void *stream, const float *x, imu_values y, int64_t out, int64_t in,
                    int64_t area);

/* Mean and 1 / deviation of each picture's each group into stats[n * groups][2]. `channels` is a
 * multiple of `groups`. */
int imu_kernel_group_stats(void *stream, imu_values x, float *stats, int64_t n, int64_t pixels,
                           int64_t channels, int groups, float eps);
/* y = act((x - mean) / deviation * gamma + beta) */
int imu_kernel_group_apply(void *stream, imu_values x, imu_values y, const float *stats,
                           const float *gamma, const float *beta, int64_t n, int64_t pixels,
                           int64_t channels, int groups, int act);
int imu_kernel_layer_norm(void *stream, imu_values x, imu_values y, const float *gamma,
                          const float *beta, int64_t rows, int64_t width, float eps);

/* probabilities[row, :] = softmax(scores[row, :] + key_bias), for `heads` times `queries` rows of
 * `keys`. key_bias is NULL or [keys]. With `causal`, query i (first + i of all) sees the keys up to
 * its own. May be in place. */
int imu_kernel_softmax(void *stream, const float *scores, imu_values probabilities, int64_t heads,
                       int64_t queries, int64_t keys, const float *key_bias, int causal,
                       int64_t first);

#ifdef __cplusplus
}
#endif

#endif
