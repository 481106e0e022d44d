/* What a safetensors file by itself holds, told by the names and shapes of its tensors: a LoRA, a
 * ControlNet, a textual inversion, an upscaler, a VAE or a whole model; and what a folder with one
 * network holds, told by its config.json. Free of the engine, so that the server can look before it
 * offers a model. */
#ifndef IMU_DIFFUSION_FILE_KIND_H
#define IMU_DIFFUSION_FILE_KIND_H

#include "worker/diffusion/safetensors.h"

typedef struct imu_file_kind {
    char type[32]; /* "lora", "controlnet", "t2i_adapter", "ip_adapter", "clip_vision", "embedding",
                      "spandrel_image_to_image", "vae", "main" */
    char format[16]; /* "lycoris", "embedding_file", "checkpoint", "diffusers", "invokeai" */
    char base[16];   /* "sd-1", "sd-2", "sdxl", "sdxl-refiner", "any" */
    /* Of a whole model, as in imu_model_kind; else "". */
    char variant[16], prediction[16];
} imu_file_kind;

/* False when the worker has no use for the file. `path` tells by its name what tensors can't; it
 * may be NULL. */
bool imu_file_kind_of(const imu_safetensors *st, const char *path, imu_file_kind *kind);

/* The same for a folder in the layout of diffusers that holds one network instead of a pipeline:
 * config.json with the weights beside it; or in that of InvokeAI for IP adapters. Weights are not
 * looked at where config.json says enough. */
bool imu_folder_kind_of(const char *folder, imu_file_kind *kind);

#endif
