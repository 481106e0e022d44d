/* ControlNets: the node that names one, and how the denoising node takes it. */
#include "worker/nodes/control.h"

#include "worker/nodes/families.h"
#include "worker/nodes/fields.h"
#include "worker/nodes/latents.h"
#include "worker/nodes/models.h"
#include "worker/nodes/steering.h"

#include <stdlib.h>
#include <string.h>

#define LEAST_WEIGHT (-1)

static int open_control(imu_call *call, const json_t *field, const char *base, imu_control **out)
{
    char path[PATH_MAX];
    imu_fault fault;
    if (imu_steer_model(call, json_object_get(field, "control_model"), "controlnet", "ControlNet",
                        base, path))
        return -1;
    return imu_control_open(imu_models_engine(call), path, out, &fault)
               ? imu_models_refuse(call, &fault)
               : 0;
}

static int take_one(imu_call *call, const json_t *field, void *to)
{
    imu_controls *all = to;
    int i = all->count;
    if (i == IMU_MAX_CONTROLS)
        return imu_refuse(call->error, "TooLarge", "At most %d ControlNets can be used together.",
                          IMU_MAX_CONTROLS);
    imu_control_use *use = &all->use[i];
    const char *mode = imu_json_str(field, "control_mode");
    mode = mode ? mode : "balanced";
    *use = (imu_control_use){.soft = !strncmp(mode, "more_", 5),
                             .only_positive =
                                 !strcmp(mode, "more_control") || !strcmp(mode, "unbalanced")};
    all->picture[i] = NULL;
    all->weight[i] = NULL;
    all->count++; /* so that what is there is given back */
    if (imu_steer_when(call, field, "control_weight", LEAST_WEIGHT, &use->when, &all->weight[i]))
        return -1;
    all->picture[i] =
        imu_steer_picture(call, field, (int)all->width * IMU_CELL, (int)all->height * IMU_CELL);
    use->picture = all->picture[i];
    return all->picture[i] ? open_control(call, field, all->base, &use->control) : -1;
}

int imu_controls_take(imu_call *call, const json_t *given, const char *base, int64_t height,
                      int64_t width, imu_controls *all)
{
    all->base = base;
    all->height = height;
    all->width = width;
    return imu_steer_each(call, given, take_one, all);
}

void imu_controls_close(imu_controls *all)
{
    for (int i = 0; i < all->count; i++) {
        imu_control_close(all->use[i].control);
        free(all->picture[i]);
        free(all->weight[i]);
    }
    all->count = 0;
}

/* ---- the node ---- */

static int run_control(imu_call *call)
{
    static const char *const keys[] = {"image",
                                       "control_model",
                                       "control_weight",
                                       "begin_step_percent",
                                       "end_step_percent",
                                       "control_mode",
                                       "resize_mode",
                                       NULL};
    json_t *field = imu_steer_field(call, keys, "control_weight", LEAST_WEIGHT);
    return field ? imu_out(call, json_pack("{s:o}", "control", field)) : -1;
}

static const char *const modes[] = {"balanced", "more_prompt", "more_control", "unbalanced", NULL};
static const imu_output_type control_output = {"ControlOutput", "control_output", "A ControlNet",
                                               FIELDS({.name = "control",
                                                       .type = IMU_T_OTHER,
                                                       .ref = "ControlField",
                                                       .help = "The ControlNet and its picture"})};
static const imu_node_type control_node = {
    "controlnet",
    "ControlNetInvocation",
    "ControlNet - SD1.5, SD2, SDXL",
    "1.1.3",
    "conditioning",
    "controlnet",
    "Lets a picture steer what is drawn, by a network made for that.",
    0,
    FIELDS(PICTURE("image", "The picture that steers"),
           {.name = "control_model",
            .type = IMU_T_MODEL,
            .flags = IMU_F_REQUIRED,
            .model_base = "sd-1 sd-2 sdxl",
            .model_type = "controlnet",
            .help = "The ControlNet"},
           {.name = "control_weight",
            .type = IMU_T_FLOAT,
            .flags = IMU_F_OR_LIST,
            .fallback = "1.0",
            .help = "How much it counts, from -1 to 2; one number, or one for each step"},
           STEER_WINDOW,
           {.name = "control_mode",
            .type = IMU_T_ENUM,
            .choices = modes,
            .fallback = "\"balanced\"",
            .help = "Whether the prompt or the picture counts more"},
           STEER_RESIZE),
    &control_output,
    run_control};

const imu_node_type *const imu_nodes_control[] = {&control_node, NULL};
