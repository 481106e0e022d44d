#include "worker/diffusion/file_kind.h"

#include "worker/diffusion/inversion.h"
#include "worker/diffusion/single_file.h"
#include "worker/diffusion/upscaler_shape.h"

#include <stdio.h>
#include <string.h>

static bool ends_with(const char *text, const char *end)
{
    size_t n = strlen(text), m = strlen(end);
    return n >= m && !strcmp(text + n - m, end);
}

/* Kohya's underscores and diffusers' dots alike. */
static bool names(const char *name, const char *words)
{
    for (; *name; name++) {
        size_t i = 0;
        while (words[i] && name[i] && (name[i] == '.' ? '_' : name[i]) == words[i])
            i++;
        if (!words[i])
            return true;
    }
    return false;
}

static bool is_lora(const char *name)
{
    static const char *const ends[] = {".lora_down.weight",
                                       ".lora_A.weight",
                                       ".lora_A.default.weight",
                                       "lora.down.weight",
                                       "lora_linear_layer.down.weight",
                                       ".hada_w1_a",
                                       ".lokr_w1",
                                       ".lokr_w1_a",
                                       ".lokr_w2"};
    for (size_t i = 0; i < sizeof ends / sizeof *ends; i++)
        if (ends_with(name, ends[i]))
            return true;
    return false;
}

/* Networks that this engine doesn't have; their LoRAs have the same kinds of names. */
static bool is_foreign(const char *name)
{
    return names(name, "double_blocks") || names(name, "single_transformer_blocks") ||
           names(name, "joint_blocks") || names(name, "lora_transformer_") ||
           !strncmp(name, "transformer.", 12);
}

/* What the family of a LoRA shows in: how wide the text is that the UNet attends to, and parts that
 * only XL has. */
static const char *lora_base(const imu_safetensors *st)
{
    int64_t width = 0;
    bool large = false;
    for (size_t i = 0; i < st->count; i++) {
        const imu_st_entry *e = &st->entries[i];
        bool down = ends_with(e->name, "down.weight") || strstr(e->name, ".lora_A.");
        if (down && names(e->name, "attn2_") && names(e->name, "to_k") && e->ndim >= 2)
            width = e->dim[1];
        large |= !strncmp(e->name, "lora_te1_", 9) || !strncmp(e->name, "lora_te2_", 9) ||
                 !strncmp(e->name, "text_encoder_2.", 15) ||
                 names(e->name, "transformer_blocks_1_") || names(e->name, "add_embedding") ||
                 names(e->name, "label_emb");
    }
    if (width == 768)
        return "sd-1";
    if (width == 1024)
        return "sd-2";
    return large || width == 2048 ? "sdxl" : "sd-1";
}

static bool is_checkpoint(const imu_safetensors *st, imu_file_kind *kind)
{
    imu_model_kind model;
    if (!imu_single_file_is(st, &model) || !strcmp(model.variant, "depth"))
        return false;
    *kind = (imu_file_kind){.type = "main", .format = "checkpoint"};
    snprintf(kind->base, sizeof kind->base, "%s", model.base);
    snprintf(kind->variant, sizeof kind->variant, "%s", model.variant);
    snprintf(kind->prediction, sizeof kind->prediction, "%s", model.prediction);
    return true;
}

static bool is_vae(const imu_safetensors *st, const char *path, imu_file_kind *kind)
{
    if (!imu_single_file_vae(st))
        return false;
    *kind = (imu_file_kind){.type = "vae", .format = "checkpoint"};
    snprintf(kind->base, sizeof kind->base, "%s", imu_single_file_vae_base(path));
    return true;
}

static bool is_inversion(const imu_safetensors *st, imu_file_kind *kind)
{
    const imu_st_entry *first, *second;
    if (!imu_inversion_parts(st, &first, &second))
        return false;
    *kind = (imu_file_kind){.type = "embedding", .format = "embedding_file"};
    snprintf(kind->base, sizeof kind->base, "%s", imu_inversion_base(first, second));
    return true;
}

static bool is_upscaler(const imu_safetensors *st, imu_file_kind *kind)
{
    if (!imu_upscaler_shape_of(st).kind)
        return false;
    *kind =
        (imu_file_kind){.type = "spandrel_image_to_image", .format = "checkpoint", .base = "any"};
    return true;
}

static bool is_control(const imu_safetensors *st, imu_file_kind *kind)
{
    imu_model_kind model;
    if (!imu_single_control(st, &model))
        return false;
    *kind = (imu_file_kind){.type = "controlnet", .format = "checkpoint"};
    snprintf(kind->base, sizeof kind->base, "%s", model.base);
    return true;
}

/* The widths of the text that the UNets of the families attend to; otherwise, how many attentions
 * they have. */
static bool is_ip(const imu_safetensors *st, imu_file_kind *kind)
{
    const imu_st_entry *first = imu_st_find(st, "ip_adapter.1.to_k_ip.weight");
    bool projects = imu_st_find(st, "image_proj.proj.weight") ||
                    imu_st_find(st, "image_proj.proj.0.weight") ||
                    imu_st_find(st, "image_proj.latents");
    if (!first || first->ndim != 2 || !projects)
        return false;
    bool large = first->dim[1] == 2048 || imu_st_find(st, "ip_adapter.139.to_k_ip.weight");
    *kind = (imu_file_kind){.type = "ip_adapter", .format = "checkpoint"};
    snprintf(kind->base, sizeof kind->base, "%s",
             large                   ? "sdxl"
             : first->dim[1] == 1024 ? "sd-2"
                                     : "sd-1");
    return true;
}

bool imu_file_kind_of(const imu_safetensors *st, const char *path, imu_file_kind *kind)
{
    bool lora = false;
    if (is_checkpoint(st, kind) || is_vae(st, path, kind) || is_inversion(st, kind) ||
        is_upscaler(st, kind) || is_control(st, kind) || is_ip(st, kind))
        return true;
    for (size_t i = 0; i < st->count; i++) {
        if (is_foreign(st->entries[i].name))
            return false;
        lora |= is_lora(st->entries[i].name);
    }
    if (!lora)
        return false;
    *kind = (imu_file_kind){.type = "lora", .format = "lycoris"};
    snprintf(kind->base, sizeof kind->base, "%s", lora_base(st));
    return true;
}
