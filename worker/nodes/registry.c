/* Finds nodes, takes values for fields, reads a call's inputs. See node.h. */
#include "worker/nodes/families.h"

#include <stdio.h>

#define BAD "InvalidInput"

static const imu_node_type *const *const families[] = {
    imu_nodes_primitives, imu_nodes_math,   imu_nodes_strings,      imu_nodes_collections,
    imu_nodes_metadata,   imu_nodes_models, imu_nodes_prompts,      imu_nodes_latents,
    imu_nodes_denoise,    imu_nodes_tiles,  imu_nodes_vae,          imu_nodes_images,
    imu_nodes_masks,      imu_nodes_loras,  imu_nodes_upscale,      imu_nodes_control,
    imu_nodes_t2i,        imu_nodes_ip,     imu_nodes_tensor_masks,
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
    return imu_node_among(imu_node_all(), type);
}

/* ---- values ---- */

/* What a value of another kind should have been. */
static const char *kind_of(const imu_field *f)
{
    static const char *const kinds[] = {
        [IMU_T_INT] = "a whole number",
        [IMU_T_FLOAT] = "a number",
        [IMU_T_STRING] = "a text",
        [IMU_T_BOOL] = "true or false",
        [IMU_T_IMAGE] = "an object with \"image_name\"",
        [IMU_T_LATENTS] = "an object with \"latents_name\"",
        [IMU_T_CONDITIONING] = "an object with \"conditioning_name\"",
        [IMU_T_BOARD] = "an object with \"board_id\"",
        [IMU_T_METADATA_ITEM] = "an object with \"label\"",
        [IMU_T_UNET] = "a part of a loaded model",
        [IMU_T_CLIP] = "a part of a loaded model",
        [IMU_T_VAE] = "a part of a loaded model",
        [IMU_T_COLOR] = "a colour: r, g, b and a from 0 to 255",
    };
    return f->type < sizeof kinds / sizeof kinds[0] && kinds[f->type] ? kinds[f->type]
                                                                      : "an object";
}

static int refuse(const imu_field *f, enum imu_misfit misfit, const json_t *v, imu_error *err)
{
    switch (misfit) {
    case IMU_MISFIT_NULL:
        return imu_refuse(err, BAD, "\"%s\" must be given, not null.", f->name);
    case IMU_MISFIT_LIST:
        return imu_refuse(err, BAD, "\"%s\" must be a list.", f->name);
    case IMU_MISFIT_MIN:
        return imu_refuse(err, BAD, "\"%s\" must be %s %g.", f->name,
                          f->flags & IMU_F_ABOVE_MIN ? "more than" : "at least", f->min);
    case IMU_MISFIT_MAX:
        return imu_refuse(err, BAD, "\"%s\" must be %s %.15g.", f->name,
                          f->flags & IMU_F_BELOW_MAX ? "less than" : "at most", f->max);
    case IMU_MISFIT_MULTIPLE:
        return imu_refuse(err, BAD, "\"%s\" must be a multiple of %d.", f->name, f->multiple_of);
    case IMU_MISFIT_CHOICE:
        return imu_refuse(err, BAD,
                          "\"%s\" has the value \"%.60s\", which is not one of its choices.",
                          f->name, json_is_string(v) ? json_string_value(v) : "(no text)");
    default:
        return imu_refuse(err, BAD, "\"%s\" must be %s.", f->name, kind_of(f));
    }
}

/* A value that fits, as the field's own type; a new reference, or NULL without memory. */
static json_t *convert(const imu_field *f, json_t *v)
{
    char text[64];
    if (f->type == IMU_T_INT && json_is_real(v))
        return json_integer((json_int_t)json_real_value(v));
    if (f->type == IMU_T_FLOAT && json_is_integer(v))
        return json_real(json_number_value(v));
    if (f->type == IMU_T_BOARD && json_is_string(v))
        return json_null();
    if (f->type != IMU_T_STRING || !json_is_number(v))
        return json_incref(v);
    if (json_is_integer(v))
        snprintf(text, sizeof text, "%" JSON_INTEGER_FORMAT, json_integer_value(v));
    else
        snprintf(text, sizeof text, "%.17g", json_real_value(v));
    return json_string(text);
}

/* A list with each item converted; a new reference, or NULL without memory. */
static json_t *convert_all(const imu_field *f, const json_t *v)
{
    json_t *list = json_array(), *item;
    size_t i;
    json_array_foreach (v, i, item) {
        if (json_array_append_new(list, convert(f, item))) {
            json_decref(list);
            return NULL;
        }
    }
    return list;
}

json_t *imu_value_take(const imu_field *f, json_t *v, imu_error *err)
{
    long at;
    enum imu_misfit misfit = imu_value_misfit(f, v, &at);
    if (misfit) {
        refuse(f, misfit, at < 0 ? v : json_array_get(v, (size_t)at), err);
        return NULL;
    }
    bool list = json_is_array(v) && (f->flags & (IMU_F_LIST | IMU_F_OR_LIST));
    json_t *taken = list ? convert_all(f, v) : json_is_null(v) ? json_null() : convert(f, v);
    if (!taken)
        imu_refuse(err, "OutOfMemory", "Not enough memory for a value.");
    return taken;
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
