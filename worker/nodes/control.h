/* ControlNets that a node names, opened, with their pictures as the network takes them. */
#ifndef IMU_NODES_CONTROL_H
#define IMU_NODES_CONTROL_H

#include "worker/nodes/env.h"

enum { IMU_MAX_CONTROLS = 8 };

typedef struct imu_controls {
    imu_control_use use[IMU_MAX_CONTROLS];
    float *picture[IMU_MAX_CONTROLS];
    double *weight[IMU_MAX_CONTROLS];
    int count;
    const char *base; /* of the model that they steer, and its latents */
    int64_t height, width;
} imu_controls;

/**
 * Takes a ControlField or a list of them for latents of that many cells and a model of that base.
 * To be given to imu_controls_close, after a failure too.
 * @return 0, or -1 with call->error
 */
int imu_controls_take(imu_call *call, const json_t *given, const char *base, int64_t height,
                      int64_t width, imu_controls *all);
void imu_controls_close(imu_controls *all);

#endif
