/* Finds nodes and fields, checks values against fields, reads a call's inputs. See node.h. */
#include "worker/nodes/families.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const imu_node_type *const *const families[] = {
    imu_nodes_primitives,  imu_nodes_math,     imu_nodes_strings,
    imu_nodes_collections, imu_nodes_metadata, imu_nodes_models,
    imu_nodes_latents,     imu_nodes_vae,      imu_nodes_images,
};

const imu_node_type *const *imu_node_all(void)
{
    static const imu_node_type *all[256];
    static bool made;
    if (!made) {
        size_t n = 0;
        for (size_t f = 0; f < sizeof families / sizeof families[0]; f++)
            for (const imu_node_type *const *t = families[f]; *t; t++)
                if (n + 1 < sizeof all / sizeof all[0])
                    all[n++] = *t;
        made = true;
    }
    return all;
}

const imu_node_type *imu_node_find(const char *type)
{
    for (const imu_node_type *const *t = imu_node_all(); *t; t++)
        if (!strcmp((*t)->type, type))
            return *t;
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

static json_t *refuse(const imu_field *f, imu_error *err, const char *what)
{
    imu_refuse(err, "InvalidInput", "\"%s\" must be %s.", f->name, what);
    return NULL;
}

static int check_range(const imu_field *f, double v, imu_error *err)
{
    if ((f->flags & IMU_F_MIN) && (v < f->min || ((f->flags & IMU_F_ABOVE_MIN) && v <= f->min)))
        return imu_refuse(err, "InvalidInput", "\"%s\" must be %s %g.", f->name,
                          f->flags & IMU_F_ABOVE_MIN ? "more than" : "at least", f->min);
    if ((f->flags & IMU_F_MAX) && (v > f->max || ((f->flags & IMU_F_BELOW_MAX) && v >= f->max)))
        return imu_refuse(err, "InvalidInput", "\"%s\" must be %s %.15g.", f->name,
                          f->flags & IMU_F_BELOW_MAX ? "less than" : "at most", f->max);
    return 0;
}

static json_t *take_int(const imu_field *f, json_t *v, imu_error *err)
{
    json_int_t n;
    if (json_is_integer(v))
        n = json_integer_value(v);
    else if (json_is_real(v) && fabs(json_real_value(v)) < 9e15 &&
             floor(json_real_value(v)) == json_real_value(v))
        n = (json_int_t)json_real_value(v);
    else
        return refuse(f, err, "a whole number");
    if (check_range(f, (double)n, err))
        return NULL;
    if (f->multiple_of && n % f->multiple_of != 0) {
        imu_refuse(err, "InvalidInput", "\"%s\" must be a multiple of %d.", f->name,
                   f->multiple_of);
        return NULL;
    }
    return json_is_integer(v) ? json_incref(v) : json_integer(n);
}

static json_t *take_float(const imu_field *f, json_t *v, imu_error *err)
{
    if (!json_is_number(v))
        return refuse(f, err, "a number");
    if (check_range(f, json_number_value(v), err))
        return NULL;
    return json_is_real(v) ? json_incref(v) : json_real(json_number_value(v));
}

static json_t *take_string(const imu_field *f, json_t *v, imu_error *err)
{
    char text[64];
    if (json_is_string(v))
        return json_incref(v);
    if (json_is_integer(v))
        snprintf(text, sizeof text, "%" JSON_INTEGER_FORMAT, json_integer_value(v));
    else if (json_is_real(v))
        snprintf(text, sizeof text, "%.17g", json_real_value(v));
    else
        return refuse(f, err, "a text");
    return json_string(text);
}

static json_t *take_choice(const imu_field *f, json_t *v, imu_error *err)
{
    const char *text = json_string_value(v);
    for (const char *const *c = f->choices; text && *c; c++)
        if (!strcmp(*c, text))
            return json_incref(v);
    imu_refuse(err, "InvalidInput",
               "\"%s\" has the value \"%.60s\", which is not one of its choices.", f->name,
               text ? text : "(no text)");
    return NULL;
}

/* An object whose key holds a text. */
static json_t *take_named(const imu_field *f, json_t *v, const char *key, imu_error *err)
{
    if (imu_json_str(v, key))
        return json_incref(v);
    imu_refuse(err, "InvalidInput", "\"%s\" must be an object with \"%s\".", f->name, key);
    return NULL;
}

static json_t *take_color(const imu_field *f, json_t *v, imu_error *err)
{
    static const char *const keys[] = {"r", "g", "b", "a"};
    for (size_t i = 0; i < 4; i++) {
        const json_t *part = json_object_get(v, keys[i]);
        if (!json_is_integer(part) || json_integer_value(part) < 0 ||
            json_integer_value(part) > 255)
            return refuse(f, err, "a colour: r, g, b and a from 0 to 255");
    }
    return json_incref(v);
}

static json_t *take_object(const imu_field *f, json_t *v, imu_error *err)
{
    return json_is_object(v) ? json_incref(v) : refuse(f, err, "an object");
}

/* A model part's field: an object that holds a model identifier under this name. */
static json_t *take_part(const imu_field *f, json_t *v, const char *key, imu_error *err)
{
    const json_t *model = json_object_get(v, key);
    if (json_is_object(model) && imu_json_str(model, "key"))
        return json_incref(v);
    return refuse(f, err, "a part of a loaded model");
}

static json_t *take_one(const imu_field *f, json_t *v, imu_error *err)
{
    switch (f->type) {
    case IMU_T_INT:
        return take_int(f, v, err);
    case IMU_T_FLOAT:
        return take_float(f, v, err);
    case IMU_T_STRING:
        return take_string(f, v, err);
    case IMU_T_BOOL:
        return json_is_boolean(v) ? json_incref(v) : refuse(f, err, "true or false");
    case IMU_T_ENUM:
        return take_choice(f, v, err);
    case IMU_T_IMAGE:
        return take_named(f, v, "image_name", err);
    case IMU_T_LATENTS:
        return take_named(f, v, "latents_name", err);
    case IMU_T_CONDITIONING:
        return take_named(f, v, "conditioning_name", err);
    case IMU_T_BOARD:
        /* "auto" and "none" are the client's way to say that no board is meant. */
        return json_is_string(v) ? json_null() : take_named(f, v, "board_id", err);
    case IMU_T_METADATA_ITEM:
        return take_named(f, v, "label", err);
    case IMU_T_UNET:
        return take_part(f, v, "unet", err);
    case IMU_T_CLIP:
        return take_part(f, v, "text_encoder", err);
    case IMU_T_VAE:
        return take_part(f, v, "vae", err);
    case IMU_T_COLOR:
        return take_color(f, v, err);
    case IMU_T_MODEL:
    case IMU_T_METADATA:
    case IMU_T_OTHER:
        return take_object(f, v, err);
    case IMU_T_ANY:
        break;
    }
    return json_incref(v);
}

json_t *imu_value_take(const imu_field *f, json_t *v, imu_error *err)
{
    if (json_is_null(v)) {
        if (f->type == IMU_T_ANY || (f->flags & (IMU_F_NULLABLE | IMU_F_REQUIRED)))
            return json_null();
        return refuse(f, err, "given, not null");
    }
    if ((f->flags & IMU_F_LIST) && !json_is_array(v))
        return refuse(f, err, "a list");
    if (f->type == IMU_T_OTHER && (f->flags & IMU_F_OR_LIST))
        return json_incref(v);
    if (!(f->flags & IMU_F_LIST) && !((f->flags & IMU_F_OR_LIST) && json_is_array(v)))
        return take_one(f, v, err);
    json_t *list = json_array(), *item;
    size_t i;
    json_array_foreach (v, i, item) {
        json_t *taken = take_one(f, item, err);
        if (!taken || !list || json_array_append_new(list, taken)) {
            if (taken)
                imu_refuse(err, "OutOfMemory", "Not enough memory for a list.");
            json_decref(list);
            return NULL;
        }
    }
    return list;
}

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

/* ---- a call's inputs ---- */

const json_t *imu_in(const imu_call *call, const char *name)
{
    return json_object_get(call->in, name);
}

bool imu_in_given(const imu_call *call, const char *name)
{
    const json_t *v = imu_in(call, name);
    return v && !json_is_null(v);
}

json_int_t imu_in_int(const imu_call *call, const char *name)
{
    return json_integer_value(imu_in(call, name));
}

double imu_in_float(const imu_call *call, const char *name)
{
    return json_number_value(imu_in(call, name));
}

const char *imu_in_text(const imu_call *call, const char *name)
{
    return json_string_value(imu_in(call, name));
}

bool imu_in_bool(const imu_call *call, const char *name)
{
    return json_is_true(imu_in(call, name));
}

int imu_out(imu_call *call, json_t *value)
{
    call->out = value;
    return value ? 0 : imu_refuse(call->error, "OutOfMemory", "Not enough memory for the result.");
}
