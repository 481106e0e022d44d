/* Masks that a run keeps: 1 where something counts, else 0. */
#include "worker/nodes/env.h"
#include "worker/nodes/families.h"
#include "worker/nodes/fields.h"

#include <stdint.h>

static imu_array *new_mask(imu_call *call, int64_t height, int64_t width)
{
    imu_array *mask = imu_array_new(4, (int64_t[]){1, 1, height, width});
    if (!mask)
        imu_refuse(call->error, "OutOfMemory", "Not enough memory for the mask.");
    return mask;
}

/* Gives a mask out (taken over; NULL with call->error). */
static int give(imu_call *call, imu_array *mask)
{
    if (!mask)
        return -1;
    int64_t height = mask->dim[2], width = mask->dim[3];
    const char *name = imu_env_keep_latents(call, mask, NULL, 0);
    return name ? imu_out(call, json_pack("{s:{s:s},s:I,s:I}", "mask", "tensor_name", name, "width",
                                          (json_int_t)width, "height", (json_int_t)height))
                : -1;
}

/* Where one channel of a picture is at least `least`; the other way with `invert`. */
static int by_channel(imu_call *call, int channels, int which, int least, bool invert)
{
    imu_picture *given = imu_env_load_image(call, imu_in(call, "image"));
    imu_picture *p = given ? imu_picture_convert(given, channels) : NULL;
    imu_array *mask = p ? new_mask(call, p->height, p->width) : NULL;
    for (int64_t i = 0; mask && i < imu_array_count(mask); i++)
        mask->data[i] = (p->data[i * channels + which] >= least) != invert;
    if (given && !p)
        imu_refuse(call->error, "OutOfMemory", "Not enough memory for the mask.");
    imu_picture_free(given);
    imu_picture_free(p);
    return give(call, mask);
}

static int run_alpha(imu_call *call)
{
    return by_channel(call, 4, 3, 1, imu_in_bool(call, "invert"));
}

static int run_image(imu_call *call)
{
    return by_channel(call, 1, 0, (int)imu_in_int(call, "cutoff"), !imu_in_bool(call, "invert"));
}

static int run_invert(imu_call *call)
{
    const struct imu_thing *thing = imu_env_tensor(call, imu_in(call, "mask"), "tensor_name");
    if (!thing)
        return -1;
    const imu_array *from = thing->latents;
    if (from->ndim != 4 || from->dim[0] != 1 || from->dim[1] != 1)
        return imu_refuse(call->error, "InvalidInput", "\"mask\" is no mask.");
    imu_array *mask = new_mask(call, from->dim[2], from->dim[3]);
    for (int64_t i = 0; mask && i < imu_array_count(mask); i++)
        mask->data[i] = from->data[i] > 0.5f ? 0 : 1;
    return give(call, mask);
}

#define INVERT                                                                                     \
    {                                                                                              \
        .name = "invert", .type = IMU_T_BOOL, .fallback = "false", .help = "The other way round"   \
    }
static const imu_output_type mask_output = {
    "MaskOutput", "mask_output", "A mask",
    FIELDS({.name = "mask", .type = IMU_T_OTHER, .ref = "TensorField", .help = "The mask"},
           {.name = "width", .type = IMU_T_INT, .help = "Its width in pixels"},
           {.name = "height", .type = IMU_T_INT, .help = "Its height in pixels"})};
static const imu_node_type alpha_node = {
    "alpha_mask_to_tensor",
    "AlphaMaskToTensorInvocation",
    "Alpha Mask to Tensor",
    "1.0.0",
    "mask",
    "conditioning",
    "Makes a mask of what a picture shows: 1 where it is not wholly transparent.",
    0,
    FIELDS(PICTURE("image", "The picture"), INVERT),
    &mask_output,
    run_alpha};
static const imu_node_type image_node = {"image_mask_to_tensor",
                                         "ImageMaskToTensorInvocation",
                                         "Image Mask to Tensor",
                                         "1.0.0",
                                         "mask",
                                         "conditioning",
                                         "Makes a mask of a picture: 1 where it is dark.",
                                         IMU_N_METADATA,
                                         FIELDS(PICTURE("image", "The picture"),
                                                {.name = "cutoff",
                                                 .type = IMU_T_INT,
                                                 .flags = IMU_F_MIN | IMU_F_MAX,
                                                 .min = 0,
                                                 .max = 255,
                                                 .fallback = "128",
                                                 .help = "What is darker than this is dark"},
                                                INVERT),
                                         &mask_output,
                                         run_image};
static const imu_node_type invert_node = {"invert_tensor_mask",
                                          "InvertTensorMaskInvocation",
                                          "Invert Tensor Mask",
                                          "1.1.0",
                                          "mask",
                                          "conditioning",
                                          "Turns a mask into its opposite.",
                                          0,
                                          FIELDS({.name = "mask",
                                                  .type = IMU_T_OTHER,
                                                  .ref = "TensorField",
                                                  .flags = IMU_F_REQUIRED,
                                                  .help = "The mask"}),
                                          &mask_output,
                                          run_invert};

const imu_node_type *const imu_nodes_tensor_masks[] = {&alpha_node, &image_node, &invert_node,
                                                       NULL};
