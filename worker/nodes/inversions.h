/* Textual inversions of a prompt: those that it names by "<name>" and that came with the run. */
#ifndef IMU_NODES_INVERSIONS_H
#define IMU_NODES_INVERSIONS_H

#include "worker/nodes/env.h"

enum { IMU_MAX_TRIGGERS = 32, IMU_TRIGGER_BYTES = 128 };

typedef struct imu_inversions {
    imu_inversion_use use[IMU_MAX_TRIGGERS];
    char trigger[IMU_MAX_TRIGGERS][IMU_TRIGGER_BYTES];
    int count;
} imu_inversions;

/**
 * Opens those that a text names and adds them; what is not installed for models of that base stays
 * words. To be given to imu_inversions_close, after a failure too.
 * @return 0, or -1 with call->error
 */
int imu_inversions_add(imu_call *call, const char *text, const char *base, imu_inversions *all);
void imu_inversions_close(imu_inversions *all);

#endif
