/* The UNet's structure, shared by the file that builds it and the one that runs it. */
#ifndef IMU_DIFFUSION_UNET_PARTS_H
#define IMU_DIFFUSION_UNET_PARTS_H

#include "worker/diffusion/blocks.h"
#include "worker/diffusion/unet.h"

enum { IMU_UNET_MAX_LEVELS = 8, IMU_UNET_MAX_LAYERS = 8 };
enum { IMU_UNET_MAX_SKIPS = (IMU_UNET_MAX_LEVELS + 1) * (IMU_UNET_MAX_LAYERS + 1) };

/* What goes down and comes back up. */
typedef struct imu_skip_stack {
    imu_tensor *item[IMU_UNET_MAX_SKIPS];
    int count;
} imu_skip_stack;

typedef struct imu_unet_level {
    int layers;
    bool attends, resamples;
    imu_resnet resnet[IMU_UNET_MAX_LAYERS + 1];
    imu_transformer transformer[IMU_UNET_MAX_LAYERS + 1];
    imu_conv resample;
} imu_unet_level;

/* An attention on the context, as diffusers counts them: down, up, then the middle. */
typedef struct imu_crossing {
    char name[48]; /* of the block: "up_blocks.1.attentions.0" */
    int64_t width;
    int level; /* how often latents are halved there */
} imu_crossing;

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
    imu_crossing *crossing;
    int crossing_count;
    bool down_only; /* a ControlNet's: no way up */
};

/* Opens the way down and the middle of a UNet alone. */
imu_engine_status imu_unet_open_down(imu_backend *backend, const imu_net_place *place,
                                     imu_unet **out, imu_fault *fault);
/* Runs them: the middle, and on the stack what goes to the way up. `added` goes onto the first
 * features. What a caller needs for the way up too is given out, unless it is NULL: of the context,
 * the text. */
imu_tensor *imu_unet_descend(imu_run *run, const imu_unet *u, const imu_unet_request *r,
                             const imu_tensor *added, imu_tensor **time, imu_context *context,
                             imu_skip_stack *skips);

#endif
