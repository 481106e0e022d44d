/* Engines and models: opening, what a folder holds, memory. */
#include "worker/diffusion/model.h"

#include "worker/diffusion/file_kind.h"
#include "worker/diffusion/json_file.h"
#include "worker/diffusion/sharded.h"

#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define CONFIG_BYTES ((size_t)1 << 20)

/* The GPU's number in "cuda" or "cuda:N", -1 in any other name. */
static int gpu_number(const char *device)
{
    static const char prefix[] = "cuda";
    if (strncmp(device, prefix, sizeof prefix - 1))
        return -1;
    device += sizeof prefix - 1;
    if (!*device)
        return 0;
    return device[0] == ':' && device[1] >= '0' && device[1] <= '9' && !device[2] ? device[1] - '0'
                                                                                  : -1;
}

/* @param why  of `size` bytes: why a GPU isn't used that was looked for, or "" */
static imu_engine_status open_backend(const imu_engine_options *options, imu_backend **out,
                                      char *why, size_t size, imu_fault *fault)
{
    const char *device = options->device ? options->device : "cpu";
    bool automatic = !strcmp(device, "auto"), bf16 = options->precision != IMU_PRECISION_F32;
    int gpu = automatic ? 0 : gpu_number(device);
    *why = 0;
    *out = NULL;
    if (gpu < 0 && strcmp(device, "cpu"))
        return imu_fail(fault, IMU_ENGINE_BAD_INPUT,
                        "The device is \"auto\", \"cpu\", \"cuda\" or \"cuda:1\", not \"%s\".",
                        device);
    if (gpu >= 0)
        *out = imu_backend_cuda(gpu, bf16, why, size);
    if (gpu >= 0 && !*out && !automatic)
        return imu_fail(fault, IMU_ENGINE_INTERNAL, "The GPU can't be used: %s.", why);
    if (!*out)
        *out = imu_backend_cpu(options->threads, bf16);
    return *out ? IMU_ENGINE_OK
                : imu_fail(fault, IMU_ENGINE_INTERNAL, "The compute library could not be started.");
}

imu_engine_status imu_engine_open(const imu_engine_options *options, imu_engine **out,
                                  imu_fault *fault)
{
    imu_engine_options defaults = {.precision = IMU_PRECISION_F32};
    imu_backend *backend;
    char why[IMU_WHY];
    if (!options)
        options = &defaults;
    if (options->threads < 0 || options->threads > 4096)
        return imu_fail(fault, IMU_ENGINE_BAD_INPUT,
                        "The number of threads must be from 0 to 4096.");
    imu_engine_status s = open_backend(options, &backend, why, sizeof why, fault);
    if (s)
        return s;
    uint64_t budget = strcmp(backend->name, "cpu") ? options->gpu_bytes : options->cpu_bytes;
    if (budget)
        backend->budget = budget;
    s = imu_engine_on(backend, out, fault);
    if (s)
        return s;
    (*out)->sequential = options->sequential;
    memcpy((*out)->no_gpu, why, sizeof why);
    return IMU_ENGINE_OK;
}

imu_engine_status imu_engine_on(imu_backend *backend, imu_engine **out, imu_fault *fault)
{
    imu_engine *e = calloc(1, sizeof *e);
    if (!e) {
        backend->close(backend);
        return imu_fail_memory(fault);
    }
    e->backend = backend;
    *out = e;
    return IMU_ENGINE_OK;
}

void imu_engine_close(imu_engine *engine)
{
    if (!engine)
        return;
    engine->backend->close(engine->backend);
    free(engine);
}

const char *imu_engine_device_kind(const imu_engine *engine)
{
    return engine->backend->name;
}

const char *imu_engine_device(const imu_engine *engine)
{
    return engine->backend->description;
}

const char *imu_engine_no_gpu(const imu_engine *engine)
{
    return engine->no_gpu[0] ? engine->no_gpu : NULL;
}

const char *imu_engine_lost(const imu_engine *engine)
{
    return engine->backend->lost ? engine->backend->error : NULL;
}

static imu_engine_status part_path(const imu_model *m, const char *part, char path[PATH_MAX],
                                   imu_fault *fault)
{
    int n = snprintf(path, PATH_MAX, "%s/%s", m->folder, m->is_vae ? "." : part);
    if (n < 0 || n >= PATH_MAX)
        return imu_fail(fault, IMU_ENGINE_BAD_MODEL, "The model's path is too long.");
    return IMU_ENGINE_OK;
}

/* Bytes of the weights of a part, 0 when there are none. */
static uint64_t part_bytes(const imu_model *m, const char *part)
{
    char path[PATH_MAX];
    const char *name;
    return part_path(m, part, path, NULL) || !(name = imu_net_file_name(path))
               ? 0
               : imu_weights_bytes(path, name);
}

static imu_engine_status describe_unet(imu_model *m, const json_t *c, imu_fault *fault)
{
    int sample, context;
    imu_engine_status s = imu_json_int(c, "sample_size", 64, 1, 4096, &sample, fault);
    if (!s)
        s = imu_json_int(c, "cross_attention_dim", 768, 1, 8192, &context, fault);
    if (s)
        return s;
    m->info.sample_size = sample;
    m->info.context_width = context;
    return IMU_ENGINE_OK;
}

static imu_engine_status describe_vae(imu_model *m, const json_t *c, imu_fault *fault)
{
    size_t levels = json_array_size(json_object_get(c, "block_out_channels"));
    if (levels < 1 || levels > 8)
        return imu_fail(fault, IMU_ENGINE_BAD_MODEL, "The VAE must have 1 to 8 levels.");
    m->info.vae_scale = 1 << (levels - 1);
    imu_engine_status s = imu_latent_colours_read(c, &m->info.colours, fault);
    return s ? s : imu_json_int(c, "latent_channels", 4, 1, 64, &m->info.latent_channels, fault);
}

/* Reads a part's config.json when the part is there. */
static imu_engine_status describe_part(imu_model *m, const char *part, int bit,
                                       imu_engine_status (*describe)(imu_model *, const json_t *,
                                                                     imu_fault *),
                                       imu_fault *fault)
{
    char path[PATH_MAX];
    json_t *config;
    uint64_t bytes = part_bytes(m, part);
    if (!bytes)
        return IMU_ENGINE_OK;
    imu_engine_status s = part_path(m, part, path, fault);
    if (!s)
        s = imu_json_read(path, "config.json", CONFIG_BYTES, &config, fault);
    if (s)
        return s;
    if (describe)
        s = describe(m, config, fault);
    json_decref(config);
    m->info.parts |= bit;
    m->info.weight_bytes[bit == IMU_PART_TEXT ? 0 : bit == IMU_PART_UNET ? 1 : 2] += bytes;
    return s;
}

static imu_engine_status describe_scheduler(imu_model *m, imu_fault *fault)
{
    char path[PATH_MAX];
    imu_engine_status s = part_path(m, "scheduler", path, fault);
    if (s || access(path, R_OK))
        return s;
    return imu_json_read(path, "scheduler_config.json", CONFIG_BYTES, &m->scheduler, fault);
}

static void take_base(imu_model *m)
{
    memcpy(m->info.base, m->kind.base, sizeof m->info.base);
    imu_latent_colours_of(m->info.base, &m->info.colours);
}

/* A folder that holds a VAE alone. */
static imu_engine_status describe_vae_folder(imu_model *m, const char *base, imu_fault *fault)
{
    m->is_vae = true;
    snprintf(m->kind.base, sizeof m->kind.base, "%s", base);
    take_base(m);
    imu_engine_status s = describe_part(m, "vae", IMU_PART_VAE, describe_vae, fault);
    return s || m->info.parts ? s
                              : imu_fail(fault, IMU_ENGINE_BAD_MODEL,
                                         "There are no weights in %.200s.", m->folder);
}

static imu_engine_status describe(imu_model *m, imu_fault *fault)
{
    imu_file_kind alone;
    if (imu_folder_kind_of(m->folder, &alone) && !strcmp(alone.type, "vae"))
        return describe_vae_folder(m, alone.base, fault);
    m->info.latent_channels = 4;
    m->info.vae_scale = 8;
    m->info.sample_size = 64;
    imu_engine_status s = imu_model_kind_read(m->folder, &m->kind, fault);
    if (s)
        return s;
    take_base(m);
    memcpy(m->info.prediction, m->kind.prediction, sizeof m->info.prediction);
    m->pad[0] = m->pad[1] = -1;
    for (int i = 0; i < m->kind.encoders && !s; i++)
        s = describe_part(m, m->kind.encoder[i], IMU_PART_TEXT, NULL, fault);
    if (!s)
        s = describe_part(m, "unet", IMU_PART_UNET, describe_unet, fault);
    if (!s)
        s = describe_part(m, "vae", IMU_PART_VAE, describe_vae, fault);
    if (!s)
        s = describe_scheduler(m, fault);
    if (!s && !m->info.parts)
        s = imu_fail(fault, IMU_ENGINE_BAD_MODEL, "There is no model in %.200s.", m->folder);
    m->info.sample_size *= m->info.vae_scale;
    return s;
}

bool imu_model_is_large(const imu_model *m)
{
    return !strncmp(m->kind.base, "sdxl", 4);
}

/* One part of a checkpoint of one file. */
static imu_engine_status
describe_single_part(imu_model *m, const imu_single_part *part, int bit, const char *within,
                     imu_engine_status (*say)(imu_model *, const json_t *, imu_fault *),
                     imu_fault *fault)
{
    if (!part->config)
        return IMU_ENGINE_OK;
    m->info.parts |= bit;
    const imu_safetensors *st = m->single->file;
    for (size_t i = 0; i < st->count; i++)
        if (!strncmp(st->entries[i].name, within, strlen(within)))
            m->info.weight_bytes[bit == IMU_PART_TEXT   ? 0
                                 : bit == IMU_PART_UNET ? 1
                                                        : 2] += st->entries[i].size;
    return say ? say(m, part->config, fault) : IMU_ENGINE_OK;
}

static imu_engine_status describe_single(imu_model *m, imu_fault *fault)
{
    imu_engine_status s = imu_single_file_open(m->folder, &m->single, fault);
    if (s)
        return s;
    const imu_single_file *f = m->single;
    m->kind = f->kind;
    take_base(m);
    memcpy(m->info.prediction, m->kind.prediction, sizeof m->info.prediction);
    for (int i = 0; i < m->kind.encoders && !s; i++) {
        m->pad[i] = f->text[i].pad;
        s = f->text[i].config
                ? describe_single_part(m, &f->text[i], IMU_PART_TEXT, f->text[i].naming.prefix,
                                       NULL, fault)
                : imu_fail(fault, IMU_ENGINE_BAD_MODEL, "The checkpoint lacks a text encoder.");
    }
    if (!s)
        s = describe_single_part(m, &f->unet, IMU_PART_UNET, f->unet.naming.prefix, describe_unet,
                                 fault);
    if (!s)
        s = describe_single_part(m, &f->vae, IMU_PART_VAE, f->vae.naming.prefix, describe_vae,
                                 fault);
    /* The schedule of every family; XL's says besides where its steps lie. */
    m->scheduler = json_pack(
        "{s:s,s:f,s:f,s:s,s:b,s:i,s:s*}", "prediction_type", m->kind.prediction, "beta_start",
        0.00085, "beta_end", 0.012, "beta_schedule", "scaled_linear", "set_alpha_to_one", 0,
        "steps_offset", 1, "timestep_spacing", imu_model_is_large(m) ? "leading" : NULL);
    if (!s && !m->scheduler)
        s = imu_fail_memory(fault);
    m->info.sample_size *= m->info.vae_scale;
    return s;
}

imu_engine_status imu_model_use_tokenizer(imu_model *m, const char *folder, const char *hash,
                                          imu_fault *fault)
{
    imu_tokenizer *t;
    if (!m->single || !m->single->text[0].config)
        return imu_fail(fault, IMU_ENGINE_BAD_INPUT, "The model has a tokenizer of its own.");
    imu_engine_status s = imu_tokenizer_open(folder, hash, &t, fault);
    m->tokenizer_spoiled |= hash && s == IMU_ENGINE_BAD_MODEL;
    if (s)
        return s;
    json_int_t words = json_integer_value(json_object_get(m->single->text[0].config, "vocab_size"));
    bool fits = imu_tokenizer_eos(t) + (json_int_t)1 == words; /* CLIP's last word is its end */
    imu_tokenizer_close(t);
    if (!fits)
        return imu_fail(fault, IMU_ENGINE_BAD_INPUT, "The tokenizer has other words.");
    char *copy = strdup(folder);
    if (!copy)
        return imu_fail_memory(fault);
    free(m->tokenizers);
    m->tokenizers = copy;
    snprintf(m->tokenizer_hash, sizeof m->tokenizer_hash, "%s", hash ? hash : "");
    return IMU_ENGINE_OK;
}

imu_engine_status imu_model_set_prediction(imu_model *m, const char *type, imu_fault *fault)
{
    if (!m->single || !m->scheduler || !strcmp(m->info.prediction, type))
        return IMU_ENGINE_OK;
    if (strcmp(type, "epsilon") && strcmp(type, "v_prediction") && strcmp(type, "sample"))
        return imu_fail(fault, IMU_ENGINE_BAD_MODEL, "The prediction type %.40s is unknown.", type);
    if (json_object_set_new(m->scheduler, "prediction_type", json_string(type)))
        return imu_fail_memory(fault);
    snprintf(m->info.prediction, sizeof m->info.prediction, "%s", type);
    return IMU_ENGINE_OK;
}

static imu_engine_status open_described(imu_engine *engine, const char *path,
                                        imu_engine_status (*say)(imu_model *, imu_fault *),
                                        imu_model **out, imu_fault *fault)
{
    imu_model *m = calloc(1, sizeof *m);
    if (!m)
        return imu_fail_memory(fault);
    m->engine = engine;
    m->folder = strdup(path);
    imu_engine_status s = m->folder ? say(m, fault) : imu_fail_memory(fault);
    if (s)
        imu_model_close(m);
    else
        *out = m;
    return s;
}

imu_engine_status imu_model_open(imu_engine *engine, const char *folder, imu_model **out,
                                 imu_fault *fault)
{
    return open_described(engine, folder, describe, out, fault);
}

imu_engine_status imu_model_open_file(imu_engine *engine, const char *file, imu_model **out,
                                      imu_fault *fault)
{
    return open_described(engine, file, describe_single, out, fault);
}

void imu_model_close(imu_model *m)
{
    if (!m)
        return;
    imu_model_unload(m, IMU_PART_ALL);
    json_decref(m->scheduler);
    imu_single_file_close(m->single);
    free(m->tokenizers);
    free(m->folder);
    free(m);
}

const imu_model_info *imu_model_get_info(const imu_model *m)
{
    return &m->info;
}

/* Where a part is; `path` is room for its folder. */
static imu_engine_status place_of(const imu_model *m, const char *part,
                                  const imu_single_part *single, char path[PATH_MAX],
                                  imu_net_place *place, imu_fault *fault)
{
    *place = (imu_net_place){.folder = path};
    if (!m->single)
        return part_path(m, part, path, fault);
    *place = (imu_net_place){
        .file = m->single->file, .naming = single->naming, .config = single->config};
    return IMU_ENGINE_OK;
}

static const imu_single_part *single_text(const imu_model *m, int i)
{
    return m->single ? &m->single->text[i] : NULL;
}

static imu_engine_status open_tokenizer(imu_model *m, int i, imu_fault *fault)
{
    char path[PATH_MAX];
    if (m->tokenizer[i])
        return IMU_ENGINE_OK;
    if (m->single && !m->tokenizers)
        return imu_fail(fault, IMU_ENGINE_INCOMPLETE,
                        "This model is a single file and needs a tokenizer (the list of words that "
                        "prompts are read with), which such files lack. %sWhoever looks after this "
                        "server can install a model of the same family that is a folder, in the "
                        "layout of diffusers, beside it, or bring vocab.json and merges.txt: "
                        "invokemu models tokenizer FOLDER.",
                        m->tokenizer_spoiled ? "The one that was kept is damaged. " : "");
    if (m->single)
        return imu_tokenizer_open(m->tokenizers, *m->tokenizer_hash ? m->tokenizer_hash : NULL,
                                  &m->tokenizer[i], fault);
    imu_engine_status s = part_path(m, m->kind.tokenizer[i], path, fault);
    return s ? s : imu_tokenizer_open(path, NULL, &m->tokenizer[i], fault);
}

static imu_engine_status need_text(imu_model *m, imu_fault *fault)
{
    char path[PATH_MAX];
    imu_net_place place;
    imu_engine_status s = IMU_ENGINE_OK;
    for (int i = 0; i < m->kind.encoders && !s; i++) {
        s = open_tokenizer(m, i, fault);
        if (!s && !m->encoder[i])
            s = place_of(m, m->kind.encoder[i], single_text(m, i), path, &place, fault);
        if (!s && !m->encoder[i])
            s = imu_text_encoder_open(m->engine->backend, &place, &m->encoder[i], fault);
    }
    return s;
}

imu_engine_status imu_model_need(imu_model *m, int parts, imu_fault *fault)
{
    char path[PATH_MAX];
    imu_net_place place;
    imu_engine_status s = IMU_ENGINE_OK;
    m->engine->backend->residency.turn++;
    if (parts & ~m->info.parts)
        return imu_fail(fault, IMU_ENGINE_BAD_MODEL, "The model in %.160s lacks its %s.", m->folder,
                        parts & ~m->info.parts & IMU_PART_TEXT   ? "text encoder"
                        : parts & ~m->info.parts & IMU_PART_UNET ? "UNet"
                                                                 : "VAE");
    if (parts & IMU_PART_TEXT)
        s = need_text(m, fault);
    if (!s && (parts & IMU_PART_UNET) && !m->unet) {
        s = place_of(m, "unet", m->single ? &m->single->unet : NULL, path, &place, fault);
        if (!s)
            s = imu_unet_open(m->engine->backend, &place, &m->unet, fault);
    }
    if (!s && (parts & IMU_PART_VAE) && !m->vae) {
        s = place_of(m, "vae", m->single ? &m->single->vae : NULL, path, &place, fault);
        if (!s)
            s = imu_vae_open(m->engine->backend, &place, &m->vae, fault);
    }
    return s;
}

imu_engine_status imu_model_load(imu_model *m, int parts, imu_fault *fault)
{
    imu_engine_status s = imu_model_need(m, parts & IMU_PART_ALL, fault);
    if (s)
        return s;
    for (int i = 0; i < m->kind.encoders; i++)
        if (parts & IMU_PART_TEXT)
            imu_net_read_ahead(imu_text_encoder_net(m->encoder[i]));
    if (parts & IMU_PART_UNET)
        imu_net_read_ahead(imu_unet_net(m->unet));
    if (parts & IMU_PART_VAE)
        imu_net_read_ahead(imu_vae_net(m->vae));
    return IMU_ENGINE_OK;
}

void imu_model_unload(imu_model *m, int parts)
{
    for (int i = 0; i < IMU_MAX_ENCODERS && (parts & IMU_PART_TEXT); i++) {
        imu_tokenizer_close(m->tokenizer[i]);
        imu_text_encoder_close(m->encoder[i]);
        m->tokenizer[i] = NULL;
        m->encoder[i] = NULL;
    }
    if (parts & IMU_PART_UNET) {
        imu_unet_close(m->unet);
        m->unet = NULL;
    }
    if (parts & IMU_PART_VAE) {
        imu_vae_close(m->vae);
        m->vae = NULL;
    }
    m->engine->backend->trim(m->engine->backend);
}

uint64_t imu_model_memory(const imu_model *m, int parts)
{
    uint64_t bytes = 0;
    for (int i = 0; i < IMU_MAX_ENCODERS; i++)
        if ((parts & IMU_PART_TEXT) && m->encoder[i])
            bytes += imu_net_bytes(imu_text_encoder_net(m->encoder[i]));
    if ((parts & IMU_PART_UNET) && m->unet)
        bytes += imu_net_bytes(imu_unet_net(m->unet));
    if ((parts & IMU_PART_VAE) && m->vae)
        bytes += imu_net_bytes(imu_vae_net(m->vae));
    return bytes;
}

double imu_model_loaded(const imu_model *m, int parts)
{
    uint64_t there = 0, all = 0;
    for (int i = 0; i < IMU_MAX_ENCODERS; i++)
        if ((parts & IMU_PART_TEXT) && m->encoder[i])
            imu_net_count_loaded(imu_text_encoder_net(m->encoder[i]), &there, &all);
    if ((parts & IMU_PART_UNET) && m->unet)
        imu_net_count_loaded(imu_unet_net(m->unet), &there, &all);
    if ((parts & IMU_PART_VAE) && m->vae)
        imu_net_count_loaded(imu_vae_net(m->vae), &there, &all);
    return all ? (double)there / (double)all : 0;
}

imu_engine_status imu_model_set_loras(imu_model *m, int part, int encoder, const imu_lora_use *uses,
                                      size_t count, imu_fault *fault)
{
    imu_engine_status s = imu_model_need(m, part, fault);
    if (s)
        return s;
    if (part == IMU_PART_UNET)
        return imu_net_set_loras(imu_unet_net(m->unet), IMU_LORA_UNET, uses, count, fault);
    if (part != IMU_PART_TEXT || encoder < 0 || encoder >= m->kind.encoders)
        return imu_fail(fault, IMU_ENGINE_BAD_INPUT, "A LoRA can't lie on that part of a model.");
    /* A refiner's only encoder is the family's second. */
    bool second = !strcmp(m->kind.encoder[encoder], "text_encoder_2");
    return imu_net_set_loras(imu_text_encoder_net(m->encoder[encoder]),
                             second ? IMU_LORA_TEXT_2 : IMU_LORA_TEXT, uses, count, fault);
}
