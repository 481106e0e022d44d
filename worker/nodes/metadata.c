/* Nodes that describe a picture. */
#include "worker/nodes/env.h"
#include "worker/nodes/families.h"
#include "worker/nodes/fields.h"

#include <string.h>

#define FACT(field, kind, words)                                                                   \
    {                                                                                              \
        .name = field, .type = kind, .flags = IMU_F_NULLABLE, .help = words                        \
    }
#define FACTS(field, schema, words)                                                                \
    {                                                                                              \
        .name = field, .type = IMU_T_OTHER, .ref = schema, .flags = IMU_F_NULLABLE | IMU_F_LIST,   \
        .help = words                                                                              \
    }

/* Everything that came in goes out, as it came; the client reads it back to recall settings. */
static int run_core_metadata(imu_call *call)
{
    static const char *const own[] = {"id",        "type",  "is_intermediate",
                                      "use_cache", "board", "metadata"};
    json_t *all = json_object(), *value;
    const char *key;
    json_object_foreach ((json_t *)call->in, key, value) {
        bool skip = json_is_null(value);
        for (size_t i = 0; i < sizeof own / sizeof own[0]; i++)
            skip = skip || !strcmp(key, own[i]);
        if (!skip)
            json_object_set(all, key, value);
    }
    json_object_set_new(all, "app_version", json_string(imu_env_app_version(call->env)));
    return imu_out(call, json_pack("{s:o}", "metadata", all));
}

static const imu_field core_inputs[] = {
    FACT("generation_mode", IMU_T_STRING, "How the picture came to be, for instance txt2img"),
    FACT("positive_prompt", IMU_T_STRING, "What the picture should show"),
    FACT("negative_prompt", IMU_T_STRING, "What it should not show"),
    FACT("width", IMU_T_INT, "Width in pixels"),
    FACT("height", IMU_T_INT, "Height in pixels"),
    FACT("seed", IMU_T_INT, "Seed of the noise"),
    FACT("rand_device", IMU_T_STRING, "Where the noise was drawn"),
    FACT("cfg_scale", IMU_T_FLOAT, "How closely the prompt was followed"),
    FACT("cfg_rescale_multiplier", IMU_T_FLOAT, "How much the guidance was rescaled"),
    FACT("steps", IMU_T_INT, "Number of denoising steps"),
    FACT("scheduler", IMU_T_STRING, "The scheduler that set the steps"),
    FACT("seamless_x", IMU_T_BOOL, "Whether the picture tiles sideways"),
    FACT("seamless_y", IMU_T_BOOL, "Whether the picture tiles upwards"),
    FACT("clip_skip", IMU_T_INT, "Layers of the text encoder left out"),
    FACT("model", IMU_T_MODEL, "The main model"),
    FACTS("controlnets", "ControlNetMetadataField", "ControlNets that steered the picture"),
    FACTS("ipAdapters", "IPAdapterMetadataField", "Reference pictures that steered it"),
    FACTS("t2iAdapters", "T2IAdapterMetadataField", "T2I adapters that steered it"),
    FACTS("loras", "LoRAMetadataField", "LoRAs that were applied"),
    FACT("strength", IMU_T_FLOAT, "How far the start picture was changed"),
    FACT("init_image", IMU_T_STRING, "Name of the start picture"),
    FACT("vae", IMU_T_MODEL, "The VAE, when it was not the model's own"),
    {.name = NULL},
};
static const imu_node_type core_metadata_node = {
    "core_metadata",
    "CoreMetadataInvocation",
    "Core Metadata",
    "2.2.0",
    "metadata",
    "metadata",
    "Gathers the settings of a picture, to be stored with it. Further fields are kept as they are.",
    IMU_N_EXTRA,
    core_inputs,
    &imu_out_metadata,
    run_core_metadata};

static int run_item(imu_call *call)
{
    return imu_out(call, json_pack("{s:{s:O,s:O}}", "item", "label", imu_in(call, "label"), "value",
                                   imu_in(call, "value")));
}

static const imu_output_type item_output = {
    "MetadataItemOutput", "metadata_item_output", "One fact about a picture",
    FIELDS({.name = "item", .type = IMU_T_METADATA_ITEM, .help = "The fact"})};
static const imu_node_type item_node = {"metadata_item",
                                        "MetadataItemInvocation",
                                        "Metadata Item",
                                        "1.0.1",
                                        "metadata",
                                        "metadata",
                                        "Names a value, to be stored with a picture.",
                                        0,
                                        FIELDS({.name = "label",
                                                .type = IMU_T_STRING,
                                                .flags = IMU_F_REQUIRED,
                                                .help = "The name it is stored under"},
                                               {.name = "value",
                                                .type = IMU_T_ANY,
                                                .flags = IMU_F_REQUIRED,
                                                .ui_type = "AnyField",
                                                .help = "The value"}),
                                        &item_output,
                                        run_item};

static int run_metadata(imu_call *call)
{
    const json_t *items = imu_in(call, "items");
    json_t *all = json_object(), *item;
    size_t i;
    if (json_is_object(items))
        json_object_set(all, imu_json_str(items, "label"), json_object_get(items, "value"));
    json_array_foreach (items, i, item)
        json_object_set(all, imu_json_str(item, "label"), json_object_get(item, "value"));
    json_object_set_new(all, "app_version", json_string(imu_env_app_version(call->env)));
    return imu_out(call, json_pack("{s:o}", "metadata", all));
}

static const imu_node_type metadata_node = {"metadata",
                                            "MetadataInvocation",
                                            "Metadata",
                                            "1.0.1",
                                            "metadata",
                                            "metadata",
                                            "Makes metadata out of single facts.",
                                            0,
                                            FIELDS({.name = "items",
                                                    .type = IMU_T_METADATA_ITEM,
                                                    .flags = IMU_F_OR_LIST | IMU_F_REQUIRED,
                                                    .help = "The facts"}),
                                            &imu_out_metadata,
                                            run_metadata};

static int run_merge(imu_call *call)
{
    json_t *all = json_object(), *one;
    size_t i;
    json_array_foreach (imu_in(call, "collection"), i, one)
        json_object_update(all, one);
    return imu_out(call, json_pack("{s:o}", "metadata", all));
}

static const imu_node_type merge_node = {
    "merge_metadata",
    "MergeMetadataInvocation",
    "Metadata Merge",
    "1.0.1",
    "metadata",
    "metadata",
    "Joins several metadata; where a name occurs twice, the later one wins.",
    0,
    FIELDS({.name = "collection",
            .type = IMU_T_METADATA,
            .flags = IMU_F_LIST | IMU_F_REQUIRED,
            .help = "What to join"}),
    &imu_out_metadata,
    run_merge};

const imu_node_type *const imu_nodes_metadata[] = {&core_metadata_node, &item_node, &metadata_node,
                                                   &merge_node, NULL};
