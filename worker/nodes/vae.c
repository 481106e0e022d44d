/* Nodes that turn latents into pictures and back. */
#include "worker/nodes/families.h"
#include "worker/nodes/fields.h"
#include "worker/nodes/latents.h"
#include "worker/nodes/models.h"

#include <stdlib.h>

/* The options of a call that runs a VAE; other nodes have none of them. */
static imu_vae_args options_of(imu_call *call)
{
    json_int_t tile = imu_in_int(call, "tile_size");
    return (imu_vae_args){.tiled = imu_in_bool(call, "tiled"),
                          .tile_size = tile < 0 || tile > IMU_ENV_MAX_SIDE ? 0 : (int)tile,
                          .full_precision = imu_in_bool(call, "fp32"),
                          .cancelled = imu_call_stop_asked,
                          .user = call};
}

static int run_l2i(imu_call *call)
{
    const json_t *vae = imu_in(call, "vae");
    const struct imu_thing *latents = imu_env_latents(call, imu_in(call, "latents"));
    imu_model *model;
    imu_image *image;
    imu_fault fault;
    imu_vae_args args = options_of(call);
    imu_seamless_axes(vae, &args.seamless_x, &args.seamless_y);
    if (!latents || imu_models_get(call, json_object_get(vae, "vae"), IMU_PART_VAE, &model))
        return -1;
    if (imu_model_decode(model, latents->latents, &args, &image, &fault) != IMU_ENGINE_OK)
        return imu_models_fault(call, &fault);
    imu_picture p = {
        .width = image->width, .height = image->height, .channels = 3, .data = image->rgb};
    call->out = imu_env_save_image(call, &p, "general");
    imu_image_free(image);
    return call->out ? 0 : -1;
}

#define VAE_INPUT                                                                                  \
    {                                                                                              \
        .name = "vae", .type = IMU_T_VAE, .flags = IMU_F_REQUIRED | IMU_F_CONNECTION,              \
        .title = "VAE", .help = "The VAE to use"                                                   \
    }
#define VAE_OPTIONS                                                                                \
    {.name = "tiled",                                                                              \
     .type = IMU_T_BOOL,                                                                           \
     .fallback = "false",                                                                          \
     .help = "Work in tiles to save memory"},                                                      \
        {.name = "tile_size",                                                                      \
         .type = IMU_T_INT,                                                                        \
         .multiple_of = 8,                                                                         \
         .fallback = "0",                                                                          \
         .help = "Size of the tiles in pixels; 0 leaves it to the VAE"},                           \
    {                                                                                              \
        .name = "fp32", .type = IMU_T_BOOL, .fallback = "false",                                   \
        .help = "Calculate with full precision"                                                    \
    }
static const imu_node_type l2i_node = {"l2i",
                                       "LatentsToImageInvocation",
                                       "Latents to Image - SD1.5, SDXL",
                                       "1.3.2",
                                       "latents",
                                       "latents image vae l2i",
                                       "Turns latents into a picture and stores it.",
                                       IMU_N_BOARD | IMU_N_METADATA,
                                       FIELDS({.name = "latents",
                                               .type = IMU_T_LATENTS,
                                               .flags = IMU_F_REQUIRED | IMU_F_CONNECTION,
                                               .help = "The latents"},
                                              VAE_INPUT, VAE_OPTIONS),
                                       &imu_out_image,
                                       run_l2i};

imu_picture *imu_on_grid(imu_call *call, imu_picture *p)
{
    int w = p->width - p->width % IMU_CELL, h = p->height - p->height % IMU_CELL;
    if (w == p->width && h == p->height)
        return p;
    imu_picture *fitting = imu_resize(p, w ? w : IMU_CELL, h ? h : IMU_CELL, IMU_FILTER_LANCZOS);
    imu_picture_free(p);
    if (!fitting)
        imu_refuse(call->error, "OutOfMemory", "Not enough memory for the picture.");
    return fitting;
}

int imu_encode_picture(imu_call *call, const json_t *vae, const imu_picture *rgb, imu_model **model,
                       imu_array **latents)
{
    imu_image image = {.width = rgb->width, .height = rgb->height, .rgb = rgb->data};
    imu_fault fault;
    const imu_vae_args args = options_of(call);
    if (imu_models_get(call, json_object_get(vae, "vae"), IMU_PART_VAE, model))
        return -1;
    return imu_model_encode_image(*model, &image, &args, latents, &fault)
               ? imu_models_fault(call, &fault)
               : 0;
}

static int run_i2l(imu_call *call)
{
    imu_picture *given = imu_env_load_image(call, imu_in(call, "image"));
    imu_picture *rgb = given ? imu_picture_convert(given, 3) : NULL;
    imu_model *model;
    imu_array *latents;
    if (given && !rgb)
        imu_refuse(call->error, "OutOfMemory", "Not enough memory for the picture.");
    imu_picture_free(given);
    rgb = rgb ? imu_on_grid(call, rgb) : NULL;
    if (!rgb)
        return -1;
    int rc = imu_encode_picture(call, imu_in(call, "vae"), rgb, &model, &latents);
    imu_picture_free(rgb);
    if (rc)
        return rc;
    const imu_model_info *info = imu_model_get_info(model);
    const char *name = imu_env_keep_latents(call, latents, info->base, 0);
    return name ? imu_out(call, imu_latents_output(name, latents, info->vae_scale, 0)) : -1;
}

static const char *const compensations[] = {"None", "SDXL", NULL};
static const imu_node_type i2l_node = {
    "i2l",
    "ImageToLatentsInvocation",
    "Image to Latents - SD1.5, SDXL",
    "1.2.0",
    "latents",
    "latents image vae i2l",
    "Turns a picture into latents.",
    0,
    FIELDS({.name = "image", .type = IMU_T_IMAGE, .flags = IMU_F_REQUIRED, .help = "The picture"},
           VAE_INPUT, VAE_OPTIONS,
           {.name = "color_compensation",
            .type = IMU_T_ENUM,
            .choices = compensations,
            .fallback = "\"None\"",
            .help = "Evens out a colour shift of SDXL's VAE; without effect here"}),
    &imu_out_latents,
    run_i2l};

const imu_node_type *const imu_nodes_vae[] = {&l2i_node, &i2l_node, NULL};
