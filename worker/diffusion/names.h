/* What tensors are called: everywhere in the engine as diffusers calls them; in checkpoints of one
 * file, and in some LoRAs, as the first programs for latent diffusion did. */
#ifndef IMU_DIFFUSION_NAMES_H
#define IMU_DIFFUSION_NAMES_H

#include <stdbool.h>
#include <stddef.h>

enum { IMU_NAME_BYTES = 512 };

typedef enum imu_naming_kind {
    IMU_NAMES_OURS = 0, /* nothing to translate but the prefix */
    IMU_NAMES_UNET,
    IMU_NAMES_VAE,
    IMU_NAMES_OPENCLIP
} imu_naming_kind;

typedef struct imu_naming {
    imu_naming_kind kind;
    const char *prefix; /* before every name, "" for none */
    int layers, levels; /* of the UNet or the VAE */
} imu_naming;

/* Which part of a tensor of the file a tensor of the engine is. */
typedef struct imu_old_name {
    char name[IMU_NAME_BYTES];
    int slice, slices; /* the slice-th of so many equal parts of the first dimension */
    bool transposed;
} imu_old_name;

/* The old name of `name`. Of some there are two, as one number depends on what else is there: try
 * candidate 0, then 1. False when there is none (with that number). */
bool imu_old_name_of(const imu_naming *naming, const char *name, int candidate, imu_old_name *out);

#endif
