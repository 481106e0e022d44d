/* Where the time of an evaluation goes: each operation of the backend, timed as the networks call
 * it. Only for a processor: on a GPU, operations are over when they have been asked for. */
#ifndef IMU_BENCH_PROFILE_H
#define IMU_BENCH_PROFILE_H

#include "worker/tensor/tensor.h"

/* Has the backend's operations timed from now on; one backend at a time. */
void imu_profile_watch(imu_backend *backend);
/* Forgets what was timed. */
void imu_profile_reset(void);
/* Calls `tell` with each operation that took some time since, and the seconds. */
void imu_profile_each(void (*tell)(void *user, const char *operation, double seconds), void *user);

#endif
