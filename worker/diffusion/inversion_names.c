/* Which tensors of a file are a textual inversion's. Free of the engine. */
#include "worker/diffusion/inversion.h"

#include <string.h>

enum { MAX_VECTORS = 75 };

static const int64_t widths[] = {768, 1024, 1280}; /* of the text encoders of 1.x, 2.x and XL */

static int64_t width_of(const imu_st_entry *e)
{
    return e->ndim > 0 ? e->dim[e->ndim - 1] : 0;
}

static bool is_matrix(const imu_st_entry *e)
{
    bool real = e->type == IMU_F32 || e->type == IMU_F16 || e->type == IMU_BF16;
    return real && e->count > 0 && (e->ndim == 1 || (e->ndim == 2 && e->dim[0] <= MAX_VECTORS));
}

/* Whether a file's only tensor says that it is words: by its name, or by a width that text has. */
static bool speaks_of_words(const imu_st_entry *e)
{
    size_t n = strlen(e->name);
    bool known =
        !strcmp(e->name, "emb_params") || (n > 2 && e->name[0] == '<' && e->name[n - 1] == '>');
    for (size_t i = 0; i < sizeof widths / sizeof *widths; i++)
        known |= width_of(e) == widths[i] && !strchr(e->name, '.');
    return known;
}

bool imu_inversion_parts(const imu_safetensors *st, const imu_st_entry **first,
                         const imu_st_entry **second)
{
    *first = imu_st_find(st, "clip_l");
    *second = imu_st_find(st, "clip_g");
    if (*second && st->count <= 2)
        return is_matrix(*second) && (!*first || is_matrix(*first));
    *second = NULL;
    *first = st->count == 1 ? &st->entries[0] : NULL;
    return *first && is_matrix(*first) && speaks_of_words(*first);
}

const char *imu_inversion_base(const imu_st_entry *first, const imu_st_entry *second)
{
    if (second)
        return "sdxl";
    return width_of(first) == widths[1] ? "sd-2" : "sd-1";
}
