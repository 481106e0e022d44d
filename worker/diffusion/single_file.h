/* Checkpoints of one file, whole models and VAEs: which family one is of, and the configuration of
 * each part, told by the names and shapes of its tensors. What they can't tell (heads, groups, the
 * VAE's scale) is what every model of that family has. */
#ifndef IMU_DIFFUSION_SINGLE_FILE_H
#define IMU_DIFFUSION_SINGLE_FILE_H

#include "worker/diffusion/model_kind.h"
#include "worker/diffusion/names.h"
#include "worker/diffusion/safetensors.h"

typedef struct imu_single_part {
    imu_naming naming;
    json_t *config; /* as config.json would be; NULL: the file lacks the part */
    int pad;        /* of a text encoder: the id that fills a chunk, whatever the tokenizer says */
} imu_single_part;

typedef struct imu_single_file {
    imu_safetensors *file;
    imu_model_kind kind;
    imu_single_part unet, vae, text[2];
} imu_single_file;

/* Whether the names are a checkpoint's; `kind` may be NULL. Free of the engine. */
bool imu_single_file_is(const imu_safetensors *st, imu_model_kind *kind);

/* What stands before the names of the VAE of a file that holds nothing else; NULL when it is none.
 */
const char *imu_single_file_vae(const imu_safetensors *st);
/* The family of such a file. Tensors of 1.x and XL have the same shapes, so the file's name has to
 * tell ("xl"); `path` may be NULL. */
const char *imu_single_file_vae_base(const char *path);

/* What stands before the names of a ControlNet with the original names; NULL when the file is none.
 * `kind` may be NULL. */
const char *imu_single_control(const imu_safetensors *st, imu_model_kind *kind);
/* Such a file: its way down is `unet`. */
imu_engine_status imu_single_control_open(const char *path, imu_single_file **out,
                                          imu_fault *fault);

imu_engine_status imu_single_file_open(const char *path, imu_single_file **out, imu_fault *fault);
void imu_single_file_close(imu_single_file *s);

#endif
