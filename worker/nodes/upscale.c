/* Nodes that enlarge pictures by a network. */
#include "worker/nodes/families.h"
#include "worker/nodes/fields.h"
#include "worker/nodes/models.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define TILE_INPUT "tile_size"

static bool is_upscaler(const json_t *row)
{
    const char *type = imu_json_str(json_object_get(row, "record"), "type");
    return type && !strcmp(type, "spandrel_image_to_image");
}

static int open_row(imu_call *call, const json_t *row, imu_upscaler **out)
{
    char path[PATH_MAX];
    imu_fault fault;
    if (imu_models_path(call, row, path))
        return -1;
    return imu_upscaler_open(imu_models_engine(call), path, out, &fault)
               ? imu_models_refuse(call, &fault)
               : 0;
}

/* The upscaler that the call names, opened. @return 0, or -1 with call->error */
static int open_upscaler(imu_call *call, imu_upscaler **out)
{
    const json_t *id = imu_in(call, "image_to_image_model"),
                 *row = imu_models_find(call->env->model_rows, id);
    const char *name = imu_json_str(id, "name");
    return is_upscaler(row)
               ? open_row(call, row, out)
               : imu_refuse(call->error, "UnknownModelException",
                            "The upscaler \"%.80s\" is not installed.", name ? name : "?");
}

/* Whether a model is what `stem` means: its name, or that of its file. */
static bool is_called(const json_t *row, const char *stem)
{
    const char *path = imu_json_str(row, "path"),
               *name = imu_json_str(json_object_get(row, "record"), "name");
    const char *slash = path ? strrchr(path, '/') : NULL, *file = slash ? slash + 1 : path;
    size_t n = strlen(stem);
    return (name && !strcmp(name, stem)) ||
           (file && !strncmp(file, stem, n) && !strcmp(file + n, ".safetensors"));
}

/* The same for a name of InvokeAI's list, which it fetches as a pickle: here it is the model of
 * that name without the ending, which somebody has installed. */
static int open_listed(imu_call *call, imu_upscaler **out)
{
    const char *name = imu_in_text(call, "model_name"), *dot = strrchr(name, '.');
    char stem[64];
    const json_t *row;
    size_t i;
    snprintf(stem, sizeof stem, "%.*s", dot ? (int)(dot - name) : (int)sizeof stem, name);
    json_array_foreach (call->env->model_rows, i, row)
        if (is_upscaler(row) && is_called(row, stem))
            return open_row(call, row, out);
    return imu_refuse(call->error, "UnknownModelException",
                      "The upscaler \"%s\" is not installed. It belongs into the server's model "
                      "folder as %s.safetensors.",
                      stem, stem);
}

/* Whether a picture of that size may be made. @return 0, or -1 with call->error */
static int check_size(imu_call *call, double width, double height)
{
    if (width > IMU_ENV_MAX_SIDE || height > IMU_ENV_MAX_SIDE || width < 1 || height < 1 ||
        width * height > IMU_ENV_MAX_PIXELS)
        return imu_refuse(call->error, "TooLarge",
                          "The enlarged picture would have %.0f x %.0f pixels; %d a side and %u "
                          "megapixels are the most.",
                          width, height, IMU_ENV_MAX_SIDE, IMU_ENV_MAX_PIXELS >> 20);
    return 0;
}

/* The picture (taken over) once through the network; NULL with call->error. */
static imu_picture *enlarge(imu_call *call, imu_upscaler *u, imu_picture *p)
{
    json_int_t tile = imu_in_int(call, TILE_INPUT);
    imu_image image = {.width = p->width, .height = p->height, .rgb = p->data}, *made;
    imu_vae_args args = {.tiled = tile > 0 && tile<IMU_ENV_MAX_SIDE, .tile_size = tile> 0 &&
                                          tile < IMU_ENV_MAX_SIDE
                                      ? (int)tile
                                      : 0,
                         .cancelled = imu_call_stop_asked,
                         .user = call};
    int scale = imu_upscaler_scale(u);
    imu_fault fault;
    if (check_size(call, (double)p->width * scale, (double)p->height * scale)) {
        imu_picture_free(p);
        return NULL;
    }
    imu_engine_status s = imu_upscale(u, &image, &args, &made, &fault);
    imu_picture_free(p);
    if (s) {
        imu_models_fault(call, &fault);
        return NULL;
    }
    imu_picture view = {
        .width = made->width, .height = made->height, .channels = 3, .data = made->rgb};
    imu_picture *out = imu_picture_convert(&view, 3);
    imu_image_free(made);
    if (!out)
        imu_refuse(call->error, "OutOfMemory", "Not enough memory for the picture.");
    return out;
}

static imu_picture *load_rgb(imu_call *call)
{
    imu_picture *given = imu_env_load_image(call, imu_in(call, "image"));
    imu_picture *rgb = given ? imu_picture_convert(given, 3) : NULL;
    if (given && !rgb)
        imu_refuse(call->error, "OutOfMemory", "Not enough memory for the picture.");
    imu_picture_free(given);
    return rgb;
}

static int save(imu_call *call, imu_picture *p)
{
    call->out = p ? imu_env_save_image(call, p, "general") : NULL;
    imu_picture_free(p);
    return call->out ? 0 : -1;
}

/* Once through the network that `open` finds. */
static int run_once(imu_call *call, int (*open)(imu_call *call, imu_upscaler **out))
{
    imu_upscaler *u;
    imu_picture *p = load_rgb(call);
    if (!p)
        return -1;
    if (open(call, &u)) {
        imu_picture_free(p);
        return -1;
    }
    p = enlarge(call, u, p);
    imu_upscaler_close(u);
    return save(call, p);
}

static int run_upscale(imu_call *call)
{
    return run_once(call, open_upscaler);
}

static int run_esrgan(imu_call *call)
{
    return run_once(call, open_listed);
}

/* Again and again until the picture is as large as it is to be, then resized to that. */
static imu_picture *enlarge_to(imu_call *call, imu_upscaler *u, imu_picture *p, int width,
                               int height)
{
    bool grows = imu_upscaler_scale(u) > 1;
    do
        p = enlarge(call, u, p);
    while (p && grows && (p->width < width || p->height < height));
    if (!p || (p->width == width && p->height == height))
        return p;
    imu_picture *fitting = imu_resize(p, width, height, IMU_FILTER_LANCZOS);
    imu_picture_free(p);
    if (!fitting)
        imu_refuse(call->error, "OutOfMemory", "Not enough memory for the picture.");
    return fitting;
}

static int run_autoscale(imu_call *call)
{
    imu_upscaler *u;
    imu_picture *p = load_rgb(call);
    if (!p)
        return -1;
    double scale = imu_in_float(call, "scale"), width = floor(p->width * scale),
           height = floor(p->height * scale);
    if (imu_in_bool(call, "fit_to_multiple_of_8")) {
        width -= fmod(width, 8);
        height -= fmod(height, 8);
    }
    if (check_size(call, width, height) || open_upscaler(call, &u)) {
        imu_picture_free(p);
        return -1;
    }
    p = enlarge_to(call, u, p, (int)width, (int)height);
    imu_upscaler_close(u);
    return save(call, p);
}

#define UPSCALER                                                                                   \
    {                                                                                              \
        .name = "image_to_image_model", .type = IMU_T_MODEL, .flags = IMU_F_REQUIRED,              \
        .title = "Image-to-Image Model", .model_type = "spandrel_image_to_image",                  \
        .help = "The network that enlarges"                                                        \
    }
#define TILE                                                                                       \
    {                                                                                              \
        .name = TILE_INPUT, .type = IMU_T_INT, .fallback = "512",                                  \
        .help = "Size of the tiles in pixels; 0: the picture in one piece"                         \
    }
static const imu_node_type upscale_node = {"spandrel_image_to_image",
                                           "SpandrelImageToImageInvocation",
                                           "Image-to-Image",
                                           "1.3.0",
                                           "upscale",
                                           "upscale",
                                           "Enlarges a picture by a network made for it.",
                                           STORES,
                                           FIELDS(PICTURE("image", "The picture"), UPSCALER, TILE),
                                           &imu_out_image,
                                           run_upscale};
static const imu_node_type autoscale_node = {
    "spandrel_image_to_image_autoscale",
    "SpandrelImageToImageAutoscaleInvocation",
    "Image-to-Image (Autoscale)",
    "1.0.0",
    "upscale",
    "upscale",
    "Enlarges a picture by a network, as often as it takes, to so many times its size.",
    STORES,
    FIELDS(PICTURE("image", "The picture"), UPSCALER, TILE,
           {.name = "scale",
            .type = IMU_T_FLOAT,
            .flags = IMU_F_MIN | IMU_F_ABOVE_MIN | IMU_F_MAX,
            .max = 16,
            .fallback = "4.0",
            .help = "How many times as wide and high the picture is to be"},
           {.name = "fit_to_multiple_of_8",
            .type = IMU_T_BOOL,
            .fallback = "false",
            .help = "Cut width and height down to multiples of 8"}),
    &imu_out_image,
    run_autoscale};

static const char *const listed[] = {"RealESRGAN_x4plus.pth", "RealESRGAN_x4plus_anime_6B.pth",
                                     "ESRGAN_SRx4_DF2KOST_official-ff704c30.pth",
                                     "RealESRGAN_x2plus.pth", NULL};
static const imu_node_type esrgan_node = {
    "esrgan",
    "ESRGANInvocation",
    "Upscale (RealESRGAN)",
    "1.3.2",
    "upscale",
    "esrgan upscale",
    "Enlarges a picture by one of four networks, if it is installed.",
    STORES,
    FIELDS(PICTURE("image", "The picture"),
           {.name = "model_name",
            .type = IMU_T_ENUM,
            .choices = listed,
            .fallback = "\"RealESRGAN_x4plus.pth\"",
            .help = "The installed model of that name, as a safetensors file"},
           {.name = TILE_INPUT,
            .type = IMU_T_INT,
            .flags = IMU_F_MIN,
            .fallback = "400",
            .help = "Size of the tiles in pixels; 0: the picture in one piece"}),
    &imu_out_image,
    run_esrgan};

const imu_node_type *const imu_nodes_upscale[] = {&upscale_node, &autoscale_node, &esrgan_node,
                                                  NULL};
