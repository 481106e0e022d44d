/* The files of a model folder (diffusers layout): what they are called, and whether they are there
 * and whole. Weights are not read: of a safetensors file only the header, held against the file's
 * size. Free of the engine, so that the server can look before it offers a model. */
#ifndef IMU_DIFFUSION_MODEL_FILES_H
#define IMU_DIFFUSION_MODEL_FILES_H

#include <stdbool.h>
#include <stdint.h>

/* What people are told of a model that is not as it should be. */
#define IMU_MODEL_UNUSABLE                                                                         \
    "This model can't be used just now: ask the person who looks after this server."

typedef enum imu_flaw_kind {
    IMU_FLAW_NONE = 0,
    IMU_FLAW_MISSING,
    IMU_FLAW_NO_WEIGHTS, /* a part without a weights file; `file` is the part's folder, "." for the
                            model's own */
    IMU_FLAW_UNREADABLE,
    IMU_FLAW_NOT_JSON,
    IMU_FLAW_DAMAGED,
    IMU_FLAW_PICKLE /* weights in a form that may hold programs */
} imu_flaw_kind;

typedef struct imu_flaw {
    imu_flaw_kind kind;
    char file[160]; /* below the model's folder: "unet/config.json" */
    char why[256];  /* for the log: technical, without a path; may be "" */
} imu_flaw;

/* InvokeAI's layout of an IP adapter: the name of its encoder of pictures, and the weights. */
#define IMU_IP_ENCODER "image_encoder.txt"
#define IMU_IP_WEIGHTS "ip_adapter.safetensors"

/* Which of the usual names of a weights file is there in `folder` (*.safetensors,
 * *.fp16.safetensors, or the index of several) and can be read; NULL for none. */
const char *imu_net_file_name(const char *folder);

/* Looks at the files that rendering needs: each part's config and weights, the tokenizer, and the
 * scheduler's config where there is one. The first flaw found. */
imu_flaw_kind imu_model_files_check(const char *folder, imu_flaw *flaw);
/* The same for a folder that holds one network: its config and weights. */
imu_flaw_kind imu_network_files_check(const char *folder, imu_flaw *flaw);

/* Whether a path names a model of one file: "….safetensors". */
bool imu_is_weights_file(const char *path);

/* A number that changes with any of these files: names, sizes, times, rights to read.
 * `folder` may be a model of one file. */
uint64_t imu_model_files_mark(const char *folder);

#endif
