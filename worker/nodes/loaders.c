/* Nodes that name models and their parts. Weights are read by the nodes that use them. */
#include "worker/nodes/families.h"
#include "worker/nodes/fields.h"
#include "worker/nodes/models.h"

#include <string.h>

/* {key, hash, name, base, type, submodel_type} out of the record of an installed model. */
static json_t *identifier_of(const json_t *row, const char *part)
{
    static const char *const keys[] = {"hash", "name", "base", "type"};
    const json_t *record = json_object_get(row, "record");
    json_t *id = json_object();
    json_object_set(id, "key", json_object_get(row, "key"));
    for (size_t i = 0; i < sizeof keys / sizeof keys[0]; i++) {
        const char *text = imu_json_str(record, keys[i]);
        json_object_set_new(id, keys[i], json_string(text ? text : ""));
    }
    json_object_set_new(id, "submodel_type", part ? json_string(part) : json_null());
    return id;
}

static const json_t *find_installed(imu_call *call, const char *input)
{
    const json_t *given = imu_in(call, input);
    const json_t *row = imu_models_find(call->env->model_rows, given);
    const char *name = imu_json_str(given, "name");
    if (!row)
        imu_refuse(call->error, "UnknownModelException", "The model \"%.80s\" is not installed.",
                   name ? name : "?");
    return row;
}

static json_t *unet_of(const json_t *row)
{
    return json_pack("{s:o,s:o,s:[],s:[],s:n}", "unet", identifier_of(row, "unet"), "scheduler",
                     identifier_of(row, "scheduler"), "loras", "seamless_axes", "freeu_config");
}

static json_t *clip_of(const json_t *row, const char *tokenizer, const char *encoder)
{
    return json_pack("{s:o,s:o,s:i,s:[]}", "tokenizer", identifier_of(row, tokenizer),
                     "text_encoder", identifier_of(row, encoder), "skipped_layers", 0, "loras");
}

static json_t *vae_of(const json_t *row)
{
    return json_pack("{s:o,s:[]}", "vae", identifier_of(row, "vae"), "seamless_axes");
}

static int run_main_loader(imu_call *call)
{
    const json_t *row = find_installed(call, "model");
    if (!row)
        return -1;
    return imu_out(call, json_pack("{s:o,s:o,s:o}", "unet", unet_of(row), "clip",
                                   clip_of(row, "tokenizer", "text_encoder"), "vae", vae_of(row)));
}

static int run_large_loader(imu_call *call)
{
    const json_t *row = find_installed(call, "model");
    if (!row)
        return -1;
    return imu_out(call,
                   json_pack("{s:o,s:o,s:o,s:o}", "unet", unet_of(row), "clip",
                             clip_of(row, "tokenizer", "text_encoder"), "clip2",
                             clip_of(row, "tokenizer_2", "text_encoder_2"), "vae", vae_of(row)));
}

static int run_refiner_loader(imu_call *call)
{
    const json_t *row = find_installed(call, "model");
    if (!row)
        return -1;
    return imu_out(call,
                   json_pack("{s:o,s:o,s:o}", "unet", unet_of(row), "clip2",
                             clip_of(row, "tokenizer_2", "text_encoder_2"), "vae", vae_of(row)));
}

#define OUT_UNET                                                                                   \
    {                                                                                              \
        .name = "unet", .type = IMU_T_UNET, .title = "UNet", .help = "Denoises latents"            \
    }
#define OUT_CLIP(field, label)                                                                     \
    {                                                                                              \
        .name = field, .type = IMU_T_CLIP, .title = label, .help = "Reads prompts"                 \
    }
#define OUT_VAE                                                                                    \
    {                                                                                              \
        .name = "vae", .type = IMU_T_VAE, .title = "VAE",                                          \
        .help = "Turns latents into pictures and back"                                             \
    }
#define MAIN_MODEL(bases)                                                                          \
    {                                                                                              \
        .name = "model", .type = IMU_T_MODEL, .flags = IMU_F_REQUIRED, .model_base = bases,        \
        .model_type = "main", .help = "The model"                                                  \
    }

static const imu_output_type loader_output = {"ModelLoaderOutput", "model_loader_output",
                                              "The parts of a main model",
                                              FIELDS(OUT_VAE, OUT_CLIP("clip", "CLIP"), OUT_UNET)};
static const imu_node_type main_loader_node = {
    "main_model_loader",
    "MainModelLoaderInvocation",
    "Main Model - SD1.5, SD2",
    "1.0.4",
    "model",
    "model",
    "Opens a Stable Diffusion 1.x or 2.x model and gives out its parts.",
    0,
    FIELDS(MAIN_MODEL("sd-1 sd-2")),
    &loader_output,
    run_main_loader};

static const imu_output_type large_loader_output = {
    "SDXLModelLoaderOutput", "sdxl_model_loader_output", "The parts of an SDXL model",
    FIELDS(OUT_UNET, OUT_CLIP("clip", "CLIP 1"), OUT_CLIP("clip2", "CLIP 2"), OUT_VAE)};
static const imu_node_type large_loader_node = {"sdxl_model_loader",
                                                "SDXLModelLoaderInvocation",
                                                "Main Model - SDXL",
                                                "1.0.4",
                                                "model",
                                                "model sdxl",
                                                "Opens an SDXL model and gives out its parts.",
                                                0,
                                                FIELDS(MAIN_MODEL("sdxl")),
                                                &large_loader_output,
                                                run_large_loader};

static const imu_output_type refiner_loader_output = {
    "SDXLRefinerModelLoaderOutput", "sdxl_refiner_model_loader_output",
    "The parts of a refiner of SDXL", FIELDS(OUT_UNET, OUT_CLIP("clip2", "CLIP 2"), OUT_VAE)};
static const imu_node_type refiner_loader_node = {
    "sdxl_refiner_model_loader",
    "SDXLRefinerModelLoaderInvocation",
    "Refiner Model - SDXL",
    "1.0.4",
    "model",
    "model sdxl refiner",
    "Opens a refiner of SDXL and gives out its parts.",
    0,
    FIELDS(MAIN_MODEL("sdxl-refiner")),
    &refiner_loader_output,
    run_refiner_loader};

static int run_vae_loader(imu_call *call)
{
    const json_t *row = find_installed(call, "vae_model");
    if (!row)
        return -1;
    return imu_out(
        call, json_pack("{s:{s:o,s:[]}}", "vae", "vae", identifier_of(row, NULL), "seamless_axes"));
}

static const imu_node_type vae_loader_node = {"vae_loader",
                                              "VAELoaderInvocation",
                                              "VAE Model - SD1.5, SD2, SDXL, SD3, FLUX",
                                              "1.0.4",
                                              "model",
                                              "vae model",
                                              "Opens a VAE to be used in place of the model's own.",
                                              0,
                                              FIELDS({.name = "vae_model",
                                                      .type = IMU_T_MODEL,
                                                      .flags = IMU_F_REQUIRED,
                                                      .title = "VAE",
                                                      .model_base = "sd-1 sd-2 sdxl",
                                                      .model_type = "vae",
                                                      .help = "The VAE"}),
                                              &imu_out_vae,
                                              run_vae_loader};

static int run_clip_skip(imu_call *call)
{
    json_t *clip = json_copy((json_t *)imu_in(call, "clip"));
    json_int_t before = json_integer_value(json_object_get(clip, "skipped_layers")), sum;
    if (__builtin_add_overflow(before, imu_in_int(call, "skipped_layers"), &sum) || sum < 0 ||
        sum > 100) {
        json_decref(clip);
        return imu_refuse(call->error, "InvalidInput", "\"skipped_layers\" must be 0 to 100.");
    }
    json_object_set_new(clip, "skipped_layers", json_integer(sum));
    return imu_out(call, json_pack("{s:o}", "clip", clip));
}

static const imu_output_type clip_skip_output = {"CLIPSkipInvocationOutput", "clip_skip_output",
                                                 "A text encoder",
                                                 FIELDS({.name = "clip",
                                                         .type = IMU_T_CLIP,
                                                         .flags = IMU_F_NULLABLE,
                                                         .title = "CLIP",
                                                         .help = "Reads prompts"})};
static const imu_node_type clip_skip_node = {
    "clip_skip",
    "CLIPSkipInvocation",
    "Apply CLIP Skip - SD1.5, SDXL",
    "1.1.1",
    "prompt",
    "clipskip clip skip",
    "Leaves out the last layers of the text encoder, as some models want it.",
    0,
    FIELDS({.name = "clip",
            .type = IMU_T_CLIP,
            .flags = IMU_F_REQUIRED | IMU_F_CONNECTION,
            .title = "CLIP",
            .help = "Reads prompts"},
           {.name = "skipped_layers",
            .type = IMU_T_INT,
            .flags = IMU_F_MIN,
            .min = 0,
            .fallback = "0",
            .help = "How many layers to leave out"}),
    &clip_skip_output,
    run_clip_skip};

/* A part of a model that makes pictures tile at these axes alone; null stays null. */
static json_t *with_axes(const json_t *part, json_t *axes)
{
    if (!json_is_object(part))
        return json_null();
    json_t *more = json_copy((json_t *)part);
    json_object_set(more, "seamless_axes", axes);
    return more;
}

static int run_seamless(imu_call *call)
{
    json_t *axes = json_array();
    if (imu_in_bool(call, "seamless_x"))
        json_array_append_new(axes, json_string("x"));
    if (imu_in_bool(call, "seamless_y"))
        json_array_append_new(axes, json_string("y"));
    json_t *out = json_pack("{s:o,s:o}", "unet", with_axes(imu_in(call, "unet"), axes), "vae",
                            with_axes(imu_in(call, "vae"), axes));
    json_decref(axes);
    return imu_out(call, out);
}

static const imu_output_type seamless_output = {"SeamlessModeOutput", "seamless_output",
                                                "The parts of a model, made to tile",
                                                FIELDS({.name = "unet",
                                                        .type = IMU_T_UNET,
                                                        .flags = IMU_F_NULLABLE,
                                                        .title = "UNet",
                                                        .help = "Denoises latents"},
                                                       {.name = "vae",
                                                        .type = IMU_T_VAE,
                                                        .flags = IMU_F_NULLABLE,
                                                        .title = "VAE",
                                                        .help = "Turns latents into pictures"})};
static const imu_node_type seamless_node = {
    "seamless",
    "SeamlessModeInvocation",
    "Apply Seamless - SD1.5, SDXL",
    "1.0.2",
    "model",
    "seamless model",
    "Makes pictures whose edges fit each other, so that they can be laid side by side.",
    0,
    FIELDS({.name = "unet",
            .type = IMU_T_UNET,
            .flags = IMU_F_NULLABLE | IMU_F_CONNECTION,
            .title = "UNet",
            .help = "Denoises latents"},
           {.name = "vae",
            .type = IMU_T_VAE,
            .flags = IMU_F_NULLABLE | IMU_F_CONNECTION,
            .title = "VAE",
            .help = "Turns latents into pictures"},
           {.name = "seamless_y",
            .type = IMU_T_BOOL,
            .fallback = "true",
            .help = "Fit above to below"},
           {.name = "seamless_x",
            .type = IMU_T_BOOL,
            .fallback = "true",
            .help = "Fit left to right"}),
    &seamless_output,
    run_seamless};

static int run_freeu(imu_call *call)
{
    static const char *const numbers[] = {"s1", "s2", "b1", "b2"};
    json_t *unet = json_copy((json_t *)imu_in(call, "unet")), *config = json_object();
    for (size_t i = 0; i < sizeof numbers / sizeof *numbers; i++)
        json_object_set(config, numbers[i], (json_t *)imu_in(call, numbers[i]));
    json_object_set_new(unet, "freeu_config", config);
    return imu_out(call, json_pack("{s:o}", "unet", unet));
}

#define FACTOR(field, label, value, words)                                                         \
    {                                                                                              \
        .name = field, .type = IMU_T_FLOAT, .flags = IMU_F_MIN | IMU_F_MAX, .min = -1, .max = 3,   \
        .title = label, .fallback = value, .help = words                                           \
    }
static const imu_output_type unet_output = {"UNetOutput", "unet_output", "A UNet",
                                            FIELDS(OUT_UNET)};
static const imu_node_type freeu_node = {
    "freeu",
    "FreeUInvocation",
    "Apply FreeU - SD1.5, SDXL",
    "1.0.2",
    "model",
    "freeu",
    "Weighs what the UNet found anew against what it kept, for more structure and less noise.",
    0,
    FIELDS({.name = "unet",
            .type = IMU_T_UNET,
            .flags = IMU_F_REQUIRED | IMU_F_CONNECTION,
            .title = "UNet",
            .help = "The network that denoises"},
           FACTOR("b1", "B1", "1.2", "What was found anew counts so much on the coarsest level"),
           FACTOR("b2", "B2", "1.4", "The same on the next level"),
           FACTOR("s1", "S1", "0.9", "What was kept counts so much on the coarsest level"),
           FACTOR("s2", "S2", "0.2", "The same on the next level")),
    &unet_output,
    run_freeu};

const imu_node_type *const imu_nodes_models[] = {
    &main_loader_node, &large_loader_node, &refiner_loader_node, &vae_loader_node,
    &clip_skip_node,   &seamless_node,     &freeu_node,          NULL};
