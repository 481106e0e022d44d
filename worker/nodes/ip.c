/* IP adapters: the node that names one, and how the denoising node takes it. */
#include "worker/nodes/ip.h"

#include "worker/nodes/families.h"
#include "worker/nodes/fields.h"
#include "worker/nodes/models.h"
#include "worker/nodes/steering.h"

#include <stdlib.h>
#include <string.h>

#define LEAST_WEIGHT (-1)
#define MAX_SIDE     65535

/* ---- pictures ---- */

/* The middle of a picture as a square of `edge` pixels: resized first, so that its shorter side
 * fits. NULL with call->error. */
static imu_image *square(imu_call *call, const imu_picture *p, int edge)
{
    int shorter = p->width < p->height ? p->width : p->height,
        longer = p->width < p->height ? p->height : p->width;
    int64_t rest = (int64_t)edge * longer / shorter;
    if (rest > MAX_SIDE) {
        imu_refuse(call->error, "InvalidInput", "The IP adapter's picture is too narrow.");
        return NULL;
    }
    int width = p->width < p->height ? edge : (int)rest,
        height = p->width < p->height ? (int)rest : edge;
    imu_picture *sized = imu_resize(p, width, height, IMU_FILTER_BICUBIC);
    imu_image *image = sized ? imu_image_new(edge, edge) : NULL;
    size_t row = 3 * (size_t)edge;
    for (int y = 0; image && y < edge; y++)
        memcpy(image->rgb + (size_t)y * row,
               sized->data + 3 * ((size_t)(y + (height - edge) / 2) * (size_t)width +
                                  (size_t)((width - edge) / 2)),
               row);
    imu_picture_free(sized);
    if (!image)
        imu_refuse(call->error, "OutOfMemory", "Not enough memory for the picture.");
    return image;
}

static imu_image *load_square(imu_call *call, const json_t *field, int edge)
{
    imu_picture *given = imu_env_load_image(call, field);
    imu_picture *rgb = given ? imu_picture_convert(given, 3) : NULL;
    imu_image *image = rgb ? square(call, rgb, edge) : NULL;
    if (given && !rgb)
        imu_refuse(call->error, "OutOfMemory", "Not enough memory for the picture.");
    imu_picture_free(given);
    imu_picture_free(rgb);
    return image;
}

/* Pictures of an encoder's size, one after the other. */
struct squares {
    imu_image *image[IMU_MAX_IP_PICTURES];
    int count, edge;
};

static int load_one(imu_call *call, const json_t *field, void *to)
{
    struct squares *all = to;
    if (all->count == IMU_MAX_IP_PICTURES)
        return imu_refuse(call->error, "TooLarge", "At most %d pictures fit an IP adapter.",
                          IMU_MAX_IP_PICTURES);
    all->image[all->count] = load_square(call, field, all->edge);
    return all->image[all->count] ? (all->count++, 0) : -1;
}

static int encode(imu_call *call, imu_ip *ip, imu_vision *vision, const json_t *pictures,
                  imu_array **tokens)
{
    struct squares all = {.edge = imu_vision_edge(vision)};
    imu_fault fault;
    int rc = imu_steer_each(call, pictures, load_one, &all);
    if (!rc && !all.count)
        rc = imu_refuse(call->error, "InvalidInput", "The IP adapter has no picture.");
    if (!rc && imu_ip_encode(ip, vision, (const imu_image *const *)all.image, all.count,
                             imu_call_stop_asked, call, tokens, &fault))
        rc = imu_models_fault(call, &fault);
    for (int i = 0; i < all.count; i++)
        imu_image_free(all.image[i]);
    return rc;
}

/* ---- fields ---- */

/* Where the pictures are shown to the negative prompt's half, with "style_precise". */
static bool is_averse(const char *block)
{
    return !strcmp(block, "down_blocks.2.attentions.1") || !strcmp(block, "down_blocks.2") ||
           !strcmp(block, "mid_block");
}

static int take_blocks(imu_call *call, const json_t *field, imu_ips *all, int i)
{
    const json_t *one, *given = json_object_get(field, "target_blocks");
    const char *method = imu_json_str(field, "method");
    imu_ip_use *use = &all->use[i];
    size_t k;
    if (json_array_size(given) > IMU_MAX_IP_BLOCKS)
        return imu_refuse(call->error, "TooLarge", "\"target_blocks\" has more than %d entries.",
                          IMU_MAX_IP_BLOCKS);
    json_array_foreach (given, k, one) {
        const char *block = json_string_value(one);
        if (!block)
            return imu_refuse(call->error, "InvalidInput", "\"target_blocks\" must hold texts.");
        all->blocks[i][use->block_count++] = block;
        if (method && !strcmp(method, "style_precise") && is_averse(block))
            all->averse[i][use->averse_count++] = block;
    }
    use->blocks = all->blocks[i];
    use->averse = all->averse[i];
    return 0;
}

/* Opens the encoder for as long as it looks at the pictures. */
static int look(imu_call *call, const json_t *field, imu_ip *ip, imu_array **tokens)
{
    char path[PATH_MAX];
    imu_vision *vision;
    imu_fault fault;
    if (imu_steer_model(call, json_object_get(field, "image_encoder_model"), "clip_vision",
                        "encoder of pictures", NULL, path))
        return -1;
    if (imu_vision_open(imu_models_engine(call), path, &vision, &fault))
        return imu_models_refuse(call, &fault);
    int rc = encode(call, ip, vision, json_object_get(field, "image"), tokens);
    imu_vision_close(vision);
    return rc;
}

static int open_ip(imu_call *call, const json_t *id, const char *base, imu_ip **out)
{
    char path[PATH_MAX];
    imu_fault fault;
    if (imu_steer_model(call, id, "ip_adapter", "IP adapter", base, path))
        return -1;
    return imu_ip_open(imu_models_engine(call), path, out, &fault) ? imu_models_refuse(call, &fault)
                                                                   : 0;
}

/* The mask in cells of the latents: of each, what lies at its corner. */
static int take_mask(imu_call *call, const json_t *field, imu_ips *all, int i)
{
    if (!json_is_object(field))
        return 0;
    const struct imu_thing *thing = imu_env_tensor(call, field, "tensor_name");
    if (!thing)
        return -1;
    const imu_array *a = thing->latents;
    int64_t h = all->height, w = all->width;
    if (a->ndim != 4 || a->dim[0] != 1 || a->dim[1] != 1)
        return imu_refuse(call->error, "InvalidInput", "\"mask\" is no mask.");
    float *mask = malloc((size_t)(h * w) * sizeof *mask);
    if (!mask)
        return imu_refuse(call->error, "OutOfMemory", "Not enough memory for the mask.");
    for (int64_t k = 0; k < h * w; k++)
        mask[k] = a->data[k / w * a->dim[2] / h * a->dim[3] + k % w * a->dim[3] / w] > 0.5f;
    all->mask[i] = mask;
    all->use[i].mask = mask;
    return 0;
}

static int take_one(imu_call *call, const json_t *field, void *to)
{
    imu_ips *all = to;
    int i = all->count;
    if (i == IMU_MAX_IPS)
        return imu_refuse(call->error, "TooLarge", "At most %d IP adapters can be used together.",
                          IMU_MAX_IPS);
    imu_ip_use *use = &all->use[i];
    *use = (imu_ip_use){.adapter = NULL};
    all->tokens[i] = NULL;
    all->weight[i] = NULL;
    all->mask[i] = NULL;
    all->count++; /* so that what is there is given back */
    if (take_mask(call, json_object_get(field, "mask"), all, i) ||
        imu_steer_when(call, field, "weight", LEAST_WEIGHT, &use->when, &all->weight[i]) ||
        take_blocks(call, field, all, i) ||
        open_ip(call, json_object_get(field, "ip_adapter_model"), all->base, &use->adapter) ||
        look(call, field, use->adapter, &all->tokens[i]))
        return -1;
    use->tokens = all->tokens[i];
    return 0;
}

int imu_ips_take(imu_call *call, const json_t *given, const char *base, int64_t height,
                 int64_t width, imu_ips *all)
{
    all->base = base;
    all->height = height;
    all->width = width;
    return imu_steer_each(call, given, take_one, all);
}

void imu_ips_close(imu_ips *all)
{
    for (int i = 0; i < all->count; i++) {
        imu_ip_close(all->use[i].adapter);
        imu_array_free(all->tokens[i]);
        free(all->weight[i]);
        free(all->mask[i]);
    }
    all->count = 0;
}

/* ---- the node ---- */

/* The installed encoder that an adapter was made for, as a ModelIdentifierField; NULL with
 * call->error. */
static json_t *find_encoder(imu_call *call, const imu_ip *ip)
{
    char path[PATH_MAX];
    const json_t *row;
    size_t i;
    json_array_foreach (call->env->model_rows, i, row) {
        const json_t *r = json_object_get(row, "record");
        const char *type = imu_json_str(r, "type");
        if (!type || strcmp(type, "clip_vision") || imu_models_path(call, row, path) ||
            !imu_ip_takes(ip, path))
            continue;
        return json_pack("{s:O,s:O,s:O,s:O,s:O}", "key", json_object_get(row, "key"), "hash",
                         json_object_get(r, "hash"), "name", json_object_get(r, "name"), "base",
                         json_object_get(r, "base"), "type", json_object_get(r, "type"));
    }
    imu_refuse(call->error, "UnknownModelException",
               "No encoder of pictures is installed that this IP adapter was made for. It is a "
               "folder of the kind CLIPVisionModelWithProjection in the server's model folder.");
    return NULL;
}

/* Which attentions a method means, by parts of their names; as InvokeAI has it. */
static json_t *blocks_of(const char *method, bool large)
{
    static const struct {
        const char *method, *blocks[2][18];
    } known[] = {
        {"full", {{"block"}, {"block"}}},
        {"style", {{"up_blocks.1"}, {"up_blocks.0.attentions.1"}}},
        {"composition", {{"down_blocks.2", "mid_block"}, {"down_blocks.2.attentions.1"}}},
        {"style_precise",
         {{"up_blocks.1", "down_blocks.2", "mid_block"},
          {"up_blocks.0.attentions.1", "down_blocks.2.attentions.1"}}},
        {"style_strong",
         {{"up_blocks.0", "up_blocks.1", "up_blocks.2", "down_blocks.0", "down_blocks.1"},
          {"up_blocks.0", "up_blocks.1", "up_blocks.2", "down_blocks.0", "down_blocks.1",
           "down_blocks.2.attentions.0", "down_blocks.2.attentions.2"}}},
    };
    json_t *list = json_array();
    for (size_t i = 0; i < sizeof known / sizeof *known; i++)
        for (int k = 0; !strcmp(method, known[i].method) && known[i].blocks[large][k]; k++)
            json_array_append_new(list, json_string(known[i].blocks[large][k]));
    return list;
}

static int run_ip(imu_call *call)
{
    static const char *const keys[] = {"image",
                                       "ip_adapter_model",
                                       "weight",
                                       "method",
                                       "begin_step_percent",
                                       "end_step_percent",
                                       "mask",
                                       NULL};
    const json_t *id = imu_in(call, "ip_adapter_model");
    const char *base =
        imu_json_str(json_object_get(imu_models_find(call->env->model_rows, id), "record"), "base");
    imu_ip *ip;
    json_t *field = imu_steer_field(call, keys, "weight", LEAST_WEIGHT);
    if (!field || open_ip(call, id, NULL, &ip)) {
        json_decref(field);
        return -1;
    }
    json_t *encoder = find_encoder(call, ip);
    imu_ip_close(ip);
    if (!encoder) {
        json_decref(field);
        return -1;
    }
    json_object_set_new(field, "image_encoder_model", encoder);
    json_object_set_new(field, "target_blocks",
                        blocks_of(imu_in_text(call, "method"), base && !strcmp(base, "sdxl")));
    return imu_out(call, json_pack("{s:o}", "ip_adapter", field));
}

static const char *const methods[] = {"full",         "style",         "composition",
                                      "style_strong", "style_precise", NULL};
static const char *const encoders[] = {"ViT-H", "ViT-G", "ViT-L", NULL};
static const imu_output_type ip_output = {"IPAdapterOutput", "ip_adapter_output", "An IP adapter",
                                          FIELDS({.name = "ip_adapter",
                                                  .type = IMU_T_OTHER,
                                                  .ref = "IPAdapterField",
                                                  .title = "IP-Adapter",
                                                  .help = "The IP adapter and its pictures"})};
static const imu_node_type ip_node = {
    "ip_adapter",
    "IPAdapterInvocation",
    "IP-Adapter - SD1.5, SDXL",
    "1.5.1",
    "conditioning",
    "ip_adapter control",
    "Lets what is drawn take after one or several pictures.",
    0,
    FIELDS({.name = "image",
            .type = IMU_T_IMAGE,
            .flags = IMU_F_REQUIRED | IMU_F_OR_LIST,
            .title = "Image",
            .help = "The pictures to take after"},
           {.name = "ip_adapter_model",
            .type = IMU_T_MODEL,
            .flags = IMU_F_REQUIRED,
            .title = "IP-Adapter Model",
            .model_base = "sd-1 sdxl",
            .model_type = "ip_adapter",
            .help = "The IP adapter"},
           {.name = "clip_vision_model",
            .type = IMU_T_ENUM,
            .choices = encoders,
            .fallback = "\"ViT-H\"",
            .help = "Not looked at: the installed encoder that fits the adapter is taken"},
           {.name = "weight",
            .type = IMU_T_FLOAT,
            .flags = IMU_F_OR_LIST,
            .fallback = "1.0",
            .help = "How much it counts, from -1 to 2; one number, or one for each step"},
           {.name = "method",
            .type = IMU_T_ENUM,
            .choices = methods,
            .fallback = "\"full\"",
            .help = "Whether style, composition or all of the pictures counts"},
           STEER_WINDOW,
           {.name = "mask",
            .type = IMU_T_OTHER,
            .ref = "TensorField",
            .flags = IMU_F_NULLABLE,
            .help = "The part of the picture where it counts; none: all of it"}),
    &ip_output,
    run_ip};

const imu_node_type *const imu_nodes_ip[] = {&ip_node, NULL};
