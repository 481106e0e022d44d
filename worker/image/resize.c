/* Resizing by separable convolution, with the filters and supports that PIL has. See picture.h. */
#include "worker/image/picture.h"

#include <math.h>
#include <stdlib.h>

static double sinc(double x)
{
    return x == 0 ? 1 : sin(M_PI * x) / (M_PI * x);
}

static double weigh(enum imu_filter filter, double x)
{
    x = fabs(x);
    switch (filter) {
    case IMU_FILTER_BOX:
        return x <= 0.5 ? 1 : 0;
    case IMU_FILTER_BILINEAR:
        return x < 1 ? 1 - x : 0;
    case IMU_FILTER_HAMMING:
        return x < 1 ? sinc(x) * (0.54 + 0.46 * cos(M_PI * x)) : 0;
    case IMU_FILTER_BICUBIC: /* a = -0.5 */
        return x < 1 ? (1.5 * x - 2.5) * x * x + 1 : x < 2 ? ((-0.5 * x + 2.5) * x - 4) * x + 2 : 0;
    case IMU_FILTER_LANCZOS:
        return x < 3 ? sinc(x) * sinc(x / 3) : 0;
    case IMU_FILTER_NEAREST:
        break;
    }
    return 0;
}

static double support_of(enum imu_filter filter)
{
    static const double support[] = {0, 0.5, 1, 1, 2, 3};
    return support[filter];
}

struct window {
    int first, count;
    float *weights;
};

/* For each place of the result: which source places it is made of. One block holds all the weights.
 */
static struct window *make_windows(int from, int to, enum imu_filter filter)
{
    double scale = (double)from / to, stretch = scale > 1 ? scale : 1;
    double radius = support_of(filter) * stretch;
    size_t most = (size_t)ceil(radius) * 2 + 2;
    struct window *w = calloc((size_t)to, sizeof *w + most * sizeof(float));
    if (!w)
        return NULL;
    float *weights = (float *)(w + to);
    for (int i = 0; i < to; i++, weights += most) {
        double centre = (i + 0.5) * scale;
        int first = (int)(centre - radius + 0.5), last = (int)(centre + radius + 0.5);
        first = first < 0 ? 0 : first;
        last = last > from ? from : last;
        double sum = 0;
        w[i].weights = weights;
        w[i].first = first;
        for (int k = first; k < last && w[i].count < (int)most; k++) {
            double v = weigh(filter, (k + 0.5 - centre) / stretch);
            weights[w[i].count++] = (float)v;
            sum += v;
        }
        for (int k = 0; k < w[i].count; k++)
            weights[k] = (float)(weights[k] / sum);
    }
    return w;
}

static imu_picture *nearest(const imu_picture *p, int width, int height)
{
    imu_picture *out = imu_picture_new(width, height, p->channels);
    for (int y = 0; out && y < height; y++) {
        int sy = (int)(((int64_t)2 * y + 1) * p->height / (2 * (int64_t)height));
        for (int x = 0; x < width; x++) {
            int sx = (int)(((int64_t)2 * x + 1) * p->width / (2 * (int64_t)width));
            for (int c = 0; c < p->channels; c++)
                out->data[((size_t)y * (size_t)width + (size_t)x) * (size_t)p->channels +
                          (size_t)c] =
                    p->data[((size_t)sy * (size_t)p->width + (size_t)sx) * (size_t)p->channels +
                            (size_t)c];
        }
    }
    return out;
}

/* One source row, made narrower or wider; colours multiplied by alpha. */
static void resize_row(const imu_picture *p, int y, const struct window *w, int width, float *row,
                       float *out)
{
    int ch = p->channels;
    bool alpha = ch == 2 || ch == 4;
    const uint8_t *s = p->data + (size_t)y * (size_t)p->width * (size_t)ch;
    for (int x = 0; x < p->width; x++, s += ch) {
        float a = alpha ? s[ch - 1] / 255.0f : 1.0f;
        for (int c = 0; c < ch; c++)
            row[x * ch + c] = alpha && c == ch - 1 ? s[c] : s[c] * a;
    }
    for (int x = 0; x < width; x++) {
        float sum[4] = {0};
        for (int k = 0; k < w[x].count; k++)
            for (int c = 0; c < ch; c++)
                sum[c] += w[x].weights[k] * row[(w[x].first + k) * ch + c];
        for (int c = 0; c < ch; c++)
            out[x * ch + c] = sum[c];
    }
}

static uint8_t to_byte(float v)
{
    /* NOLINTNEXTLINE(bugprone-incorrect-roundings): positive and small, where it is exact */
    return v <= 0 ? 0 : v >= 255 ? 255 : (uint8_t)(v + 0.5f);
}

static void store_pixel(uint8_t *d, const float *sum, int ch)
{
    bool alpha = ch == 2 || ch == 4;
    float a = alpha ? sum[ch - 1] / 255.0f : 1.0f;
    for (int c = 0; c < ch; c++)
        d[c] = to_byte(alpha && c < ch - 1 ? (a > 0 ? sum[c] / a : 0) : sum[c]);
}

imu_picture *imu_resize(const imu_picture *p, int width, int height, enum imu_filter filter)
{
    if (width < 1 || height < 1)
        return NULL;
    if (width == p->width && height == p->height)
        return imu_picture_convert(p, p->channels);
    if (filter == IMU_FILTER_NEAREST)
        return nearest(p, width, height);
    size_t ch = (size_t)p->channels, stride = (size_t)width * ch;
    imu_picture *out = imu_picture_new(width, height, p->channels);
    struct window *wx = make_windows(p->width, width, filter),
                  *wy = make_windows(p->height, height, filter);
    int most = 1;
    for (int y = 0; wy && y < height; y++)
        most = wy[y].count > most ? wy[y].count : most;
    /* Only as many resized rows are kept as one row of the result needs: a ring. */
    float *ring = calloc((size_t)most, stride * sizeof *ring);
    float *row = malloc((size_t)p->width * ch * sizeof *row);
    if (!out || !wx || !wy || !ring || !row) {
        imu_picture_free(out);
        out = NULL;
    }
    int have = 0;
    for (int y = 0; out && y < height; y++) {
        int last = wy[y].first + wy[y].count;
        have = have < wy[y].first ? wy[y].first : have;
        for (; have < last; have++)
            resize_row(p, have, wx, width, row, ring + (size_t)(have % most) * stride);
        for (int x = 0; x < width; x++) {
            float sum[4] = {0};
            for (int k = 0; k < wy[y].count; k++) {
                const float *s =
                    ring + (size_t)((wy[y].first + k) % most) * stride + (size_t)x * ch;
                for (size_t c = 0; c < ch; c++)
                    sum[c] += wy[y].weights[k] * s[c];
            }
            store_pixel(out->data + (size_t)y * stride + (size_t)x * ch, sum, p->channels);
        }
    }
    free(wx);
    free(wy);
    free(ring);
    free(row);
    return out;
}
