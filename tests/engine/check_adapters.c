/* What steers a UNet by pictures: golden/NAME/adapters.safetensors (tests/tools/adapters.py). */
#include "tests/engine/check.h"

#include "worker/diffusion/denoise_ip.h"
#include "worker/diffusion/t2i.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* float64 of the same arithmetic is this close. */
#define TOLERANCE 1e-4

typedef struct adapted {
    check *c;
    const char *file;
    imu_safetensors *st;
    imu_unet *unet;
    imu_array *latents, *context;
    check_tensor time;
} adapted;

/* One call of the UNet with what `steer` puts into the request, held against a golden tensor. */
static void check_steered(adapted *a, const char *where, const imu_unet_request *steer)
{
    check_tensor golden = check_read(a->c, a->st, "%s", where);
    float *mine = calloc(golden.count + 1, sizeof *mine);
    imu_unet_request r = *steer;
    imu_fault fault;
    r.batch = 1;
    r.height = a->latents->dim[2];
    r.width = a->latents->dim[3];
    r.latents = a->latents->data;
    r.timesteps = a->time.value;
    r.context = a->context->data;
    r.tokens = a->context->dim[1];
    r.out = mine;
    if (imu_unet_run(a->unet, &r, &fault))
        check_fail(a->c, a->file, where, &fault);
    else
        check_compare(a->c, a->file, where, mine, &golden, TOLERANCE, true);
    check_release(&golden);
    free(mine);
}

/* ---- T2I adapters ---- */

static void check_feature(adapted *a, const char *kind, int i, const imu_features *f)
{
    char where[64];
    snprintf(where, sizeof where, "t2i/%s/%d", kind, i);
    imu_array *golden = check_array(a->c, a->st, "%s", where);
    check_tensor values = check_read(a->c, a->st, "%s", where);
    const int64_t *d = f->item[i].dim;
    int64_t area = d[1] * d[2];
    float *first = calloc((size_t)(d[0] * area * d[3]) + 1, sizeof *first);
    check_note(a->c, a->file, where,
               golden && golden->dim[1] == d[3] && golden->dim[2] == d[1] && golden->dim[3] == d[2]
                   ? 0
                   : 1,
               0);
    for (int64_t k = 0; k < area * d[3]; k++)
        first[k % d[3] * area + k / d[3]] = f->item[i].data[k];
    if (golden)
        check_compare(a->c, a->file, where, first, &values, TOLERANCE, true);
    imu_array_free(golden);
    check_release(&values);
    free(first);
}

/* The adapter's features; of the one that fits the UNet, what it makes of a call. */
static void check_t2i(adapted *a, const char *kind, int blocks, bool fits)
{
    char path[4096];
    imu_t2i *t;
    imu_features f = {.count = 0}, sum = {.count = 0};
    imu_array *picture = check_array(a->c, a->st, "t2i/picture");
    imu_fault fault = {.text = "no picture"};
    snprintf(path, sizeof path, "%s/tiny-t2i-%s", a->c->fixtures, kind);
    if (!picture || imu_t2i_build(a->c->backend, path, &t, &fault)) {
        check_fail(a->c, a->file, kind, &fault);
        imu_array_free(picture);
        return;
    }
    if (imu_t2i_run(t, picture->data, picture->dim[2], picture->dim[3], NULL, NULL, &f, &fault))
        check_fail(a->c, a->file, kind, &fault);
    check_note(a->c, a->file, kind, f.count == blocks ? 0 : 1, 0);
    for (int i = 0; i < f.count; i++)
        check_feature(a, kind, i, &f);
    bool mine = imu_features_fit(&f, a->unet, a->latents->dim[2], a->latents->dim[3]);
    check_note(a->c, a->file, kind, mine == fits ? 0 : 1, 0);
    if (mine && !imu_features_add(&sum, &f, 0.5, 1, NULL) &&
        !imu_features_add(&sum, &f, 0.3, 1, NULL))
        check_steered(a, "t2i/out", &(imu_unet_request){.features = &sum});
    imu_features_free(&f);
    imu_features_free(&sum);
    imu_t2i_close(t);
    imu_array_free(picture);
}

/* ---- IP adapters ---- */

/* The two pictures as the engine takes them. */
static imu_image *picture_of(const imu_array *rgb, int which)
{
    imu_image *image = imu_image_new((int)rgb->dim[2], (int)rgb->dim[1]);
    size_t n = (size_t)(rgb->dim[1] * rgb->dim[2] * rgb->dim[3]);
    for (size_t i = 0; image && i < n; i++)
        image->rgb[i] = (uint8_t)rgb->data[(size_t)which * n + i];
    return image;
}

static void check_values(adapted *a, const char *where, const float *mine)
{
    check_tensor golden = check_read(a->c, a->st, "%s", where);
    check_compare(a->c, a->file, where, mine, &golden, TOLERANCE, true);
    check_release(&golden);
}

static void check_vision(adapted *a, imu_vision *v, const imu_image *image)
{
    const imu_vision_info *info = imu_vision_get_info(v);
    float *pixels = calloc((size_t)(3 * info->edge * info->edge), sizeof *pixels);
    float *hidden = calloc((size_t)(info->tokens * info->width), sizeof *hidden);
    float *vector = calloc((size_t)info->projection, sizeof *vector);
    imu_fault fault;
    imu_vision_scale(image, pixels);
    if (imu_vision_run(v, pixels, hidden, vector, NULL, NULL, &fault)) {
        check_fail(a->c, a->file, "vision", &fault);
    } else {
        check_values(a, "ip/hidden", hidden);
        check_values(a, "ip/vector", vector);
    }
    free(pixels);
    free(hidden);
    free(vector);
}

/* An adapter with its tokens of both pictures. */
static imu_ip *check_ip(adapted *a, const char *kind, imu_vision *v, imu_image *const images[2],
                        imu_array **tokens)
{
    char path[4096], where[64];
    imu_ip *ip = NULL;
    imu_fault fault;
    *tokens = NULL;
    snprintf(path, sizeof path, "%s/tiny-ip/%s.safetensors", a->c->fixtures, kind);
    snprintf(where, sizeof where, "ip/%s/tokens", kind);
    if (imu_ip_build(a->c->backend, path, &ip, &fault) ||
        imu_ip_encode(ip, v, (const imu_image *const *)images, 2, NULL, NULL, tokens, &fault)) {
        check_fail(a->c, a->file, where, &fault);
        return ip;
    }
    snprintf(path, sizeof path, "%s/tiny-vision", a->c->fixtures);
    check_note(a->c, a->file, where, imu_ip_fits(ip, a->unet) && imu_ip_takes(ip, path) ? 0 : 1, 0);
    check_values(a, where, (*tokens)->data);
    return ip;
}

/* A call of the UNet with adapters on it. */
static void check_looking(adapted *a, const char *where, const imu_ip_use *uses, int count)
{
    imu_ip_run *runs;
    imu_ip_call calls[2];
    imu_fault fault;
    if (imu_ip_runs_prepare(a->unet, uses, count, a->latents->dim[2], a->latents->dim[3], &runs,
                            &fault)) {
        check_fail(a->c, a->file, where, &fault);
    } else {
        for (int i = 0; i < count; i++)
            imu_ip_run_call(&uses[i], &runs[i], 1, uses[i].when.weight[0], &calls[i]);
        check_steered(a, where, &(imu_unet_request){.ips = &(imu_ip_calls){count, calls}});
    }
    imu_ip_runs_free(runs, count);
}

/* What the negative prompt alone is to see is nothing for this row, which is the positive one. */
static void check_averse(adapted *a, const imu_ip_use *use)
{
    static const char *const all[] = {"block"};
    imu_ip_use averse = *use;
    averse.averse = all;
    averse.averse_count = 1;
    check_looking(a, "plain", &averse, 1);
}

/* Only where the mask says so. */
static void check_masked(adapted *a, const imu_ip_use *use)
{
    imu_array *mask = check_array(a->c, a->st, "ip/mask");
    imu_ip_use masked = *use;
    check_note(a->c, a->file, "ip/mask", mask ? 0 : 1, 0);
    masked.mask = mask ? mask->data : NULL;
    check_looking(a, "ip/masked/out", &masked, 1);
    imu_array_free(mask);
}

static void check_ips(adapted *a, imu_vision *v, imu_image *const images[2])
{
    static const char *const kinds[] = {"linear", "mlp", "resampler"};
    static const char *const first[] = {"up_blocks.0", "mid_block"};
    static const char *const second[] = {"down_blocks.1.attentions.0"};
    static const double weights[] = {0.7, 0.5, -0.8};
    imu_ip *ip[3];
    imu_array *tokens[3];
    for (int i = 0; i < 3; i++) {
        char where[64];
        snprintf(where, sizeof where, "ip/%s/out", kinds[i]);
        ip[i] = check_ip(a, kinds[i], v, images, &tokens[i]);
        imu_ip_use use = {.adapter = ip[i], .tokens = tokens[i], .when = {&weights[0], 1, 0, 1}};
        if (tokens[i])
            check_looking(a, where, &use, 1);
        if (tokens[i])
            check_averse(a, &use);
        if (tokens[i] && !i)
            check_masked(a, &use);
    }
    if (tokens[0] && tokens[2])
        check_looking(a, "ip/several/out",
                      (imu_ip_use[]){{.adapter = ip[0],
                                      .tokens = tokens[0],
                                      .when = {&weights[1], 1, 0, 1},
                                      .blocks = first,
                                      .block_count = 2},
                                     {.adapter = ip[2],
                                      .tokens = tokens[2],
                                      .when = {&weights[2], 1, 0, 1},
                                      .blocks = second,
                                      .block_count = 1}},
                      2);
    for (int i = 0; i < 3; i++) {
        imu_array_free(tokens[i]);
        imu_ip_close(ip[i]);
    }
}

static void check_pictures(adapted *a)
{
    char path[4096];
    imu_vision *v;
    imu_fault fault;
    imu_array *rgb = check_array(a->c, a->st, "ip/rgb");
    snprintf(path, sizeof path, "%s/tiny-vision", a->c->fixtures);
    if (imu_vision_build(a->c->backend, path, &v, &fault)) {
        check_fail(a->c, a->file, "vision", &fault);
    } else {
        imu_image *images[2] = {picture_of(rgb, 0), picture_of(rgb, 1)};
        check_vision(a, v, images[0]);
        check_ips(a, v, images);
        imu_image_free(images[0]);
        imu_image_free(images[1]);
        imu_vision_close(v);
    }
    imu_array_free(rgb);
}

static void check_all(adapted *a)
{
    check_steered(a, "plain", &(imu_unet_request){.batch = 1});
    check_t2i(a, "full", 3, false);
    check_t2i(a, "xl", 4, true);
    check_t2i(a, "light", 3, false);
    check_pictures(a);
}

void check_adapters(check *c, const char *name)
{
    char file[96], path[4096];
    snprintf(file, sizeof file, "%s/adapters.safetensors", name);
    adapted a = {.c = c, .file = file, .st = check_open(c, file)};
    imu_fault fault = {.text = "no inputs"};
    if (!a.st)
        return;
    a.latents = check_array(c, a.st, "latents");
    a.context = check_array(c, a.st, "cond");
    a.time = check_read(c, a.st, "t");
    if (a.latents && a.context && a.time.value &&
        !imu_unet_open(c->backend,
                       &(imu_net_place){.folder = check_model_path(c, name, "unet", path)}, &a.unet,
                       &fault))
        check_all(&a);
    else
        check_fail(c, file, "open", &fault);
    imu_unet_close(a.unet);
    imu_array_free(a.latents);
    imu_array_free(a.context);
    check_release(&a.time);
    imu_st_close(a.st);
}
