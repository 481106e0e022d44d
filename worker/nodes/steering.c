#include "worker/nodes/steering.h"

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

float *imu_steer_picture(imu_call *call, const json_t *field, int width, int height)
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

/* ---- weight and time ---- */

int imu_steer_weights(imu_call *call, const char *name, const json_t *given, double low,
                      double **out)
{
    size_t n = json_is_array(given) ? json_array_size(given) : 1;
    double *weight = n > 0 && n <= 1000 ? calloc(n, sizeof *weight) : NULL;
    bool good = weight != NULL;
    for (size_t i = 0; i < n && good; i++) {
        const json_t *one = json_is_array(given) ? json_array_get(given, i) : given;
        weight[i] = json_is_number(one) ? json_number_value(one) : one ? NAN : 1;
        good = weight[i] >= low && weight[i] <= 2;
    }
    if (good) {
        *out = weight;
        return (int)n;
    }
    free(weight);
    imu_refuse(call->error, "InvalidInput",
               "\"%s\" must be a number from %g to 2, or one for each step.", name, low);
    return 0;
}

/* A share of the run, from 0 to 1. */
static double share(const json_t *field, const char *key, double fallback)
{
    const json_t *v = json_object_get(field, key);
    return json_is_number(v) ? json_number_value(v) : fallback;
}

int imu_steer_when(imu_call *call, const json_t *field, const char *name, double low,
                   imu_when *when, double **weights)
{
    *when = (imu_when){.begin = share(field, "begin_step_percent", 0),
                       .end = share(field, "end_step_percent", 1)};
    when->weight_count = imu_steer_weights(call, name, json_object_get(field, name), low, weights);
    when->weight = *weights;
    return when->weight_count ? 0 : -1;
}

/* ---- models and fields ---- */

int imu_steer_model(imu_call *call, const json_t *id, const char *type, const char *what,
                    const char *base, char path[PATH_MAX])
{
    const json_t *row = imu_models_find(call->env->model_rows, id),
                 *record = json_object_get(row, "record");
    const char *its = imu_json_str(record, "type"), *mine = imu_json_str(record, "base"),
               *name = imu_json_str(id, "name");
    if (!its || strcmp(its, type))
        return imu_refuse(call->error, "UnknownModelException",
                          "The %s \"%.80s\" is not installed.", what, name ? name : "?");
    if (base && mine && strcmp(mine, base))
        return imu_refuse(call->error, "InvalidInput",
                          "The %s \"%.80s\" is for %.16s models, this one is of %s.", what,
                          name ? name : "?", mine, base);
    return imu_models_path(call, row, path);
}

int imu_steer_each(imu_call *call, const json_t *given, imu_steer_take take, void *all)
{
    const json_t *one;
    size_t i;
    int rc = json_is_object(given) ? take(call, given, all) : 0;
    json_array_foreach (given, i, one)
        if (!rc)
            rc = take(call, one, all);
    return rc;
}

json_t *imu_steer_field(imu_call *call, const char *const *keys, const char *weight, double low)
{
    double *weights;
    if (imu_in_float(call, "begin_step_percent") > imu_in_float(call, "end_step_percent")) {
        imu_refuse(call->error, "InvalidInput",
                   "\"begin_step_percent\" must not be more than \"end_step_percent\".");
        return NULL;
    }
    if (!imu_steer_weights(call, weight, imu_in(call, weight), low, &weights))
        return NULL;
    free(weights);
    json_t *field = json_object();
    for (; *keys; keys++)
        json_object_set(field, *keys, (json_t *)imu_in(call, *keys));
    return field;
}

const char *const imu_steer_resizes[] = {"just_resize", "crop_resize", "fill_resize",
                                         "just_resize_simple", NULL};
