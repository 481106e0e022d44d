/* Fields, values and edges against their declarations. See declaration.h. */
#include "worker/nodes/declaration.h"

#include <math.h>
#include <string.h>

const imu_node_type *imu_node_among(const imu_node_type *const *list, const char *type)
{
    for (; *list; list++)
        if (!strcmp((*list)->type, type))
            return *list;
    return NULL;
}

const imu_field *imu_field_find(const imu_field *list, const char *name)
{
    for (; list->name; list++)
        if (!strcmp(list->name, name))
            return list;
    return NULL;
}

const imu_field *imu_node_input(const imu_node_type *type, const char *name)
{
    static const imu_field board = {
        .name = "board", .type = IMU_T_BOARD, .flags = IMU_F_DIRECT | IMU_F_NULLABLE};
    static const imu_field metadata = {
        .name = "metadata", .type = IMU_T_METADATA, .flags = IMU_F_CONNECTION | IMU_F_NULLABLE};
    static const imu_field flag[] = {
        {.name = "is_intermediate", .type = IMU_T_BOOL, .flags = IMU_F_DIRECT | IMU_F_NULLABLE},
        {.name = "use_cache", .type = IMU_T_BOOL, .flags = IMU_F_DIRECT | IMU_F_NULLABLE},
        {.name = NULL}};
    const imu_field *f = imu_field_find(type->inputs, name);
    if (!f && (type->flags & IMU_N_BOARD) && !strcmp(name, "board"))
        f = &board;
    if (!f && (type->flags & IMU_N_METADATA) && !strcmp(name, "metadata"))
        f = &metadata;
    return f ? f : imu_field_find(flag, name);
}

/* ---- values ---- */

static enum imu_misfit range_misfit(const imu_field *f, double v)
{
    if ((f->flags & IMU_F_MIN) && (v < f->min || ((f->flags & IMU_F_ABOVE_MIN) && v <= f->min)))
        return IMU_MISFIT_MIN;
    if ((f->flags & IMU_F_MAX) && (v > f->max || ((f->flags & IMU_F_BELOW_MAX) && v >= f->max)))
        return IMU_MISFIT_MAX;
    return IMU_FITS;
}

static enum imu_misfit int_misfit(const imu_field *f, const json_t *v)
{
    double d = json_number_value(v);
    if (!json_is_integer(v) && !(json_is_real(v) && fabs(d) < 9e15 && floor(d) == d))
        return IMU_MISFIT_KIND;
    enum imu_misfit misfit = range_misfit(f, d);
    json_int_t n = json_is_integer(v) ? json_integer_value(v) : (json_int_t)d;
    return misfit ? misfit : f->multiple_of && n % f->multiple_of ? IMU_MISFIT_MULTIPLE : IMU_FITS;
}

static enum imu_misfit choice_misfit(const imu_field *f, const json_t *v)
{
    const char *text = json_string_value(v);
    for (const char *const *c = f->choices; text && *c; c++)
        if (!strcmp(*c, text))
            return IMU_FITS;
    return IMU_MISFIT_CHOICE;
}

static bool is_color(const json_t *v)
{
    static const char *const keys[] = {"r", "g", "b", "a"};
    for (size_t i = 0; i < 4; i++) {
        const json_t *part = json_object_get(v, keys[i]);
        if (!json_is_integer(part) || json_integer_value(part) < 0 ||
            json_integer_value(part) > 255)
            return false;
    }
    return true;
}

/* An object whose key holds a text. */
static bool is_named(const json_t *v, const char *key)
{
    return json_is_string(json_object_get(v, key));
}

/* A field of this type that is no number and no choice. */
static bool is_kind(enum imu_type type, const json_t *v)
{
    switch (type) {
    case IMU_T_STRING:
        return json_is_string(v) || json_is_number(v);
    case IMU_T_BOOL:
        return json_is_boolean(v);
    case IMU_T_IMAGE:
        return is_named(v, "image_name");
    case IMU_T_LATENTS:
        return is_named(v, "latents_name");
    case IMU_T_CONDITIONING:
        return is_named(v, "conditioning_name");
    case IMU_T_BOARD:
        /* "auto" and "none" are the client's way to say that no board is meant. */
        return json_is_string(v) || is_named(v, "board_id");
    case IMU_T_METADATA_ITEM:
        return is_named(v, "label");
    case IMU_T_UNET:
        return is_named(json_object_get(v, "unet"), "key");
    case IMU_T_CLIP:
        return is_named(json_object_get(v, "text_encoder"), "key");
    case IMU_T_VAE:
        return is_named(json_object_get(v, "vae"), "key");
    case IMU_T_COLOR:
        return is_color(v);
    case IMU_T_MODEL:
    case IMU_T_METADATA:
    case IMU_T_OTHER:
        return json_is_object(v);
    default:
        return true;
    }
}

static enum imu_misfit one_misfit(const imu_field *f, const json_t *v)
{
    if (f->type == IMU_T_INT)
        return int_misfit(f, v);
    if (f->type == IMU_T_FLOAT)
        return json_is_number(v) ? range_misfit(f, json_number_value(v)) : IMU_MISFIT_KIND;
    if (f->type == IMU_T_ENUM)
        return choice_misfit(f, v);
    return is_kind(f->type, v) ? IMU_FITS : IMU_MISFIT_KIND;
}

enum imu_misfit imu_value_misfit(const imu_field *f, const json_t *v, long *at)
{
    *at = -1;
    if (json_is_null(v)) {
        bool allowed = f->type == IMU_T_ANY || (f->flags & (IMU_F_NULLABLE | IMU_F_REQUIRED));
        return allowed ? IMU_FITS : IMU_MISFIT_NULL;
    }
    if ((f->flags & IMU_F_LIST) && !json_is_array(v))
        return IMU_MISFIT_LIST;
    if (f->type == IMU_T_OTHER && (f->flags & IMU_F_OR_LIST))
        return IMU_FITS;
    if (!(f->flags & IMU_F_LIST) && !((f->flags & IMU_F_OR_LIST) && json_is_array(v)))
        return one_misfit(f, v);
    for (size_t i = 0; i < json_array_size(v); i++) {
        enum imu_misfit misfit = one_misfit(f, json_array_get(v, i));
        *at = (long)i;
        if (misfit)
            return misfit;
    }
    *at = -1;
    return IMU_FITS;
}

/* ---- edges ---- */

static bool is_text(enum imu_type t)
{
    return t == IMU_T_STRING || t == IMU_T_ENUM;
}

bool imu_field_connects(const imu_field *from, const imu_field *to)
{
    if (from->type == IMU_T_ANY || to->type == IMU_T_ANY) {
        /* A list never fits where one thing of a known type is wanted. */
        bool list_into_one = (from->flags & IMU_F_LIST) && to->type != IMU_T_ANY &&
                             !(to->flags & (IMU_F_LIST | IMU_F_OR_LIST));
        bool one_into_list =
            (to->flags & IMU_F_LIST) && from->type != IMU_T_ANY && !(from->flags & IMU_F_LIST);
        return !list_into_one && !one_into_list;
    }
    bool from_list = from->flags & IMU_F_LIST;
    if (!(to->flags & IMU_F_OR_LIST) && from_list != !!(to->flags & IMU_F_LIST))
        return false;
    if (from->type == to->type)
        return from->type != IMU_T_OTHER || !strcmp(from->ref, to->ref);
    if (from->type == IMU_T_INT)
        return to->type == IMU_T_FLOAT || to->type == IMU_T_STRING;
    if (from->type == IMU_T_FLOAT)
        return to->type == IMU_T_STRING;
    return is_text(from->type) && is_text(to->type);
}

enum imu_edge_fault imu_edge_check(const imu_node_type *from, const char *output,
                                   const imu_node_type *to, const char *input,
                                   const imu_field **to_type)
{
    const imu_field *out = from ? imu_field_find(from->output->fields, output) : NULL;
    *to_type = to ? imu_node_input(to, input) : NULL;
    if (from && !out)
        return IMU_EDGE_NO_OUTPUT;
    if (!to)
        return IMU_EDGE_OK;
    if (!*to_type) {
        bool extra = (to->flags & IMU_N_EXTRA) && strcmp(input, "id") && strcmp(input, "type");
        return extra ? IMU_EDGE_OK : IMU_EDGE_NO_INPUT;
    }
    if ((*to_type)->flags & IMU_F_DIRECT)
        return IMU_EDGE_DIRECT;
    return !out || imu_field_connects(out, *to_type) ? IMU_EDGE_OK : IMU_EDGE_TYPES;
}
