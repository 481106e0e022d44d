/* Kernels written for a GPU, run on the processor: a block's threads one after the other or, where
 * they wait for each other, as contexts that take turns. Small blocks: what is tested is the same.
 */
#ifndef IMU_TESTS_ENGINE_EMULATED_H
#define IMU_TESTS_ENGINE_EMULATED_H

#include <functional>
#include <stdint.h>

#define __global__
#define __device__
#define __shared__ static
#define IMU_BLOCK  4

struct imu_emulated_index {
    unsigned x;
};
extern struct imu_emulated_index threadIdx, blockIdx, blockDim, gridDim;

/* Lets the block's other threads come as far. */
void __syncthreads(void);

/* Runs `body` for each thread of each block. Without `together`, a thread that waits for others
 * ends the test. */
int imu_emulate(int64_t blocks, int count, bool together, const std::function<void()> &body);

#define IMU_LAUNCH(kernel, blocks, threads, stream, ...)                                           \
    imu_emulate((blocks), (threads), ((void)(stream), false), [=] { kernel(__VA_ARGS__); })
#define IMU_LAUNCH_TOGETHER(kernel, blocks, threads, stream, ...)                                  \
    imu_emulate((blocks), (threads), ((void)(stream), true), [=] { kernel(__VA_ARGS__); })

#endif
