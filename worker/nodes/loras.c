/* Nodes that put LoRAs on the parts of a model. They only name them: the nodes that use a part lay
 * them on. */
#include "worker/nodes/families.h"
#include "worker/nodes/fields.h"

#include <string.h>

static const char *const parts[] = {"unet", "clip", "clip2"};

static const char *key_of(const json_t *field)
{
    return imu_json_str(json_object_get(field, "lora"), "key");
}

/* Whether the list names that LoRA already. */
static bool holds(const json_t *list, const json_t *field)
{
    const char *key = key_of(field), *other;
    const json_t *one;
    size_t i;
    json_array_foreach (list, i, one)
        if (key && (other = key_of(one)) && !strcmp(key, other))
            return true;
    return false;
}

/* A part of a model with more LoRAs; null stays null. A new reference. */
static json_t *with(const json_t *part, const json_t *fields)
{
    const json_t *one;
    size_t i;
    if (!json_is_object(part))
        return json_null();
    json_t *more = json_copy((json_t *)part), *list = json_array();
    json_array_extend(list, json_object_get(part, "loras"));
    json_array_foreach (fields, i, one)
        if (!holds(list, one))
            json_array_append(list, (json_t *)one);
    json_object_set_new(more, "loras", list);
    return more;
}

/* Gives out each part that the node has, with the LoRAs of the list (taken over) on it. */
static int put_on(imu_call *call, json_t *fields)
{
    json_t *out = json_object();
    for (size_t i = 0; i < sizeof parts / sizeof *parts; i++)
        if (imu_field_find(call->type->inputs, parts[i]))
            json_object_set_new(out, parts[i], with(imu_in(call, parts[i]), fields));
    json_decref(fields);
    return imu_out(call, out);
}

static json_t *field_of(const imu_call *call)
{
    return json_pack("{s:O,s:f}", "lora", imu_in(call, "lora"), "weight",
                     imu_in_float(call, "weight"));
}

static int run_selector(imu_call *call)
{
    return imu_out(call, json_pack("{s:o}", "lora", field_of(call)));
}

static int run_loader(imu_call *call)
{
    json_t *fields = json_pack("[o]", field_of(call));
    for (size_t i = 0; i < sizeof parts / sizeof *parts; i++)
        if (holds(json_object_get(imu_in(call, parts[i]), "loras"), json_array_get(fields, 0))) {
            json_decref(fields);
            return imu_refuse(call->error, "InvalidInput", "That LoRA is on the %s already.",
                              parts[i]);
        }
    return put_on(call, fields);
}

static int run_collection(imu_call *call)
{
    const json_t *given = imu_in(call, "loras");
    json_t *fields = json_array();
    if (json_is_array(given))
        json_array_extend(fields, (json_t *)given);
    else if (json_is_object(given))
        json_array_append(fields, (json_t *)given);
    return put_on(call, fields);
}

#define PART(field, kind, label)                                                                   \
    {                                                                                              \
        .name = field, .type = kind, .flags = IMU_F_NULLABLE | IMU_F_CONNECTION, .title = label,   \
        .help = "What the LoRA is put on"                                                          \
    }
#define OUT(field, kind, label)                                                                    \
    {                                                                                              \
        .name = field, .type = kind, .flags = IMU_F_NULLABLE, .title = label,                      \
        .help = "The same with the LoRA on it"                                                     \
    }
#define UNET       PART("unet", IMU_T_UNET, "UNet")
#define CLIP(f, l) PART(f, IMU_T_CLIP, l)
#define LORA(...)                                                                                  \
    {                                                                                              \
        .name = "lora", .type = IMU_T_MODEL, .flags = IMU_F_REQUIRED, .title = "LoRA",             \
        .model_type = "lora", .help = "The LoRA", __VA_ARGS__                                      \
    }
#define WEIGHT                                                                                     \
    {                                                                                              \
        .name = "weight", .type = IMU_T_FLOAT, .fallback = "0.75",                                 \
        .help = "How strongly it changes the picture; below 0 the other way"                       \
    }
#define LORAS(bases)                                                                               \
    {                                                                                              \
        .name = "loras", .type = IMU_T_OTHER, .ref = "LoRAField",                                  \
        .flags = IMU_F_OR_LIST | IMU_F_NULLABLE, .title = "LoRAs", .model_base = bases,            \
        .model_type = "lora", .help = "The LoRAs and their weights"                                \
    }

static const imu_output_type loader_output = {
    "LoRALoaderOutput", "lora_loader_output", "The parts of a model with LoRAs on them",
    FIELDS(OUT("unet", IMU_T_UNET, "UNet"), OUT("clip", IMU_T_CLIP, "CLIP"))};
static const imu_output_type large_loader_output = {
    "SDXLLoRALoaderOutput", "sdxl_lora_loader_output", "The parts of a model with LoRAs on them",
    FIELDS(OUT("unet", IMU_T_UNET, "UNet"), OUT("clip", IMU_T_CLIP, "CLIP 1"),
           OUT("clip2", IMU_T_CLIP, "CLIP 2"))};
static const imu_output_type selector_output = {"LoRASelectorOutput", "lora_selector_output",
                                                "A LoRA and its weight",
                                                FIELDS({.name = "lora",
                                                        .type = IMU_T_OTHER,
                                                        .ref = "LoRAField",
                                                        .title = "LoRA",
                                                        .help = "The LoRA and its weight"})};

static const imu_node_type selector_node = {"lora_selector",
                                            "LoRASelectorInvocation",
                                            "Select LoRA",
                                            "1.0.3",
                                            "model",
                                            "model",
                                            "Names a LoRA and how strongly it is to count.",
                                            0,
                                            FIELDS(LORA(.model_base = NULL), WEIGHT),
                                            &selector_output,
                                            run_selector};
static const imu_node_type loader_node = {
    "lora_loader",
    "LoRALoaderInvocation",
    "Apply LoRA - SD1.5",
    "1.0.4",
    "model",
    "model",
    "Puts a LoRA on the UNet and the text encoder of a model.",
    0,
    FIELDS(LORA(.model_base = "sd-1"), WEIGHT, UNET, CLIP("clip", "CLIP")),
    &loader_output,
    run_loader};
static const imu_node_type collection_node = {
    "lora_collection_loader",
    "LoRACollectionLoader",
    "Apply LoRA Collection - SD1.5",
    "1.1.3",
    "model",
    "model",
    "Puts several LoRAs on the UNet and the text encoder of a model.",
    0,
    FIELDS(LORAS("sd-1 sd-2"), UNET, CLIP("clip", "CLIP")),
    &loader_output,
    run_collection};
static const imu_node_type large_loader_node = {
    "sdxl_lora_loader",
    "SDXLLoRALoaderInvocation",
    "Apply LoRA - SDXL",
    "1.0.5",
    "model",
    "lora model",
    "Puts a LoRA on the UNet and the text encoders of an SDXL model.",
    0,
    FIELDS(LORA(.model_base = "sdxl"), WEIGHT, UNET, CLIP("clip", "CLIP 1"),
           CLIP("clip2", "CLIP 2")),
    &large_loader_output,
    run_loader};
static const imu_node_type large_collection_node = {
    "sdxl_lora_collection_loader",
    "SDXLLoRACollectionLoader",
    "Apply LoRA Collection - SDXL",
    "1.1.3",
    "model",
    "model",
    "Puts several LoRAs on the UNet and the text encoders of an SDXL model.",
    0,
    FIELDS(LORAS("sdxl"), UNET, CLIP("clip", "CLIP"), CLIP("clip2", "CLIP 2")),
    &large_loader_output,
    run_collection};

const imu_node_type *const imu_nodes_loras[] = {&selector_node,         &loader_node,
                                                &collection_node,       &large_loader_node,
                                                &large_collection_node, NULL};
