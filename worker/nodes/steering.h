/* What nodes share that let a picture steer a run: ControlNets, T2I adapters. */
#ifndef IMU_NODES_STEERING_H
#define IMU_NODES_STEERING_H

#include "worker/nodes/env.h"

#include <limits.h>

/** The picture that a field names in `image`, made to fit as its `resize_mode` says: [3, height,
 * width] from 0 to 1, to be freed; NULL with call->error. */
float *imu_steer_picture(imu_call *call, const json_t *field, int width, int height);

/**
 * One weight or one for each step, from `low` to 2; none given: 1.
 * @return how many, with *out to be freed; or 0 with call->error
 */
int imu_steer_weights(imu_call *call, const char *name, const json_t *given, double low,
                      double **out);
/**
 * The field's weights, under that name, and the part of the run.
 * @param weights  what `when` points to, to be freed
 * @return 0, or -1 with call->error
 */
int imu_steer_when(imu_call *call, const json_t *field, const char *name, double low,
                   imu_when *when, double **weights);

/**
 * Where the model is that an identifier names.
 * @param type  that it must have
 * @param what  what people call that
 * @param base  of the model that is steered; NULL: any
 * @return 0, or -1 with call->error
 */
int imu_steer_model(imu_call *call, const json_t *id, const char *type, const char *what,
                    const char *base, char path[PATH_MAX]);

/** Takes one field of an input. @return 0, or -1 with call->error */
typedef int (*imu_steer_take)(imu_call *call, const json_t *field, void *all);
/** Calls it for a field, or each of a list, until one fails. @return the same */
int imu_steer_each(imu_call *call, const json_t *given, imu_steer_take take, void *all);

/**
 * An object of the call's inputs with these names, after a look at its weight and at the part of
 * the run. A new reference, or NULL with call->error.
 */
json_t *imu_steer_field(imu_call *call, const char *const *keys, const char *weight, double low);

/** Choices of `resize_mode`. */
extern const char *const imu_steer_resizes[];

#define STEER_SHARE(field, value, words)                                                           \
    {                                                                                              \
        .name = field, .type = IMU_T_FLOAT, .flags = IMU_F_MIN | IMU_F_MAX, .min = 0, .max = 1,    \
        .fallback = value, .help = words                                                           \
    }
#define STEER_WINDOW                                                                               \
    STEER_SHARE("begin_step_percent", "0", "Where in the run it begins to count"),                 \
        STEER_SHARE("end_step_percent", "1", "Where it ends to count")
#define STEER_RESIZE                                                                               \
    {                                                                                              \
        .name = "resize_mode", .type = IMU_T_ENUM, .choices = imu_steer_resizes,                   \
        .fallback = "\"just_resize\"", .help = "How the picture is made to fit"                    \
    }

#endif
