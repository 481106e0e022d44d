/* Networks of the ESRGAN family that enlarge pictures, told by the names and shapes of their
 * tensors: RRDBNet under its new and its old names, and the compact network of convolutions and
 * PReLUs (SRVGG). Free of the engine. */
#ifndef IMU_DIFFUSION_UPSCALER_SHAPE_H
#define IMU_DIFFUSION_UPSCALER_SHAPE_H

#include "worker/diffusion/safetensors.h"

enum { IMU_MAX_RRDB = 64, IMU_MAX_UPS = 4 };

typedef enum imu_upscaler_kind {
    IMU_UPSCALER_NONE = 0,
    IMU_UPSCALER_RRDB,     /* conv_first, body.0.rdb1.conv1 ... */
    IMU_UPSCALER_RRDB_OLD, /* model.0, model.1.sub.0.RDB1.conv1.0 ... */
    IMU_UPSCALER_COMPACT   /* body.0, body.1 ... */
} imu_upscaler_kind;

typedef struct imu_upscaler_shape {
    imu_upscaler_kind kind;
    const char *prefix;        /* before every name */
    int blocks;                /* residual ones; of the compact network, its convolutions */
    int64_t width, growth;     /* channels of the body; what each convolution of a block adds */
    int unshuffle;             /* this many pixels of each axis go into one first; 1: none */
    int ups;                   /* doublings */
    int tail[IMU_MAX_UPS + 2]; /* old names: numbers of the doublings', the last but one and the
                                  last convolution */
    int scale;                 /* how much larger the picture gets, 1 to 16 */
} imu_upscaler_shape;

/* kind IMU_UPSCALER_NONE when the file is none. */
imu_upscaler_shape imu_upscaler_shape_of(const imu_safetensors *st);

#endif
