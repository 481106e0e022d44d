/* What steers a UNet by pictures: golden/NAME/adapters.safetensors (tests/tools/adapters.py). */
#include "tests/engine/check.h"

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

static void check_all(adapted *a)
{
    check_steered(a, "plain", &(imu_unet_request){.batch = 1});
    check_t2i(a, "full", 3, false);
    check_t2i(a, "xl", 4, true);
    check_t2i(a, "light", 3, false);
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
