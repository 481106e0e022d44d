/* Nodes that say which part of a picture is to change, and put what changed back into it. */
#include "worker/nodes/families.h"
#include "worker/nodes/fields.h"
#include "worker/nodes/latents.h"
#include "worker/image/mask.h"
#include "worker/nodes/models.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

/* A wider edge would take minutes on a large picture, and nothing would be left of it. */
#define MAX_EDGE 1024

static int no_memory(imu_call *call)
{
    return imu_refuse(call->error, "OutOfMemory", "Not enough memory for the mask.");
}

/* The picture of an input with these channels, or NULL with call->error. */
static imu_picture *load(imu_call *call, const char *input, int channels)
{
    imu_picture *p = imu_env_load_image(call, imu_in(call, input));
    imu_picture *converted = p ? imu_picture_convert(p, channels) : NULL;
    if (p && !converted)
        no_memory(call);
    imu_picture_free(p);
    return converted;
}

/* Stores p (taken over; NULL: no memory) as the node's result. */
static int finish(imu_call *call, imu_picture *p, const char *category)
{
    if (!p)
        return no_memory(call);
    call->out = imu_env_save_image(call, p, category);
    imu_picture_free(p);
    return call->out ? 0 : -1;
}

/* ---- masks for denoising ---- */

/* A grey picture as an array of 0 to 1 that the run keeps. @return its name, or NULL with
 * call->error */
static const char *keep_mask(imu_call *call, const imu_picture *grey)
{
    imu_array *mask = imu_array_new(4, (int64_t[]){1, 1, grey->height, grey->width});
    for (int64_t i = 0; mask && i < imu_array_count(mask); i++)
        mask->data[i] = (float)grey->data[i] / 255;
    return imu_env_keep_latents(call, mask, NULL, 0);
}

/* Latents of the picture with grey where the mask is darker than `limit`; kept by the run. */
static const char *keep_masked(imu_call *call, const imu_picture *grey, double limit)
{
    imu_picture *given = load(call, "image", 3), *rgb = given ? imu_on_grid(call, given) : NULL;
    imu_array *latents;
    imu_model *model;
    if (!rgb)
        return NULL;
    for (int y = 0; y < rgb->height; y++)
        for (int x = 0; x < rgb->width; x++)
            if (imu_mask_at(grey, (x + 0.5) / rgb->width, (y + 0.5) / rgb->height) < limit)
                memset(rgb->data + 3 * ((size_t)y * (size_t)rgb->width + (size_t)x), 128, 3);
    int rc = imu_encode_picture(call, imu_in(call, "vae"), rgb, &model, &latents);
    imu_picture_free(rgb);
    return rc ? NULL : imu_env_keep_latents(call, latents, imu_model_get_info(model)->base, 0);
}

static json_t *denoise_mask(const char *mask, const char *masked, bool gradient)
{
    return json_pack("{s:s,s:s?,s:b}", "mask_name", mask, "masked_latents_name", masked, "gradient",
                     gradient);
}

static int run_denoise_mask(imu_call *call)
{
    imu_picture *given = load(call, "mask", 1), *grey = given ? imu_on_grid(call, given) : NULL;
    if (!grey)
        return -1;
    const char *name = keep_mask(call, grey), *masked = NULL;
    int rc = name ? 0 : -1;
    if (!rc && imu_in_given(call, "image") && !(masked = keep_masked(call, grey, 127.5)))
        rc = -1;
    imu_picture_free(grey);
    return rc ? rc
              : imu_out(call,
                        json_pack("{s:o}", "denoise_mask", denoise_mask(name, masked, false)));
}

/* Only UNets made for inpainting take latents of what stays. @return 1, 0, or -1 with call->error
 */
static int paints_in(imu_call *call)
{
    if (!imu_in_given(call, "unet") || !imu_in_given(call, "vae") || !imu_in_given(call, "image"))
        return 0;
    const json_t *id = json_object_get(imu_in(call, "unet"), "unet");
    const json_t *row = imu_models_find(call->env->model_rows, id);
    const char *variant = imu_json_str(json_object_get(row, "record"), "variant");
    return variant && !strcmp(variant, "inpaint");
}

/* The mask in cells of latents, its edge widened as asked for. NULL with call->error. */
static imu_picture *gradient_cells(imu_call *call)
{
    static const char *const modes[] = {"Gaussian Blur", "Box Blur", "Staged"};
    const char *mode = imu_in_text(call, "coherence_mode");
    json_int_t edge = imu_in_int(call, "edge_radius");
    double lightest = (1 - imu_in_float(call, "minimum_denoise")) * 255;
    enum imu_mask_edge kind = IMU_EDGE_GAUSS;
    for (size_t i = 0; i < 3; i++)
        if (!strcmp(mode, modes[i]))
            kind = (enum imu_mask_edge)i; /* in the order of the enumeration */
    if (edge > MAX_EDGE) {
        imu_refuse(call->error, "InvalidInput", "\"edge_radius\" must be at most %d.", MAX_EDGE);
        return NULL;
    }
    imu_picture *grey = load(call, "mask", 1);
    if (!grey)
        return NULL;
    int w = grey->width / IMU_CELL, h = grey->height / IMU_CELL;
    imu_picture *cells = imu_resize(grey, w > 0 ? w : 1, h > 0 ? h : 1, IMU_FILTER_BILINEAR);
    imu_picture_free(grey);
    if (cells && edge >= IMU_CELL) {
        imu_picture *wide =
            imu_mask_widen(cells, (int)edge / IMU_CELL, kind, lightest, imu_call_stop_asked, call);
        imu_picture_free(cells);
        cells = wide;
    }
    if (!cells && imu_call_cancelled(call))
        imu_call_stop(call);
    else if (!cells)
        no_memory(call);
    return cells;
}

/* All that is not quite white, in pixels, for putting the result back: a picture that is stored. */
static json_t *store_area(imu_call *call, const imu_picture *cells)
{
    imu_picture *hard = imu_picture_convert(cells, 1), *area = NULL;
    for (size_t i = 0; hard && i < (size_t)hard->width * (size_t)hard->height; i++)
        hard->data[i] = hard->data[i] < 255 ? 0 : 255;
    if (hard)
        area =
            imu_resize(hard, IMU_CELL * hard->width, IMU_CELL * hard->height, IMU_FILTER_NEAREST);
    json_t *out = NULL;
    if (area)
        out = imu_env_save_image(call, area, "mask");
    else
        no_memory(call);
    imu_picture_free(hard);
    imu_picture_free(area);
    return out;
}

static int run_gradient_mask(imu_call *call)
{
    imu_picture *cells = gradient_cells(call);
    if (!cells)
        return -1;
    const char *name = keep_mask(call, cells), *masked = NULL;
    json_t *area = name ? store_area(call, cells) : NULL;
    int rc = area ? paints_in(call) : -1;
    if (rc > 0)
        rc = (masked = keep_masked(call, cells, 0.5)) ? 0 : -1;
    imu_picture_free(cells);
    if (!rc)
        rc = imu_out(call, json_pack("{s:o,s:O}", "denoise_mask", denoise_mask(name, masked, true),
                                     "expanded_mask_area", json_object_get(area, "image")));
    json_decref(area);
    return rc;
}

#define OPTIONAL(field, kind, order, label, words)                                                 \
    {                                                                                              \
        .name = field, .type = kind, .flags = IMU_F_NULLABLE, .ui_order = order, .title = label,   \
        .help = words                                                                              \
    }
#define FLAG(field, order, words)                                                                  \
    {                                                                                              \
        .name = field, .type = IMU_T_BOOL, .fallback = "false", .ui_order = order, .help = words   \
    }
#define DENOISE_MASK                                                                               \
    {                                                                                              \
        .name = "denoise_mask", .type = IMU_T_OTHER, .ref = "DenoiseMaskField",                    \
        .help = "What denoising is to change"                                                      \
    }
static const imu_output_type denoise_mask_output = {"DenoiseMaskOutput", "denoise_mask_output",
                                                    "A mask for denoising", FIELDS(DENOISE_MASK)};
static const imu_output_type gradient_mask_output = {
    "GradientMaskOutput", "gradient_mask_output", "A mask for denoising, and all that it reaches",
    FIELDS(DENOISE_MASK, {.name = "expanded_mask_area",
                          .type = IMU_T_IMAGE,
                          .help = "Black where the mask reaches, to put the result back by"})};

static const imu_node_type denoise_mask_node = {
    "create_denoise_mask",
    "CreateDenoiseMaskInvocation",
    "Create Denoise Mask",
    "1.0.2",
    "mask",
    "mask denoise",
    "Makes a mask for denoising: black is repainted, white stays.",
    0,
    FIELDS({.name = "vae",
            .type = IMU_T_VAE,
            .flags = IMU_F_REQUIRED | IMU_F_CONNECTION,
            .title = "VAE",
            .ui_order = 1,
            .help = "The VAE, for models made for inpainting"},
           OPTIONAL("image", IMU_T_IMAGE, 2, NULL, "The picture, for models made for inpainting"),
           {.name = "mask",
            .type = IMU_T_IMAGE,
            .flags = IMU_F_REQUIRED,
            .ui_order = 3,
            .help = "The mask"},
           FLAG("tiled", 4, "Work in tiles to save memory"),
           FLAG("fp32", 5, "Calculate with full precision")),
    &denoise_mask_output,
    run_denoise_mask};

static const char *const coherence_modes[] = {"Gaussian Blur", "Box Blur", "Staged", NULL};
static const imu_node_type gradient_mask_node = {
    "create_gradient_mask",
    "CreateGradientMaskInvocation",
    "Create Gradient Mask",
    "1.3.0",
    "mask",
    "mask denoise",
    "Makes a mask for denoising whose edge changes later than its middle, so that no seam is seen.",
    0,
    FIELDS({.name = "mask",
            .type = IMU_T_IMAGE,
            .flags = IMU_F_REQUIRED,
            .ui_order = 2,
            .help = "The mask: black is repainted, white stays"},
           {.name = "edge_radius",
            .type = IMU_T_INT,
            .flags = IMU_F_MIN,
            .min = 0,
            .fallback = "16",
            .ui_order = 3,
            .help = "How far the edge reaches, in pixels"},
           {.name = "coherence_mode",
            .type = IMU_T_ENUM,
            .choices = coherence_modes,
            .fallback = "\"Gaussian Blur\"",
            .ui_order = 4,
            .help = "How the edge falls off"},
           {.name = "minimum_denoise",
            .type = IMU_T_FLOAT,
            .flags = IMU_F_MIN | IMU_F_MAX,
            .min = 0,
            .max = 1,
            .fallback = "0.0",
            .ui_order = 5,
            .help = "How much the edge changes at least"},
           OPTIONAL("image", IMU_T_IMAGE, 7, "[OPTIONAL] Image",
                    "The picture, for models made for inpainting"),
           {.name = "unet",
            .type = IMU_T_UNET,
            .flags = IMU_F_NULLABLE | IMU_F_CONNECTION,
            .title = "[OPTIONAL] UNet",
            .ui_order = 6,
            .help = "The UNet, for models made for inpainting"},
           {.name = "vae",
            .type = IMU_T_VAE,
            .flags = IMU_F_NULLABLE | IMU_F_CONNECTION,
            .title = "[OPTIONAL] VAE",
            .ui_order = 8,
            .help = "The VAE, for models made for inpainting"},
           FLAG("tiled", 9, "Work in tiles to save memory"),
           FLAG("fp32", 10, "Calculate with full precision")),
    &gradient_mask_output,
    run_gradient_mask};

/* ---- masks as pictures ---- */

static int run_fade(imu_call *call)
{
    json_int_t size = imu_in_int(call, "fade_size_px");
    imu_picture *grey = load(call, "mask", 1);
    if (!grey || size == 0)
        return grey ? finish(call, grey, "mask") : -1;
    imu_picture *faded = imu_mask_fade(grey, (int)imu_in_int(call, "threshold"),
                                       size < IMU_ENV_MAX_SIDE ? (int)size : IMU_ENV_MAX_SIDE);
    imu_picture_free(grey);
    return finish(call, faded, "mask");
}

/* Brings a mask to the size of what it is for. */
static imu_picture *fit(imu_picture *mask, const imu_picture *to)
{
    if (!mask || (mask->width == to->width && mask->height == to->height))
        return mask;
    imu_picture *fitting = imu_resize(mask, to->width, to->height, IMU_FILTER_BILINEAR);
    imu_picture_free(mask);
    return fitting;
}

static uint8_t times(unsigned a, unsigned b)
{
    return (uint8_t)((a * b + 127) / 255);
}

static int run_apply(imu_call *call)
{
    unsigned flip = imu_in_bool(call, "invert_mask") ? 255 : 0;
    imu_picture *p = load(call, "image", 4), *mask = p ? load(call, "mask", 1) : NULL;
    if (!mask) {
        imu_picture_free(p);
        return -1;
    }
    mask = fit(mask, p);
    for (size_t i = 0; mask && i < (size_t)p->width * (size_t)p->height; i++)
        p->data[4 * i + 3] = times(p->data[4 * i + 3], mask->data[i] ^ flip);
    if (!mask) {
        imu_picture_free(p);
        return no_memory(call);
    }
    imu_picture_free(mask);
    return finish(call, p, "general");
}

static int run_alpha(imu_call *call)
{
    uint8_t flip = imu_in_bool(call, "invert") ? 255 : 0;
    imu_picture *p = load(call, "image", 4);
    if (!p)
        return -1;
    imu_picture *mask = imu_picture_new(p->width, p->height, 1);
    for (size_t i = 0; mask && i < (size_t)p->width * (size_t)p->height; i++)
        mask->data[i] = p->data[4 * i + 3] ^ flip;
    imu_picture_free(p);
    return finish(call, mask, "mask");
}

static int run_combine(imu_call *call)
{
    imu_picture *first = load(call, "mask1", 1), *second = first ? load(call, "mask2", 1) : NULL;
    if (!second) {
        imu_picture_free(first);
        return -1;
    }
    second = fit(second, first);
    for (size_t i = 0; second && i < (size_t)first->width * (size_t)first->height; i++)
        first->data[i] = times(first->data[i], second->data[i]);
    if (!second) {
        imu_picture_free(first);
        first = NULL;
    }
    imu_picture_free(second);
    return finish(call, first, "mask");
}

/* ---- holes ---- */

static int run_infill(imu_call *call)
{
    imu_picture *p = load(call, "image", 4);
    if (!p)
        return -1;
    imu_picture *whole = imu_fill_holes(p);
    imu_picture_free(p);
    return finish(call, whole, "general");
}

static int run_infill_color(imu_call *call)
{
    static const char *const keys[] = {"r", "g", "b"};
    imu_picture *p = load(call, "image", 4);
    if (!p)
        return -1;
    imu_picture *whole = imu_picture_new(p->width, p->height, 3);
    for (size_t i = 0; whole && i < (size_t)p->width * (size_t)p->height; i++)
        for (size_t c = 0; c < 3; c++) {
            unsigned alpha = p->data[4 * i + 3],
                     fill = (unsigned)json_integer_value(
                         json_object_get(imu_in(call, "color"), keys[c]));
            whole->data[3 * i + c] =
                (uint8_t)(times(p->data[4 * i + c], alpha) + times(fill, 255 - alpha));
        }
    imu_picture_free(p);
    return finish(call, whole, "general");
}

static const imu_node_type fade_node = {
    "expand_mask_with_fade",
    "ExpandMaskWithFadeInvocation",
    "Expand Mask with Fade",
    "1.0.1",
    "mask",
    "image mask",
    "Lets a mask's black fade to white over some pixels.",
    STORES,
    FIELDS(PICTURE("mask", "The mask: black is what is kept of a new picture"),
           {.name = "threshold",
            .type = IMU_T_INT,
            .flags = IMU_F_MIN | IMU_F_MAX,
            .min = 0,
            .max = 255,
            .fallback = "0",
            .help = "The lightest grey that counts as black"},
           {.name = "fade_size_px",
            .type = IMU_T_INT,
            .flags = IMU_F_MIN,
            .min = 0,
            .fallback = "32",
            .help = "Over how many pixels to fade; 0 leaves the mask as it is"}),
    &imu_out_image,
    run_fade};
static const imu_node_type apply_node = {
    "apply_mask_to_image",
    "ApplyMaskToImageInvocation",
    "Apply Mask to Image",
    "1.0.0",
    "mask",
    "image mask blend",
    "Makes a picture transparent where a mask is black.",
    STORES,
    FIELDS(PICTURE("image", "The picture"), PICTURE("mask", "The mask"),
           {.name = "invert_mask",
            .type = IMU_T_BOOL,
            .fallback = "false",
            .help = "Make it transparent where the mask is white instead"}),
    &imu_out_image,
    run_apply};
static const imu_node_type alpha_node = {
    "tomask",
    "MaskFromAlphaInvocation",
    "Mask from Alpha",
    "1.2.2",
    "mask",
    "image mask",
    "Makes a mask out of a picture's transparency: transparent is black.",
    STORES,
    FIELDS(PICTURE("image", "The picture"), {.name = "invert",
                                             .type = IMU_T_BOOL,
                                             .fallback = "false",
                                             .help = "Make it white instead"}),
    &imu_out_image,
    run_alpha};
static const imu_node_type combine_node = {
    "mask_combine",
    "MaskCombineInvocation",
    "Combine Masks",
    "1.2.2",
    "mask",
    "image mask multiply",
    "Multiplies two masks: black where one of them is.",
    STORES,
    FIELDS(PICTURE("mask1", "The first mask"), PICTURE("mask2", "The second mask")),
    &imu_out_image,
    run_combine};

#define FILLS(id, schema, label, version)                                                          \
    {                                                                                              \
        id, schema, label, version, "inpaint", "image inpaint",                                    \
            "Fills what is transparent with averages of the colours around it.", STORES,           \
            FIELDS(PICTURE("image", "The picture")), &imu_out_image, run_infill                    \
    }
static const imu_node_type lama_node =
    FILLS("infill_lama", "LaMaInfillInvocation", "LaMa Infill", "1.2.2");
static const imu_node_type cv2_node =
    FILLS("infill_cv2", "CV2InfillInvocation", "CV2 Infill", "1.2.2");
static const imu_node_type infill_color_node = {
    "infill_rgba",
    "InfillColorInvocation",
    "Solid Color Infill",
    "1.2.2",
    "inpaint",
    "image inpaint",
    "Fills what is transparent with one colour.",
    STORES,
    FIELDS(PICTURE("image", "The picture"),
           {.name = "color",
            .type = IMU_T_COLOR,
            .fallback = "{\"r\": 127, \"g\": 127, \"b\": 127, \"a\": 255}",
            .help = "The colour"}),
    &imu_out_image,
    run_infill_color};

const imu_node_type *const imu_nodes_masks[] = {
    &denoise_mask_node, &gradient_mask_node, &fade_node, &apply_node,        &alpha_node,
    &combine_node,      &lama_node,          &cv2_node,  &infill_color_node, NULL};
