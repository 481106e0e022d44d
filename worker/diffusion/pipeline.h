/* The engine as the worker's nodes see it: open a model folder in diffusers layout, turn prompts
 * into conditioning, noise into latents, latents into pictures.
 *
 * Everything that crosses this border lives in ordinary memory (`imu_array`, `imu_image`); what a
 * device needs stays behind it. An engine and its models belong to one thread at a time: the caller
 * serialises. `imu_noise`, `imu_latents_preview` and the array and image functions may be called
 * from any thread. No function aborts; each that can fail returns a status and fills `fault`, which
 * may be NULL. Out-parameters are set only on IMU_ENGINE_OK and then belong to the caller.
 */
#ifndef IMU_DIFFUSION_PIPELINE_H
#define IMU_DIFFUSION_PIPELINE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

typedef enum imu_engine_status {
    IMU_ENGINE_OK = 0,
    IMU_ENGINE_CANCELLED, /* a callback asked to stop */
    IMU_ENGINE_NO_MEMORY,
    IMU_ENGINE_BAD_INPUT,   /* the caller's arguments make no sense together */
    IMU_ENGINE_BAD_MODEL,   /* a file of the model is missing, damaged or contradicts its config */
    IMU_ENGINE_UNSUPPORTED, /* well-formed, but of a kind this engine can't compute */
    IMU_ENGINE_INTERNAL,    /* the compute library refused */
    IMU_ENGINE_INCOMPLETE,  /* the model is sound, but needs another beside it */
    IMU_ENGINE_LOST         /* the device answers no more; see imu_engine_lost */
} imu_engine_status;

/* What went wrong, as a sentence for a person. */
typedef struct imu_fault {
    imu_engine_status status;
    char text[448];
} imu_fault;

/* A dense row-major float32 array of up to four dimensions. */
typedef struct imu_array {
    int ndim;
    int64_t dim[4];
    float *data;
} imu_array;

/* Returns a zeroed array, or NULL when out of memory or when a dimension is not positive. */
imu_array *imu_array_new(int ndim, const int64_t *dim);
imu_array *imu_array_clone(const imu_array *a);
void imu_array_free(imu_array *a); /* NULL is fine */
int64_t imu_array_count(const imu_array *a);

/* 8-bit RGB, rows from the top, 3 * width bytes a row without padding. */
typedef struct imu_image {
    int width, height;
    uint8_t *rgb;
} imu_image;

imu_image *imu_image_new(int width, int height);
void imu_image_free(imu_image *image);

enum { IMU_MAX_TIME_IDS = 6, IMU_MAX_ENCODERS = 2 };

/* What a prompt becomes. `embeds` is [1, 77 * k, width]; `pooled` is [1, width] or NULL. */
typedef struct imu_conditioning {
    imu_array *embeds;
    imu_array *pooled;
    /* XL: what is said about the picture's size: height, width, top, left, then height and width
     * aimed at or, for a refiner, a score. None: the size of the picture that is made. */
    float time_ids[IMU_MAX_TIME_IDS];
    int time_id_count;
} imu_conditioning;

void imu_conditioning_free(imu_conditioning *c);

/* ---- engine ---- */

typedef struct imu_engine imu_engine;

typedef enum imu_precision {
    IMU_PRECISION_F32 = 0, /* exact mode: what the golden tensors are compared with */
    IMU_PRECISION_BF16, /* bf16 products, float32 sums; falls back to float32 without AVX512-BF16 */
    IMU_PRECISION_AUTO  /* bf16 where the processor has it */
} imu_precision;

typedef struct imu_engine_options {
    int threads; /* 0: one per processor this process may use */
    imu_precision precision;
    const char
        *device; /* NULL or "cpu"; "cuda" or "cuda:1", a GPU; "auto": the first one, if any */
    /* Bytes of weights to keep on the processor (0: all), and of a GPU's memory to use (0: what is
     * free at the start, but for a reserve). */
    uint64_t cpu_bytes, gpu_bytes;
    bool sequential; /* guidance calls the network twice in a step: slower, with less memory */
} imu_engine_options;

/* `options` may be NULL: all processors, float32, no GPU. */
imu_engine_status imu_engine_open(const imu_engine_options *options, imu_engine **out,
                                  imu_fault *fault);
/* Every model must be closed before. NULL is fine. */
void imu_engine_close(imu_engine *engine);
/* What computes: "cpu" or "cuda". */
const char *imu_engine_device_kind(const imu_engine *engine);
/* A short description for logs and the worker's hello, e.g. "cpu, 2 threads, f32". */
const char *imu_engine_device(const imu_engine *engine);
/* Why the processor computes though a GPU was looked for (device "auto"); NULL otherwise. */
const char *imu_engine_no_gpu(const imu_engine *engine);
/* What the device said when it stopped to answer, or NULL while it answers. Once it is lost, all
 * that needs it fails until the program is started anew. */
const char *imu_engine_lost(const imu_engine *engine);
/* An engine on a backend that is open already, and that closes with it. */
struct imu_backend;
imu_engine_status imu_engine_on(struct imu_backend *backend, imu_engine **out, imu_fault *fault);

/* ---- model ---- */

typedef struct imu_model imu_model;

enum { /* parts, as a bit set */
       IMU_PART_TEXT = 1,
       IMU_PART_UNET = 2,
       IMU_PART_VAE = 4,
       IMU_PART_ALL = 7
};

/* How a latent cell looks: its mean colour, from -1 to 1, is the sum of its channels by these, plus
 * the bias. */
typedef struct imu_latent_colours {
    float weight[4][3], bias[3];
} imu_latent_colours;

typedef struct imu_model_info {
    char base[16];              /* "sd-1", "sd-2", "sdxl", "sdxl-refiner" */
    char prediction[16];        /* "epsilon", "v_prediction" */
    int parts;                  /* which parts the folder has */
    int latent_channels;        /* 4 */
    int vae_scale;              /* pixels a latent cell is wide and high: 8 */
    int sample_size;            /* the picture edge in pixels the model is made for */
    int context_width;          /* last dimension of `embeds` */
    uint64_t weight_bytes[3];   /* on disk: text, unet, vae */
    imu_latent_colours colours; /* those its VAE's configuration names, else its family's */
} imu_model_info;

/* Reads the configuration and tensor headers of a model folder (diffusers layout, safetensors in
 * f32, f16 or bf16). A part may be missing; using it then fails. Weights are read when first
 * needed. */
imu_engine_status imu_model_open(imu_engine *engine, const char *folder, imu_model **out,
                                 imu_fault *fault);
/* The same for a checkpoint of one file with the original names. */
imu_engine_status imu_model_open_file(imu_engine *engine, const char *file, imu_model **out,
                                      imu_fault *fault);
/* Such files lack a tokenizer: names the folder of one, with vocab.json and merges.txt. With a
 * `hash` they must have it, now and whenever they are read (tokenizer_files.h); NULL for any.
 * IMU_ENGINE_BAD_INPUT when its words are not those of the model's text encoder. */
imu_engine_status imu_model_use_tokenizer(imu_model *model, const char *folder, const char *hash,
                                          imu_fault *fault);
/* Nor do they say what the model was trained to predict: sets that ("epsilon", "v_prediction" or
 * "sample"; else IMU_ENGINE_BAD_MODEL). A folder says it itself: nothing is done then. */
imu_engine_status imu_model_set_prediction(imu_model *model, const char *type, imu_fault *fault);
void imu_model_close(imu_model *model); /* NULL is fine */
const imu_model_info *imu_model_get_info(const imu_model *model);
/* Opens `parts` now, checks their tensors and has their files read ahead; or gives their memory
 * back. */
imu_engine_status imu_model_load(imu_model *model, int parts, imu_fault *fault);
void imu_model_unload(imu_model *model, int parts);
/* Bytes of memory that the layers of `parts` occupy now: none before their first use, or when
 * others have needed their place since. */
uint64_t imu_model_memory(const imu_model *model, int parts);

/* The share of the layers of `parts` that are in memory, 0 to 1, counted by their values: how far
 * their first use has come. Some may never come there: layers that a prompt leaves out, or those
 * that a GPU has no room for. */
double imu_model_loaded(const imu_model *model, int parts);

/* ---- LoRA ---- */

typedef struct imu_lora imu_lora;

/* Reads the names of a LoRA's tensors: a safetensors file with the keys of kohya's trainer,
 * diffusers or PEFT; LoRA, LoHa, LoKr and full differences. `path` may be a folder with
 * pytorch_lora_weights.safetensors. */
imu_engine_status imu_lora_open(const char *path, imu_lora **out, imu_fault *fault);
/* A model on which it lies keeps it for as long as that lasts. NULL is fine. */
void imu_lora_close(imu_lora *lora);

typedef struct imu_lora_use {
    imu_lora *lora;
    double weight;
} imu_lora_use;

/* Lays these LoRAs, and no others, on a part of the model: IMU_PART_UNET, or IMU_PART_TEXT with the
 * number of the text encoder (0 or 1). Only layers that change are read again, when next used. */
imu_engine_status imu_model_set_loras(imu_model *model, int part, int encoder,
                                      const imu_lora_use *uses, size_t count, imu_fault *fault);

/* ---- prompt ---- */

typedef struct imu_inversion imu_inversion;

/* Opens a textual inversion: a safetensors file. */
imu_engine_status imu_inversion_open(const char *path, imu_inversion **out, imu_fault *fault);
void imu_inversion_close(imu_inversion *inversion); /* NULL is fine */

/* What stands for an inversion in a prompt, "<name>". */
typedef struct imu_inversion_use {
    const char *trigger; /* not empty */
    const imu_inversion *vectors;
} imu_inversion_use;

/* What is to be encoded, and how. */
typedef struct imu_prompt_args {
    const char *prompt;                  /* UTF-8; broken sequences are replaced */
    const char *style;                   /* XL: what its second encoder reads; NULL: the prompt */
    int clip_skip[IMU_MAX_ENCODERS];     /* layers of each encoder left out at its end */
    bool zero_if_empty;                  /* an empty prompt becomes zeros, as XL learned it */
    const imu_inversion_use *inversions; /* at most 32 count */
    int inversion_count;
    int (*cancelled)(void *user); /* as in imu_denoise_args */
    void *user;
} imu_prompt_args;

/* Compel syntax (weights, +, -, nesting, .blend(), .and()) is understood; plain text means what it
 * says. Prompts longer than 75 tokens give several chunks of 77. */
imu_engine_status imu_model_encode_prompt(imu_model *model, const imu_prompt_args *args,
                                          imu_conditioning **out, imu_fault *fault);

/* ---- noise and denoising ---- */

/* Standard normal [1, channels, height / scale, width / scale], the values that torch draws on the
 * CPU for `seed` (the low 32 bits seed mt19937, as torch's generator does with what InvokeAI
 * passes). Sizes in pixels, multiples of `scale`. Returns NULL for a bad size or without memory. */
imu_array *imu_noise(uint64_t seed, int channels, int width, int height, int scale);

typedef struct imu_progress {
    int step;  /* 1 .. total: model calls done */
    int total; /* model calls of the whole run; second-order schedulers make two a step */
    double timestep;
    const imu_array *latents; /* after this step */
    const imu_array
        *predicted_original; /* the scheduler's guess at the end result: use it for previews */
} imu_progress;

/* How much something that steers a run counts, and when. */
typedef struct imu_when {
    const double *weight; /* one value, or one for each step */
    int weight_count;
    double begin, end; /* shares of the run between which it counts */
} imu_when;

typedef struct imu_control imu_control;

/* Opens a ControlNet: a folder of diffusers, or a file with the original names. Must be closed
 * before the engine. */
imu_engine_status imu_control_open(imu_engine *engine, const char *path, imu_control **out,
                                   imu_fault *fault);
void imu_control_close(imu_control *control); /* NULL is fine */

/* A ControlNet in a run. */
typedef struct imu_control_use {
    imu_control *control;
    const float *picture; /* [3, 8 h, 8 w] from 0 to 1, for latents of h by w */
    imu_when when;
    bool soft;          /* finer levels count less */
    bool only_positive; /* the negative prompt's half of guidance is left alone */
} imu_control_use;

typedef struct imu_t2i imu_t2i;

/* Opens a T2I adapter: a folder of diffusers. Must be closed before the engine. */
imu_engine_status imu_t2i_open(imu_engine *engine, const char *folder, imu_t2i **out,
                               imu_fault *fault);
void imu_t2i_close(imu_t2i *adapter); /* NULL is fine */
/* How many pixels its picture must have for so many cells of latents. */
int64_t imu_t2i_pixels(const imu_t2i *adapter, int64_t cells);

/* A T2I adapter in a run. */
typedef struct imu_t2i_use {
    imu_t2i *adapter;
    const float *picture; /* [3, pixels of h, pixels of w] from 0 to 1, for latents of h by w */
    imu_when when;
} imu_t2i_use;

typedef struct imu_vision imu_vision;

/* Opens CLIP's encoder of pictures: a folder of transformers. Must be closed before the engine. */
imu_engine_status imu_vision_open(imu_engine *engine, const char *folder, imu_vision **out,
                                  imu_fault *fault);
void imu_vision_close(imu_vision *vision); /* NULL is fine */
/* Pixels that a side of its square pictures has. */
int imu_vision_edge(const imu_vision *vision);

typedef struct imu_ip imu_ip;

/* Opens an IP adapter: a safetensors file, or a folder with ip_adapter.safetensors. Must be closed
 * before the engine. */
imu_engine_status imu_ip_open(imu_engine *engine, const char *path, imu_ip **out, imu_fault *fault);
void imu_ip_close(imu_ip *adapter); /* NULL is fine */
/* Whether that folder's encoder of pictures is of the kind that the adapter was made for. */
bool imu_ip_takes(const imu_ip *adapter, const char *vision_folder);
/* What the adapter makes of pictures, each a square of imu_vision_edge pixels: tokens [2, count *
 * k, width], of nothing and of the pictures. */
imu_engine_status imu_ip_encode(imu_ip *adapter, imu_vision *vision, const imu_image *const *images,
                                int count, int (*cancelled)(void *user), void *user,
                                imu_array **out, imu_fault *fault);

/* An IP adapter in a run. */
typedef struct imu_ip_use {
    imu_ip *adapter;
    const imu_array *tokens; /* of imu_ip_encode */
    imu_when when;
    /* Parts of names: it counts in the UNet's attentions whose name holds one of them. None: in
     * all. */
    const char *const *blocks;
    int block_count;
    /* Parts of names of those where the pictures are shown to the negative prompt's half alone. */
    const char *const *averse;
    int averse_count;
    const float *mask; /* [h, w] of the latents, 1 where it counts, else 0; NULL: everywhere */
} imu_ip_use;

/* FreeU: on the two coarsest levels of the way up, half of the channels count `backbone` times and
 * the low frequencies of what was left on the way down `skip` times. All zero, or any of them: off.
 */
typedef struct imu_freeu {
    double skip[2], backbone[2];
} imu_freeu;

typedef struct imu_denoise_args {
    const imu_conditioning *positive;
    const imu_conditioning *negative; /* NULL: no guidance */
    const imu_array *noise;           /* [1, C, h, w]; NULL only with latents */
    const imu_array *latents;         /* start from these (image to image), scaled; NULL for none */
    const imu_array *mask; /* [1, 1, h, w], 1 = repaint, 0 = keep `latents`; NULL for none */
    bool gradient_mask;    /* `mask` holds the share of the run at which a cell starts to move */
    /* For models made for inpainting: latents of the picture with what is repainted left grey;
     * NULL: all of it is repainted. */
    const imu_array *masked_latents;
    int steps;               /* 1 .. 1000 */
    const double *cfg_scale; /* one value, or one for each step */
    int cfg_scale_count;
    double cfg_rescale;                    /* 0 .. 1 */
    const char *scheduler;                 /* one of imu_scheduler_names() */
    double denoising_start, denoising_end; /* 0 .. 1 */
    uint64_t seed;                         /* of the noise that schedulers draw on the way */
    bool seamless_x, seamless_y; /* left fits to right, top to bottom, when pictures are put side by
                                    side */
    imu_freeu freeu;
    const imu_control_use *controls;
    int control_count;
    const imu_t2i_use *t2is;
    int t2i_count;
    const imu_ip_use *ips;
    int ip_count;
    /* After each model call; nonzero cancels. May be NULL. */
    int (*progress)(void *user, const imu_progress *progress);
    /* Asked often, before each product of the network and within an attention; nonzero cancels.
     * Cheap. May be NULL. */
    int (*cancelled)(void *user);
    void *user;
} imu_denoise_args;

/* Fields to zero and sensible values: 30 steps, guidance 7.5, dpmpp_3m_k, the whole range. */
void imu_denoise_defaults(imu_denoise_args *args);

imu_engine_status imu_model_denoise(imu_model *model, const imu_denoise_args *args, imu_array **out,
                                    imu_fault *fault);

/* How a large picture is cut, in cells of latents. */
typedef struct imu_tile_args {
    int64_t height, width; /* of a tile; more than the latents have: all of them */
    int64_t overlap;       /* that tiles share at the least: 1 or more, less than a tile */
} imu_tile_args;

/* Multi-diffusion: the latents in tiles that all see the same prompts and their own part of the
 * ControlNets' pictures, put together after each model call. Progress and previews are those of the
 * whole. `args`: as above, without a mask and without edges that meet. */
imu_engine_status imu_model_denoise_tiles(imu_model *model, const imu_denoise_args *args,
                                          const imu_tile_args *tiles, imu_array **out,
                                          imu_fault *fault);

/* NULL-terminated list of the scheduler names that imu_model_denoise accepts. */
const char *const *imu_scheduler_names(void);

/* ---- pictures ---- */

/* How a VAE is run; all zero: in one piece. */
typedef struct imu_vae_args {
    bool tiled;          /* large pictures in tiles, for less memory; seamless ones are not cut */
    int tile_size;       /* edge of a tile in pixels; 0: what the VAE was made for */
    bool full_precision; /* float32 whatever the engine's precision */
    bool seamless_x, seamless_y;  /* decoding alone: as in imu_denoise_args */
    int (*cancelled)(void *user); /* as above */
    void *user;
} imu_vae_args;

/* latents [1, C, h, w] (scaled) to pixels. `args` may be NULL. */
imu_engine_status imu_model_decode(imu_model *model, const imu_array *latents,
                                   const imu_vae_args *args, imu_image **out, imu_fault *fault);

/* Pixels to scaled latents: the mean of the posterior. Width and height: multiples of the VAE's
 * scale. `args` may be NULL. */
imu_engine_status imu_model_encode_image(imu_model *model, const imu_image *image,
                                         const imu_vae_args *args, imu_array **out,
                                         imu_fault *fault);

/* ---- larger pictures ---- */

typedef struct imu_upscaler imu_upscaler;

/* Opens a network of the ESRGAN family: a safetensors file. Must be closed before the engine. */
imu_engine_status imu_upscaler_open(imu_engine *engine, const char *path, imu_upscaler **out,
                                    imu_fault *fault);
void imu_upscaler_close(imu_upscaler *upscaler); /* NULL is fine */
/* How many times as wide and high pictures become: 1 to 16. */
int imu_upscaler_scale(const imu_upscaler *upscaler);
/* A picture enlarged, in tiles (args->tiled, args->tile_size in pixels of the small picture) that
 * pass into each other. */
imu_engine_status imu_upscale(imu_upscaler *upscaler, const imu_image *image,
                              const imu_vae_args *args, imu_image **out, imu_fault *fault);

/* A rough picture of [1, 4, h, w] latents, one pixel per cell, in the colours of their model
 * (imu_model_info). Returns NULL for another shape or without memory. */
imu_image *imu_latents_preview(const imu_array *latents, const imu_latent_colours *colours);

#endif
