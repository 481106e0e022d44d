#include "worker/diffusion/names.h"

#include <stdio.h>
#include <string.h>

typedef struct pair {
    const char *ours, *old;
} pair;

/* The rest of `text` behind `start`, or NULL. */
static const char *after(const char *text, const char *start)
{
    size_t n = strlen(start);
    return strncmp(text, start, n) ? NULL : text + n;
}

/* Reads ".12.rest" style numbers: the number at *text, which ends at a dot or the end. -1 for none.
 */
static int number(const char **text)
{
    int n = 0, digits = 0;
    for (; **text >= '0' && **text <= '9' && digits < 4; digits++)
        n = n * 10 + *(*text)++ - '0';
    if (!digits || (**text && **text != '.'))
        return -1;
    *text += **text == '.';
    return n;
}

/* Writes `rest` with its beginning replaced as the table says; false when no line fits. */
static bool replaced(const pair *table, size_t lines, const char *rest, char *out, size_t room)
{
    for (size_t i = 0; i < lines; i++) {
        const char *tail = after(rest, table[i].ours);
        if (tail && (*tail == '.' || !*tail)) {
            int n = snprintf(out, room, "%s%s", table[i].old, tail);
            return n >= 0 && (size_t)n < room;
        }
    }
    return false;
}

#define REPLACED(table, rest, out, room)                                                           \
    replaced(table, sizeof(table) / sizeof *(table), rest, out, room)

static const pair unet_resnet[] = {
    {"norm1", "in_layers.0"},  {"conv1", "in_layers.2"},  {"time_emb_proj", "emb_layers.1"},
    {"norm2", "out_layers.0"}, {"conv2", "out_layers.3"}, {"conv_shortcut", "skip_connection"}};

/* "resnets.1.norm1.weight" and "attentions.0.proj_in.bias" of a block whose first number is
 * `first`. */
static bool unet_layer(const char *rest, const char *block, int first, char *out, size_t room)
{
    char inner[IMU_NAME_BYTES];
    const char *resnet = after(rest, "resnets."), *attention = after(rest, "attentions.");
    const char *tail = resnet ? resnet : attention;
    int layer = tail ? number(&tail) : -1;
    if (layer < 0)
        return false;
    if (resnet && !REPLACED(unet_resnet, tail, inner, sizeof inner))
        return false;
    int n = snprintf(out, room, "%s.%d.%d.%s", block, first + layer, resnet ? 0 : 1,
                     resnet ? inner : tail);
    return n >= 0 && (size_t)n < room;
}

static bool unet_mid(const char *rest, char *out, size_t room)
{
    char inner[IMU_NAME_BYTES];
    const char *resnet = after(rest, "resnets."), *attention = after(rest, "attentions.0.");
    int layer = resnet ? number(&resnet) : 0;
    if (layer < 0 || layer > 1 || (!resnet && !attention) ||
        (resnet && !REPLACED(unet_resnet, resnet, inner, sizeof inner)))
        return false;
    int n = snprintf(out, room, "middle_block.%d.%s", resnet ? 2 * layer : 1,
                     resnet ? inner : attention);
    return n >= 0 && (size_t)n < room;
}

static bool unet_name(const imu_naming *naming, const char *name, int candidate, char *out,
                      size_t room)
{
    static const pair outside[] = {{"time_embedding.linear_1", "time_embed.0"},
                                   {"time_embedding.linear_2", "time_embed.2"},
                                   {"add_embedding.linear_1", "label_emb.0.0"},
                                   {"add_embedding.linear_2", "label_emb.0.2"},
                                   {"controlnet_cond_embedding.conv_in", "input_hint_block.0"},
                                   {"controlnet_cond_embedding.conv_out", "input_hint_block.14"},
                                   {"controlnet_mid_block", "middle_block_out.0"},
                                   {"conv_in", "input_blocks.0.0"},
                                   {"conv_norm_out", "out.0"},
                                   {"conv_out", "out.2"}};
    const char *rest, *tail = NULL;
    int block, n = -1, each = naming->layers + 1;
    if ((rest = after(name, "controlnet_down_blocks.")) ||
        (tail = after(name, "controlnet_cond_embedding.blocks."))) {
        const char *at = rest ? rest : tail;
        block = number(&at);
        /* Activations count as layers there, so every other number is a convolution's. */
        n = rest
                ? snprintf(out, room, "zero_convs.%d.0%s%s", block, *at ? "." : "", at)
                : snprintf(out, room, "input_hint_block.%d%s%s", 2 * block + 2, *at ? "." : "", at);
        return !candidate && block >= 0 && n >= 0 && (size_t)n < room;
    }
    if ((rest = after(name, "mid_block.")))
        return !candidate && unet_mid(rest, out, room);
    if ((rest = after(name, "down_blocks."))) {
        if ((block = number(&rest)) < 0)
            return false;
        if ((tail = after(rest, "downsamplers.0.conv")))
            n = snprintf(out, room, "input_blocks.%d.0.op%s", (block + 1) * each, tail);
        else
            return !candidate && unet_layer(rest, "input_blocks", block * each + 1, out, room);
    } else if ((rest = after(name, "up_blocks."))) {
        if ((block = number(&rest)) < 0)
            return false;
        /* Behind the attention where there is one, else in its place. */
        if ((tail = after(rest, "upsamplers.0.conv")))
            n = snprintf(out, room, "output_blocks.%d.%d.conv%s", block * each + each - 1,
                         candidate ? 1 : 2, tail);
        else
            return !candidate && unet_layer(rest, "output_blocks", block * each, out, room);
    } else {
        return !candidate && REPLACED(outside, name, out, room);
    }
    return n >= 0 && (size_t)n < room;
}

/* "mid_block…", "down_blocks…" and so on of the encoder or the decoder. */
static bool vae_half(const imu_naming *naming, const char *half, const char *rest, char *out,
                     size_t room)
{
    static const pair mid[] = {{"mid_block.resnets.0", "mid.block_1"},
                               {"mid_block.resnets.1", "mid.block_2"},
                               {"mid_block.attentions.0.group_norm", "mid.attn_1.norm"},
                               {"mid_block.attentions.0.to_q", "mid.attn_1.q"},
                               {"mid_block.attentions.0.to_k", "mid.attn_1.k"},
                               {"mid_block.attentions.0.to_v", "mid.attn_1.v"},
                               {"mid_block.attentions.0.to_out.0", "mid.attn_1.proj_out"},
                               {"conv_in", "conv_in"},
                               {"conv_out", "conv_out"},
                               {"conv_norm_out", "norm_out"}};
    char inner[IMU_NAME_BYTES];
    const char *down = after(rest, "down_blocks."), *up = after(rest, "up_blocks.");
    const char *tail = down ? down : up, *layer;
    int n, level = tail ? number(&tail) : -1;
    if (!tail) {
        n = REPLACED(mid, rest, inner, sizeof inner) ? snprintf(out, room, "%s.%s", half, inner)
                                                     : -1;
        return n >= 0 && (size_t)n < room;
    }
    if (level < 0 || level >= naming->levels)
        return false;
    level = up ? naming->levels - 1 - level : level; /* counted from the fine end */
    const char *side = up ? "up" : "down";
    if ((layer = after(tail, "resnets.")))
        n = snprintf(out, room, "%s.%s.%d.block.%s", half, side, level, layer);
    else if ((layer = after(tail, up ? "upsamplers.0" : "downsamplers.0")))
        n = snprintf(out, room, "%s.%s.%d.%ssample%s", half, side, level, side, layer);
    else
        return false;
    return n >= 0 && (size_t)n < room;
}

static bool vae_name(const imu_naming *naming, const char *name, char *out, size_t room)
{
    const char *encoder = after(name, "encoder."), *decoder = after(name, "decoder."), *shortcut;
    if (!encoder && !decoder) /* quant_conv, post_quant_conv */
        return snprintf(out, room, "%s", name) < (int)room;
    if (!vae_half(naming, encoder ? "encoder" : "decoder", encoder ? encoder : decoder, out, room))
        return false;
    if ((shortcut = strstr(out, ".conv_shortcut"))) {
        char tail[IMU_NAME_BYTES];
        snprintf(tail, sizeof tail, "%s", shortcut + strlen(".conv_shortcut"));
        size_t at = (size_t)(shortcut - out);
        return snprintf(out + at, room - at, ".nin_shortcut%s", tail) < (int)(room - at);
    }
    return true;
}

/* One layer of OpenCLIP's text transformer; queries, keys and values lie in one matrix there. */
static bool openclip_layer(const char *rest, imu_old_name *out)
{
    static const pair inner[] = {{"layer_norm1", "ln_1"},
                                 {"layer_norm2", "ln_2"},
                                 {"mlp.fc1", "mlp.c_fc"},
                                 {"mlp.fc2", "mlp.c_proj"},
                                 {"self_attn.out_proj", "attn.out_proj"}};
    static const char *const fused[] = {"self_attn.q_proj.", "self_attn.k_proj.",
                                        "self_attn.v_proj."};
    char tail[IMU_NAME_BYTES];
    int layer = number(&rest);
    if (layer < 0)
        return false;
    for (int i = 0; i < 3; i++) {
        const char *end = after(rest, fused[i]);
        if (end) {
            out->slice = i;
            out->slices = 3;
            snprintf(out->name, sizeof out->name, "transformer.resblocks.%d.attn.in_proj_%s", layer,
                     end);
            return true;
        }
    }
    if (!REPLACED(inner, rest, tail, sizeof tail))
        return false;
    return snprintf(out->name, sizeof out->name, "transformer.resblocks.%d.%s", layer, tail) <
           (int)sizeof out->name;
}

static bool openclip_name(const char *name, imu_old_name *out)
{
    static const pair outside[] = {
        {"text_model.embeddings.token_embedding", "token_embedding"},
        {"text_model.embeddings.position_embedding.weight", "positional_embedding"},
        {"text_model.final_layer_norm", "ln_final"},
        {"text_projection.weight", "text_projection"}};
    const char *layer = after(name, "text_model.encoder.layers.");
    if (layer)
        return openclip_layer(layer, out);
    out->transposed = !strcmp(name, "text_projection.weight");
    return REPLACED(outside, name, out->name, sizeof out->name);
}

bool imu_old_name_of(const imu_naming *naming, const char *name, int candidate, imu_old_name *out)
{
    imu_old_name bare = {.slices = 1};
    bool known = false;
    switch (naming->kind) {
    case IMU_NAMES_UNET:
        known = unet_name(naming, name, candidate, bare.name, sizeof bare.name);
        break;
    case IMU_NAMES_VAE:
        known = !candidate && vae_name(naming, name, bare.name, sizeof bare.name);
        break;
    case IMU_NAMES_OPENCLIP:
        known = !candidate && openclip_name(name, &bare);
        break;
    default:
        known =
            !candidate && snprintf(bare.name, sizeof bare.name, "%s", name) < (int)sizeof bare.name;
    }
    if (!known)
        return false;
    *out = bare;
    int n = snprintf(out->name, sizeof out->name, "%s%s", naming->prefix ? naming->prefix : "",
                     bare.name);
    return n >= 0 && (size_t)n < sizeof out->name;
}
