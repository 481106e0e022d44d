/* What a model folder in diffusers layout holds: its family, and the parts that come with it. Read
 * from its configuration alone; free of the engine, so that the server tells people the same as the
 * worker finds. */
#ifndef IMU_DIFFUSION_MODEL_KIND_H
#define IMU_DIFFUSION_MODEL_KIND_H

#include "worker/diffusion/fault.h"

#include <jansson.h>

typedef struct imu_model_kind {
    char base[16];       /* "sd-1", "sd-2", "sdxl", "sdxl-refiner" */
    char variant[16];    /* "normal", "inpaint", "depth" */
    char prediction[16]; /* "epsilon", "v_prediction", "sample" */
    int encoders;        /* text encoders */
    /* Their folders, and those of their tokenizers; a refiner has the second one alone. */
    const char *encoder[2], *tokenizer[2];
} imu_model_kind;

/* Reads unet/config.json and scheduler/scheduler_config.json; either may be missing. */
imu_engine_status imu_model_kind_read(const char *folder, imu_model_kind *kind, imu_fault *fault);

/* The same from what was read before; `unet`, `scheduler` may be NULL. */
void imu_model_kind_of(const json_t *unet, const json_t *scheduler, imu_model_kind *kind);

/* How many numbers about the picture's size an XL UNet takes: 6, or 5 when it is a refiner; 0 for
 * other families. */
int imu_model_size_numbers(const json_t *unet);

#endif
