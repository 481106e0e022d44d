/* The denoising loop. */
#include "worker/diffusion/denoise.h"

#include "worker/diffusion/control.h"
#include "worker/diffusion/denoise_ip.h"
#include "worker/diffusion/model.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

/* The generator of ancestral noise is seeded with the seed's complement, so that it never repeats
 * the starting noise. */
#define STEP_SEED_FLIP 0xFFFFFFFFu
/* How good a picture a refiner is asked for when nobody says. */
#define REFINER_SCORE 6.0f

void imu_denoise_defaults(imu_denoise_args *args)
{
    static const double guidance = 7.5;
    *args = (imu_denoise_args){.steps = 30,
                               .cfg_scale = &guidance,
                               .cfg_scale_count = 1,
                               .scheduler = "dpmpp_3m_k",
                               .denoising_end = 1};
}

static int draw(void *user, float *dst, size_t n)
{
    imu_rng_normal(&((imu_denoising *)user)->rng, dst, n);
    return 0;
}

static bool same_shape(const imu_array *a, const imu_array *b)
{
    return a->ndim == b->ndim && !memcmp(a->dim, b->dim, (size_t)a->ndim * sizeof *a->dim);
}

static imu_engine_status check_conditioning(const imu_unet_info *info, const imu_conditioning *c,
                                            imu_fault *fault)
{
    if (!c->embeds || c->embeds->ndim != 3 || c->embeds->dim[0] != 1 ||
        c->embeds->dim[2] != info->context_width)
        return imu_fail(fault, IMU_ENGINE_BAD_INPUT,
                        "The conditioning was made for another kind of model.");
    if (info->pooled_width && (!c->pooled || imu_array_count(c->pooled) != info->pooled_width))
        return imu_fail(fault, IMU_ENGINE_BAD_INPUT,
                        "The conditioning lacks the pooled text of this model.");
    if (info->size_numbers && c->time_id_count && c->time_id_count != info->size_numbers)
        return imu_fail(fault, IMU_ENGINE_BAD_INPUT,
                        "The conditioning was made for another kind of XL model.");
    return IMU_ENGINE_OK;
}

/* Whether the UNet was made for inpainting: it takes a mask and the latents of what stays as well.
 */
static bool paints_in(const imu_unet_info *info)
{
    return info->in_channels == 2 * info->out_channels + 1;
}

static imu_engine_status check_latents(const imu_unet_info *info, const imu_denoise_args *a,
                                       imu_fault *fault)
{
    const imu_array *shape = a->latents ? a->latents : a->noise;
    if (!shape || shape->ndim != 4 || shape->dim[0] != 1 || shape->dim[1] != info->out_channels)
        return imu_fail(fault, IMU_ENGINE_BAD_INPUT,
                        "The latents or the noise have the wrong shape.");
    if (a->noise && !same_shape(shape, a->noise))
        return imu_fail(fault, IMU_ENGINE_BAD_INPUT, "Noise and latents differ in size.");
    if (a->masked_latents && !same_shape(shape, a->masked_latents))
        return imu_fail(fault, IMU_ENGINE_BAD_INPUT, "Latents and masked latents differ in size.");
    if (!a->mask)
        return IMU_ENGINE_OK;
    if (!a->latents)
        return imu_fail(fault, IMU_ENGINE_BAD_INPUT, "A mask needs latents to keep.");
    if (imu_array_count(a->mask) != shape->dim[2] * shape->dim[3])
        return imu_fail(fault, IMU_ENGINE_BAD_INPUT, "The mask and the latents differ in size.");
    return IMU_ENGINE_OK;
}

static bool is_sound(const imu_when *w)
{
    return w->weight_count > 0 && w->begin >= 0 && w->begin <= w->end && w->end <= 1;
}

static imu_engine_status check_controls(const imu_model *m, const imu_denoise_args *a,
                                        imu_fault *fault)
{
    for (int i = 0; i < a->control_count; i++) {
        const imu_control_use *c = &a->controls[i];
        if (!imu_control_fits(c->control, m->unet))
            return imu_fail(fault, IMU_ENGINE_BAD_INPUT,
                            "A ControlNet was made for another kind of model.");
        if (!is_sound(&c->when))
            return imu_fail(fault, IMU_ENGINE_BAD_INPUT,
                            "A ControlNet must begin at 0 or later, and end by 1.");
    }
    for (int i = 0; i < a->t2i_count; i++)
        if (!is_sound(&a->t2is[i].when))
            return imu_fail(fault, IMU_ENGINE_BAD_INPUT,
                            "A T2I adapter must begin at 0 or later, and end by 1.");
    for (int i = 0; i < a->ip_count; i++)
        if (!is_sound(&a->ips[i].when))
            return imu_fail(fault, IMU_ENGINE_BAD_INPUT,
                            "An IP adapter must begin at 0 or later, and end by 1.");
    if ((a->control_count || a->t2i_count) && m->info.vae_scale != 8)
        return imu_fail(fault, IMU_ENGINE_UNSUPPORTED,
                        "ControlNets and T2I adapters need latents with cells of 8 pixels.");
    return IMU_ENGINE_OK;
}

imu_engine_status imu_denoising_check(const imu_model *m, const imu_denoise_args *a,
                                      imu_fault *fault)
{
    const imu_unet_info *info = imu_unet_get_info(m->unet);
    if (info->in_channels != info->out_channels && !paints_in(info))
        return imu_fail(fault, IMU_ENGINE_UNSUPPORTED,
                        "The UNet takes more than latents, a mask and masked latents.");
    if (!a->positive || a->cfg_scale_count < 1 || !a->cfg_scale)
        return imu_fail(fault, IMU_ENGINE_BAD_INPUT,
                        "A positive conditioning and a guidance scale are needed.");
    for (int i = 0; i < a->cfg_scale_count; i++)
        if (!isfinite(a->cfg_scale[i]))
            return imu_fail(fault, IMU_ENGINE_BAD_INPUT, "The guidance scale must be a number.");
    if (!(a->cfg_rescale >= 0 && a->cfg_rescale <= 1))
        return imu_fail(fault, IMU_ENGINE_BAD_INPUT, "The guidance rescale must be from 0 to 1.");
    if (!(a->denoising_start >= 0 && a->denoising_start <= a->denoising_end &&
          a->denoising_end <= 1))
        return imu_fail(fault, IMU_ENGINE_BAD_INPUT,
                        "Denoising must start at 0 or later, and end by 1.");
    imu_engine_status s = check_latents(info, a, fault);
    if (!s)
        s = check_controls(m, a, fault);
    if (!s)
        s = check_conditioning(info, a->positive, fault);
    return s || !a->negative ? s : check_conditioning(info, a->negative, fault);
}

static void lay_side_by_side(float *pair, const imu_array *first, const imu_array *second)
{
    size_t a = (size_t)imu_array_count(first);
    memcpy(pair, first->data, a * sizeof *pair);
    if (second)
        memcpy(pair + a, second->data, (size_t)imu_array_count(second) * sizeof *pair);
}

/* XL: what the conditioning says about the picture's size, or what the latents say. */
static void describe_size(const imu_denoising *r, const imu_conditioning *c, float *ids)
{
    int numbers = imu_unet_get_info(r->model->unet)->size_numbers;
    float height = (float)(r->x->dim[2] * r->model->info.vae_scale);
    float width = (float)(r->x->dim[3] * r->model->info.vae_scale);
    const float whole[IMU_MAX_TIME_IDS] = {height, width, 0, 0, height, width};
    const float score[IMU_MAX_TIME_IDS] = {height, width, 0, 0, REFINER_SCORE};
    const float *from = c->time_id_count ? c->time_ids : numbers == 6 ? whole : score;
    memcpy(ids, from, (size_t)numbers * sizeof *ids);
}

/* Contexts one after the other: negative, positive. */
static imu_engine_status prepare_context(imu_denoising *r, imu_fault *fault)
{
    const imu_conditioning *p = r->args->positive, *n = r->args->negative;
    const imu_unet_info *info = imu_unet_get_info(r->model->unet);
    size_t size = (size_t)imu_array_count(p->embeds) + (n ? (size_t)imu_array_count(n->embeds) : 0);
    r->context = malloc(size * sizeof *r->context);
    r->pooled = calloc(2 * (size_t)info->pooled_width + 1, sizeof *r->pooled);
    if (!r->context || !r->pooled)
        return imu_fail_memory(fault);
    lay_side_by_side(r->context, n ? n->embeds : p->embeds, n ? p->embeds : NULL);
    if (info->pooled_width)
        lay_side_by_side(r->pooled, n ? n->pooled : p->pooled, n ? p->pooled : NULL);
    describe_size(r, n ? n : p, r->time_ids);
    describe_size(r, p, r->time_ids + info->size_numbers);
    return IMU_ENGINE_OK;
}

/* Noise of the shape of x, as torch draws it for the seed. */
static imu_array *draw_like(const imu_array *x, uint64_t seed)
{
    imu_array *noise = imu_array_new(x->ndim, x->dim);
    imu_rng rng;
    imu_rng_seed(&rng, seed);
    if (noise)
        imu_rng_normal(&rng, noise->data, (size_t)imu_array_count(noise));
    return noise;
}

/* Behind the latents of each row: the mask (1 = repaint) and the latents of what stays. */
static void add_what_stays(imu_denoising *r, size_t area)
{
    const imu_denoise_args *a = r->args;
    for (size_t row = 0; row < 2; row++) {
        float *mask = r->scaled + row * r->in_values + r->values;
        for (size_t i = 0; i < area; i++)
            mask[i] = a->mask ? a->mask->data[i] : 1;
        if (a->masked_latents)
            memcpy(mask + area, a->masked_latents->data, r->values * sizeof *mask);
    }
}

/* What each T2I adapter makes of its picture. */
static imu_engine_status run_t2is(imu_denoising *r, imu_fault *fault)
{
    const imu_denoise_args *a = r->args;
    int64_t h = r->x->dim[2], w = r->x->dim[3];
    imu_engine_status s = IMU_ENGINE_OK;
    r->t2i = calloc((size_t)a->t2i_count + 1, sizeof *r->t2i);
    if (!r->t2i)
        return imu_fail_memory(fault);
    for (int i = 0; i < a->t2i_count && !s; i++) {
        const imu_t2i_use *t = &a->t2is[i];
        s = imu_t2i_run(t->adapter, t->picture, imu_t2i_pixels(t->adapter, h),
                        imu_t2i_pixels(t->adapter, w), a->cancelled, a->user, &r->t2i[i], fault);
        if (!s && !imu_features_fit(&r->t2i[i], r->model->unet, h, w))
            s = imu_fail(fault, IMU_ENGINE_BAD_INPUT,
                         "A T2I adapter was made for another kind of model.");
    }
    return s;
}

imu_engine_status imu_denoising_open_scheduler(const imu_denoising *r, imu_scheduler **out,
                                               imu_fault *fault)
{
    const imu_denoise_args *a = r->args;
    imu_engine_status s =
        imu_scheduler_open(r->model->scheduler, a->scheduler, a->steps, r->values, out, fault);
    if (!s)
        imu_scheduler_seed(*out, a->seed);
    return s;
}

imu_engine_status imu_denoising_prepare(imu_denoising *r, imu_fault *fault)
{
    const imu_denoise_args *a = r->args;
    r->x = imu_array_clone(a->latents ? a->latents : a->noise);
    r->x0 = r->x ? imu_array_clone(r->x) : NULL;
    if (!r->x0)
        return imu_fail_memory(fault);
    r->values = (size_t)imu_array_count(r->x);
    const imu_unet_info *info = imu_unet_get_info(r->model->unet);
    size_t area = (size_t)(r->x->dim[2] * r->x->dim[3]);
    r->in_values = (size_t)info->in_channels * area;
    r->scaled = calloc(2 * r->in_values, sizeof *r->scaled);
    r->output = malloc(2 * r->values * sizeof *r->output);
    if (!r->scaled || !r->output)
        return imu_fail_memory(fault);
    imu_rng_seed(&r->rng, a->seed ^ STEP_SEED_FLIP);
    if (a->mask && !a->noise && !(r->drawn = draw_like(r->x, a->seed)))
        return imu_fail_memory(fault);
    if (a->mask)
        r->inpaint = (imu_inpaint){a->latents->data,     a->noise ? a->noise->data : r->drawn->data,
                                   a->mask->data,        a->gradient_mask,
                                   (size_t)r->x->dim[1], area};
    if (paints_in(info))
        add_what_stays(r, area);
    imu_engine_status s = prepare_context(r, fault);
    if (!s)
        s = run_t2is(r, fault);
    if (!s)
        s = imu_ip_runs_prepare(r->model->unet, a->ips, a->ip_count, r->x->dim[2], r->x->dim[3],
                                &r->ip, fault);
    return s ? s : imu_denoising_open_scheduler(r, &r->scheduler, fault);
}

/* Whether something counts in this step, as InvokeAI rounds it. */
static bool is_active(const imu_denoising *r, const imu_when *w)
{
    return r->step >= floor(w->begin * r->steps) && r->step <= ceil(w->end * r->steps);
}

static double weight_now(const imu_denoising *r, const imu_when *w)
{
    return w->weight[r->step < w->weight_count ? r->step : w->weight_count - 1];
}

/* What the ControlNets say to rows [first, first + count) of (negative, positive). */
static imu_engine_status run_controls(imu_denoising *r, const imu_unet_request *q, int first,
                                      imu_residuals *sum, imu_fault *fault)
{
    const imu_denoise_args *a = r->args;
    const imu_unet_info *info = imu_unet_get_info(r->model->unet);
    imu_engine_status s = IMU_ENGINE_OK;
    for (int i = 0; i < a->control_count && !s; i++) {
        const imu_control_use *c = &a->controls[i];
        imu_unet_request mine = *q;
        int64_t skipped = 0;
        if (!is_active(r, &c->when))
            continue;
        if (c->only_positive && a->negative && first == 0) {
            if (q->batch == 1)
                continue; /* the negative row by itself */
            skipped = 1;
            mine.batch = 1;
            mine.context += q->tokens * info->context_width;
            mine.pooled += info->pooled_width;
            mine.time_ids += info->size_numbers;
            mine.latents += r->in_values;
        }
        s = imu_control_run(c->control, &mine, c->picture, weight_now(r, &c->when), c->soft,
                            skipped, q->batch, sum, fault);
    }
    return s;
}

/* What the T2I adapters say, for `rows` rows. */
static imu_engine_status sum_t2is(imu_denoising *r, int64_t rows, imu_features *sum,
                                  imu_fault *fault)
{
    const imu_denoise_args *a = r->args;
    imu_engine_status s = IMU_ENGINE_OK;
    for (int i = 0; i < a->t2i_count && !s; i++)
        if (is_active(r, &a->t2is[i].when))
            s = imu_features_add(sum, &r->t2i[i], weight_now(r, &a->t2is[i].when), rows, fault);
    return s;
}

/* The IP adapters of this step, for rows from row `first` of (negative, positive). */
static int call_ips(const imu_denoising *r, int first, imu_ip_call *calls)
{
    const imu_denoise_args *a = r->args;
    int n = 0;
    for (int i = 0; i < a->ip_count; i++) {
        double weight = weight_now(r, &a->ips[i].when);
        if (is_active(r, &a->ips[i].when) && weight != 0)
            imu_ip_run_call(&a->ips[i], &r->ip[i], a->negative ? first : 1, weight, &calls[n++]);
    }
    return n;
}

/* `count` rows of the network from row `first` of (negative, positive); 77 and 154 tokens don't
 * mix. */
static imu_engine_status evaluate(imu_denoising *r, double t, int first, int count,
                                  imu_fault *fault)
{
    const imu_denoise_args *a = r->args;
    const imu_array *lead = a->negative ? a->negative->embeds : a->positive->embeds;
    const imu_array *mine = first ? a->positive->embeds : lead;
    double times[2] = {t, t};
    const imu_unet_info *info = imu_unet_get_info(r->model->unet);
    size_t pooled = (size_t)info->pooled_width;
    imu_unet_request q = {.batch = count,
                          .height = r->x->dim[2],
                          .width = r->x->dim[3],
                          .latents = r->scaled,
                          .timesteps = times,
                          .tokens = mine->dim[1],
                          .context = r->context + (first ? imu_array_count(lead) : 0),
                          .pooled = r->pooled + (size_t)first * pooled,
                          .time_ids = r->time_ids + first * info->size_numbers,
                          .out = r->output + (size_t)first * r->values,
                          .freeu = a->freeu,
                          .wrap = imu_wrap_of(a->seamless_x, a->seamless_y),
                          .cancelled = a->cancelled,
                          .user = a->user};
    imu_residuals residuals = {.count = 0};
    imu_features features = {.count = 0};
    imu_ip_calls ips = {.call = calloc((size_t)a->ip_count + 1, sizeof *ips.call)};
    imu_engine_status s =
        ips.call ? run_controls(r, &q, first, &residuals, fault) : imu_fail_memory(fault);
    if (!s)
        s = sum_t2is(r, q.batch, &features, fault);
    if (residuals.count)
        q.residuals = &residuals;
    if (features.count)
        q.features = &features;
    if (!s && (ips.count = call_ips(r, first, ips.call)))
        q.ips = &ips;
    if (!s)
        s = imu_unet_run(r->model->unet, &q, fault);
    imu_residuals_free(&residuals);
    imu_features_free(&features);
    free(ips.call);
    return s;
}

/* The guided output of the network into r->output. */
static imu_engine_status predict(imu_denoising *r, double t, double scale, imu_fault *fault)
{
    const imu_denoise_args *a = r->args;
    bool guided = a->negative && scale != 1;
    double factor = imu_scheduler_input_scale(r->scheduler);
    for (size_t i = 0; i < r->values; i++)
        r->scaled[i] = r->scaled[r->in_values + i] = (float)((double)r->x->data[i] * factor);
    if (!guided) { /* the positive alone; its row is the second when there is a negative one */
        int row = a->negative ? 1 : 0;
        imu_engine_status s = evaluate(r, t, row, 1, fault);
        if (!s && row)
            memcpy(r->output, r->output + r->values, r->values * sizeof *r->output);
        return s;
    }
    imu_engine_status s;
    if (!r->model->engine->sequential &&
        a->negative->embeds->dim[1] == a->positive->embeds->dim[1]) {
        s = evaluate(r, t, 0, 2, fault);
    } else {
        s = evaluate(r, t, 0, 1, fault);
        if (!s)
            s = evaluate(r, t, 1, 1, fault);
    }
    if (!s)
        imu_guide(r->output, r->output + r->values, r->values, scale, a->cfg_rescale, r->output);
    return s;
}

imu_engine_status imu_denoising_step(imu_denoising *r, int position, int done, int total,
                                     imu_fault *fault)
{
    const imu_denoise_args *a = r->args;
    double t = imu_scheduler_timestep(r->scheduler, position), keep, add;
    double scale = a->cfg_scale[done < a->cfg_scale_count ? done : a->cfg_scale_count - 1];
    int train;
    imu_scheduler_alphas_cumprod(r->scheduler, &train);
    if (a->cancelled && a->cancelled(a->user))
        return imu_fail(fault, IMU_ENGINE_CANCELLED, "Cancelled.");
    if (a->mask && !paints_in(imu_unet_get_info(r->model->unet))) {
        imu_scheduler_noise_level(r->scheduler, position, &keep, &add);
        imu_inpaint_before(&r->inpaint, keep, add, t / train, r->x->data);
    }
    r->step = done;
    r->steps = total;
    imu_engine_status s = predict(r, t, scale, fault);
    if (s)
        return s;
    if (imu_scheduler_step(r->scheduler, r->output, r->x->data, r->x0->data, draw, r))
        return imu_fail_memory(fault); /* drawing never fails */
    imu_progress p = {done + 1, total, t, r->x, r->x0};
    if (a->progress && a->progress(a->user, &p))
        return imu_fail(fault, IMU_ENGINE_CANCELLED, "Cancelled.");
    return IMU_ENGINE_OK;
}

void imu_denoising_add_noise(const imu_scheduler *s, int first, const imu_denoise_args *a,
                             imu_array *x)
{
    double keep, add;
    if (!a->noise)
        return;
    imu_scheduler_noise_level(s, first, &keep, &add);
    for (int64_t i = 0; i < imu_array_count(x); i++) {
        double original = a->latents ? (double)a->latents->data[i] : 0;
        x->data[i] = (float)(keep * original + add * (double)a->noise->data[i]);
    }
}

void imu_denoising_free(imu_denoising *r)
{
    imu_array_free(r->x);
    imu_array_free(r->x0);
    imu_array_free(r->drawn);
    imu_scheduler_close(r->scheduler);
    for (int i = 0; r->t2i && i < r->args->t2i_count; i++)
        imu_features_free(&r->t2i[i]);
    free(r->t2i);
    if (r->ip)
        imu_ip_runs_free(r->ip, r->args->ip_count);
    free(r->scaled);
    free(r->output);
    free(r->context);
    free(r->pooled);
}

static imu_engine_status loop(imu_denoising *r, imu_fault *fault)
{
    const imu_denoise_args *a = r->args;
    int first, count;
    imu_scheduler_window(r->scheduler, a->denoising_start, a->denoising_end, &first, &count);
    if (!count) /* nothing to do: the input as it is */
        return IMU_ENGINE_OK;
    imu_scheduler_begin(r->scheduler, first);
    imu_denoising_add_noise(r->scheduler, first, a, r->x);
    imu_engine_status s = IMU_ENGINE_OK;
    for (int i = 0; i < count && !s; i++)
        s = imu_denoising_step(r, first + i, i, count, fault);
    if (!s && a->mask)
        imu_inpaint_after(&r->inpaint, r->x->data);
    return s;
}

imu_engine_status imu_model_denoise(imu_model *model, const imu_denoise_args *args, imu_array **out,
                                    imu_fault *fault)
{
    imu_denoising r = {.model = model, .args = args};
    imu_engine_status s = imu_model_need(model, IMU_PART_UNET, fault);
    if (!s)
        s = imu_denoising_check(model, args, fault);
    if (!s)
        s = imu_denoising_prepare(&r, fault);
    if (!s)
        s = loop(&r, fault);
    if (!s) {
        *out = r.x;
        r.x = NULL;
    }
    imu_denoising_free(&r);
    return s;
}
