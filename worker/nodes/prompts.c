/* Nodes that encode prompts. */
#include "worker/nodes/families.h"
#include "worker/nodes/fields.h"
#include "worker/nodes/inversions.h"
#include "worker/nodes/latents.h"
#include "worker/nodes/models.h"

#include <string.h>

/* Layers of the text encoder to leave out. @return 0, or -1 with call->error */
static int take_skip(imu_call *call, const json_t *clip, int *skip)
{
    json_int_t given = json_integer_value(json_object_get(clip, "skipped_layers"));
    if (given < 0 || given > 100)
        return imu_refuse(call->error, "InvalidInput", "\"skipped_layers\" must be 0 to 100.");
    *skip = (int)given;
    return 0;
}

/* The model of a CLIP input, with its text encoders open, and its LoRAs on the first of them.
 * @return 0, or -1 with call->error */
static int open_clip(imu_call *call, const json_t *clip, imu_model **model)
{
    return imu_models_get(call, json_object_get(clip, "text_encoder"), IMU_PART_TEXT, model) ||
                   imu_models_set_loras(call, *model, IMU_PART_TEXT, 0,
                                        json_object_get(clip, "loras"))
               ? -1
               : 0;
}

static int on_layer(void *user)
{
    imu_loading *loading = user;
    imu_loading_tell(loading);
    return imu_call_cancelled(loading->call);
}

/* Encodes, says what it says of the picture's size, and keeps the result. @return 0 or -1 */
static int encode(imu_call *call, imu_model *model, imu_prompt_args *args, const float *time_ids,
                  int time_id_count)
{
    imu_conditioning *c;
    imu_fault fault;
    imu_inversions learned = {.count = 0};
    const char *base = imu_model_get_info(model)->base;
    /* A refiner's text is XL's. */
    const char *family = strcmp(base, "sdxl-refiner") ? base : "sdxl";
    int rc = imu_inversions_add(call, args->prompt, family, &learned);
    if (!rc)
        rc = imu_inversions_add(call, args->style, family, &learned);
    args->inversions = learned.use;
    args->inversion_count = learned.count;
    imu_loading loading;
    imu_loading_begin(&loading, call, model, IMU_PART_TEXT);
    args->cancelled = on_layer;
    args->user = &loading;
    if (!rc && imu_model_encode_prompt(model, args, &c, &fault) != IMU_ENGINE_OK)
        rc = imu_models_fault(call, &fault);
    args->inversions = NULL;
    args->inversion_count = 0;
    imu_inversions_close(&learned);
    if (rc)
        return rc;
    c->time_id_count = time_id_count;
    for (int i = 0; i < time_id_count; i++)
        c->time_ids[i] = time_ids[i];
    const char *name = imu_env_keep_conditioning(call, c, base);
    if (!name)
        return -1;
    return imu_out(call,
                   json_pack("{s:{s:s,s:n}}", "conditioning", "conditioning_name", name, "mask"));
}

static int refuse_region(imu_call *call)
{
    return imu_in_given(call, "mask")
               ? imu_refuse(call->error, "NotSupported",
                            "This worker can't tie a prompt to a region yet.")
               : 0;
}

/* A model of another family would fail later, in the UNet, with less to go by. */
static int expect_base(imu_call *call, const imu_model *model, const char *base)
{
    const char *mine = imu_model_get_info(model)->base;
    return strcmp(mine, base)
               ? imu_refuse(call->error, "InvalidInput",
                            "This node encodes prompts for %s models, the model is of %s.", base,
                            mine)
               : 0;
}

#define PROMPT(field, words)                                                                       \
    {                                                                                              \
        .name = field, .type = IMU_T_STRING, .flags = IMU_F_TEXTAREA, .fallback = "\"\"",          \
        .help = words                                                                              \
    }
#define CLIP(field, label)                                                                         \
    {                                                                                              \
        .name = field, .type = IMU_T_CLIP, .flags = IMU_F_REQUIRED | IMU_F_CONNECTION,             \
        .title = label, .help = "Reads the prompt"                                                 \
    }
#define NUMBER(field, value, words)                                                                \
    {                                                                                              \
        .name = field, .type = IMU_T_INT, .fallback = value, .help = words                         \
    }
#define REGION                                                                                     \
    {                                                                                              \
        .name = "mask", .type = IMU_T_OTHER, .ref = "TensorField", .flags = IMU_F_NULLABLE,        \
        .help = "The region that the prompt is for (not available here)"                           \
    }

static int run_compel(imu_call *call)
{
    const json_t *clip = imu_in(call, "clip");
    imu_prompt_args args = {.prompt = imu_in_text(call, "prompt")};
    imu_model *model;
    if (refuse_region(call) || take_skip(call, clip, &args.clip_skip[0]) ||
        open_clip(call, clip, &model))
        return -1;
    return encode(call, model, &args, NULL, 0);
}

static const imu_node_type compel_node = {
    "compel",
    "CompelInvocation",
    "Prompt - SD1.5",
    "1.2.1",
    "prompt",
    "prompt compel",
    "Encodes a prompt for the network. Weights are written (word)1.3, word+ or word-.",
    0,
    FIELDS(PROMPT("prompt", "The prompt"),
           {.name = "clip",
            .type = IMU_T_CLIP,
            .flags = IMU_F_REQUIRED,
            .title = "CLIP",
            .help = "Reads the prompt"},
           REGION),
    &imu_out_conditioning,
    run_compel};

/* The numbers that XL's UNet takes about the picture. @return 0, or -1 with call->error */
static int take_sizes(imu_call *call, const char *const *names, int count, float *ids)
{
    for (int i = 0; i < count; i++) {
        double value = imu_in_float(call, names[i]);
        if (!(value >= -1e6 && value <= 1e6))
            return imu_refuse(call->error, "InvalidInput", "\"%s\" is out of range.", names[i]);
        ids[i] = (float)value;
    }
    return 0;
}

static bool is_blank(const char *text)
{
    return text[strspn(text, " \t\r\n\f\v")] == 0;
}

static int run_large_compel(imu_call *call)
{
    static const char *const sizes[] = {"original_height", "original_width", "crop_top",
                                        "crop_left",       "target_height",  "target_width"};
    const json_t *clip = imu_in(call, "clip"), *clip2 = imu_in(call, "clip2");
    const char *style = imu_in_text(call, "style");
    imu_prompt_args args = {.prompt = imu_in_text(call, "prompt"),
                            .style = is_blank(style) ? NULL : style,
                            .zero_if_empty = true};
    float ids[IMU_MAX_TIME_IDS];
    imu_model *model;
    if (refuse_region(call) || take_sizes(call, sizes, 6, ids) ||
        take_skip(call, clip, &args.clip_skip[0]) || take_skip(call, clip2, &args.clip_skip[1]) ||
        open_clip(call, clip, &model) || expect_base(call, model, "sdxl") ||
        imu_models_set_loras(call, model, IMU_PART_TEXT, 1, json_object_get(clip2, "loras")))
        return -1;
    return encode(call, model, &args, ids, 6);
}

static const imu_node_type large_compel_node = {
    "sdxl_compel_prompt",
    "SDXLCompelPromptInvocation",
    "Prompt - SDXL",
    "1.2.1",
    "prompt",
    "sdxl compel prompt",
    "Encodes a prompt for SDXL. Weights are written (word)1.3, word+ or word-.",
    0,
    FIELDS(PROMPT("prompt", "The prompt"),
           PROMPT("style", "What the second text encoder reads; empty: the prompt too"),
           NUMBER("original_width", "1024", "Width that the picture is said to have had"),
           NUMBER("original_height", "1024", "Height that the picture is said to have had"),
           NUMBER("crop_top", "0", "What is said to have been cut off above"),
           NUMBER("crop_left", "0", "What is said to have been cut off at the left"),
           NUMBER("target_width", "1024", "Width that is said to be aimed at"),
           NUMBER("target_height", "1024", "Height that is said to be aimed at"),
           CLIP("clip", "CLIP 1"), CLIP("clip2", "CLIP 2"), REGION),
    &imu_out_conditioning,
    run_large_compel};

static int run_refiner_compel(imu_call *call)
{
    static const char *const sizes[] = {"original_height", "original_width", "crop_top",
                                        "crop_left", "aesthetic_score"};
    const json_t *clip = imu_in(call, "clip2");
    imu_prompt_args args = {.prompt = imu_in_text(call, "style")};
    float ids[IMU_MAX_TIME_IDS];
    imu_model *model;
    if (take_sizes(call, sizes, 5, ids) || take_skip(call, clip, &args.clip_skip[0]) ||
        open_clip(call, clip, &model) || expect_base(call, model, "sdxl-refiner"))
        return -1;
    return encode(call, model, &args, ids, 5);
}

static const imu_node_type refiner_compel_node = {
    "sdxl_refiner_compel_prompt",
    "SDXLRefinerCompelPromptInvocation",
    "Prompt - SDXL Refiner",
    "1.1.2",
    "prompt",
    "sdxl compel prompt",
    "Encodes a prompt for a refiner of SDXL.",
    0,
    FIELDS(PROMPT("style", "The prompt"),
           NUMBER("original_width", "1024", "Width that the picture is said to have had"),
           NUMBER("original_height", "1024", "Height that the picture is said to have had"),
           NUMBER("crop_top", "0", "What is said to have been cut off above"),
           NUMBER("crop_left", "0", "What is said to have been cut off at the left"),
           {.name = "aesthetic_score",
            .type = IMU_T_FLOAT,
            .fallback = "6.0",
            .help = "How much the picture is said to please, from 1 to 10"},
           CLIP("clip2", NULL)),
    &imu_out_conditioning,
    run_refiner_compel};

const imu_node_type *const imu_nodes_prompts[] = {&compel_node, &large_compel_node,
                                                  &refiner_compel_node, NULL};
