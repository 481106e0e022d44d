/* How kernels are written, so that nvcc compiles them for a GPU and the tests for the processor:
 * IMU_LAUNCH instead of nvcc's own brackets, and bf16 as the upper half of a float. */
#ifndef IMU_TENSOR_CUDA_LAUNCH_H
#define IMU_TENSOR_CUDA_LAUNCH_H

#include "worker/tensor/cuda/kernels.h"

#include <math.h>

/* IMU_LAUNCH_TOGETHER is for kernels whose threads wait for each other. IMU_BLOCK is how many make
 * a block; sums within one rely on a power of two. */
#ifdef __CUDACC__
#include <cuda_runtime.h>
#define IMU_BLOCK 256
#define IMU_LAUNCH(kernel, blocks, threads, stream, ...)                                           \
    (kernel<<<(unsigned)(blocks), (threads), 0, (cudaStream_t)(stream)>>>(__VA_ARGS__),            \
     cudaPeekAtLastError() == cudaSuccess ? 0 : -1)
#define IMU_LAUNCH_TOGETHER IMU_LAUNCH
#else
#include "tests/engine/emulated.h"
#endif

/* Blocks of kernels that walk over their values: enough to fill any GPU. */
#define IMU_MOST_BLOCKS 8192

static inline int64_t imu_blocks(int64_t work)
{
    int64_t blocks = (work + IMU_BLOCK - 1) / IMU_BLOCK;
    return blocks < 1 ? 1 : blocks > IMU_MOST_BLOCKS ? IMU_MOST_BLOCKS : blocks;
}

/* Every value from this thread's first, in steps of all threads. */
#define IMU_EACH(i, count)                                                                         \
    int64_t i = (int64_t)blockIdx.x * blockDim.x + threadIdx.x;                                    \
    i < (count);                                                                                   \
    i += (int64_t)gridDim.x * blockDim.x

union imu_bits {
    float value;
    uint32_t bits;
};

static __device__ inline float imu_load(imu_values x, int64_t i)
{
    if (!x.bf16)
        return ((const float *)x.data)[i];
    union imu_bits b;
    b.bits = (uint32_t)((const uint16_t *)x.data)[i] << 16;
    return b.value;
}

/* To nearest, ties to even; a NaN stays one. */
static __device__ inline uint16_t imu_round_bf16(float value)
{
    union imu_bits b;
    b.value = value;
    if ((b.bits & 0x7fffffffu) > 0x7f800000u)
        return (uint16_t)(b.bits >> 16 | 0x40u);
    return (uint16_t)((b.bits + 0x7fffu + (b.bits >> 16 & 1u)) >> 16);
}

static __device__ inline void imu_store(imu_values y, int64_t i, float value)
{
    if (y.bf16)
        ((uint16_t *)y.data)[i] = imu_round_bf16(value);
    else
        ((float *)y.data)[i] = value;
}

/* The numbers are those of imu_activation. */
static __device__ inline float imu_activated(float x, int act)
{
    switch (act) {
    case 1:
        return x / (1.0f + expf(-x));
    case 2:
        return 0.5f * x * (1.0f + erff(x * 0.70710678118654752f));
    case 3:
        return x / (1.0f + expf(-1.702f * x));
    default:
        return x;
    }
}

#endif
