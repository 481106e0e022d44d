/* The memory of the emulated device. */
#ifndef IMU_TESTS_ENGINE_DEVICE_HOST_H
#define IMU_TESTS_ENGINE_DEVICE_HOST_H

#include <signal.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

struct imu_host_memory {
    uint64_t limit;             /* bytes that there are; tests may set it */
    uint64_t held, most;        /* bytes in use now, and at the most since a test set it */
    uint64_t uploads, uploaded; /* how many, and bytes; since a test set them */
};
extern struct imu_host_memory imu_host_memory;

/* When it stops to answer, as a GPU does after an illegal address. */
struct imu_host_loss {
    volatile sig_atomic_t lost; /* now: a signal's handler may set it */
    uint64_t calls, at;         /* calls so far, and the one at which it is lost; 0: none */
};
extern struct imu_host_loss imu_host_loss;

/* Counts a call. 0, or -1 when the device is lost. */
int imu_host_answers(void);

#ifdef __cplusplus
}
#endif

#endif
