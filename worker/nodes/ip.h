/* IP adapters that a node names, opened, with what they make of their pictures. */
#ifndef IMU_NODES_IP_H
#define IMU_NODES_IP_H

#include "worker/nodes/env.h"

enum { IMU_MAX_IPS = 8, IMU_MAX_IP_BLOCKS = 32, IMU_MAX_IP_PICTURES = 16 };

typedef struct imu_ips {
    imu_ip_use use[IMU_MAX_IPS];
    imu_array *tokens[IMU_MAX_IPS];
    double *weight[IMU_MAX_IPS];
    float *mask[IMU_MAX_IPS];
    const char *blocks[IMU_MAX_IPS][IMU_MAX_IP_BLOCKS], *averse[IMU_MAX_IPS][IMU_MAX_IP_BLOCKS];
    int count;
    const char *base; /* of the model that they steer, and its latents */
    int64_t height, width;
} imu_ips;

/**
 * Takes an IPAdapterField or a list of them for latents of that many cells and a model of that
 * base; encodes their pictures.
 * To be given to imu_ips_close, after a failure too.
 * @return 0, or -1 with call->error
 */
int imu_ips_take(imu_call *call, const json_t *given, const char *base, int64_t height,
                 int64_t width, imu_ips *all);
void imu_ips_close(imu_ips *all);

#endif
