/* Unsharp masks with the numbers that InvokeAI gets from PIL: its bell is three boxes one after the
 * other (Getreuer, A Survey of Gaussian Convolution Algorithms, 2013: extended box filters), each
 * rounded to 8 bits. */
#include "worker/image/picture.h"

#include <math.h>
#include <stdlib.h>

enum { BOXES = 3, COLOURS = 3, POINT = 24 /* binary places of a weight */ };

/* A box of 2 reach + 1 whole pixels, and a share of one more at either end. */
typedef struct box {
    int reach;
    uint32_t whole, end; /* weights; all together 1 */
} box;

/* The box whose variance is a third of the bell's. float, as PIL: weights are cut, not rounded. */
static box box_for(double radius)
{
    float variance = (float)radius * (float)radius / BOXES;
    float edge = (float)sqrt(12.0 * (double)variance + 1);
    float reach = (float)floor(((double)edge - 1) / 2), next = (reach + 1) * (reach + 1);
    float share = (2 * reach + 1) * (reach * (reach + 1) - 3 * variance);
    float half = reach + share / (6 * (variance - next));
    box b = {.reach = (int)half};
    b.whole = (uint32_t)((float)(1 << POINT) / (2 * half + 1));
    b.end = ((1u << POINT) - (2 * (uint32_t)b.reach + 1) * b.whole) / 2;
    return b;
}

/* One box over a line; beyond its ends its last pixels go on. */
static void blur_once(const box *b, const uint8_t *from, uint8_t *to, int n)
{
    uint32_t sum = 0;
    for (int i = -b->reach; i <= b->reach; i++)
        sum += from[i < 0 ? 0 : i < n ? i : n - 1];
    for (int i = 0; i < n; i++) {
        uint32_t left = from[i > b->reach ? i - b->reach - 1 : 0];
        uint32_t right = from[i + b->reach + 1 < n ? i + b->reach + 1 : n - 1];
        to[i] =
            (uint8_t)((sum * b->whole + (left + right) * b->end + (1u << (POINT - 1))) >> POINT);
        sum += right - from[i > b->reach ? i - b->reach : 0];
    }
}

/* All boxes over n values that lie `step` apart. @param room for 2 n values */
static void blur_line(const box *b, uint8_t *data, size_t step, int n, uint8_t *room)
{
    uint8_t *now = room, *next = room + n;
    for (int i = 0; i < n; i++)
        now[i] = data[(size_t)i * step];
    for (int k = 0; k < BOXES; k++) {
        blur_once(b, now, next, n);
        uint8_t *swap = now;
        now = next;
        next = swap;
    }
    for (int i = 0; i < n; i++)
        data[(size_t)i * step] = now[i];
}

/* An RGB picture: its rows, then its columns. @return 0, or -1 without memory */
static int blur(imu_picture *p, double radius)
{
    box b = box_for(radius);
    size_t w = (size_t)p->width, h = (size_t)p->height;
    uint8_t *room = calloc(2, w > h ? w : h);
    if (!room)
        return -1;
    for (size_t y = 0; y < h; y++)
        for (size_t c = 0; c < COLOURS; c++)
            blur_line(&b, p->data + y * w * COLOURS + c, COLOURS, p->width, room);
    for (size_t i = 0; i < w * COLOURS; i++)
        blur_line(&b, p->data + i, w * COLOURS, p->height, room);
    free(room);
    return 0;
}

/* The picture's channels again, with the colours of an RGB picture. */
static imu_picture *with_colours(const imu_picture *p, const imu_picture *rgb)
{
    imu_picture *out = imu_picture_convert(rgb, p->channels);
    size_t ch = (size_t)p->channels;
    if (out && (ch == 2 || ch == 4))
        for (size_t i = ch - 1; i < (size_t)p->width * (size_t)p->height * ch; i += ch)
            out->data[i] = p->data[i];
    return out;
}

imu_picture *imu_unsharp(const imu_picture *p, double radius, double strength)
{
    imu_picture *sharp = imu_picture_convert(p, COLOURS), *soft = imu_picture_convert(p, COLOURS);
    imu_picture *out = NULL;
    if (sharp && soft && !blur(soft, radius)) {
        for (size_t i = 0; i < (size_t)p->width * (size_t)p->height * COLOURS; i++) {
            double was = sharp->data[i] / 255.0;
            double is = was + (was - soft->data[i] / 255.0) * (strength / 100);
            sharp->data[i] = (uint8_t)(fmin(fmax(is, 0), 1) * 255); /* cut, not rounded: as there */
        }
        out = with_colours(p, sharp);
    }
    imu_picture_free(sharp);
    imu_picture_free(soft);
    return out;
}
