/* The UNet's structure, shared by the file that builds it and the one that runs it. */
#ifndef IMU_DIFFUSION_UNET_PARTS_H
#define IMU_DIFFUSION_UNET_PARTS_H

#include "worker/diffusion/blocks.h"
#include "worker/diffusion/unet.h"

enum { IMU_UNET_MAX_LEVELS = 8, IMU_UNET_MAX_LAYERS = 8 };

typedef struct imu_unet_level {
    int layers;
    bool attends, resamples;
    imu_resnet resnet[IMU_UNET_MAX_LAYERS + 1];
    imu_transformer transformer[IMU_UNET_MAX_LAYERS + 1];
    imu_conv resample;
} imu_unet_level;

struct imu_unet {
    imu_net *net;
    imu_unet_info info;
    int levels, layers, groups;
    int channels[IMU_UNET_MAX_LEVELS], heads[IMU_UNET_MAX_LEVELS], depth[IMU_UNET_MAX_LEVELS];
    int down_attends[IMU_UNET_MAX_LEVELS], up_attends[IMU_UNET_MAX_LEVELS];
    bool cosine_first;
    double frequency_shift, eps;
    imu_linear time1, time2, added1, added2;
    imu_conv conv_in, conv_out;
    imu_norm norm_out;
    imu_unet_level down[IMU_UNET_MAX_LEVELS], up[IMU_UNET_MAX_LEVELS];
    imu_resnet mid1, mid2;
    imu_transformer mid;
};

#endif
