/* T2I adapters: the node that names one, and how the denoising node takes it. */
#include "worker/nodes/t2i.h"

#include "worker/nodes/families.h"
#include "worker/nodes/fields.h"
#include "worker/nodes/models.h"
#include "worker/nodes/steering.h"

#include <stdlib.h>

static int open_t2i(imu_call *call, const json_t *field, const char *base, imu_t2i **out)
{
    char path[PATH_MAX];
    imu_fault fault;
    if (imu_steer_model(call, json_object_get(field, "t2i_adapter_model"), "t2i_adapter",
                        "T2I adapter", base, path))
        return -1;
    return imu_t2i_open(imu_models_engine(call), path, out, &fault)
               ? imu_models_refuse(call, &fault)
               : 0;
}

static int take_one(imu_call *call, const json_t *field, void *to)
{
    imu_t2is *all = to;
    int i = all->count;
    if (i == IMU_MAX_T2IS)
        return imu_refuse(call->error, "TooLarge", "At most %d T2I adapters can be used together.",
                          IMU_MAX_T2IS);
    imu_t2i_use *use = &all->use[i];
    *use = (imu_t2i_use){.adapter = NULL};
    all->picture[i] = NULL;
    all->weight[i] = NULL;
    all->count++; /* so that what is there is given back */
    if (imu_steer_when(call, field, "weight", 0, &use->when, &all->weight[i]) ||
        open_t2i(call, field, all->base, &use->adapter))
        return -1;
    all->picture[i] = imu_steer_picture(call, field, (int)imu_t2i_pixels(use->adapter, all->width),
                                        (int)imu_t2i_pixels(use->adapter, all->height));
    use->picture = all->picture[i];
    return all->picture[i] ? 0 : -1;
}

int imu_t2is_take(imu_call *call, const json_t *given, const char *base, int64_t height,
                  int64_t width, imu_t2is *all)
{
    all->base = base;
    all->height = height;
    all->width = width;
    return imu_steer_each(call, given, take_one, all);
}

void imu_t2is_close(imu_t2is *all)
{
    for (int i = 0; i < all->count; i++) {
        imu_t2i_close(all->use[i].adapter);
        free(all->picture[i]);
        free(all->weight[i]);
    }
    all->count = 0;
}

/* ---- the node ---- */

static int run_t2i(imu_call *call)
{
    static const char *const keys[] = {"image",
                                       "t2i_adapter_model",
                                       "weight",
                                       "begin_step_percent",
                                       "end_step_percent",
                                       "resize_mode",
                                       NULL};
    json_t *field = imu_steer_field(call, keys, "weight", 0);
    return field ? imu_out(call, json_pack("{s:o}", "t2i_adapter", field)) : -1;
}

static const imu_output_type t2i_output = {"T2IAdapterOutput", "t2i_adapter_output",
                                           "A T2I adapter",
                                           FIELDS({.name = "t2i_adapter",
                                                   .type = IMU_T_OTHER,
                                                   .ref = "T2IAdapterField",
                                                   .title = "T2I Adapter",
                                                   .help = "The T2I adapter and its picture"})};
static const imu_node_type t2i_node = {
    "t2i_adapter",
    "T2IAdapterInvocation",
    "T2I-Adapter - SD1.5, SDXL",
    "1.0.4",
    "conditioning",
    "t2i_adapter control",
    "Lets a picture steer what is drawn, by a small network that looks at it once.",
    0,
    FIELDS(PICTURE("image", "The picture that steers"),
           {.name = "t2i_adapter_model",
            .type = IMU_T_MODEL,
            .flags = IMU_F_REQUIRED,
            .title = "T2I-Adapter Model",
            .model_base = "sd-1 sdxl",
            .model_type = "t2i_adapter",
            .help = "The T2I adapter"},
           {.name = "weight",
            .type = IMU_T_FLOAT,
            .flags = IMU_F_OR_LIST | IMU_F_MIN,
            .fallback = "1.0",
            .help = "How much it counts, from 0 to 2; one number, or one for each step"},
           STEER_WINDOW, STEER_RESIZE),
    &t2i_output,
    run_t2i};

const imu_node_type *const imu_nodes_t2i[] = {&t2i_node, NULL};
