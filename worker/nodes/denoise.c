/* What the nodes that denoise have in common. */
#include "worker/nodes/denoise.h"

#include "worker/nodes/control.h"
#include "worker/nodes/ip.h"
#include "worker/nodes/latents.h"
#include "worker/nodes/models.h"
#include "worker/nodes/t2i.h"

#include <stdlib.h>
#include <string.h>

#define PREVIEW_INTERVAL 200 /* milliseconds */

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
    const imu_latent_colours *colours;
    int64_t last;
    imu_loading loading;
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
    imu_image *preview = shown ? imu_latents_preview(shown, w->colours) : NULL;
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
            note.width = view.width * IMU_CELL;
            note.height = view.height * IMU_CELL;
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
    imu_loading_tell(&w->loading);
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

int imu_denoise_take(imu_call *call, imu_denoise_inputs *in)
{
    imu_denoise_args *args = &in->args;
    char negative_base[16];
    *in = (imu_denoise_inputs){.scale = NULL};
    imu_denoise_defaults(args);
    if (imu_in_float(call, "denoising_start") > imu_in_float(call, "denoising_end"))
        return imu_refuse(call->error, "InvalidInput",
                          "\"denoising_start\" must not be more than \"denoising_end\".");
    args->steps = (int)imu_in_int(call, "steps");
    args->scheduler = imu_in_text(call, "scheduler");
    args->cfg_rescale = imu_in_float(call, "cfg_rescale_multiplier");
    args->denoising_start = imu_in_float(call, "denoising_start");
    args->denoising_end = imu_in_float(call, "denoising_end");
    in->scale = guidance(call, &args->cfg_scale_count);
    args->cfg_scale = in->scale;
    if (!in->scale || take_latents(call, args))
        return -1;
    args->positive = gather(call, "positive_conditioning", &in->positive, in->base);
    args->negative =
        args->positive ? gather(call, "negative_conditioning", &in->negative, negative_base) : NULL;
    if (!args->negative)
        return -1;
    /* Guidance of 1 takes nothing of the negative prompt: half the work. */
    if (args->cfg_scale_count == 1 && in->scale[0] == 1)
        args->negative = NULL;
    return 0;
}

void imu_denoise_release(imu_denoise_inputs *in)
{
    imu_array_free(in->positive.embeds);
    imu_array_free(in->negative.embeds);
    free(in->scale);
}

/* What steers the run by pictures. */
struct steering {
    imu_controls controls;
    imu_t2is t2is;
    imu_ips ips;
};

static void close_steering(struct steering *s)
{
    imu_controls_close(&s->controls);
    imu_t2is_close(&s->t2is);
    imu_ips_close(&s->ips);
}

/* Opens it for latents of that many cells; to be closed, after a failure too. */
static int take_steering(imu_call *call, const char *base, int64_t height, int64_t width,
                         struct steering *s, imu_denoise_args *args)
{
    if (imu_controls_take(call, imu_in(call, "control"), base, height, width, &s->controls) ||
        imu_t2is_take(call, imu_in(call, "t2i_adapter"), base, height, width, &s->t2is) ||
        imu_ips_take(call, imu_in(call, "ip_adapter"), base, height, width, &s->ips))
        return -1;
    args->controls = s->controls.use;
    args->control_count = s->controls.count;
    args->t2is = s->t2is.use;
    args->t2i_count = s->t2is.count;
    args->ips = s->ips.use;
    args->ip_count = s->ips.count;
    return 0;
}

int imu_denoise_run(imu_call *call, imu_denoise_inputs *in, const imu_tile_args *tiles)
{
    imu_denoise_args *args = &in->args;
    imu_model *model;
    imu_array *out;
    imu_fault fault;
    if (imu_models_get(call, json_object_get(imu_in(call, "unet"), "unet"), IMU_PART_UNET, &model))
        return -1;
    if (imu_models_set_loras(call, model, IMU_PART_UNET, 0,
                             json_object_get(imu_in(call, "unet"), "loras")))
        return -1;
    const imu_model_info *info = imu_model_get_info(model);
    if (in->base[0] && strcmp(in->base, info->base))
        return imu_refuse(call->error, "InvalidInput",
                          "The prompt was encoded by a %s model, the UNet is of a %s model.",
                          in->base, info->base);
    const imu_array *shape = args->latents ? args->latents : args->noise;
    struct steering steering = {.controls.count = 0};
    /* NOLINTNEXTLINE(clang-analyzer-core.NullDereference): imu_denoise_take has left one of the two
     */
    if (take_steering(call, info->base, shape->dim[2], shape->dim[3], &steering, args)) {
        close_steering(&steering);
        return -1;
    }
    struct watch w = {.call = call, .colours = &info->colours};
    args->user = &w;
    args->progress = on_step;
    args->cancelled = on_block;
    if (!imu_loading_begin(&w.loading, call, model, IMU_PART_UNET) && call->env->progress)
        call->env->progress(
            call->env->user, call,
            &(struct imu_progress_note){.message = "Denoising", .total = args->steps});
    imu_engine_status status = tiles ? imu_model_denoise_tiles(model, args, tiles, &out, &fault)
                                     : imu_model_denoise(model, args, &out, &fault);
    close_steering(&steering);
    if (status != IMU_ENGINE_OK)
        return imu_models_fault(call, &fault);
    int64_t scale = info->vae_scale;
    const char *name = imu_env_keep_latents(call, out, info->base, args->seed);
    return name ? imu_out(call, imu_latents_output(name, out, scale, args->seed)) : -1;
}

const char *const imu_schedulers[] = {
    "ddim",      "ddpm",        "deis",         "deis_k",         "lms",      "lms_k",
    "pndm",      "heun",        "heun_k",       "euler",          "euler_k",  "euler_a",
    "kdpm_2",    "kdpm_2_k",    "kdpm_2_a",     "kdpm_2_a_k",     "dpmpp_2s", "dpmpp_2s_k",
    "dpmpp_2m",  "dpmpp_2m_k",  "dpmpp_2m_sde", "dpmpp_2m_sde_k", "dpmpp_3m", "dpmpp_3m_k",
    "dpmpp_sde", "dpmpp_sde_k", "er_sde",       "unipc",          "unipc_k",  "lcm",
    "tcd",       NULL,
};
