/* What the nodes that denoise have in common: the inputs they share, and the run. */
#ifndef IMU_NODES_DENOISE_H
#define IMU_NODES_DENOISE_H

#include "worker/nodes/env.h"

/** The names of samplers that InvokeAI knows, NULL-terminated. */
extern const char *const imu_schedulers[];

/* Inputs that each such node declares, with defaults of its own; imu_denoise_take reads them. */
#define DENOISE_UNET(order)                                                                        \
    {                                                                                              \
        .name = "unet", .type = IMU_T_UNET, .flags = IMU_F_REQUIRED | IMU_F_CONNECTION,            \
        .title = "UNet", .ui_order = order, .help = "The network that denoises"                    \
    }
#define DENOISE_PROMPTS(field, extra, order, words)                                                \
    {                                                                                              \
        .name = field, .type = IMU_T_CONDITIONING,                                                 \
        .flags = (extra) | IMU_F_REQUIRED | IMU_F_CONNECTION, .ui_order = order, .help = words     \
    }
#define DENOISE_LATENTS(field, order, words)                                                       \
    {                                                                                              \
        .name = field, .type = IMU_T_LATENTS, .flags = IMU_F_NULLABLE | IMU_F_CONNECTION,          \
        .ui_order = order, .help = words                                                           \
    }
#define DENOISE_STEPS(value)                                                                       \
    {                                                                                              \
        .name = "steps", .type = IMU_T_INT, .flags = IMU_F_MIN | IMU_F_ABOVE_MIN | IMU_F_MAX,      \
        .max = 1000, .fallback = value, .help = "In how many steps; more is finer and slower"      \
    }
#define DENOISE_GUIDANCE(value)                                                                    \
    {                                                                                              \
        .name = "cfg_scale", .type = IMU_T_FLOAT, .flags = IMU_F_OR_LIST, .title = "CFG Scale",    \
        .fallback = value,                                                                         \
        .help = "How closely to follow the prompt; one number, or one for each step"               \
    }
#define DENOISE_SHARE(field, value, words)                                                         \
    {                                                                                              \
        .name = field, .type = IMU_T_FLOAT, .flags = IMU_F_MIN | IMU_F_MAX, .min = 0, .max = 1,    \
        .fallback = value, .help = words                                                           \
    }
#define DENOISE_WINDOW                                                                             \
    DENOISE_SHARE("denoising_start", "0.0", "Where in the run to begin"),                          \
        DENOISE_SHARE("denoising_end", "1.0", "Where to stop")
#define DENOISE_SCHEDULER                                                                          \
    {                                                                                              \
        .name = "scheduler", .type = IMU_T_ENUM, .choices = imu_schedulers,                        \
        .fallback = "\"euler\"", .ui_type = "SchedulerField",                                      \
        .help = "The rule that sets the steps"                                                     \
    }
#define DENOISE_RESCALE                                                                            \
    {                                                                                              \
        .name = "cfg_rescale_multiplier", .type = IMU_T_FLOAT,                                     \
        .flags = IMU_F_MIN | IMU_F_MAX | IMU_F_BELOW_MAX, .max = 1,                                \
        .title = "CFG Rescale Multiplier", .fallback = "0",                                        \
        .help = "Softens guidance, for models trained to full noise"                               \
    }
/** An object of another schema, or several, by an edge. */
#define DENOISE_OTHER(field, schema, order, extra, words)                                          \
    {                                                                                              \
        .name = field, .type = IMU_T_OTHER, .ref = schema,                                         \
        .flags = (extra) | IMU_F_NULLABLE | IMU_F_CONNECTION, .ui_order = order, .help = words     \
    }
#define DENOISE_CONTROL(order)                                                                     \
    DENOISE_OTHER("control", "ControlField", order, IMU_F_OR_LIST,                                 \
                  "ControlNets: pictures that steer")

/** What a node's inputs say, and what that needs. */
typedef struct imu_denoise_inputs {
    imu_denoise_args args;               /**< without the ControlNets, which the run opens */
    imu_conditioning positive, negative; /**< joined out of several */
    double *scale;
    char base[16]; /**< of the model that encoded the prompt */
} imu_denoise_inputs;

/**
 * Reads the inputs that are declared above. To be given to imu_denoise_release, after a failure
 * too.
 * @return 0, or -1 with call->error
 */
int imu_denoise_take(imu_call *call, imu_denoise_inputs *in);
void imu_denoise_release(imu_denoise_inputs *in);

/**
 * Denoises with the call's UNet, its LoRAs and ControlNets; the latents become its output.
 * @param tiles  how to cut the latents, or NULL for one piece
 * @return 0, or -1 with call->error
 */
int imu_denoise_run(imu_call *call, imu_denoise_inputs *in, const imu_tile_args *tiles);

#endif
