#include "worker/diffusion/model_kind.h"

#include "worker/diffusion/json_file.h"

#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#define CONFIG_BYTES ((size_t)1 << 20)
/* Text of Stable Diffusion 2 is this wide, of 1 it is 768 wide. */
#define WIDTH_OF_2 1024

int imu_model_size_numbers(const json_t *unet)
{
    json_int_t whole =
        json_integer_value(json_object_get(unet, "projection_class_embeddings_input_dim"));
    json_int_t one = json_integer_value(json_object_get(unet, "addition_time_embed_dim"));
    json_int_t context = json_integer_value(json_object_get(unet, "cross_attention_dim"));
    if (!*imu_json_string(unet, "addition_embed_type", ""))
        return 0;
    /* A refiner reads one encoder only, so its context is as wide as the pooled text. */
    return one > 0 && one < whole && whole - 5 * one == context ? 5 : 6;
}

static const char *base_of(const json_t *unet)
{
    int numbers = imu_model_size_numbers(unet);
    if (numbers)
        return numbers == 5 ? "sdxl-refiner" : "sdxl";
    /* 2.x alone of the older families projects with matrices instead of 1x1 convolutions. */
    bool second = imu_json_bool(unet, "use_linear_projection", false) ||
                  json_integer_value(json_object_get(unet, "cross_attention_dim")) >= WIDTH_OF_2;
    return second ? "sd-2" : "sd-1";
}

static const char *variant_of(const json_t *unet)
{
    switch (json_integer_value(json_object_get(unet, "in_channels"))) {
    case 9:
        return "inpaint";
    case 5:
        return "depth";
    default:
        return "normal";
    }
}

void imu_model_kind_of(const json_t *unet, const json_t *scheduler, imu_model_kind *kind)
{
    static const char *const encoder[] = {"text_encoder", "text_encoder_2"};
    static const char *const tokenizer[] = {"tokenizer", "tokenizer_2"};
    *kind = (imu_model_kind){0};
    snprintf(kind->base, sizeof kind->base, "%s", base_of(unet));
    snprintf(kind->variant, sizeof kind->variant, "%s", variant_of(unet));
    snprintf(kind->prediction, sizeof kind->prediction, "%s",
             imu_json_string(scheduler, "prediction_type", "epsilon"));
    int first = strcmp(kind->base, "sdxl-refiner") ? 0 : 1;
    kind->encoders = !first && !strcmp(kind->base, "sdxl") ? 2 : 1;
    for (int i = 0; i < kind->encoders; i++) {
        kind->encoder[i] = encoder[first + i];
        kind->tokenizer[i] = tokenizer[first + i];
    }
}

/* folder/name when it is there; NULL in *out when it is not. */
static imu_engine_status read_if_there(const char *folder, const char *name, json_t **out,
                                       imu_fault *fault)
{
    char path[PATH_MAX];
    int n = snprintf(path, sizeof path, "%s/%s", folder, name);
    *out = NULL;
    if (n < 0 || n >= PATH_MAX)
        return imu_fail(fault, IMU_ENGINE_BAD_MODEL, "The model's path is too long.");
    return access(path, F_OK) ? IMU_ENGINE_OK
                              : imu_json_read(folder, name, CONFIG_BYTES, out, fault);
}

imu_engine_status imu_model_kind_read(const char *folder, imu_model_kind *kind, imu_fault *fault)
{
    json_t *unet = NULL, *scheduler = NULL;
    imu_engine_status s = read_if_there(folder, "unet/config.json", &unet, fault);
    if (!s)
        s = read_if_there(folder, "scheduler/scheduler_config.json", &scheduler, fault);
    if (!s)
        imu_model_kind_of(unet, scheduler, kind);
    json_decref(unet);
    json_decref(scheduler);
    return s;
}
