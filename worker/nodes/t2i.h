/* T2I adapters that a node names, opened, with their pictures as the network takes them. */
#ifndef IMU_NODES_T2I_H
#define IMU_NODES_T2I_H

#include "worker/nodes/env.h"

enum { IMU_MAX_T2IS = 8 };

typedef struct imu_t2is {
    imu_t2i_use use[IMU_MAX_T2IS];
    float *picture[IMU_MAX_T2IS];
    double *weight[IMU_MAX_T2IS];
    int count;
    const char *base; /* of the model that they steer, and its latents */
    int64_t height, width;
} imu_t2is;

/**
 * Takes a T2IAdapterField or a list of them for latents of that many cells and a model of that
 * base. To be given to imu_t2is_close, after a failure too.
 * @return 0, or -1 with call->error
 */
int imu_t2is_take(imu_call *call, const json_t *given, const char *base, int64_t height,
                  int64_t width, imu_t2is *all);
void imu_t2is_close(imu_t2is *all);

#endif
