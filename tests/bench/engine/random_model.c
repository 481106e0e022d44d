#include "tests/bench/engine/random_model.h"

#include "worker/tensor/dtype.h"

#include <errno.h>
#include <jansson.h>
#include <math.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

enum { POOL = 1 << 16, MOST_TENSORS = 1024, NAME = 96 };

typedef struct tensor {
    char name[NAME];
    int ndim;
    int64_t dim[4];
} tensor;

/* The tensors of a network, in the order of its layers. */
typedef struct walk {
    tensor *list;
    size_t count;
    bool full; /* one didn't fit */
} walk;

static void put(walk *w, const char *prefix, const char *suffix, int ndim, const int64_t *dim)
{
    if (w->count == MOST_TENSORS) {
        w->full = true;
        return;
    }
    tensor *t = &w->list[w->count++];
    *t = (tensor){.ndim = ndim};
    memcpy(t->dim, dim, (size_t)ndim * sizeof *dim);
    if (snprintf(t->name, sizeof t->name, "%s.%s", prefix, suffix) >= (int)sizeof t->name)
        w->full = true;
}

static void bias(walk *w, const char *prefix, int64_t out)
{
    put(w, prefix, "bias", 1, &out);
}

static void linear(walk *w, const char *prefix, int64_t in, int64_t out, bool biased)
{
    put(w, prefix, "weight", 2, (int64_t[]){out, in});
    if (biased)
        bias(w, prefix, out);
}

static void conv(walk *w, const char *prefix, int64_t in, int64_t out, int64_t kernel)
{
    put(w, prefix, "weight", 4, (int64_t[]){out, in, kernel, kernel});
    bias(w, prefix, out);
}

static void norm(walk *w, const char *prefix, int64_t width)
{
    put(w, prefix, "weight", 1, &width);
    bias(w, prefix, width);
}

/* Formats a name into the caller's room. */
__attribute__((format(printf, 2, 3))) static const char *name_in(char room[NAME],
                                                                 const char *format, ...)
{
    va_list args;
    va_start(args, format);
    vsnprintf(room, NAME, format, args);
    va_end(args);
    return room;
}

/* `time` 0: without the projection of a timestep, as in a VAE. */
static void resnet(walk *w, const char *base, int64_t in, int64_t out, int64_t time)
{
    char n[NAME];
    norm(w, name_in(n, "%s.norm1", base), in);
    conv(w, name_in(n, "%s.conv1", base), in, out, 3);
    if (time)
        linear(w, name_in(n, "%s.time_emb_proj", base), time, out, true);
    norm(w, name_in(n, "%s.norm2", base), out);
    conv(w, name_in(n, "%s.conv2", base), out, out, 3);
    if (in != out)
        conv(w, name_in(n, "%s.conv_shortcut", base), in, out, 1);
}

static void attention(walk *w, const char *base, int64_t width, int64_t context, bool biased)
{
    char n[NAME];
    linear(w, name_in(n, "%s.to_q", base), width, width, biased);
    linear(w, name_in(n, "%s.to_k", base), context, width, biased);
    linear(w, name_in(n, "%s.to_v", base), context, width, biased);
    linear(w, name_in(n, "%s.to_out.0", base), width, width, true);
}

static void transformer(walk *w, const char *base, int64_t width)
{
    char n[NAME], layer[NAME];
    snprintf(layer, sizeof layer, "%s.transformer_blocks.0", base);
    norm(w, name_in(n, "%s.norm", base), width);
    conv(w, name_in(n, "%s.proj_in", base), width, width, 1);
    for (int i = 1; i <= 3; i++)
        norm(w, name_in(n, "%s.norm%d", layer, i), width);
    attention(w, name_in(n, "%s.attn1", layer), width, width, false);
    attention(w, name_in(n, "%s.attn2", layer), width, 768, false);
    linear(w, name_in(n, "%s.ff.net.0.proj", layer), width, 8 * width, true);
    linear(w, name_in(n, "%s.ff.net.2", layer), 4 * width, width, true);
    conv(w, name_in(n, "%s.proj_out", base), width, width, 1);
}

/* ---- the networks ---- */

enum { TIME = 1280 };
static const int64_t unet_width[] = {320, 640, 1280, 1280};

static void unet_layer(walk *w, const char *half, int block, int i, int64_t in, int level)
{
    char n[NAME];
    resnet(w, name_in(n, "%s.%d.resnets.%d", half, block, i), in, unet_width[level], TIME);
    if (level < 3)
        transformer(w, name_in(n, "%s.%d.attentions.%d", half, block, i), unet_width[level]);
}

static void unet(walk *w)
{
    char n[NAME];
    int64_t top = unet_width[3];
    linear(w, "time_embedding.linear_1", unet_width[0], TIME, true);
    linear(w, "time_embedding.linear_2", TIME, TIME, true);
    conv(w, "conv_in", 4, unet_width[0], 3);
    for (int l = 0; l < 4; l++) {
        for (int i = 0; i < 2; i++)
            unet_layer(w, "down_blocks", l, i, i || !l ? unet_width[l] : unet_width[l - 1], l);
        if (l < 3)
            conv(w, name_in(n, "down_blocks.%d.downsamplers.0.conv", l), unet_width[l],
                 unet_width[l], 3);
    }
    resnet(w, "mid_block.resnets.0", top, top, TIME);
    transformer(w, "mid_block.attentions.0", top);
    resnet(w, "mid_block.resnets.1", top, top, TIME);
    for (int b = 0; b < 4; b++) {
        int l = 3 - b;
        for (int i = 0; i < 3; i++) {
            int64_t below = i || !b ? unet_width[l] : unet_width[l + 1];
            int64_t skip = i == 2 && l ? unet_width[l - 1] : unet_width[l];
            unet_layer(w, "up_blocks", b, i, below + skip, l);
        }
        if (l)
            conv(w, name_in(n, "up_blocks.%d.upsamplers.0.conv", b), unet_width[l], unet_width[l],
                 3);
    }
    norm(w, "conv_norm_out", unet_width[0]);
    conv(w, "conv_out", unet_width[0], 4, 3);
}

static const int64_t vae_width[] = {128, 256, 512, 512};

static void vae_middle(walk *w, const char *half)
{
    char n[NAME];
    resnet(w, name_in(n, "%s.mid_block.resnets.0", half), 512, 512, 0);
    norm(w, name_in(n, "%s.mid_block.attentions.0.group_norm", half), 512);
    attention(w, name_in(n, "%s.mid_block.attentions.0", half), 512, 512, true);
    resnet(w, name_in(n, "%s.mid_block.resnets.1", half), 512, 512, 0);
}

static void vae(walk *w)
{
    char n[NAME];
    conv(w, "encoder.conv_in", 3, vae_width[0], 3);
    for (int l = 0; l < 4; l++) {
        for (int i = 0; i < 2; i++)
            resnet(w, name_in(n, "encoder.down_blocks.%d.resnets.%d", l, i),
                   i || !l ? vae_width[l] : vae_width[l - 1], vae_width[l], 0);
        if (l < 3)
            conv(w, name_in(n, "encoder.down_blocks.%d.downsamplers.0.conv", l), vae_width[l],
                 vae_width[l], 3);
    }
    vae_middle(w, "encoder");
    norm(w, "encoder.conv_norm_out", 512);
    conv(w, "encoder.conv_out", 512, 8, 3);
    conv(w, "quant_conv", 8, 8, 1);
    conv(w, "post_quant_conv", 4, 4, 1);
    conv(w, "decoder.conv_in", 4, 512, 3);
    vae_middle(w, "decoder");
    for (int b = 0; b < 4; b++) {
        int l = 3 - b;
        for (int i = 0; i < 3; i++)
            resnet(w, name_in(n, "decoder.up_blocks.%d.resnets.%d", b, i),
                   i || !b ? vae_width[l] : vae_width[l + 1], vae_width[l], 0);
        if (l)
            conv(w, name_in(n, "decoder.up_blocks.%d.upsamplers.0.conv", b), vae_width[l],
                 vae_width[l], 3);
    }
    norm(w, "decoder.conv_norm_out", vae_width[0]);
    conv(w, "decoder.conv_out", vae_width[0], 3, 3);
}

static void text_encoder(walk *w)
{
    put(w, "text_model.embeddings.token_embedding", "weight", 2, (int64_t[]){49408, 768});
    put(w, "text_model.embeddings.position_embedding", "weight", 2, (int64_t[]){77, 768});
    for (int i = 0; i < 12; i++) {
        char n[NAME], base[NAME];
        snprintf(base, sizeof base, "text_model.encoder.layers.%d", i);
        norm(w, name_in(n, "%s.layer_norm1", base), 768);
        static const char *const parts[] = {"q_proj", "k_proj", "v_proj", "out_proj"};
        for (int k = 0; k < 4; k++)
            linear(w, name_in(n, "%s.self_attn.%s", base, parts[k]), 768, 768, true);
        norm(w, name_in(n, "%s.layer_norm2", base), 768);
        linear(w, name_in(n, "%s.mlp.fc1", base), 768, 3072, true);
        linear(w, name_in(n, "%s.mlp.fc2", base), 3072, 768, true);
    }
    norm(w, "text_model.final_layer_norm", 768);
}

/* ---- the files ---- */

static int64_t count_of(const tensor *t)
{
    int64_t n = 1;
    for (int i = 0; i < t->ndim; i++)
        n *= t->dim[i];
    return n;
}

static json_t *header_of(const walk *w)
{
    json_t *header = json_object();
    int64_t at = 0;
    for (size_t i = 0; i < w->count; i++) {
        const tensor *t = &w->list[i];
        json_t *shape = json_array();
        int64_t end = at + 2 * count_of(t);
        for (int k = 0; k < t->ndim; k++)
            json_array_append_new(shape, json_integer(t->dim[k]));
        json_object_set_new(header, t->name,
                            json_pack("{s:s, s:o, s:[I, I]}", "dtype", "F16", "shape", shape,
                                      "data_offsets", (json_int_t)at, (json_int_t)end));
        at = end;
    }
    return header;
}

/* Normal values, the same every time. */
static void fill_pool(float *pool)
{
    srand48(1);
    for (int i = 0; i < POOL; i++)
        pool[i] = (float)(sqrt(-2 * log(1 - drand48())) * cos(2 * M_PI * drand48()));
}

/* What the values of a tensor are: scale * normal + offset. */
static void spread_of(const tensor *t, float *scale, float *offset)
{
    bool scales = t->ndim == 1 && strstr(t->name, ".weight");
    *offset = scales ? 1 : 0;
    if (t->ndim == 1)
        *scale = scales ? 0.1f : 0.05f;
    else if (strstr(t->name, "embedding.weight"))
        *scale = 0.03f;
    else
        *scale = 0.7f / sqrtf((float)count_of(t) / (float)t->dim[0]);
}

static int write_values(FILE *f, const tensor *t, const float *pool)
{
    static float scaled[POOL];
    static uint16_t half[POOL];
    float scale, offset;
    spread_of(t, &scale, &offset);
    for (int i = 0; i < POOL; i++)
        scaled[i] = scale * pool[i] + offset;
    imu_f32_to_f16(scaled, half, POOL);
    for (int64_t left = count_of(t); left > 0;) {
        size_t first = (size_t)lrand48() % POOL, n = POOL - first;
        n = (int64_t)n < left ? n : (size_t)left;
        if (fwrite(half + first, sizeof *half, n, f) != n)
            return -1;
        left -= (int64_t)n;
    }
    return 0;
}

static int write_tensors(const char *path, const walk *w)
{
    static float pool[POOL];
    json_t *header = header_of(w);
    char *text = json_dumps(header, JSON_COMPACT);
    FILE *f = fopen(path, "wb");
    uint64_t length = text ? strlen(text) : 0;
    int rc = f && text && fwrite(&length, sizeof length, 1, f) == 1 &&
                     fwrite(text, 1, length, f) == length
                 ? 0
                 : -1;
    fill_pool(pool);
    for (size_t i = 0; i < w->count && !rc; i++)
        rc = write_values(f, &w->list[i], pool);
    free(text);
    json_decref(header);
    return f && fclose(f) ? -1 : rc;
}

static int write_text(const char *path, const char *text)
{
    FILE *f = fopen(path, "wb");
    if (!f)
        return -1;
    int rc = fputs(text, f) < 0 ? -1 : 0;
    return fclose(f) ? -1 : rc;
}

static const struct part {
    const char *folder, *file, *config;
    void (*layers)(walk *w);
} parts[] = {
    {"unet", "diffusion_pytorch_model.safetensors",
     "{\"_class_name\": \"UNet2DConditionModel\", \"sample_size\": 64, \"in_channels\": 4, "
     "\"out_channels\": 4, \"down_block_types\": [\"CrossAttnDownBlock2D\", "
     "\"CrossAttnDownBlock2D\", \"CrossAttnDownBlock2D\", \"DownBlock2D\"], \"up_block_types\": "
     "[\"UpBlock2D\", \"CrossAttnUpBlock2D\", \"CrossAttnUpBlock2D\", \"CrossAttnUpBlock2D\"], "
     "\"block_out_channels\": [320, 640, 1280, 1280], \"layers_per_block\": 2, "
     "\"cross_attention_dim\": 768, \"attention_head_dim\": 8}\n",
     unet},
    {"vae", "diffusion_pytorch_model.safetensors",
     "{\"_class_name\": \"AutoencoderKL\", \"down_block_types\": [\"DownEncoderBlock2D\", "
     "\"DownEncoderBlock2D\", \"DownEncoderBlock2D\", \"DownEncoderBlock2D\"], "
     "\"up_block_types\": [\"UpDecoderBlock2D\", \"UpDecoderBlock2D\", \"UpDecoderBlock2D\", "
     "\"UpDecoderBlock2D\"], \"block_out_channels\": [128, 256, 512, 512], \"layers_per_block\": "
     "2, \"latent_channels\": 4, \"sample_size\": 512}\n",
     vae},
    {"text_encoder", "model.safetensors",
     "{\"architectures\": [\"CLIPTextModel\"], \"model_type\": \"clip_text_model\", "
     "\"vocab_size\": 49408, \"hidden_size\": 768, \"intermediate_size\": 3072, "
     "\"projection_dim\": 768, \"num_hidden_layers\": 12, \"num_attention_heads\": 12, "
     "\"max_position_embeddings\": 77, \"hidden_act\": \"quick_gelu\", \"layer_norm_eps\": "
     "1e-05}\n",
     text_encoder},
};

static int write_part(const char *folder, const struct part *p, tensor *room)
{
    char path[512];
    walk w = {.list = room};
    snprintf(path, sizeof path, "%s/%s", folder, p->folder);
    if (mkdir(path, 0700) && errno != EEXIST)
        return -1;
    snprintf(path, sizeof path, "%s/%s/config.json", folder, p->folder);
    if (write_text(path, p->config))
        return -1;
    p->layers(&w);
    if (w.full) {
        errno = ENOBUFS;
        return -1;
    }
    snprintf(path, sizeof path, "%s/%s/%s", folder, p->folder, p->file);
    return write_tensors(path, &w);
}

int imu_random_sd15(const char *folder)
{
    tensor *room = calloc(MOST_TENSORS, sizeof *room);
    int rc = room ? 0 : -1;
    for (size_t i = 0; i < sizeof parts / sizeof *parts && !rc; i++)
        rc = write_part(folder, &parts[i], room);
    free(room);
    return rc;
}
