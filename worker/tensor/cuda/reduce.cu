/* Kernels that add up over many values: norms and softmax. A block makes one sum at a time. */
#include "worker/tensor/cuda/launch.h"

#include <float.h>

/* The sum (or the largest) of every thread's `mine`, to all of them. `shared` is IMU_BLOCK long. */
static __device__ float over_block(float *shared, float mine, int largest)
{
    int me = (int)threadIdx.x;
    __syncthreads(); /* the last sum has been read by all */
    shared[me] = mine;
    __syncthreads();
    for (int half = IMU_BLOCK / 2; half > 0; half /= 2) {
        if (me < half)
            shared[me] =
                largest ? fmaxf(shared[me], shared[me + half]) : shared[me] + shared[me + half];
        __syncthreads();
    }
    return shared[0];
}

/* In two passes, so that a large mean costs no digits. One block for each group of each picture. */
static __global__ void group_stats(imu_values x, float *stats, int64_t pixels, int64_t channels,
                                   int groups, float eps)
{
    __shared__ float shared[IMU_BLOCK];
    int64_t width = channels / groups, count = pixels * width;
    int64_t base = blockIdx.x / groups * pixels * channels + blockIdx.x % groups * width;
    float sum = 0, squares = 0;
    for (int64_t i = threadIdx.x; i < count; i += blockDim.x)
        sum += imu_load(x, base + i / width * channels + i % width);
    float mean = over_block(shared, sum, 0) / (float)count;
    for (int64_t i = threadIdx.x; i < count; i += blockDim.x) {
        float off = imu_load(x, base + i / width * channels + i % width) - mean;
        squares += off * off;
    }
    float variance = over_block(shared, squares, 0) / (float)count;
    if (threadIdx.x == 0) {
        stats[blockIdx.x * 2] = mean;
        stats[blockIdx.x * 2 + 1] = 1.0f / sqrtf(variance + eps);
    }
}

int imu_kernel_group_stats(void *stream, imu_values x, float *stats, int64_t n, int64_t pixels,
                           int64_t channels, int groups, float eps)
{
    return IMU_LAUNCH_TOGETHER(group_stats, n * groups, IMU_BLOCK, stream, x, stats, pixels,
                               channels, groups, eps);
}

static __global__ void group_apply(imu_values x, imu_values y, const float *stats,
                                   const float *gamma, const float *beta, int64_t count,
                                   int64_t pixels, int64_t channels, int groups, int act)
{
    int64_t width = channels / groups;
    for (IMU_EACH(i, count)) {
        int64_t channel = i % channels;
        const float *s = stats + (i / (pixels * channels) * groups + channel / width) * 2;
        float value = (imu_load(x, i) - s[0]) * s[1] * gamma[channel] + beta[channel];
        imu_store(y, i, imu_activated(value, act));
    }
}

int imu_kernel_group_apply(void *stream, imu_values x, imu_values y, const float *stats,
                           const float *gamma, const float *beta, int64_t n, int64_t pixels,
                           int64_t channels, int groups, int act)
{
    int64_t count = n * pixels * channels;
    return IMU_LAUNCH(group_apply, imu_blocks(count), IMU_BLOCK, stream, x, y, stats, gamma, beta,
                      count, pixels, channels, groups, act);
}

static __global__ void layer_norm(imu_values x, imu_values y, const float *gamma, const float *beta,
                                  int64_t rows, int64_t width, float eps)
{
    __shared__ float shared[IMU_BLOCK];
    for (int64_t r = blockIdx.x; r < rows; r += gridDim.x) {
        float sum = 0, squares = 0;
        for (int64_t i = threadIdx.x; i < width; i += blockDim.x)
            sum += imu_load(x, r * width + i);
        float mean = over_block(shared, sum, 0) / (float)width;
        for (int64_t i = threadIdx.x; i < width; i += blockDim.x) {
            float off = imu_load(x, r * width + i) - mean;
            squares += off * off;
        }
        float inverse = 1.0f / sqrtf(over_block(shared, squares, 0) / (float)width + eps);
        for (int64_t i = threadIdx.x; i < width; i += blockDim.x)
            imu_store(y, r * width + i,
                      (imu_load(x, r * width + i) - mean) * inverse * gamma[i] + beta[i]);
    }
}

/* Blocks of a kernel that takes a row at a time. */
static int64_t row_blocks(int64_t rows)
{
    return rows < 1 ? 1 : rows > IMU_MOST_BLOCKS ? IMU_MOST_BLOCKS : rows;
}

int imu_kernel_layer_norm(void *stream, imu_values x, imu_values y, const float *gamma,
                          const float *beta, int64_t rows, int64_t width, float eps)
{
    return IMU_LAUNCH_TOGETHER(layer_norm, row_blocks(rows), IMU_BLOCK, stream, x, y, gamma, beta,
                               rows, width, eps);
}

static __global__ void softmax(const float *scores, imu_values probabilities, int64_t rows,
                               int64_t queries, int64_t keys, const float *key_bias, int causal,
                               int64_t first)
{
    __shared__ float shared[IMU_BLOCK];
    for (int64_t r = blockIdx.x; r < rows; r += gridDim.x) {
        const float *row = scores + r * keys;
        int64_t own = first + r % queries + 1, seen = causal && own < keys ? own : keys;
        float most = -FLT_MAX, sum = 0;
        for (int64_t i = threadIdx.x; i < seen; i += blockDim.x)
            most = fmaxf(most, row[i] + (key_bias ? key_bias[i] : 0.0f));
        most = over_block(shared, most, 1);
        for (int64_t i = threadIdx.x; i < seen; i += blockDim.x)
            sum += expf(row[i] + (key_bias ? key_bias[i] : 0.0f) - most);
        float inverse = 1.0f / over_block(shared, sum, 0);
        for (int64_t i = threadIdx.x; i < keys; i += blockDim.x) {
            float bias = key_bias ? key_bias[i] : 0.0f;
            imu_store(probabilities, r * keys + i,
                      i < seen ? expf(row[i] + bias - most) * inverse : 0.0f);
        }
    }
}

int imu_kernel_softmax(void *stream, const float *scores, imu_values probabilities, int64_t heads,
                       int64_t queries, int64_t keys, const float *key_bias, int causal,
                       int64_t first)
{
    return IMU_LAUNCH_TOGETHER(softmax, row_blocks(heads * queries), IMU_BLOCK, stream, scores,
                               probabilities, heads * queries, queries, keys, key_bias, causal,
                               first);
}

/* What wave `k` (bit 0: one turn along a row, bit 1: along a column) is at pixel `p`. */
static __device__ void wave_at(int k, int64_t p, imu_extent e, float *cosine, float *sine)
{
    float turns = (k & 1 ? (float)(p % e.width) / (float)e.width : 0.0f) +
                  (k & 2 ? (float)(p / e.width) / (float)e.height : 0.0f);
    *cosine = cosf(6.28318530717958648f * turns);
    *sine = sinf(6.28318530717958648f * turns);
}

/* One block for each channel of each picture. All four sums are made before any value changes. */
static __global__ void scale_low(float *y, imu_extent e, float factor)
{
    __shared__ float shared[IMU_BLOCK];
    int64_t pixels = e.height * e.width;
    float *first = y + blockIdx.x / e.channels * pixels * e.channels + blockIdx.x % e.channels;
    float even[4], odd[4], share = (factor - 1) / (float)pixels, cosine, sine;
    for (int k = 0; k < 4; k++) {
        float with_cosine = 0, with_sine = 0;
        for (int64_t p = threadIdx.x; p < pixels; p += blockDim.x) {
            wave_at(k, p, e, &cosine, &sine);
            with_cosine += first[p * e.channels] * cosine;
            with_sine += first[p * e.channels] * sine;
        }
        even[k] = over_block(shared, with_cosine, 0);
        odd[k] = over_block(shared, with_sine, 0);
    }
    __syncthreads();
    for (int64_t p = threadIdx.x; p < pixels; p += blockDim.x)
        for (int k = 0; k < 4; k++) {
            if ((k & 1 && e.width < 2) || (k & 2 && e.height < 2))
                continue; /* an axis of one pixel has its mean alone */
            wave_at(k, p, e, &cosine, &sine);
            first[p * e.channels] += share * (even[k] * cosine + odd[k] * sine);
        }
}

int imu_kernel_scale_low(void *stream, float *y, imu_extent e, float factor)
{
    return IMU_LAUNCH_TOGETHER(scale_low, e.n * e.channels, IMU_BLOCK, stream, y, e, factor);
}
