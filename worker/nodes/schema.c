/* The OpenAPI schemas of nodes and outputs, made from their declarations, in the shape that
 * InvokeAI's web client reads. */
#include "worker/nodes/node.h"

#include <ctype.h>
#include <math.h>
#include <stdio.h>
#include <string.h>

static json_t *reference(const char *schema)
{
    char path[128];
    snprintf(path, sizeof path, "#/components/schemas/%s", schema);
    return json_pack("{s:s}", "$ref", path);
}

static json_t *number(double v, bool whole)
{
    return whole && floor(v) == v ? json_integer((json_int_t)v) : json_real(v);
}

static void add_range(json_t *s, const imu_field *f)
{
    bool whole = f->type == IMU_T_INT;
    if (f->flags & IMU_F_MIN)
        json_object_set_new(s, f->flags & IMU_F_ABOVE_MIN ? "exclusiveMinimum" : "minimum",
                            number(f->min, whole));
    if (f->flags & IMU_F_MAX)
        json_object_set_new(s, f->flags & IMU_F_BELOW_MAX ? "exclusiveMaximum" : "maximum",
                            number(f->max, whole));
    if (f->multiple_of)
        json_object_set_new(s, "multipleOf", json_integer(f->multiple_of));
}

static json_t *list_of(const char *const *texts)
{
    json_t *list = json_array();
    for (; texts && *texts; texts++)
        json_array_append_new(list, json_string(*texts));
    return list;
}

static json_t *words(const char *text)
{
    json_t *list = json_array();
    while (*text) {
        size_t len = strcspn(text, " ");
        json_array_append_new(list, json_stringn(text, len));
        text += len + (text[len] == ' ');
    }
    return list;
}

/* The schema of one value, without list and null around it. */
static json_t *one_value(const imu_field *f)
{
    static const char *const refs[] = {
        [IMU_T_IMAGE] = "ImageField",
        [IMU_T_LATENTS] = "LatentsField",
        [IMU_T_UNET] = "UNetField",
        [IMU_T_CONDITIONING] = "ConditioningField",
        [IMU_T_CLIP] = "CLIPField",
        [IMU_T_VAE] = "VAEField",
        [IMU_T_METADATA] = "MetadataField",
        [IMU_T_METADATA_ITEM] = "MetadataItemField",
        [IMU_T_COLOR] = "ColorField",
        [IMU_T_BOARD] = "BoardField",
        [IMU_T_MODEL] = "ModelIdentifierField",
    };
    static const char *const names[] = {
        [IMU_T_INT] = "integer",  [IMU_T_FLOAT] = "number", [IMU_T_STRING] = "string",
        [IMU_T_BOOL] = "boolean", [IMU_T_ENUM] = "string",
    };
    if (f->type == IMU_T_ANY)
        return json_object();
    if (f->type == IMU_T_OTHER)
        return reference(f->ref);
    if (f->type < sizeof refs / sizeof refs[0] && refs[f->type])
        return reference(refs[f->type]);
    json_t *s = json_pack("{s:s}", "type", names[f->type]);
    if (f->type == IMU_T_ENUM)
        json_object_set_new(s, "enum", list_of(f->choices));
    add_range(s, f);
    return s;
}

static json_t *value_schema(const imu_field *f)
{
    json_t *one = one_value(f);
    if (f->flags & IMU_F_LIST)
        one = json_pack("{s:s,s:o}", "type", "array", "items", one);
    if (!(f->flags & (IMU_F_OR_LIST | IMU_F_NULLABLE | IMU_F_REQUIRED)))
        return one;
    json_t *any = json_pack("[o]", one);
    if (f->flags & IMU_F_OR_LIST)
        json_array_append_new(any, json_pack("{s:s,s:o}", "type", "array", "items", one_value(f)));
    if (f->flags & (IMU_F_NULLABLE | IMU_F_REQUIRED))
        json_array_append_new(any, json_pack("{s:s}", "type", "null"));
    return json_pack("{s:o}", "anyOf", any);
}

/* "skipped_layers" reads "Skipped Layers". */
static json_t *title_of(const imu_field *f)
{
    char title[80];
    size_t n = 0;
    bool start = true;
    if (f->title)
        return json_string(f->title);
    for (const char *c = f->name; *c && n + 1 < sizeof title; c++) {
        title[n++] = *c == '_' ? ' ' : start ? (char)toupper((unsigned char)*c) : *c;
        start = *c == '_';
    }
    return json_stringn(title, n);
}

static void add_ui(json_t *s, const imu_field *f, size_t position)
{
    if (f->ui_type)
        json_object_set_new(s, "ui_type", json_string(f->ui_type));
    if (f->flags & IMU_F_TEXTAREA)
        json_object_set_new(s, "ui_component", json_string("textarea"));
    json_object_set_new(s, "ui_order",
                        json_integer(f->ui_order ? f->ui_order - 1 : (json_int_t)position));
    if (f->model_base)
        json_object_set_new(s, "ui_model_base", words(f->model_base));
    if (f->model_type)
        json_object_set_new(s, "ui_model_type", words(f->model_type));
    if (f->labels) {
        json_t *labels = json_object();
        for (size_t i = 0; f->choices[i] && f->labels[i]; i++)
            json_object_set_new(labels, f->choices[i], json_string(f->labels[i]));
        json_object_set_new(s, "ui_choice_labels", labels);
    }
}

static json_t *input_schema(const imu_field *f, size_t position)
{
    bool required = f->flags & IMU_F_REQUIRED;
    json_t *s = value_schema(f);
    json_t *fallback = f->fallback ? json_loads(f->fallback, JSON_DECODE_ANY, NULL) : json_null();
    json_object_set_new(s, "title", title_of(f));
    json_object_set_new(s, "description", json_string(f->help ? f->help : ""));
    json_object_set_new(s, "field_kind", json_string("input"));
    json_object_set_new(s, "input",
                        json_string(f->flags & IMU_F_CONNECTION ? "connection"
                                    : f->flags & IMU_F_DIRECT   ? "direct"
                                                                : "any"));
    json_object_set_new(s, "orig_required", json_boolean(required));
    if (!required)
        json_object_set(s, "orig_default", fallback);
    json_object_set_new(s, "default", fallback);
    json_object_set_new(s, "ui_hidden", json_boolean(f->flags & IMU_F_HIDDEN));
    add_ui(s, f, position);
    return s;
}

static json_t *type_property(const char *type)
{
    return json_pack("{s:s,s:s,s:s,s:s,s:s}", "type", "string", "const", type, "default", type,
                     "title", "type", "field_kind", "node_attribute");
}

static void add_common(json_t *properties, const imu_node_type *t)
{
    json_object_set_new(properties, "id",
                        json_pack("{s:s,s:s,s:s,s:s}", "type", "string", "title", "Id",
                                  "description", "Names this node within its graph", "field_kind",
                                  "node_attribute"));
    json_object_set_new(properties, "is_intermediate",
                        json_pack("{s:s,s:b,s:s,s:s,s:s,s:s,s:b,s:b,s:s}", "type", "boolean",
                                  "default", 0, "title", "Is Intermediate", "description",
                                  "Keep the result out of the gallery", "field_kind",
                                  "node_attribute", "input", "direct", "orig_required", 1,
                                  "ui_hidden", 0, "ui_type", "IsIntermediate"));
    json_object_set_new(properties, "use_cache",
                        json_pack("{s:s,s:b,s:s,s:s,s:s}", "type", "boolean", "default",
                                  !(t->flags & IMU_N_NO_CACHE), "title", "Use Cache", "description",
                                  "Take an earlier result for the same inputs", "field_kind",
                                  "node_attribute"));
    if (t->flags & IMU_N_BOARD)
        json_object_set_new(properties, "board",
                            json_pack("{s:[{s:s},{s:s}],s:n,s:s,s:s,s:s,s:b,s:b}", "anyOf", "$ref",
                                      "#/components/schemas/BoardField", "type", "null", "default",
                                      "description", "The board that the picture is put on",
                                      "field_kind", "internal", "input", "direct", "orig_required",
                                      0, "ui_hidden", 0));
    if (t->flags & IMU_N_METADATA)
        json_object_set_new(properties, "metadata",
                            json_pack("{s:[{s:s},{s:s}],s:n,s:s,s:s,s:s,s:b,s:b}", "anyOf", "$ref",
                                      "#/components/schemas/MetadataField", "type", "null",
                                      "default", "description", "Facts to store with the picture",
                                      "field_kind", "internal", "input", "connection",
                                      "orig_required", 0, "ui_hidden", 0));
}

static json_t *node_schema(const imu_node_type *t)
{
    json_t *properties = json_object();
    add_common(properties, t);
    size_t position = 0;
    for (const imu_field *f = t->inputs; f->name; f++)
        json_object_set_new(properties, f->name, input_schema(f, position++));
    json_object_set_new(properties, "type", type_property(t->type));
    return json_pack("{s:s,s:s,s:s,s:s,s:s,s:s,s:s,s:s,s:o,s:o,s:[s,s],s:o}", "class", "invocation",
                     "type", "object", "title", t->title, "description", t->help, "version",
                     t->version, "category", t->category, "classification", "stable", "node_pack",
                     "invokeai", "tags", words(t->tags), "properties", properties, "required",
                     "type", "id", "output", reference(t->output->name));
}

static json_t *output_schema(const imu_output_type *o)
{
    json_t *properties = json_object(), *required = json_array();
    json_array_append_new(required, json_string("output_meta"));
    size_t position = 0;
    for (const imu_field *f = o->fields; f->name; f++) {
        json_t *s = value_schema(f);
        json_object_set_new(s, "title", title_of(f));
        json_object_set_new(s, "description", json_string(f->help ? f->help : ""));
        json_object_set_new(s, "field_kind", json_string("output"));
        json_object_set_new(s, "ui_hidden", json_false());
        add_ui(s, f, position++);
        json_object_set_new(properties, f->name, s);
        json_array_append_new(required, json_string(f->name));
    }
    json_object_set_new(properties, "type", type_property(o->type));
    json_array_append_new(required, json_string("type"));
    return json_pack("{s:s,s:s,s:s,s:s,s:o,s:o}", "class", "output", "type", "object", "title",
                     o->name, "description", o->help, "properties", properties, "required",
                     required);
}

json_t *imu_schema_nodes(void)
{
    json_t *all = json_object();
    for (const imu_node_type *const *t = imu_node_all(); *t; t++)
        json_object_set_new(all, (*t)->type, node_schema(*t));
    return all;
}

json_t *imu_schema_outputs(void)
{
    json_t *all = json_object();
    for (const imu_node_type *const *t = imu_node_all(); *t; t++)
        if (!json_object_get(all, (*t)->output->name))
            json_object_set_new(all, (*t)->output->name, output_schema((*t)->output));
    return all;
}

/* What a schema refers to and nobody describes: values that travel between nodes, objects whose
 * inside is the nodes' own affair. */
static void add_referred(json_t *schemas, const json_t *within)
{
    const char *ref = json_string_value(json_object_get(within, "$ref")), *key;
    json_t *one;
    size_t i;
    if (ref && !json_object_get(schemas, strrchr(ref, '/') + 1))
        json_object_set_new(
            schemas, strrchr(ref, '/') + 1,
            json_pack("{s:s,s:s}", "type", "object", "title", strrchr(ref, '/') + 1));
    json_object_foreach ((json_t *)within, key, one)
        add_referred(schemas, one);
    json_array_foreach (within, i, one)
        add_referred(schemas, one);
}

json_t *imu_schema_document(void)
{
    json_t *schemas = imu_schema_outputs();
    for (const imu_node_type *const *t = imu_node_all(); *t; t++)
        json_object_set_new(schemas, (*t)->name, node_schema(*t));
    json_t *described = json_deep_copy(schemas);
    add_referred(schemas, described);
    json_decref(described);
    return json_pack("{s:{s:o}}", "components", "schemas", schemas);
}
