#include "worker/diffusion/single_file.h"

#include <limits.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define UNET  "model.diffusion_model."
#define VAE   "first_stage_model."
#define CLIP1 "cond_stage_model.transformer."
#define CLIP2 "cond_stage_model.model."
#define LARGE "conditioner.embedders."

#define POOLED_OF_XL 1280

enum { PER_STAGE = 4, LAST_STAGE = 12 }; /* of a ControlNet's picture: layers, and the last one */
enum { MAX_LEVELS = 8, MAX_LAYERS = 8, MAX_DEPTH = 64, MAX_TEXT_LAYERS = 128 };

/* A dimension of the tensor with that name; 0 when there is none. */
static int64_t dim(const imu_safetensors *st, int which, const char *format, ...)
    __attribute__((format(printf, 3, 4)));
static int64_t dim(const imu_safetensors *st, int which, const char *format, ...)
{
    char name[IMU_NAME_BYTES];
    va_list ap;
    va_start(ap, format);
    vsnprintf(name, sizeof name, format, ap);
    va_end(ap);
    const imu_st_entry *e = imu_st_find(st, name);
    return e && which < e->ndim ? e->dim[which] : 0;
}

/* ---- UNet ---- */

typedef struct unet_shape {
    int levels, layers;
    int64_t channels[MAX_LEVELS];
    int depth[MAX_LEVELS]; /* 0: the level does not attend */
    int mid_depth;
    int64_t context, added;
    bool linear;
} unet_shape;

static int depth_of(const imu_safetensors *st, const char *prefix, const char *attention)
{
    int n = 0;
    while (n < MAX_DEPTH &&
           dim(st, 0, "%s%s.transformer_blocks.%d.attn2.to_k.weight", prefix, attention, n))
        n++;
    return n;
}

static unet_shape unet_shape_of(const imu_safetensors *st, const char *prefix)
{
    unet_shape u = {.added = dim(st, 1, "%slabel_emb.0.0.weight", prefix)};
    char attention[64];
    while (u.layers < MAX_LAYERS &&
           dim(st, 0, "%sinput_blocks.%d.0.in_layers.0.weight", prefix, u.layers + 1))
        u.layers++;
    for (; u.levels < MAX_LEVELS; u.levels++) {
        int first = u.levels * (u.layers + 1) + 1;
        int64_t c = dim(st, 0, "%sinput_blocks.%d.0.out_layers.3.weight", prefix, first);
        if (!c)
            break;
        snprintf(attention, sizeof attention, "input_blocks.%d.1", first);
        u.channels[u.levels] = c;
        u.depth[u.levels] = depth_of(st, prefix, attention);
    }
    u.mid_depth = depth_of(st, prefix, "middle_block.1");
    u.context = dim(st, 1, "%smiddle_block.1.transformer_blocks.0.attn2.to_k.weight", prefix);
    u.linear = dim(st, 0, "%smiddle_block.1.proj_in.weight", prefix) &&
               !dim(st, 2, "%smiddle_block.1.proj_in.weight", prefix);
    return u;
}

static json_t *block_types(const unet_shape *u, bool up)
{
    json_t *list = json_array();
    for (int i = 0; i < u->levels; i++) {
        int level = up ? u->levels - 1 - i : i;
        json_array_append_new(
            list, json_string(u->depth[level] ? up ? "CrossAttnUpBlock2D" : "CrossAttnDownBlock2D"
                              : up            ? "UpBlock2D"
                                              : "DownBlock2D"));
    }
    return list;
}

/* How many transformers in a row the configuration gives a level. The last one's is the middle's
 * too, and the middle attends even where that level doesn't, as a refiner's. */
static int depth_in_config(const unet_shape *u, int level)
{
    int depth = u->depth[level];
    if (!depth && level + 1 == u->levels)
        depth = u->mid_depth;
    return depth ? depth : 1;
}

static json_t *unet_config(const imu_safetensors *st, const char *prefix, int64_t pooled)
{
    unet_shape u = unet_shape_of(st, prefix);
    json_t *channels = json_array(), *heads = json_array(), *depth = json_array();
    /* 1.x has 8 heads everywhere, the later ones heads that are 64 wide. */
    bool wide_heads = u.linear;
    for (int i = 0; i < u.levels; i++) {
        json_array_append_new(channels, json_integer(u.channels[i]));
        json_array_append_new(heads, json_integer(!wide_heads          ? 8
                                                  : u.channels[i] < 64 ? 1
                                                                       : u.channels[i] / 64));
        json_array_append_new(depth, json_integer(depth_in_config(&u, i)));
    }
    json_t *config = json_pack(
        "{s:o,s:o,s:o,s:i,s:I,s:I,s:I,s:b,s:o,s:o,s:i,s:i}", "block_out_channels", channels,
        "attention_head_dim", heads, "transformer_layers_per_block", depth, "layers_per_block",
        u.layers, "in_channels", (json_int_t)dim(st, 1, "%sinput_blocks.0.0.weight", prefix),
        "out_channels", (json_int_t)dim(st, 0, "%sout.2.weight", prefix), "cross_attention_dim",
        (json_int_t)u.context, "use_linear_projection", u.linear, "down_block_types",
        block_types(&u, false), "up_block_types", block_types(&u, true), "norm_num_groups", 32,
        "sample_size",
        u.added    ? 128
        : u.linear ? 96
                   : 64);
    if (config && u.added && pooled > 0) {
        /* A refiner's context is its pooled text's width, and it takes one number less. */
        int numbers = u.context == pooled ? 5 : 6;
        json_object_set_new(config, "addition_embed_type", json_string("text_time"));
        json_object_set_new(config, "addition_time_embed_dim",
                            json_integer((u.added - pooled) / numbers));
        json_object_set_new(config, "projection_class_embeddings_input_dim", json_integer(u.added));
    }
    return config;
}

/* ---- VAE ---- */

static json_t *vae_config(const imu_safetensors *st, const char *prefix, bool large, int *layers,
                          int *levels)
{
    json_t *channels = json_array();
    *layers = *levels = 0;
    while (*layers < MAX_LAYERS &&
           dim(st, 0, "%sdecoder.up.0.block.%d.conv1.weight", prefix, *layers))
        ++*layers;
    for (; *levels < MAX_LEVELS; ++*levels) {
        int64_t c = dim(st, 0, "%sdecoder.up.%d.block.0.conv1.weight", prefix, *levels);
        if (!c)
            break;
        json_array_append_new(channels, json_integer(c));
    }
    --*layers; /* going up, a level has one more */
    return json_pack("{s:o,s:i,s:I,s:i,s:f,s:b}", "block_out_channels", channels,
                     "layers_per_block", *layers, "latent_channels",
                     (json_int_t)dim(st, 1, "%sdecoder.conv_in.weight", prefix), "norm_num_groups",
                     32, "scaling_factor", large ? 0.13025 : 0.18215, "mid_block_add_attention",
                     dim(st, 0, "%sdecoder.mid.attn_1.q.weight", prefix) > 0);
}

/* A ControlNet's way down as a UNet's. */
static json_t *control_config(const imu_safetensors *st, const char *prefix)
{
    int64_t added = dim(st, 1, "%slabel_emb.0.0.weight", prefix);
    /* What XL adds: 1280 of pooled text, and six numbers. */
    json_t *config = unet_config(st, prefix, added > POOLED_OF_XL ? POOLED_OF_XL : 0);
    if (!config)
        return NULL;
    json_object_set_new(config, "out_channels",
                        json_integer(dim(st, 1, "%sinput_blocks.0.0.weight", prefix)));
    json_t *widths = json_array();
    for (int i = 0; i <= LAST_STAGE; i += PER_STAGE)
        json_array_append_new(widths,
                              json_integer(dim(st, 0, "%sinput_hint_block.%d.weight", prefix, i)));
    json_object_set_new(config, "conditioning_embedding_out_channels", widths);
    return config;
}

const char *imu_single_file_vae(const imu_safetensors *st)
{
    static const char *const prefixes[] = {"", VAE};
    if (imu_single_file_is(st, NULL))
        return NULL;
    for (size_t i = 0; i < sizeof prefixes / sizeof *prefixes; i++)
        /* Latents of four channels: those of later families have more. */
        if (dim(st, 1, "%sdecoder.conv_in.weight", prefixes[i]) == 4 &&
            dim(st, 0, "%sdecoder.up.0.block.0.conv1.weight", prefixes[i]))
            return prefixes[i];
    return NULL;
}

const char *imu_single_file_vae_base(const char *path)
{
    const char *slash = path ? strrchr(path, '/') : NULL;
    return path && strcasestr(slash ? slash : path, "xl") ? "sdxl" : "sd-1";
}

static void describe_vae(const imu_safetensors *st, const char *prefix, bool large,
                         imu_single_part *vae)
{
    vae->naming = (imu_naming){.kind = IMU_NAMES_VAE, .prefix = prefix};
    if (dim(st, 0, "%sdecoder.conv_in.weight", prefix))
        vae->config = vae_config(st, prefix, large, &vae->naming.layers, &vae->naming.levels);
}

/* ---- text ---- */

/* Heads are 64 wide; smaller encoders than any in use have heads of 8. */
static json_int_t heads_of(int64_t width)
{
    return width % 64 ? (width + 7) / 8 : width / 64;
}

static json_t *text_config(const imu_safetensors *st, const imu_naming *naming, int64_t projection)
{
    bool open = naming->kind == IMU_NAMES_OPENCLIP;
    const char *p = naming->prefix;
    int layers = 0;
    int64_t width = open ? dim(st, 1, "%stoken_embedding.weight", p)
                         : dim(st, 1, "%stext_model.embeddings.token_embedding.weight", p);
    int64_t vocab = open ? dim(st, 0, "%stoken_embedding.weight", p)
                         : dim(st, 0, "%stext_model.embeddings.token_embedding.weight", p);
    int64_t length = open ? dim(st, 0, "%spositional_embedding", p)
                          : dim(st, 0, "%stext_model.embeddings.position_embedding.weight", p);
    int64_t inner = open ? dim(st, 0, "%stransformer.resblocks.0.mlp.c_fc.weight", p)
                         : dim(st, 0, "%stext_model.encoder.layers.0.mlp.fc1.weight", p);
    while (layers < MAX_TEXT_LAYERS &&
           (open ? dim(st, 0, "%stransformer.resblocks.%d.ln_1.weight", p, layers)
                 : dim(st, 0, "%stext_model.encoder.layers.%d.layer_norm1.weight", p, layers)))
        layers++;
    /* 2.x conditions on the last layer but one, so diffusers leaves the last one out. */
    if (open && !strcmp(p, CLIP2))
        layers--;
    return json_pack("{s:I,s:I,s:I,s:I,s:i,s:I,s:I,s:s}", "vocab_size", (json_int_t)vocab,
                     "hidden_size", (json_int_t)width, "intermediate_size", (json_int_t)inner,
                     "projection_dim", (json_int_t)(projection > 0 ? projection : width),
                     "num_hidden_layers", layers, "num_attention_heads", heads_of(width),
                     "max_position_embeddings", (json_int_t)length, "hidden_act",
                     open ? "gelu" : "quick_gelu");
}

/* ---- the whole ---- */

/* Where text encoders can be, in the order in which they are asked for. */
static const imu_naming encoders[] = {
    {IMU_NAMES_OURS, CLIP1, 0, 0},
    {IMU_NAMES_OPENCLIP, CLIP2, 0, 0},
    {IMU_NAMES_OURS, LARGE "0.transformer.", 0, 0},
    {IMU_NAMES_OPENCLIP, LARGE "0.model.", 0, 0},
    {IMU_NAMES_OPENCLIP, LARGE "1.model.", 0, 0},
};

static bool has_encoder(const imu_safetensors *st, const imu_naming *n)
{
    return dim(st, 1,
               n->kind == IMU_NAMES_OPENCLIP ? "%stoken_embedding.weight"
                                             : "%stext_model.embeddings.token_embedding.weight",
               n->prefix) > 0;
}

/* The width of the pooled text that the file's OpenCLIP gives; 0 for none. */
static int64_t pooled_of(const imu_safetensors *st)
{
    int64_t second = dim(st, 1, LARGE "1.model.text_projection");
    return second ? second : dim(st, 1, LARGE "0.model.text_projection");
}

static void kind_of(const imu_safetensors *st, const json_t *unet, imu_model_kind *kind)
{
    json_t *schedule = NULL;
    imu_model_kind_of(unet, NULL, kind);
    /* Nothing in the file of 2.x says it; nearly all of them that are in use predict v. */
    if (!strcmp(kind->base, "sd-2") || imu_st_find(st, "v_pred"))
        schedule = json_pack("{s:s}", "prediction_type", "v_prediction");
    imu_model_kind_of(unet, schedule, kind);
    json_decref(schedule);
}

bool imu_single_file_is(const imu_safetensors *st, imu_model_kind *kind)
{
    imu_model_kind ignored;
    if (!dim(st, 1, UNET "input_blocks.0.0.weight") || !dim(st, 0, UNET "out.2.weight"))
        return false;
    json_t *unet = unet_config(st, UNET, pooled_of(st));
    if (unet)
        kind_of(st, unet, kind ? kind : &ignored);
    json_decref(unet);
    return unet != NULL;
}

static imu_engine_status describe_vae_alone(imu_single_file *s, const char *path, imu_fault *fault)
{
    const char *prefix = imu_single_file_vae(s->file);
    if (!prefix)
        return imu_fail(fault, IMU_ENGINE_BAD_MODEL, "The file is no checkpoint of a model.");
    snprintf(s->kind.base, sizeof s->kind.base, "%s", imu_single_file_vae_base(path));
    describe_vae(s->file, prefix, !strcmp(s->kind.base, "sdxl"), &s->vae);
    return s->vae.config ? IMU_ENGINE_OK : imu_fail_memory(fault);
}

/* What the encoder was trained to see behind a text: OpenCLIP zeros, CLIP its end, which is the
 * last of its words. The tokenizer is borrowed and may be one that fills with the other. */
static int pad_of(const imu_naming *naming, const json_t *config)
{
    json_int_t words = json_integer_value(json_object_get(config, "vocab_size"));
    return naming->kind == IMU_NAMES_OPENCLIP || words > INT_MAX ? 0 : (int)words - 1;
}

static imu_engine_status describe(imu_single_file *s, const char *path, imu_fault *fault)
{
    const imu_safetensors *st = s->file;
    int count = 0;
    if (!imu_single_file_is(st, &s->kind))
        return describe_vae_alone(s, path, fault);
    bool large = !strncmp(s->kind.base, "sdxl", 4);
    s->unet.config = unet_config(st, UNET, pooled_of(st));
    s->unet.naming = (imu_naming){
        IMU_NAMES_UNET, UNET,
        (int)json_integer_value(json_object_get(s->unet.config, "layers_per_block")), 0};
    describe_vae(st, VAE, large, &s->vae);
    for (size_t i = 0; i < sizeof encoders / sizeof *encoders && count < s->kind.encoders; i++) {
        if (!has_encoder(st, &encoders[i]))
            continue;
        imu_single_part *text = &s->text[count++];
        text->naming = encoders[i];
        text->config = text_config(st, &encoders[i], large ? pooled_of(st) : 0);
        text->pad = pad_of(&encoders[i], text->config);
    }
    return s->unet.config ? IMU_ENGINE_OK : imu_fail_memory(fault);
}

const char *imu_single_control(const imu_safetensors *st, imu_model_kind *kind)
{
    static const char *const prefixes[] = {"control_model.", ""};
    for (size_t i = 0; i < sizeof prefixes / sizeof *prefixes; i++) {
        const char *p = prefixes[i];
        if (dim(st, 1, "%sinput_hint_block.0.weight", p) != 3 ||
            !dim(st, 0, "%smiddle_block_out.0.weight", p))
            continue;
        json_t *unet = control_config(st, p);
        if (unet && kind)
            imu_model_kind_of(unet, NULL, kind);
        json_decref(unet);
        return unet ? p : NULL;
    }
    return NULL;
}

imu_engine_status imu_single_control_open(const char *path, imu_single_file **out, imu_fault *fault)
{
    imu_single_file *s = calloc(1, sizeof *s);
    if (!s)
        return imu_fail_memory(fault);
    imu_engine_status status = imu_st_open(path, &s->file, fault);
    const char *prefix = status ? NULL : imu_single_control(s->file, &s->kind);
    if (!status && !prefix)
        status = imu_fail(fault, IMU_ENGINE_BAD_MODEL, "The file holds no ControlNet.");
    if (!status && !(s->unet.config = control_config(s->file, prefix)))
        status = imu_fail_memory(fault);
    if (status) {
        imu_single_file_close(s);
        return status;
    }
    s->unet.naming = (imu_naming){
        IMU_NAMES_UNET, prefix,
        (int)json_integer_value(json_object_get(s->unet.config, "layers_per_block")), 0};
    *out = s;
    return status;
}

imu_engine_status imu_single_file_open(const char *path, imu_single_file **out, imu_fault *fault)
{
    imu_single_file *s = calloc(1, sizeof *s);
    if (!s)
        return imu_fail_memory(fault);
    imu_engine_status status = imu_st_open(path, &s->file, fault);
    if (!status)
        status = describe(s, path, fault);
    if (status)
        imu_single_file_close(s);
    else
        *out = s;
    return status;
}

void imu_single_file_close(imu_single_file *s)
{
    if (!s)
        return;
    json_decref(s->unet.config);
    json_decref(s->vae.config);
    json_decref(s->text[0].config);
    json_decref(s->text[1].config);
    imu_st_close(s->file);
    free(s);
}
