/* ControlNets: the node that names one, and how the denoising node takes it. */
#include "worker/nodes/control.h"

#include "worker/nodes/families.h"
#include "worker/nodes/fields.h"
#include "worker/nodes/latents.h"
#include "worker/nodes/models.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

/* ---- pictures ---- */

static int by_value(const void *a, const void *b)
{
    return *(const uint8_t *)a - *(const uint8_t *)b;
}

/* The middle colour of what runs along the picture's edges. */
static void border_colour(const imu_picture *p, uint8_t colour[3])
{
    size_t w = (size_t)p->width, h = (size_t)p->height, n = 0;
    uint8_t *values = malloc(2 * (w + h));
    memset(colour, 127, 3);
    for (size_t c = 0; values && c < 3; c++) {
        n = 0;
        for (size_t x = 0; x < w; x++) {
            values[n++] = p->data[3 * x + c];
            values[n++] = p->data[3 * ((h - 1) * w + x) + c];
        }
        for (size_t y = 0; y < h; y++) {
            values[n++] = p->data[3 * y * w + c];
            values[n++] = p->data[3 * (y * w + w - 1) + c];
        }
        qsort(values, n, 1, by_value);
        colour[c] = values[n / 2];
    }
    free(values);
}

/* `from` in the middle of `to`; what does not fit is cut off. */
static void centre(const imu_picture *from, imu_picture *to)
{
    int dx = (to->width - from->width) / 2, dy = (to->height - from->height) / 2;
    for (int y = 0; y < to->height; y++)
        for (int x = 0; x < to->width; x++) {
            int u = x - dx, v = y - dy;
            if (u >= 0 && v >= 0 && u < from->width && v < from->height)
                memcpy(to->data + 3 * ((size_t)y * (size_t)to->width + (size_t)x),
                       from->data + 3 * ((size_t)v * (size_t)from->width + (size_t)u), 3);
        }
}

/* The middle of the picture that has the shape of width by height, stretched to that. */
static imu_picture *cropped(const imu_picture *p, int width, int height)
{
    double k = fmax((double)width / p->width, (double)height / p->height);
    imu_picture *inner =
        imu_picture_new((int)fmax(1, round(width / k)), (int)fmax(1, round(height / k)), 3);
    if (inner)
        centre(p, inner);
    imu_picture *out = inner ? imu_resize(inner, width, height, IMU_FILTER_LANCZOS) : NULL;
    imu_picture_free(inner);
    return out;
}

/* The picture with that size: stretched, or as large as fills it, or as fits in. NULL without
 * memory. */
static imu_picture *sized(const imu_picture *p, int width, int height, const char *mode)
{
    double k = fmin((double)width / p->width, (double)height / p->height);
    if (!strcmp(mode, "crop_resize"))
        return cropped(p, width, height);
    if (strcmp(mode, "fill_resize"))
        return imu_resize(p, width, height, IMU_FILTER_LANCZOS);
    int w = (int)fmax(1, round(p->width * k)), h = (int)fmax(1, round(p->height * k));
    imu_picture *inner = imu_resize(p, w, h, IMU_FILTER_LANCZOS);
    imu_picture *out = inner ? imu_picture_new(width, height, 3) : NULL;
    uint8_t colour[3];
    if (out) {
        border_colour(inner, colour);
        for (size_t i = 0; i < 3 * (size_t)width * (size_t)height; i++)
            out->data[i] = colour[i % 3];
        centre(inner, out);
    }
    imu_picture_free(inner);
    return out;
}

/* [3, height, width] from 0 to 1; NULL with call->error. */
static float *load_picture(imu_call *call, const json_t *field, int width, int height)
{
    const char *mode = imu_json_str(field, "resize_mode");
    imu_picture *given = imu_env_load_image(call, json_object_get(field, "image"));
    imu_picture *rgb = given ? imu_picture_convert(given, 3) : NULL;
    imu_picture *p = rgb ? sized(rgb, width, height, mode ? mode : "just_resize") : NULL;
    size_t area = (size_t)width * (size_t)height;
    float *out = p ? malloc(3 * area * sizeof *out) : NULL;
    for (size_t i = 0; out && i < 3 * area; i++)
        out[i % 3 * area + i / 3] = (float)p->data[i] / 255;
    if (given && !out)
        imu_refuse(call->error, "OutOfMemory", "Not enough memory for the picture.");
    imu_picture_free(given);
    imu_picture_free(rgb);
    imu_picture_free(p);
    return out;
}

/* ---- fields ---- */

/* One weight or one for each step. @return how many, or 0 with call->error */
static int take_weights(imu_call *call, const json_t *given, double **out)
{
    size_t n = json_is_array(given) ? json_array_size(given) : 1;
    double *weight = n > 0 && n <= 1000 ? calloc(n, sizeof *weight) : NULL;
    bool good = weight != NULL;
    for (size_t i = 0; i < n && good; i++) {
        const json_t *one = json_is_array(given) ? json_array_get(given, i) : given;
        weight[i] = json_is_number(one) ? json_number_value(one) : one ? NAN : 1;
        good = weight[i] >= -1 && weight[i] <= 2;
    }
    if (good) {
        *out = weight;
        return (int)n;
    }
    free(weight);
    imu_refuse(call->error, "InvalidInput",
               "\"control_weight\" must be a number from -1 to 2, or one for each step.");
    return 0;
}

/* A share of the run, from 0 to 1. */
static double share(const json_t *field, const char *key, double fallback)
{
    const json_t *v = json_object_get(field, key);
    return json_is_number(v) ? json_number_value(v) : fallback;
}

static int open_control(imu_call *call, const json_t *field, const char *base, imu_control **out)
{
    const json_t *id = json_object_get(field, "control_model"),
                 *row = imu_models_find(call->env->model_rows, id),
                 *record = json_object_get(row, "record");
    const char *type = imu_json_str(record, "type"), *mine = imu_json_str(record, "base"),
               *name = imu_json_str(id, "name");
    char path[PATH_MAX];
    imu_fault fault;
    if (!type || strcmp(type, "controlnet"))
        return imu_refuse(call->error, "UnknownModelException",
                          "The ControlNet \"%.80s\" is not installed.", name ? name : "?");
    if (mine && strcmp(mine, base))
        return imu_refuse(call->error, "InvalidInput",
                          "The ControlNet \"%.80s\" is for %.16s models, this one is of %s.",
                          name ? name : "?", mine, base);
    if (imu_models_path(call, row, path))
        return -1;
    return imu_control_open(imu_models_engine(call), path, out, &fault)
               ? imu_models_refuse(call, &fault)
               : 0;
}

static int take_one(imu_call *call, const json_t *field, const char *base, int64_t height,
                    int64_t width, imu_controls *all)
{
    int i = all->count;
    if (i == IMU_MAX_CONTROLS)
        return imu_refuse(call->error, "TooLarge", "At most %d ControlNets can be used together.",
                          IMU_MAX_CONTROLS);
    imu_control_use *use = &all->use[i];
    const char *mode = imu_json_str(field, "control_mode");
    mode = mode ? mode : "balanced";
    *use = (imu_control_use){.begin = share(field, "begin_step_percent", 0),
                             .end = share(field, "end_step_percent", 1),
                             .soft = !strncmp(mode, "more_", 5),
                             .only_positive =
                                 !strcmp(mode, "more_control") || !strcmp(mode, "unbalanced")};
    all->picture[i] = NULL;
    all->weight[i] = NULL;
    all->count++; /* so that what is there is given back */
    use->weight_count =
        take_weights(call, json_object_get(field, "control_weight"), &all->weight[i]);
    if (!use->weight_count)
        return -1;
    all->picture[i] = load_picture(call, field, (int)width * IMU_CELL, (int)height * IMU_CELL);
    use->picture = all->picture[i];
    use->weight = all->weight[i];
    return all->picture[i] ? open_control(call, field, base, &use->control) : -1;
}

int imu_controls_take(imu_call *call, const json_t *given, const char *base, int64_t height,
                      int64_t width, imu_controls *all)
{
    const json_t *one;
    size_t i;
    int rc = 0;
    if (json_is_object(given))
        return take_one(call, given, base, height, width, all);
    json_array_foreach (given, i, one)
        if (!rc)
            rc = take_one(call, one, base, height, width, all);
    return rc;
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
    static const char *const keys[] = {
        "image",        "control_model", "control_weight", "begin_step_percent", "end_step_percent",
        "control_mode", "resize_mode"};
    double *weight;
    if (imu_in_float(call, "begin_step_percent") > imu_in_float(call, "end_step_percent"))
        return imu_refuse(call->error, "InvalidInput",
                          "\"begin_step_percent\" must not be more than \"end_step_percent\".");
    if (!take_weights(call, imu_in(call, "control_weight"), &weight))
        return -1;
    free(weight);
    json_t *field = json_object();
    for (size_t i = 0; i < sizeof keys / sizeof *keys; i++)
        json_object_set(field, keys[i], (json_t *)imu_in(call, keys[i]));
    return imu_out(call, json_pack("{s:o}", "control", field));
}

static const char *const modes[] = {"balanced", "more_prompt", "more_control", "unbalanced", NULL};
static const char *const resizes[] = {"just_resize", "crop_resize", "fill_resize",
                                      "just_resize_simple", NULL};
#define SHARE(field, value, words)                                                                 \
    {                                                                                              \
        .name = field, .type = IMU_T_FLOAT, .flags = IMU_F_MIN | IMU_F_MAX, .min = 0, .max = 1,    \
        .fallback = value, .help = words                                                           \
    }
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
           SHARE("begin_step_percent", "0", "Where in the run it begins to count"),
           SHARE("end_step_percent", "1", "Where it ends to count"),
           {.name = "control_mode",
            .type = IMU_T_ENUM,
            .choices = modes,
            .fallback = "\"balanced\"",
            .help = "Whether the prompt or the picture counts more"},
           {.name = "resize_mode",
            .type = IMU_T_ENUM,
            .choices = resizes,
            .fallback = "\"just_resize\"",
            .help = "How the picture is made to fit"}),
    &control_output,
    run_control};

const imu_node_type *const imu_nodes_control[] = {&control_node, NULL};
