/* CLIP's encoder of pictures, as IP adapters use it: its last layer but one, or one vector. */
#ifndef IMU_DIFFUSION_CLIP_VISION_H
#define IMU_DIFFUSION_CLIP_VISION_H

#include "worker/diffusion/net.h"

typedef struct imu_vision_info {
    int width;      /* of the layers */
    int projection; /* of the one vector */
    int edge;       /* pixels of the square picture */
    int tokens;     /* patches, and one for all of it */
} imu_vision_info;

/* What config.json of such a folder says. */
imu_engine_status imu_vision_describe(const char *folder, imu_vision_info *info, imu_fault *fault);

imu_engine_status imu_vision_build(imu_backend *backend, const char *folder, imu_vision **out,
                                   imu_fault *fault);
const imu_vision_info *imu_vision_get_info(const imu_vision *v);
/* `pixels` is [3, edge, edge] in CLIP's scale. What is NULL is not computed: `hidden` [tokens,
 * width], what comes out of the last layer but one; `vector` [projection]. */
imu_engine_status imu_vision_run(imu_vision *v, const float *pixels, float *hidden, float *vector,
                                 int (*cancelled)(void *user), void *user, imu_fault *fault);
/* An RGB picture of edge by edge pixels in that scale. */
void imu_vision_scale(const imu_image *image, float *pixels);

#endif
