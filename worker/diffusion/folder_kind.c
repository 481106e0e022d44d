/* Folders of diffusers that hold one network, told by their config.json. */
#include "worker/diffusion/file_kind.h"

#include "worker/diffusion/json_file.h"
#include "worker/diffusion/model_files.h"
#include "worker/diffusion/model_kind.h"

#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#define CONFIG_BYTES ((size_t)1 << 20)
/* What latents of XL are multiplied by lies below this, that of the older families above. */
#define SCALE_OF_XL 0.15

enum { LATENT_CHANNELS = 4 }; /* those of later families have more */

/* Each names the base of a configuration of its class, or NULL for one that is unknown. */

static const char *base_of_control(const json_t *config, imu_model_kind *kind)
{
    imu_model_kind_of(config, NULL, kind);
    return kind->base;
}

static const char *base_of_t2i(const json_t *config, imu_model_kind *kind)
{
    const char *type = imu_json_string(config, "adapter_type", "full_adapter");
    (void)kind;
    if (!strcmp(type, "full_adapter_xl"))
        return "sdxl";
    return strcmp(type, "full_adapter") && strcmp(type, "light_adapter") ? NULL : "sd-1";
}

static const char *base_of_vae(const json_t *config, imu_model_kind *kind)
{
    double scale = json_number_value(json_object_get(config, "scaling_factor"));
    json_int_t channels = json_integer_value(json_object_get(config, "latent_channels"));
    (void)kind;
    if (channels != LATENT_CHANNELS)
        return NULL;
    return scale > 0 && scale < SCALE_OF_XL ? "sdxl" : "sd-1";
}

/* CLIP's encoder of pictures, as transformers names it: it has no class in the way of diffusers. */
static bool is_vision(const json_t *config)
{
    const json_t *one;
    size_t i;
    json_array_foreach (json_object_get(config, "architectures"), i, one)
        if (json_is_string(one) && !strcmp(json_string_value(one), "CLIPVisionModelWithProjection"))
            return true;
    return !strcmp(imu_json_string(config, "model_type", ""), "clip_vision_model");
}

/* InvokeAI's folder of an IP adapter. Without weights that can be read it is one all the same. */
static bool is_ip_folder(const char *folder, imu_file_kind *kind)
{
    char path[PATH_MAX];
    struct stat info;
    imu_safetensors *st;
    int n = snprintf(path, sizeof path, "%s/" IMU_IP_ENCODER, folder);
    if (n < 0 || n >= (int)sizeof path || stat(path, &info) || !S_ISREG(info.st_mode))
        return false;
    *kind = (imu_file_kind){.base = "sd-1"};
    n = snprintf(path, sizeof path, "%s/" IMU_IP_WEIGHTS, folder);
    if (n > 0 && n < (int)sizeof path && !imu_st_open(path, &st, NULL)) {
        imu_file_kind_of(st, NULL, kind);
        imu_st_close(st);
    }
    snprintf(kind->type, sizeof kind->type, "ip_adapter");
    snprintf(kind->format, sizeof kind->format, "invokeai");
    return true;
}

bool imu_folder_kind_of(const char *folder, imu_file_kind *kind)
{
    static const struct {
        const char *class, *type;
        const char *(*base)(const json_t *config, imu_model_kind *kind);
    } known[] = {{"ControlNetModel", "controlnet", base_of_control},
                 {"T2IAdapter", "t2i_adapter", base_of_t2i},
                 {"AutoencoderKL", "vae", base_of_vae}};
    imu_model_kind model;
    json_t *config;
    struct stat info;
    const char *base = NULL;
    if (stat(folder, &info) || !S_ISDIR(info.st_mode))
        return false;
    if (is_ip_folder(folder, kind))
        return true;
    if (imu_json_read(folder, "config.json", CONFIG_BYTES, &config, NULL))
        return false;
    const char *class = imu_json_string(config, "_class_name", "");
    for (size_t i = 0; i < sizeof known / sizeof *known; i++)
        if (!strcmp(class, known[i].class) && (base = known[i].base(config, &model))) {
            *kind = (imu_file_kind){.format = "diffusers"};
            snprintf(kind->type, sizeof kind->type, "%s", known[i].type);
            snprintf(kind->base, sizeof kind->base, "%s", base);
        }
    if (!base && is_vision(config)) {
        *kind = (imu_file_kind){.type = "clip_vision", .format = "diffusers", .base = "any"};
        base = kind->base;
    }
    json_decref(config);
    return base != NULL;
}
