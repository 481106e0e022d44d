/* What the benches of the engine compute on. */
#ifndef IMU_BENCH_DEVICE_H
#define IMU_BENCH_DEVICE_H

#include "worker/tensor/tensor.h"

/* The processor or, with BENCH_DEVICE=cuda, the first GPU, computing in `type` ("f32", "bf16").
 * Prints what it is. First thing in main(): it settles how threads wait (threads.h).
 * @return NULL, with a line that says why, when there is no such device or it lacks the type */
imu_backend *imu_bench_device(char **argv, const char *type);

#endif
