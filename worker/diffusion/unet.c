/* Reads a UNet's configuration and builds its layers. */
#include "worker/diffusion/unet_parts.h"

#include "worker/diffusion/json_file.h"
#include "worker/diffusion/model_kind.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define MAX_CHANNELS 8192

/* Settings that change the arithmetic and that this engine does not compute: each must be absent,
 * null, false or the one value that means "off". */
static imu_engine_status refuse_unknown(const json_t *c, imu_fault *fault)
{
    static const char *const off[] = {"dual_cross_attention",
                                      "encoder_hid_dim",
                                      "class_embed_type",
                                      "time_cond_proj_dim",
                                      "center_input_sample",
                                      "only_cross_attention",
                                      "resnet_skip_time_act",
                                      "class_embeddings_concat",
                                      "cross_attention_norm",
                                      "timestep_post_act",
                                      "reverse_transformer_layers_per_block",
                                      "mid_block_only_cross_attention",
                                      "num_class_embeds",
                                      "time_embedding_dim",
                                      "time_embedding_act_fn"};
    static const struct {
        const char *key, *value;
    } only[] = {{"act_fn", "silu"},
                {"time_embedding_type", "positional"},
                {"resnet_time_scale_shift", "default"},
                {"attention_type", "default"},
                {"mid_block_type", "UNetMidBlock2DCrossAttn"}};
    for (size_t i = 0; i < sizeof off / sizeof *off; i++) {
        const json_t *v = json_object_get(c, off[i]);
        if (v && !json_is_null(v) && !json_is_false(v))
            return imu_fail(fault, IMU_ENGINE_UNSUPPORTED,
                            "The UNet uses %s, which this engine doesn't know.", off[i]);
    }
    for (size_t i = 0; i < sizeof only / sizeof *only; i++)
        if (strcmp(imu_json_string(c, only[i].key, only[i].value), only[i].value) != 0)
            return imu_fail(fault, IMU_ENGINE_UNSUPPORTED, "The UNet's %s must be %s.", only[i].key,
                            only[i].value);
    return IMU_ENGINE_OK;
}

static imu_engine_status read_block_types(const json_t *c, const char *key, int levels,
                                          const char *plain, const char *attending, int *attends,
                                          imu_fault *fault)
{
    const json_t *list = json_object_get(c, key);
    if (json_array_size(list) != (size_t)levels)
        return imu_fail(fault, IMU_ENGINE_BAD_MODEL, "The UNet's %s must have %d entries.", key,
                        levels);
    for (int i = 0; i < levels; i++) {
        const char *type = json_string_value(json_array_get(list, (size_t)i));
        if (!type || (strcmp(type, plain) && strcmp(type, attending)))
            return imu_fail(fault, IMU_ENGINE_UNSUPPORTED,
                            "The UNet has a block of unknown type %.60s.", type ? type : "(none)");
        attends[i] = !strcmp(type, attending);
    }
    return IMU_ENGINE_OK;
}

static imu_engine_status read_levels(imu_unet *u, const json_t *c, imu_fault *fault)
{
    size_t levels = json_array_size(json_object_get(c, "block_out_channels"));
    if (levels < 1 || levels > IMU_UNET_MAX_LEVELS)
        return imu_fail(fault, IMU_ENGINE_BAD_MODEL, "The UNet must have 1 to %d levels.",
                        IMU_UNET_MAX_LEVELS);
    u->levels = (int)levels;
    /* attention_head_dim has always been the number of heads; num_attention_heads, if set, says so.
     */
    const json_t *heads = json_object_get(c, "num_attention_heads");
    const char *heads_key =
        heads && !json_is_null(heads) ? "num_attention_heads" : "attention_head_dim";
    imu_engine_status s =
        imu_json_ints(c, "block_out_channels", 0, 1, MAX_CHANNELS, u->levels, u->channels, fault);
    if (!s)
        s = imu_json_ints(c, heads_key, 8, 1, 256, u->levels, u->heads, fault);
    if (!s)
        s = imu_json_ints(c, "transformer_layers_per_block", 1, 1, 64, u->levels, u->depth, fault);
    if (!s)
        s = read_block_types(c, "down_block_types", u->levels, "DownBlock2D",
                             "CrossAttnDownBlock2D", u->down_attends, fault);
    if (!s && !u->down_only)
        s = read_block_types(c, "up_block_types", u->levels, "UpBlock2D", "CrossAttnUpBlock2D",
                             u->up_attends, fault);
    return s;
}

static imu_engine_status read_added(imu_unet *u, const json_t *c, imu_fault *fault)
{
    const char *type = imu_json_string(c, "addition_embed_type", "");
    if (!*type)
        return IMU_ENGINE_OK;
    if (strcmp(type, "text_time"))
        return imu_fail(fault, IMU_ENGINE_UNSUPPORTED,
                        "The UNet's addition_embed_type %.40s is unknown.", type);
    int whole;
    imu_engine_status s =
        imu_json_int(c, "addition_time_embed_dim", 256, 2, 4096, &u->info.added_frequencies, fault);
    if (!s)
        s = imu_json_int(c, "projection_class_embeddings_input_dim", 2816, 1, 65536, &whole, fault);
    if (s)
        return s;
    u->info.size_numbers = imu_model_size_numbers(c);
    u->info.pooled_width = whole - u->info.size_numbers * u->info.added_frequencies;
    if (u->info.pooled_width < 1)
        return imu_fail(fault, IMU_ENGINE_BAD_MODEL,
                        "The UNet's added embedding is too narrow for its size numbers.");
    return IMU_ENGINE_OK;
}

static imu_engine_status read_config(imu_unet *u, const json_t *c, imu_fault *fault)
{
    int kernel_in, kernel_out, padding;
    imu_engine_status s = refuse_unknown(c, fault);
    if (!s)
        s = read_levels(u, c, fault);
    if (!s)
        s = imu_json_int(c, "layers_per_block", 2, 1, IMU_UNET_MAX_LAYERS, &u->layers, fault);
    if (!s)
        s = imu_json_int(c, "norm_num_groups", 32, 1, 1024, &u->groups, fault);
    if (!s)
        s = imu_json_int(c, "in_channels", 4, 1, 64, &u->info.in_channels, fault);
    if (!s)
        s = imu_json_int(c, "out_channels", 4, 1, 64, &u->info.out_channels, fault);
    if (!s)
        s = imu_json_int(c, "sample_size", 64, 1, 4096, &u->info.sample_size, fault);
    if (!s)
        s = imu_json_int(c, "cross_attention_dim", 1280, 1, MAX_CHANNELS, &u->info.context_width,
                         fault);
    if (!s)
        s = imu_json_double(c, "norm_eps", 1e-5, &u->eps, fault);
    if (!s)
        s = imu_json_double(c, "freq_shift", 0, &u->frequency_shift, fault);
    if (!s)
        s = imu_json_int(c, "conv_in_kernel", 3, 3, 3, &kernel_in, fault);
    if (!s)
        s = imu_json_int(c, "conv_out_kernel", 3, 3, 3, &kernel_out, fault);
    if (!s)
        s = imu_json_int(c, "downsample_padding", 1, 1, 1, &padding, fault);
    if (!s)
        s = read_added(u, c, fault);
    u->cosine_first = imu_json_bool(c, "flip_sin_to_cos", true);
    u->info.time_frequencies = u->channels[0];
    u->info.time_width = u->channels[0] * 4;
    return s;
}

static imu_engine_status build_layer(imu_unet *u, imu_unet_level *l, const char *base, int index,
                                     int in, int out, int level, imu_fault *fault)
{
    char name[96];
    snprintf(name, sizeof name, "%s.resnets.%d", base, index);
    imu_engine_status s = imu_resnet_build(u->net, name, in, out, u->info.time_width, u->groups,
                                           u->eps, &l->resnet[index], fault);
    if (s || !l->attends)
        return s;
    snprintf(name, sizeof name, "%s.attentions.%d", base, index);
    return imu_transformer_build(u->net, name, out, u->info.context_width, u->heads[level],
                                 u->depth[level], u->groups, &l->transformer[index], fault);
}

static imu_engine_status build_down(imu_unet *u, int i, imu_fault *fault)
{
    char base[48], name[96];
    imu_unet_level *l = &u->down[i];
    int out = u->channels[i], in = i ? u->channels[i - 1] : out;
    imu_engine_status s = IMU_ENGINE_OK;
    l->layers = u->layers;
    l->attends = u->down_attends[i];
    l->resamples = i + 1 < u->levels;
    snprintf(base, sizeof base, "down_blocks.%d", i);
    for (int k = 0; k < l->layers && !s; k++)
        s = build_layer(u, l, base, k, k ? out : in, out, i, fault);
    snprintf(name, sizeof name, "%s.downsamplers.0.conv", base);
    return s || !l->resamples ? s : imu_net_conv(u->net, name, out, out, 3, &l->resample, fault);
}

/* Going up, a layer takes what comes from below and one skip connection. Of a level's layers + 1
 * skips, the last one popped comes from the level above on the way down. */
static imu_engine_status build_up(imu_unet *u, int i, imu_fault *fault)
{
    char base[48], name[96];
    imu_unet_level *l = &u->up[i];
    int level = u->levels - 1 - i, out = u->channels[level];
    int before = i ? u->channels[level + 1] : out, last_skip = level ? u->channels[level - 1] : out;
    imu_engine_status s = IMU_ENGINE_OK;
    l->layers = u->layers + 1;
    l->attends = u->up_attends[i];
    l->resamples = level > 0;
    snprintf(base, sizeof base, "up_blocks.%d", i);
    for (int k = 0; k < l->layers && !s; k++) {
        int skip = k + 1 == l->layers ? last_skip : out;
        s = build_layer(u, l, base, k, (k ? out : before) + skip, out, level, fault);
    }
    snprintf(name, sizeof name, "%s.upsamplers.0.conv", base);
    return s || !l->resamples ? s : imu_net_conv(u->net, name, out, out, 3, &l->resample, fault);
}

static imu_engine_status build_mid(imu_unet *u, imu_fault *fault)
{
    int top = u->levels - 1, c = u->channels[top];
    imu_engine_status s = imu_resnet_build(u->net, "mid_block.resnets.0", c, c, u->info.time_width,
                                           u->groups, u->eps, &u->mid1, fault);
    if (!s)
        s = imu_transformer_build(u->net, "mid_block.attentions.0", c, u->info.context_width,
                                  u->heads[top], u->depth[top], u->groups, &u->mid, fault);
    if (!s)
        s = imu_resnet_build(u->net, "mid_block.resnets.1", c, c, u->info.time_width, u->groups,
                             u->eps, &u->mid2, fault);
    return s;
}

static imu_engine_status build_embeddings(imu_unet *u, imu_fault *fault)
{
    const imu_unet_info *n = &u->info;
    imu_engine_status s = imu_net_linear(u->net, "time_embedding.linear_1", n->time_frequencies,
                                         n->time_width, IMU_BIAS_REQUIRED, &u->time1, fault);
    if (!s)
        s = imu_net_linear(u->net, "time_embedding.linear_2", n->time_width, n->time_width,
                           IMU_BIAS_REQUIRED, &u->time2, fault);
    if (!s && n->added_frequencies)
        s = imu_net_linear(u->net, "add_embedding.linear_1",
                           n->pooled_width + n->size_numbers * n->added_frequencies, n->time_width,
                           IMU_BIAS_REQUIRED, &u->added1, fault);
    if (!s && n->added_frequencies)
        s = imu_net_linear(u->net, "add_embedding.linear_2", n->time_width, n->time_width,
                           IMU_BIAS_REQUIRED, &u->added2, fault);
    return s;
}

static imu_engine_status build(imu_unet *u, imu_fault *fault)
{
    int first = u->channels[0];
    imu_engine_status s = build_embeddings(u, fault);
    if (!s && first % u->groups)
        s = imu_fail(fault, IMU_ENGINE_BAD_MODEL,
                     "The UNet's channels are no multiple of its norm groups.");
    if (!s)
        s = imu_net_conv(u->net, "conv_in", u->info.in_channels, first, 3, &u->conv_in, fault);
    for (int i = 0; i < u->levels && !s; i++)
        s = build_down(u, i, fault);
    if (!s)
        s = build_mid(u, fault);
    if (u->down_only)
        return s;
    for (int i = 0; i < u->levels && !s; i++)
        s = build_up(u, i, fault);
    if (!s)
        s = imu_net_norm(u->net, "conv_norm_out", first, &u->norm_out, fault);
    if (!s)
        s = imu_net_conv(u->net, "conv_out", first, u->info.out_channels, 3, &u->conv_out, fault);
    return s;
}

/* Gives the cross attentions of a transformer their numbers. */
static void number_transformer(imu_unet *u, imu_transformer *t, const char *name, int level)
{
    for (int i = 0; i < t->depth; i++) {
        imu_crossing *c = u->crossing ? &u->crossing[u->crossing_count] : NULL;
        if (c) {
            snprintf(c->name, sizeof c->name, "%s", name);
            c->width = u->channels[level];
            c->level = level;
        }
        t->layer[i].number = u->crossing_count++;
    }
}

static void number_levels(imu_unet *u, imu_unet_level *levels, const char *way, bool up)
{
    for (int i = 0; i < u->levels; i++)
        for (int k = 0; levels[i].attends && k < levels[i].layers; k++) {
            char name[48];
            snprintf(name, sizeof name, "%s_blocks.%d.attentions.%d", way, i, k);
            number_transformer(u, &levels[i].transformer[k], name, up ? u->levels - 1 - i : i);
        }
}

static void number_all(imu_unet *u)
{
    u->crossing_count = 0;
    number_levels(u, u->down, "down", false);
    number_levels(u, u->up, "up", true);
    number_transformer(u, &u->mid, "mid_block.attentions.0", u->levels - 1);
}

/* Counts them, then names them. */
static imu_engine_status number_crossings(imu_unet *u, imu_fault *fault)
{
    number_all(u);
    u->crossing = calloc((size_t)u->crossing_count, sizeof *u->crossing);
    if (!u->crossing)
        return imu_fail_memory(fault);
    number_all(u);
    return IMU_ENGINE_OK;
}

static imu_engine_status open_as(bool down_only, imu_backend *backend, const imu_net_place *place,
                                 imu_unet **out, imu_fault *fault)
{
    json_t *config;
    imu_engine_status s = imu_net_config(place, &config, fault);
    if (s)
        return s;
    imu_unet *u = calloc(1, sizeof *u);
    if (u)
        u->down_only = down_only;
    s = u ? read_config(u, config, fault) : imu_fail_memory(fault);
    json_decref(config);
    if (!s)
        s = imu_net_open(backend, place, &u->net, fault);
    if (!s)
        imu_net_set_naming(u->net, &(imu_naming){.kind = IMU_NAMES_UNET, .layers = u->layers});
    if (!s)
        s = build(u, fault);
    if (!s)
        s = number_crossings(u, fault);
    if (s)
        imu_unet_close(u);
    else
        *out = u;
    return s;
}

/* The shape of a UNet in a file was told by its tensors. One that is left over in a block says that
 * it was told wrong; a picture of the rest would be nonsense without a word. What lies beside the
 * blocks (averages, markers) is nobody's and does no harm. */
static imu_engine_status check_told_shape(const imu_unet *u, imu_fault *fault)
{
    static const char *const blocks[] = {"input_blocks.", "middle_block.", "output_blocks."};
    imu_engine_status s = IMU_ENGINE_OK;
    for (size_t i = 0; i < sizeof blocks / sizeof *blocks && !s; i++)
        s = imu_net_all_read(u->net, blocks[i], fault);
    return s;
}

imu_engine_status imu_unet_open(imu_backend *backend, const imu_net_place *place, imu_unet **out,
                                imu_fault *fault)
{
    imu_engine_status s = open_as(false, backend, place, out, fault);
    if (!s && !place->folder && (s = check_told_shape(*out, fault))) {
        imu_unet_close(*out);
        *out = NULL;
    }
    return s;
}

imu_engine_status imu_unet_open_down(imu_backend *backend, const imu_net_place *place,
                                     imu_unet **out, imu_fault *fault)
{
    return open_as(true, backend, place, out, fault);
}

void imu_unet_close(imu_unet *u)
{
    if (!u)
        return;
    for (int i = 0; i < IMU_UNET_MAX_LEVELS; i++)
        for (int k = 0; k <= IMU_UNET_MAX_LAYERS; k++) {
            imu_transformer_free(&u->down[i].transformer[k]);
            imu_transformer_free(&u->up[i].transformer[k]);
        }
    imu_transformer_free(&u->mid);
    free(u->crossing);
    imu_net_close(u->net);
    free(u);
}

imu_net *imu_unet_net(imu_unet *u)
{
    return u->net;
}

const imu_unet_info *imu_unet_get_info(const imu_unet *u)
{
    return &u->info;
}
