/* The memory of the emulated device. */
#ifndef IMU_TESTS_ENGINE_DEVICE_HOST_H
#define IMU_TESTS_ENGINE_DEVICE_HOST_H

#include <stdint.h>

struct imu_host_memory {
    uint64_t limit;             /* bytes that there are; tests may set it */
    uint64_t held, most;        /* bytes in use now, and at the most since a test set it */
    uint64_t uploads, uploaded; /* how many, and bytes; since a test set them */
};
extern struct imu_host_memory imu_host_memory;

#endif
