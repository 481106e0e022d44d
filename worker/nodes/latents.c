/* Nodes that draw noise and denoise. */
#include "worker/nodes/control.h"
#include "worker/nodes/families.h"
#include "worker/nodes/fields.h"
#include "worker/nodes/latents.h"
#include "worker/nodes/models.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#define SCALE            8   /* pixels that a cell of latents is wide */
#define PREVIEW_INTERVAL 200 /* milliseconds */

json_t *imu_latents_output(const char *name, const imu_array *a, int64_t scale, uint64_t seed)
{
    json_int_t width = a->dim[3] * scale, height = a->dim[2] * scale;
    return json_pack("{s:{s:s,s:I},s:I,s:I}", "latents", "latents_name", name, "seed",
                     (json_int_t)seed, "width", width, "height", height);
}

void imu_seamless_axes(const json_t *part, bool *x, bool *y)
{
    const json_t *axis;
    size_t i;
    *x = *y = false;
    json_array_foreach (json_object_get(part, "seamless_axes"), i, axis) {
        const char *name = json_string_value(axis);
        *x |= name && !strcmp(name, "x");
        *y |= name && !strcmp(name, "y");
    }
}

/* ---- noise ---- */

static int run_noise(imu_call *call)
{
    if (strcmp(imu_in_text(call, "noise_type"), "SD"))
        return imu_refuse(call->error, "NotSupported",
                          "This worker makes noise for Stable Diffusion only.");
    uint64_t seed = (uint64_t)imu_in_int(call, "seed");
    imu_array *noise =
        imu_noise(seed, 4, (int)imu_in_int(call, "width"), (int)imu_in_int(call, "height"), SCALE);
    const char *name = imu_env_keep_latents(call, noise, NULL, seed);
    if (!name)
        return -1;
    return imu_out(call, json_pack("{s:{s:s,s:I},s:O,s:O}", "noise", "latents_name", name, "seed",
                                   (json_int_t)seed, "width", imu_in(call, "width"), "height",
                                   imu_in(call, "height")));
}

static const char *const noise_types[] = {"SD",       "FLUX",    "FLUX.2", "SD3",
                                          "CogView4", "Z-Image", "Anima",  NULL};
#define PIXELS(field, words)                                                                       \
    {                                                                                              \
        .name = field, .type = IMU_T_INT, .flags = IMU_F_MIN | IMU_F_ABOVE_MIN | IMU_F_MAX,        \
        .max = IMU_ENV_MAX_SIDE, .multiple_of = 8, .fallback = "512", .help = words                \
    }
static const imu_output_type noise_output = {
    "NoiseOutput", "noise_output", "Noise to start from",
    FIELDS({.name = "noise", .type = IMU_T_LATENTS, .help = "The noise"},
           {.name = "width", .type = IMU_T_INT, .help = "Width of the picture in pixels"},
           {.name = "height", .type = IMU_T_INT, .help = "Height of the picture in pixels"})};
static const imu_node_type noise_node = {
    "noise",
    "NoiseInvocation",
    "Create Latent Noise",
    "1.1.0",
    "latents",
    "latents noise",
    "Draws the noise that a picture is made out of; the same seed gives the same noise.",
    0,
    FIELDS({.name = "noise_type",
            .type = IMU_T_ENUM,
            .choices = noise_types,
            .fallback = "\"SD\"",
            .help = "The family of models that the noise is for"},
           {.name = "seed",
            .type = IMU_T_INT,
            .flags = IMU_F_MIN | IMU_F_MAX,
            .min = 0,
            .max = 4294967295.0,
            .fallback = "0",
            .help = "Where the random numbers start"},
           PIXELS("width", "Width of the picture in pixels"),
           PIXELS("height", "Height of the picture in pixels"),
           {.name = "use_cpu",
            .type = IMU_T_BOOL,
            .fallback = "true",
            .help = "Draw on the processor, so that every machine draws the same; always so here"}),
    &noise_output,
    run_noise};

/* ---- conditioning ---- */

/* One conditioning out of one or several: several are put one behind the other. NULL with
 * call->error. */
static const imu_conditioning *gather(imu_call *call, const char *input, imu_conditioning *joined,
                                      char base[16])
{
    const json_t *given = imu_in(call, input), *item;
    const struct imu_thing *parts[64];
    size_t n = 0, i;
    int64_t tokens = 0;
    if (json_is_object(given)) {
        parts[0] = imu_env_conditioning(call, given);
        n = parts[0] ? 1 : 0;
    }
    json_array_foreach (given, i, item) {
        const struct imu_thing *t = n < 64 ? imu_env_conditioning(call, item) : NULL;
        if (!t) {
            if (n == 64)
                imu_refuse(call->error, "TooLarge", "At most 64 prompts can be used together.");
            return NULL;
        }
        parts[n++] = t;
    }
    if (n == 0) {
        if (!json_is_object(given))
            imu_refuse(call->error, "InvalidInput", "\"%s\" has no prompt.", input);
        return NULL;
    }
    memcpy(base, parts[0]->base, 16);
    if (n == 1)
        return parts[0]->conditioning;
    int64_t width = parts[0]->conditioning->embeds->dim[2];
    for (i = 0; i < n; i++) {
        tokens += parts[i]->conditioning->embeds->dim[1];
        if (parts[i]->conditioning->embeds->dim[2] != width) {
            imu_refuse(call->error, "InvalidInput",
                       "The prompts were encoded by different models.");
            return NULL;
        }
    }
    joined->embeds = imu_array_new(3, (const int64_t[]){1, tokens, width});
    if (!joined->embeds) {
        imu_refuse(call->error, "OutOfMemory", "Not enough memory for the prompts.");
        return NULL;
    }
    float *to = joined->embeds->data;
    for (i = 0; i < n; i++) {
        size_t count = (size_t)imu_array_count(parts[i]->conditioning->embeds);
        memcpy(to, parts[i]->conditioning->embeds->data, count * sizeof *to);
        to += count;
    }
    joined->pooled = parts[0]->conditioning->pooled;
    joined->time_id_count = parts[0]->conditioning->time_id_count;
    memcpy(joined->time_ids, parts[0]->conditioning->time_ids, sizeof joined->time_ids);
    return joined;
}

/* ---- denoising ---- */

struct watch {
    imu_call *call;
    const char *base;
    int64_t last;
};

static int on_step(void *user, const imu_progress *p)
{
    struct watch *w = user;
    imu_env *env = w->call->env;
    int64_t now = imu_clock_ms();
    if (!env->progress || (now - w->last < PREVIEW_INTERVAL && p->step < p->total))
        return imu_call_cancelled(w->call);
    w->last = now;
    const imu_array *shown = p->predicted_original ? p->predicted_original : p->latents;
    imu_image *preview = shown ? imu_latents_preview(shown, w->base) : NULL;
    imu_bytes jpeg = {0};
    struct imu_progress_note note = {.message = "Denoising", .step = p->step, .total = p->total};
    if (preview) {
        imu_picture view = {.width = preview->width,
                            .height = preview->height,
                            .channels = 3,
                            .data = preview->rgb};
        imu_error unused;
        if (!imu_jpeg_encode(&view, 85, &jpeg, &unused)) {
            note.image = &jpeg;
            note.mime = "image/jpeg";
            /* The size it is to be shown at: the picture's, not the preview's own. */
            note.width = view.width * SCALE;
            note.height = view.height * SCALE;
        }
    }
    env->progress(env->user, w->call, &note);
    free(jpeg.data);
    imu_image_free(preview);
    return imu_call_cancelled(w->call);
}

static int on_block(void *user)
{
    struct watch *w = user;
    return imu_call_cancelled(w->call);
}

/* cfg_scale is one number or one for each step. NULL with call->error; to be freed. */
static double *guidance(imu_call *call, int *count)
{
    const json_t *given = imu_in(call, "cfg_scale"), *item;
    size_t n = json_is_array(given) ? json_array_size(given) : 1, i;
    if (n == 0 || n > 1000) {
        imu_refuse(call->error, "InvalidInput", "\"cfg_scale\" must hold 1 to 1000 numbers.");
        return NULL;
    }
    double *scale = calloc(n, sizeof *scale);
    if (!scale) {
        imu_refuse(call->error, "OutOfMemory", "Not enough memory.");
        return NULL;
    }
    scale[0] = json_number_value(given);
    json_array_foreach (given, i, item)
        scale[i] = json_number_value(item);
    for (i = 0; i < n; i++) {
        if (!(scale[i] >= 1 && scale[i] <= 1000)) {
            free(scale);
            imu_refuse(call->error, "InvalidInput", "\"cfg_scale\" must be 1 to 1000.");
            return NULL;
        }
    }
    *count = (int)n;
    return scale;
}

static imu_freeu freeu_of(const json_t *unet)
{
    const json_t *f = json_object_get(unet, "freeu_config");
    return (imu_freeu){
        {json_number_value(json_object_get(f, "s1")), json_number_value(json_object_get(f, "s2"))},
        {json_number_value(json_object_get(f, "b1")), json_number_value(json_object_get(f, "b2"))}};
}

static int check_denoise(imu_call *call)
{
    static const char *const later[] = {"ip_adapter", "t2i_adapter"};
    for (size_t i = 0; i < sizeof later / sizeof later[0]; i++) {
        const json_t *v = imu_in(call, later[i]);
        if (v && !json_is_null(v) && !(json_is_array(v) && json_array_size(v) == 0))
            return imu_refuse(call->error, "NotSupported", "This worker can't use \"%s\" yet.",
                              later[i]);
    }
    if (imu_in_bool(call, "hidiffusion"))
        return imu_refuse(call->error, "NotSupported",
                          "This worker can't use HiDiffusion yet. Switch it off and try again.");
    if (imu_in_float(call, "denoising_start") > imu_in_float(call, "denoising_end"))
        return imu_refuse(call->error, "InvalidInput",
                          "\"denoising_start\" must not be more than \"denoising_end\".");
    return 0;
}

/* Latents that the noise and start inputs name, and the seed for schedulers that draw more of it.
 */
static int take_latents(imu_call *call, imu_denoise_args *args)
{
    const struct imu_thing *start = NULL, *noise = NULL;
    if (imu_in_given(call, "latents") && !(start = imu_env_latents(call, imu_in(call, "latents"))))
        return -1;
    if (imu_in_given(call, "noise") && !(noise = imu_env_latents(call, imu_in(call, "noise"))))
        return -1;
    if (!start && !noise)
        return imu_refuse(call->error, "InvalidInput", "Connect \"noise\", \"latents\" or both.");
    if (start && noise &&
        (start->latents->dim[2] != noise->latents->dim[2] ||
         start->latents->dim[3] != noise->latents->dim[3]))
        return imu_refuse(call->error, "InvalidInput",
                          "\"noise\" and \"latents\" stand for pictures of different sizes.");
    args->noise = noise ? noise->latents : NULL;
    args->latents = start ? start->latents : NULL;
    args->seed = noise ? noise->seed : start->seed;
    return 0;
}

/* The value of an array between its cells; x and y from 0 to 1. */
static double sample(const imu_array *a, double x, double y)
{
    int64_t w = a->dim[3], h = a->dim[2];
    double u = x * (double)w - 0.5, v = y * (double)h - 0.5, sum = 0;
    int64_t left = (int64_t)floor(u), top = (int64_t)floor(v);
    for (int64_t k = 0; k < 4; k++) {
        int64_t i = left + k % 2, j = top + k / 2;
        double share = (1 - fabs(u - (double)i)) * (1 - fabs(v - (double)j));
        i = i < 0 ? 0 : i < w ? i : w - 1;
        j = j < 0 ? 0 : j < h ? j : h - 1;
        sum += share * (double)a->data[j * w + i];
    }
    return sum;
}

/* The mask as the engine takes it: in cells of the latents, 1 where they change. NULL without a
 * mask, or with call->error set. */
static int take_mask(imu_call *call, imu_denoise_args *args, imu_array **mask)
{
    const json_t *given = imu_in(call, "denoise_mask");
    if (!imu_in_given(call, "denoise_mask"))
        return 0;
    const struct imu_thing *masked = NULL, *thing = imu_env_tensor(call, given, "mask_name");
    if (thing && imu_json_str(given, "masked_latents_name") &&
        !(masked = imu_env_tensor(call, given, "masked_latents_name")))
        return -1;
    if (!thing)
        return -1;
    if (!args->latents || thing->latents->dim[1] != 1)
        return imu_refuse(call->error, "InvalidInput",
                          "\"denoise_mask\" needs \"latents\" of the picture that it is for.");
    int64_t h = args->latents->dim[2], w = args->latents->dim[3];
    *mask = imu_array_new(4, (int64_t[]){1, 1, h, w});
    if (!*mask)
        return imu_refuse(call->error, "OutOfMemory", "Not enough memory for the mask.");
    for (int64_t y = 0; y < h; y++)
        for (int64_t x = 0; x < w; x++)
            (*mask)->data[y * w + x] =
                (float)(1 - sample(thing->latents, ((double)x + 0.5) / (double)w,
                                   ((double)y + 0.5) / (double)h));
    args->mask = *mask;
    args->gradient_mask = json_is_true(json_object_get(given, "gradient"));
    args->masked_latents = masked ? masked->latents : NULL;
    return 0;
}

static int denoise(imu_call *call, imu_denoise_args *args, const char *base)
{
    imu_model *model;
    imu_array *out;
    imu_fault fault;
    if (imu_models_get(call, json_object_get(imu_in(call, "unet"), "unet"), IMU_PART_UNET, &model))
        return -1;
    if (imu_models_set_loras(call, model, IMU_PART_UNET, 0,
                             json_object_get(imu_in(call, "unet"), "loras")))
        return -1;
    const imu_model_info *info = imu_model_get_info(model);
    if (base[0] && strcmp(base, info->base))
        return imu_refuse(call->error, "InvalidInput",
                          "The prompt was encoded by a %s model, the UNet is of a %s model.", base,
                          info->base);
    const imu_array *shape = args->latents ? args->latents : args->noise;
    imu_controls controls = {.count = 0};
    /* NOLINTNEXTLINE(clang-analyzer-core.NullDereference): take_latents has left one of the two */
    if (imu_controls_take(call, imu_in(call, "control"), info->base, shape->dim[2], shape->dim[3],
                          &controls)) {
        imu_controls_close(&controls);
        return -1;
    }
    args->controls = controls.use;
    args->control_count = controls.count;
    struct watch w = {.call = call, .base = info->base};
    args->user = &w;
    args->progress = on_step;
    args->cancelled = on_block;
    if (call->env->progress)
        call->env->progress(
            call->env->user, call,
            &(struct imu_progress_note){.message = "Denoising", .total = args->steps});
    imu_engine_status status = imu_model_denoise(model, args, &out, &fault);
    imu_controls_close(&controls);
    if (status != IMU_ENGINE_OK)
        return imu_models_fault(call, &fault);
    int64_t scale = info->vae_scale;
    const char *name = imu_env_keep_latents(call, out, info->base, args->seed);
    return name ? imu_out(call, imu_latents_output(name, out, scale, args->seed)) : -1;
}

static int run_denoise(imu_call *call)
{
    imu_denoise_args args;
    imu_conditioning positive = {0}, negative = {0};
    imu_array *mask = NULL;
    char base[16], negative_base[16];
    int n = 0;
    if (check_denoise(call))
        return -1;
    imu_denoise_defaults(&args);
    args.steps = (int)imu_in_int(call, "steps");
    args.scheduler = imu_in_text(call, "scheduler");
    args.cfg_rescale = imu_in_float(call, "cfg_rescale_multiplier");
    args.denoising_start = imu_in_float(call, "denoising_start");
    args.denoising_end = imu_in_float(call, "denoising_end");
    imu_seamless_axes(imu_in(call, "unet"), &args.seamless_x, &args.seamless_y);
    args.freeu = freeu_of(imu_in(call, "unet"));
    double *scale = guidance(call, &n);
    int rc = scale && !take_latents(call, &args) ? take_mask(call, &args, &mask) : -1;
    args.cfg_scale = scale;
    args.cfg_scale_count = n;
    if (!rc && (!(args.positive = gather(call, "positive_conditioning", &positive, base)) ||
                !(args.negative = gather(call, "negative_conditioning", &negative, negative_base))))
        rc = -1;
    /* Guidance of 1 takes nothing of the negative prompt: half the work. */
    if (!rc && n == 1 && scale[0] == 1)
        args.negative = NULL;
    if (!rc)
        rc = denoise(call, &args, base);
    imu_array_free(mask);
    imu_array_free(positive.embeds);
    imu_array_free(negative.embeds);
    free(scale);
    return rc;
}

static const char *const schedulers[] = {
    "ddim",      "ddpm",        "deis",         "deis_k",         "lms",      "lms_k",
    "pndm",      "heun",        "heun_k",       "euler",          "euler_k",  "euler_a",
    "kdpm_2",    "kdpm_2_k",    "kdpm_2_a",     "kdpm_2_a_k",     "dpmpp_2s", "dpmpp_2s_k",
    "dpmpp_2m",  "dpmpp_2m_k",  "dpmpp_2m_sde", "dpmpp_2m_sde_k", "dpmpp_3m", "dpmpp_3m_k",
    "dpmpp_sde", "dpmpp_sde_k", "er_sde",       "unipc",          "unipc_k",  "lcm",
    "tcd",       NULL,
};
#define PROMPTS(field, order, words)                                                               \
    {                                                                                              \
        .name = field, .type = IMU_T_CONDITIONING,                                                 \
        .flags = IMU_F_OR_LIST | IMU_F_REQUIRED | IMU_F_CONNECTION, .ui_order = order,             \
        .help = words                                                                              \
    }
#define LATER(field, schema, order, extra, words)                                                  \
    {                                                                                              \
        .name = field, .type = IMU_T_OTHER, .ref = schema,                                         \
        .flags = (extra) | IMU_F_NULLABLE | IMU_F_CONNECTION, .ui_order = order, .help = words     \
    }
#define SHARE(field, value, words)                                                                 \
    {                                                                                              \
        .name = field, .type = IMU_T_FLOAT, .flags = IMU_F_MIN | IMU_F_MAX, .min = 0, .max = 1,    \
        .fallback = value, .help = words                                                           \
    }
static const imu_node_type denoise_node = {
    "denoise_latents",
    "DenoiseLatentsInvocation",
    "Denoise - SD1.5, SDXL",
    "1.6.0",
    "latents",
    "latents denoise txt2img t2i t2l img2img i2i l2l",
    "Turns noise into the latents of a picture, step by step.",
    0,
    FIELDS(PROMPTS("positive_conditioning", 1, "What the picture should show"),
           PROMPTS("negative_conditioning", 2, "What it should not show"),
           {.name = "unet",
            .type = IMU_T_UNET,
            .flags = IMU_F_REQUIRED | IMU_F_CONNECTION,
            .title = "UNet",
            .ui_order = 3,
            .help = "The network that denoises"},
           {.name = "noise",
            .type = IMU_T_LATENTS,
            .flags = IMU_F_NULLABLE | IMU_F_CONNECTION,
            .ui_order = 4,
            .help = "The noise to start from"},
           {.name = "steps",
            .type = IMU_T_INT,
            .flags = IMU_F_MIN | IMU_F_ABOVE_MIN | IMU_F_MAX,
            .max = 1000,
            .fallback = "10",
            .help = "In how many steps; more is finer and slower"},
           {.name = "cfg_scale",
            .type = IMU_T_FLOAT,
            .flags = IMU_F_OR_LIST,
            .title = "CFG Scale",
            .fallback = "7.5",
            .help = "How closely to follow the prompt; one number, or one for each step"},
           SHARE("denoising_start", "0.0", "Where in the run to begin"),
           SHARE("denoising_end", "1.0", "Where to stop"),
           {.name = "scheduler",
            .type = IMU_T_ENUM,
            .choices = schedulers,
            .fallback = "\"euler\"",
            .ui_type = "SchedulerField",
            .help = "The rule that sets the steps"},
           {.name = "cfg_rescale_multiplier",
            .type = IMU_T_FLOAT,
            .flags = IMU_F_MIN | IMU_F_MAX | IMU_F_BELOW_MAX,
            .max = 1,
            .title = "CFG Rescale Multiplier",
            .fallback = "0",
            .help = "Softens guidance, for models trained to full noise"},
           {.name = "latents",
            .type = IMU_T_LATENTS,
            .flags = IMU_F_NULLABLE | IMU_F_CONNECTION,
            .ui_order = 5,
            .help = "Latents of a picture to change, in place of a new one"},
           LATER("control", "ControlField", 6, IMU_F_OR_LIST, "ControlNets: pictures that steer"),
           LATER("ip_adapter", "IPAdapterField", 7, IMU_F_OR_LIST,
                 "Reference pictures (not available here)"),
           LATER("t2i_adapter", "T2IAdapterField", 8, IMU_F_OR_LIST,
                 "T2I adapters (not available here)"),
           LATER("denoise_mask", "DenoiseMaskField", 9, 0,
                 "The part of the picture that is to change"),
           {.name = "hidiffusion",
            .type = IMU_T_BOOL,
            .fallback = "false",
            .title = "HiDiffusion",
            .help = "A trick for large pictures (not available here)"},
           {.name = "hidiffusion_raunet",
            .type = IMU_T_BOOL,
            .fallback = "true",
            .help = "Part of HiDiffusion"},
           {.name = "hidiffusion_window_attn",
            .type = IMU_T_BOOL,
            .fallback = "true",
            .help = "Part of HiDiffusion"},
           SHARE("hidiffusion_t1_ratio", "0.4", "Part of HiDiffusion"),
           SHARE("hidiffusion_t2_ratio", "0.0", "Part of HiDiffusion")),
    &imu_out_latents,
    run_denoise};

static int run_latents(imu_call *call)
{
    const struct imu_thing *t = imu_env_latents(call, imu_in(call, "latents"));
    return t ? imu_out(call, imu_latents_output(t->name, t->latents, SCALE, t->seed)) : -1;
}

static const imu_node_type latents_node = {"latents",
                                           "LatentsInvocation",
                                           "Latents Primitive",
                                           "1.0.2",
                                           "primitives",
                                           "primitives latents",
                                           "Holds latents that other nodes can share.",
                                           0,
                                           FIELDS({.name = "latents",
                                                   .type = IMU_T_LATENTS,
                                                   .flags = IMU_F_REQUIRED | IMU_F_CONNECTION,
                                                   .help = "The latents"}),
                                           &imu_out_latents,
                                           run_latents};

const imu_node_type *const imu_nodes_latents[] = {&noise_node, &denoise_node, &latents_node, NULL};
