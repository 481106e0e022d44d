/* How the engine's own files report failure: fill the caller's imu_fault and hand the status on. */
#ifndef IMU_DIFFUSION_FAULT_H
#define IMU_DIFFUSION_FAULT_H

#include "worker/diffusion/pipeline.h"

/* Writes status and sentence into `fault` (may be NULL); returns `status`, so that a function can
 * end with `return imu_fail(...)`. */
imu_engine_status imu_fail(imu_fault *fault, imu_engine_status status, const char *format, ...)
    __attribute__((format(printf, 3, 4)));

/* imu_fail for memory that could not be had. */
imu_engine_status imu_fail_memory(imu_fault *fault);

#ifdef __clang_analyzer__
/* The analyzer reads one file at a time, and takes a failure for a possible success otherwise. */
#define imu_fail(fault, status, ...) (imu_fail(fault, status, __VA_ARGS__), (status))
#define imu_fail_memory(fault)       (imu_fail_memory(fault), IMU_ENGINE_NO_MEMORY)
#endif

#endif
