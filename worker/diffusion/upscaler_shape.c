#include "worker/diffusion/upscaler_shape.h"

#include <stdarg.h>
#include <stdio.h>

enum { MAX_WIDTH = 512, MAX_CONVOLUTIONS = 128, COLOURS = 3, MAX_TAIL = 32 };

/* A 3 x 3 convolution of that name: its channels out and in. */
static bool conv_of(const imu_safetensors *st, int64_t *out, int64_t *in, const char *format, ...)
    __attribute__((format(printf, 4, 5)));
static bool conv_of(const imu_safetensors *st, int64_t *out, int64_t *in, const char *format, ...)
{
    char name[256];
    va_list ap;
    va_start(ap, format);
    vsnprintf(name, sizeof name, format, ap);
    va_end(ap);
    const imu_st_entry *e = imu_st_find(st, name);
    if (!e || e->ndim != 4 || e->dim[2] != 3 || e->dim[3] != 3)
        return false;
    *out = e->dim[0];
    *in = e->dim[1];
    return true;
}

/* Colours of a picture of which `edge` by `edge` pixels went into one: their edge; 0 for no such.
 */
static int edge_of(int64_t channels)
{
    for (int edge = 1; edge <= 4; edge++)
        if (channels == COLOURS * edge * edge)
            return edge;
    return 0;
}

static imu_upscaler_shape settled(imu_upscaler_shape s, int64_t in, int64_t out)
{
    static const imu_upscaler_shape none = {.kind = IMU_UPSCALER_NONE};
    s.unshuffle = edge_of(in);
    if (!s.unshuffle || out != COLOURS || s.ups > IMU_MAX_UPS || s.width < 1 ||
        s.width > MAX_WIDTH || s.growth < 1 || s.growth > MAX_WIDTH || (1 << s.ups) % s.unshuffle)
        return none;
    s.scale = (1 << s.ups) / s.unshuffle;
    return s;
}

static imu_upscaler_shape new_names(const imu_safetensors *st, const char *prefix)
{
    imu_upscaler_shape s = {.prefix = prefix};
    int64_t in, out, ignored;
    char variant[256];
    snprintf(variant, sizeof variant, "%sbody.0.rdb1.conv1x1.weight", prefix);
    if (!conv_of(st, &s.width, &in, "%sconv_first.weight", prefix) ||
        !conv_of(st, &s.growth, &ignored, "%sbody.0.rdb1.conv1.weight", prefix) ||
        !conv_of(st, &out, &ignored, "%sconv_last.weight", prefix) || imu_st_find(st, variant))
        return s;
    while (s.blocks < IMU_MAX_RRDB &&
           conv_of(st, &ignored, &ignored, "%sbody.%d.rdb1.conv1.weight", prefix, s.blocks))
        s.blocks++;
    while (s.ups < IMU_MAX_UPS &&
           conv_of(st, &ignored, &ignored, "%sconv_up%d.weight", prefix, s.ups + 1))
        s.ups++;
    s.kind = IMU_UPSCALER_RRDB;
    return settled(s, in, out);
}

static imu_upscaler_shape old_names(const imu_safetensors *st, const char *prefix)
{
    imu_upscaler_shape s = {.prefix = prefix};
    int64_t in, out = 0, ignored;
    int found[IMU_MAX_UPS + 2], n = 0;
    char variant[256];
    snprintf(variant, sizeof variant, "%smodel.1.sub.0.RDB1.conv1x1.weight", prefix);
    if (!conv_of(st, &s.width, &in, "%smodel.0.weight", prefix) ||
        !conv_of(st, &s.growth, &ignored, "%smodel.1.sub.0.RDB1.conv1.0.weight", prefix) ||
        imu_st_find(st, variant))
        return s;
    while (
        s.blocks < IMU_MAX_RRDB &&
        conv_of(st, &ignored, &ignored, "%smodel.1.sub.%d.RDB1.conv1.0.weight", prefix, s.blocks))
        s.blocks++;
    /* What else has weights, in order: one for each doubling, one more, and the last. */
    for (int i = 2; i < MAX_TAIL; i++) {
        if (!conv_of(st, &out, &ignored, "%smodel.%d.weight", prefix, i))
            continue;
        if (n == IMU_MAX_UPS + 2)
            return s;
        found[n++] = i;
    }
    if (n < 2)
        return s;
    for (int i = 0; i < n; i++)
        s.tail[i] = found[i];
    conv_of(st, &out, &ignored, "%smodel.%d.weight", prefix, found[n - 1]);
    s.ups = n - 2;
    s.kind = IMU_UPSCALER_RRDB_OLD;
    return settled(s, in, out);
}

static imu_upscaler_shape compact(const imu_safetensors *st, const char *prefix)
{
    imu_upscaler_shape s = {.prefix = prefix, .unshuffle = 1};
    int64_t in, out = 0, ignored;
    char name[256];
    if (!conv_of(st, &s.width, &in, "%sbody.0.weight", prefix) || in != COLOURS ||
        s.width > MAX_WIDTH)
        return s;
    while (s.blocks < MAX_CONVOLUTIONS &&
           conv_of(st, &out, &ignored, "%sbody.%d.weight", prefix, 2 * s.blocks))
        s.blocks++;
    snprintf(name, sizeof name, "%sbody.1.weight", prefix);
    const imu_st_entry *slopes = imu_st_find(st, name);
    s.scale = edge_of(out);
    if (s.blocks < 2 || !s.scale || !slopes || slopes->ndim != 1)
        return s;
    s.kind = IMU_UPSCALER_COMPACT;
    return s;
}

imu_upscaler_shape imu_upscaler_shape_of(const imu_safetensors *st)
{
    static const char *const prefixes[] = {"", "params_ema.", "params."};
    static imu_upscaler_shape (*const readers[])(const imu_safetensors *,
                                                 const char *) = {new_names, old_names, compact};
    for (size_t p = 0; p < sizeof prefixes / sizeof *prefixes; p++)
        for (size_t r = 0; r < sizeof readers / sizeof *readers; r++) {
            imu_upscaler_shape s = readers[r](st, prefixes[p]);
            if (s.kind)
                return s;
        }
    return (imu_upscaler_shape){.kind = IMU_UPSCALER_NONE};
}
