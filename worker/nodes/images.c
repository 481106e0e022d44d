/* Nodes that make, take over and change pictures. */
#include "worker/nodes/env.h"
#include "worker/nodes/families.h"
#include "worker/nodes/fields.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#define SIZE(field, words)                                                                         \
    {                                                                                              \
        .name = field, .type = IMU_T_INT, .flags = IMU_F_MIN | IMU_F_ABOVE_MIN, .fallback = "512", \
        .help = words                                                                              \
    }

static int no_memory(imu_call *call)
{
    return imu_refuse(call->error, "OutOfMemory", "Not enough memory for the picture.");
}

/* Stores p as the node's result and frees it; NULL means that there was no memory for it. */
static int finish(imu_call *call, imu_picture *p)
{
    if (!p)
        return no_memory(call);
    call->out = imu_env_save_image(call, p, "general");
    imu_picture_free(p);
    return call->out ? 0 : -1;
}

static int check_size(imu_call *call, double w, double h)
{
    if (!(w >= 1 && h >= 1 && w <= IMU_ENV_MAX_SIDE && h <= IMU_ENV_MAX_SIDE &&
          w * h <= IMU_ENV_MAX_PIXELS))
        return imu_refuse(call->error, "InvalidInput", "A picture must have 1 to %d pixels a side.",
                          IMU_ENV_MAX_SIDE);
    return 0;
}

/* Gives the picture on without storing it again. */
static int run_image(imu_call *call)
{
    int w, h;
    if (imu_env_image_size(call, imu_in(call, "image"), &w, &h))
        return -1;
    return imu_out(
        call, json_pack("{s:O,s:i,s:i}", "image", imu_in(call, "image"), "width", w, "height", h));
}

static int run_save(imu_call *call)
{
    imu_picture *p = imu_env_load_image(call, imu_in(call, "image"));
    return p ? finish(call, p) : -1;
}

static int run_collection(imu_call *call)
{
    const json_t *given = imu_in(call, imu_in_given(call, "collection") ? "collection" : "images");
    json_t *list = json_array();
    if (json_is_array(given))
        json_array_extend(list, (json_t *)given);
    return imu_out(call, json_pack("{s:o}", "collection", list));
}

static int run_blank(imu_call *call)
{
    int w = (int)imu_in_int(call, "width"), h = (int)imu_in_int(call, "height");
    if (check_size(call, (double)imu_in_int(call, "width"), (double)imu_in_int(call, "height")))
        return -1;
    static const char *const keys[] = {"r", "g", "b", "a"};
    int ch = strcmp(imu_in_text(call, "mode"), "RGBA") ? 3 : 4;
    imu_picture *p = imu_picture_new(w, h, ch);
    for (size_t i = 0; p && i < (size_t)w * (size_t)h; i++)
        for (int c = 0; c < ch; c++)
            p->data[i * (size_t)ch + (size_t)c] =
                (uint8_t)json_integer_value(json_object_get(imu_in(call, "color"), keys[c]));
    return finish(call, p);
}

static const char *const filters[] = {"nearest", "box",     "bilinear", "hamming",
                                      "bicubic", "lanczos", NULL};

static int resize_to(imu_call *call, imu_picture *p, double w, double h)
{
    const char *mode = imu_in_text(call, "resample_mode");
    int filter = IMU_FILTER_BICUBIC;
    for (int i = 0; filters[i]; i++)
        if (!strcmp(filters[i], mode))
            filter = i; /* in the order of enum imu_filter */
    if (check_size(call, w, h)) {
        imu_picture_free(p);
        return -1;
    }
    imu_picture *resized = imu_resize(p, (int)w, (int)h, (enum imu_filter)filter);
    imu_picture_free(p);
    return finish(call, resized);
}

static int run_resize(imu_call *call)
{
    imu_picture *p = imu_env_load_image(call, imu_in(call, "image"));
    return p ? resize_to(call, p, (double)imu_in_int(call, "width"),
                         (double)imu_in_int(call, "height"))
             : -1;
}

static int run_scale(imu_call *call)
{
    double factor = imu_in_float(call, "scale_factor");
    imu_picture *p = imu_env_load_image(call, imu_in(call, "image"));
    return p ? resize_to(call, p, floor(p->width * factor), floor(p->height * factor)) : -1;
}

/* Copies the part of p that lies in the window; what lies outside of p stays zero (transparent). */
static imu_picture *cut(const imu_picture *p, int64_t left, int64_t top, int w, int h)
{
    imu_picture *out = imu_picture_new(w, h, 4);
    imu_picture *rgba = out ? imu_picture_convert(p, 4) : NULL;
    for (int y = 0; rgba && y < h; y++) {
        int64_t sy = top + y, x0 = left < 0 ? -left : 0,
                x1 = p->width - left < w ? p->width - left : w;
        if (sy < 0 || sy >= p->height || x0 >= x1)
            continue;
        memcpy(out->data + ((size_t)y * (size_t)w + (size_t)x0) * 4,
               rgba->data + ((size_t)sy * (size_t)p->width + (size_t)(left + x0)) * 4,
               (size_t)(x1 - x0) * 4);
    }
    if (out && !rgba) {
        imu_picture_free(out);
        out = NULL;
    }
    imu_picture_free(rgba);
    return out;
}

static int run_crop(imu_call *call)
{
    json_int_t x = imu_in_int(call, "x"), y = imu_in_int(call, "y");
    json_int_t w = imu_in_int(call, "width"), h = imu_in_int(call, "height");
    if (check_size(call, (double)w, (double)h))
        return -1;
    if (x < -1000000 || x > 1000000 || y < -1000000 || y > 1000000)
        return imu_refuse(call->error, "InvalidInput",
                          "The place of the cut lies too far outside of the picture.");
    imu_picture *p = imu_env_load_image(call, imu_in(call, "image"));
    if (!p)
        return -1;
    imu_picture *out = cut(p, x, y, (int)w, (int)h);
    imu_picture_free(p);
    return finish(call, out);
}

static int run_unsharp(imu_call *call)
{
    imu_picture *p = imu_env_load_image(call, imu_in(call, "image"));
    if (!p)
        return -1;
    imu_picture *sharp =
        imu_unsharp(p, imu_in_float(call, "radius"), imu_in_float(call, "strength"));
    imu_picture_free(p);
    return finish(call, sharp);
}

static const imu_node_type image_node = {
    "image",
    "ImageInvocation",
    "Image Primitive",
    "1.0.2",
    "primitives",
    "primitives image",
    "Holds a picture of the gallery that other nodes can share.",
    0,
    FIELDS(PICTURE("image", "The picture")),
    &imu_out_image,
    run_image};
static const imu_node_type load_image_node = {
    "load_image",
    "LoadImageInvocation",
    "Load Image",
    "1.0.0",
    "image",
    "image load",
    "Takes a picture of the gallery, as Image Primitive does; kept for older workflows.",
    0,
    FIELDS(PICTURE("image", "The picture")),
    &imu_out_image,
    run_image};
static const imu_node_type show_image_node = {"show_image",
                                              "ShowImageInvocation",
                                              "Show Image",
                                              "1.0.1",
                                              "image",
                                              "image",
                                              "Shows a picture and gives it on.",
                                              0,
                                              FIELDS(PICTURE("image", "The picture to show")),
                                              &imu_out_image,
                                              run_image};
static const imu_node_type save_node = {"save_image",
                                        "SaveImageInvocation",
                                        "Save Image",
                                        "1.2.2",
                                        "image",
                                        "primitives image",
                                        "Stores a copy of a picture in the gallery.",
                                        IMU_N_NO_CACHE | STORES,
                                        FIELDS(PICTURE("image", "The picture to store")),
                                        &imu_out_image,
                                        run_save};
static const imu_node_type collection_node = {
    "image_collection",
    "ImageCollectionInvocation",
    "Image Collection Primitive",
    "1.0.2",
    "primitives",
    "primitives image collection",
    "Holds a list of pictures.",
    0,
    FIELDS({.name = "collection",
            .type = IMU_T_IMAGE,
            .flags = IMU_F_LIST | IMU_F_NULLABLE | IMU_F_CONNECTION,
            .help = "A list from another node"},
           {.name = "images",
            .type = IMU_T_IMAGE,
            .flags = IMU_F_LIST | IMU_F_NULLABLE | IMU_F_DIRECT,
            .help = "The pictures, when none are connected"}),
    &imu_out_images,
    run_collection};

static const char *const modes[] = {"RGB", "RGBA", NULL};
static const imu_node_type blank_node = {"blank_image",
                                         "BlankImageInvocation",
                                         "Blank Image",
                                         "1.2.2",
                                         "image",
                                         "image",
                                         "Makes a picture of one colour.",
                                         STORES,
                                         FIELDS(SIZE("width", "Width in pixels"),
                                                SIZE("height", "Height in pixels"),
                                                {.name = "mode",
                                                 .type = IMU_T_ENUM,
                                                 .choices = modes,
                                                 .fallback = "\"RGB\"",
                                                 .help = "With or without transparency"},
                                                {.name = "color",
                                                 .type = IMU_T_COLOR,
                                                 .fallback = "{\"r\":0,\"g\":0,\"b\":0,\"a\":255}",
                                                 .help = "The colour"}),
                                         &imu_out_image,
                                         run_blank};

#define RESAMPLE                                                                                   \
    {                                                                                              \
        .name = "resample_mode", .type = IMU_T_ENUM, .choices = filters,                           \
        .fallback = "\"bicubic\"", .help = "How new pixels are made out of old ones"               \
    }
static const imu_node_type resize_node = {"img_resize",
                                          "ImageResizeInvocation",
                                          "Resize Image",
                                          "1.2.2",
                                          "image",
                                          "image resize",
                                          "Makes a picture exactly so large.",
                                          STORES,
                                          FIELDS(PICTURE("image", "The picture to resize"),
                                                 SIZE("width", "New width in pixels"),
                                                 SIZE("height", "New height in pixels"), RESAMPLE),
                                          &imu_out_image,
                                          run_resize};
static const imu_node_type scale_node = {"img_scale",
                                         "ImageScaleInvocation",
                                         "Scale Image",
                                         "1.2.2",
                                         "image",
                                         "image scale",
                                         "Makes a picture larger or smaller by a factor.",
                                         STORES,
                                         FIELDS(PICTURE("image", "The picture to scale"),
                                                {.name = "scale_factor",
                                                 .type = IMU_T_FLOAT,
                                                 .flags = IMU_F_MIN | IMU_F_ABOVE_MIN,
                                                 .fallback = "2.0",
                                                 .help = "2 doubles each side"},
                                                RESAMPLE),
                                         &imu_out_image,
                                         run_scale};
static const imu_node_type crop_node = {
    "img_crop",
    "ImageCropInvocation",
    "Crop Image",
    "1.2.2",
    "image",
    "image crop",
    "Cuts a window out of a picture; what lies outside becomes transparent.",
    STORES,
    FIELDS(PICTURE("image", "The picture to cut"),
           {.name = "x", .type = IMU_T_INT, .fallback = "0", .help = "Left edge of the window"},
           {.name = "y", .type = IMU_T_INT, .fallback = "0", .help = "Upper edge of the window"},
           SIZE("width", "Width of the window"), SIZE("height", "Height of the window")),
    &imu_out_image,
    run_crop};
static const imu_node_type unsharp_node = {
    "unsharp_mask",
    "UnsharpMaskInvocation",
    "Unsharp Mask",
    "1.2.2",
    "image",
    "image unsharp_mask",
    "Makes a picture sharper where it differs from a blur of itself.",
    STORES,
    FIELDS(PICTURE("image", "The picture to sharpen"),
           {.name = "radius",
            .type = IMU_T_FLOAT,
            .flags = IMU_F_MIN | IMU_F_ABOVE_MIN | IMU_F_MAX,
            .max = IMU_UNSHARP_RADIUS,
            .fallback = "2",
            .help = "How wide the blur is, in pixels"},
           {.name = "strength",
            .type = IMU_T_FLOAT,
            .flags = IMU_F_MIN,
            .fallback = "50",
            .help = "How much sharper, in percent"}),
    &imu_out_image,
    run_unsharp};

const imu_node_type *const imu_nodes_images[] = {
    &image_node, &load_image_node, &show_image_node, &save_node, &collection_node,
    &blank_node, &resize_node,     &scale_node,      &crop_node, &unsharp_node,
    NULL,
};
