/* The inside of an engine and a model, shared by the files behind pipeline.h. */
#ifndef IMU_DIFFUSION_MODEL_H
#define IMU_DIFFUSION_MODEL_H

#include "worker/diffusion/fault.h"
#include "worker/diffusion/model_kind.h"
#include "worker/diffusion/single_file.h"
#include "worker/diffusion/text_encoder.h"
#include "worker/diffusion/tokenizer.h"
#include "worker/diffusion/tokenizer_files.h"
#include "worker/diffusion/unet.h"
#include "worker/diffusion/vae.h"

#include <jansson.h>

enum { IMU_WHY = 200 }; /* bytes of a reason */

struct imu_engine {
    imu_backend *backend;
    bool sequential;      /* as in imu_engine_options */
    char no_gpu[IMU_WHY]; /* see imu_engine_no_gpu; "" for nothing */
};

struct imu_model {
    imu_engine *engine;
    char *folder;
    imu_single_file *single;                 /* a checkpoint of one file, at `folder`; or NULL */
    bool is_vae;                             /* `folder` holds a VAE and nothing else */
    char *tokenizers;                        /* the folder whose tokenizer it uses, or NULL */
    char tokenizer_hash[IMU_TOKENIZER_HASH]; /* that its files must have; "" for any */
    bool tokenizer_spoiled;                  /* one that was kept for it isn't what it was */
    int pad[IMU_MAX_ENCODERS]; /* fills the chunks of a text encoder; -1: as its tokenizer says */
    imu_model_info info;
    imu_model_kind kind;
    imu_tokenizer *tokenizer[IMU_MAX_ENCODERS];
    imu_text_encoder *encoder[IMU_MAX_ENCODERS];
    imu_unet *unet;
    imu_vae *vae;
    json_t *scheduler; /* its config; NULL when the folder has none */
};

/* Whether the text of this model is XL's: of the last layer but one, with a pooled row beside it.
 */
bool imu_model_is_large(const imu_model *m);

/* A colour from -1 to 1, or beyond, as a byte. */
uint8_t imu_colour_byte(float v);

/* The colours of latents of a family ("sd-1", "sdxl"...). */
void imu_latent_colours_of(const char *base, imu_latent_colours *colours);
/* Those that a VAE's configuration names: latent_rgb_factors, a row for each channel of the
 * latents, and latent_rgb_bias. Leaves `colours` alone where it has none. */
imu_engine_status imu_latent_colours_read(const json_t *vae, imu_latent_colours *colours,
                                          imu_fault *fault);

/* Begins a turn of theirs (residency.h), and opens the parts that are not open yet. */
imu_engine_status imu_model_need(imu_model *m, int parts, imu_fault *fault);

#endif
