/* Pixels in memory; which decoder a file needs. See picture.h. */
#include "worker/image/picture.h"

#include <stdlib.h>
#include <string.h>

const char *const imu_text_keywords[IMU_TEXT_COUNT] = {"invokeai_metadata", "invokeai_workflow",
                                                       "invokeai_graph"};

imu_picture *imu_picture_new(int width, int height, int channels)
{
    if (width < 1 || height < 1 || width > 65535 || height > 65535 || channels < 1 || channels > 4)
        return NULL;
    imu_picture *p = malloc(sizeof *p);
    if (!p)
        return NULL;
    p->width = width;
    p->height = height;
    p->channels = channels;
    p->data = calloc((size_t)width * (size_t)height, (size_t)channels);
    if (!p->data) {
        free(p);
        return NULL;
    }
    return p;
}

void imu_picture_free(imu_picture *p)
{
    if (p)
        free(p->data);
    free(p);
}

static uint8_t grey_of(const uint8_t *rgb)
{
    /* Rec. 601 in 16-bit fixed point, the weights that PIL uses. */
    return (uint8_t)((rgb[0] * 19595u + rgb[1] * 38470u + rgb[2] * 7471u + 32768u) >> 16);
}

imu_picture *imu_picture_convert(const imu_picture *p, int channels)
{
    imu_picture *out = imu_picture_new(p->width, p->height, channels);
    if (!out)
        return NULL;
    size_t n = (size_t)p->width * (size_t)p->height;
    bool from_colour = p->channels >= 3, from_alpha = p->channels == 2 || p->channels == 4;
    bool to_colour = channels >= 3, to_alpha = channels == 2 || channels == 4;
    const uint8_t *s = p->data;
    uint8_t *d = out->data;
    for (size_t i = 0; i < n; i++, s += p->channels, d += channels) {
        if (to_colour) {
            d[0] = s[0];
            d[1] = from_colour ? s[1] : s[0];
            d[2] = from_colour ? s[2] : s[0];
        } else {
            d[0] = from_colour ? grey_of(s) : s[0];
        }
        if (to_alpha)
            d[channels - 1] = from_alpha ? s[p->channels - 1] : 255;
    }
    return out;
}

void imu_texts_free(imu_texts *t)
{
    for (int i = 0; i < IMU_TEXT_COUNT; i++) {
        free(t->text[i]);
        t->text[i] = NULL;
    }
}

enum imu_format imu_format_of(const uint8_t *data, size_t len)
{
    if (len >= 8 && !memcmp(data, "\x89PNG\r\n\x1a\n", 8))
        return IMU_FORMAT_PNG;
    if (len >= 3 && !memcmp(data, "\xff\xd8\xff", 3))
        return IMU_FORMAT_JPEG;
    if (len >= 12 && !memcmp(data, "RIFF", 4) && !memcmp(data + 8, "WEBP", 4))
        return IMU_FORMAT_WEBP;
    return IMU_FORMAT_OTHER;
}

imu_picture *imu_decode(const uint8_t *data, size_t len, const imu_decode_limits *limits,
                        imu_texts *texts, imu_error *err)
{
    switch (imu_format_of(data, len)) {
    case IMU_FORMAT_PNG:
        return imu_png_decode(data, len, limits, texts, err);
    case IMU_FORMAT_JPEG:
        return imu_jpeg_decode(data, len, limits, err);
    case IMU_FORMAT_WEBP:
        return imu_webp_decode(data, len, limits, err);
    case IMU_FORMAT_OTHER:
        break;
    }
    imu_refuse(err, "unsupported", "This is not a PNG, JPEG or WebP picture.");
    return NULL;
}

int imu_check_size(uint64_t width, uint64_t height, const imu_decode_limits *limits, imu_error *err)
{
    if (width < 1 || height < 1)
        return imu_refuse(err, "corrupt", "The picture has no size.");
    if (width > (uint64_t)limits->max_side || height > (uint64_t)limits->max_side)
        return imu_refuse(err, "too_large",
                          "The picture is %llu x %llu pixels; at most %d a side are allowed.",
                          (unsigned long long)width, (unsigned long long)height, limits->max_side);
    uint64_t pixels = width * height;
    if (pixels > limits->max_pixels)
        return imu_refuse(err, "too_large",
                          "The picture has %llu pixels; at most %llu are allowed.",
                          (unsigned long long)pixels, (unsigned long long)limits->max_pixels);
    return 0;
}

int imu_thumbnail(const imu_picture *p, int side, imu_bytes *out, imu_error *err)
{
    int w = p->width, h = p->height;
    int longest = w > h ? w : h;
    if (longest > side) {
        w = (int)(((int64_t)w * side + longest / 2) / longest);
        h = (int)(((int64_t)h * side + longest / 2) / longest);
    }
    imu_picture *small = imu_resize(p, w > 0 ? w : 1, h > 0 ? h : 1, IMU_FILTER_LANCZOS);
    if (!small)
        return imu_refuse(err, "too_large", "Not enough memory for the thumbnail.");
    int rc = imu_webp_encode(small, 80, out, err);
    imu_picture_free(small);
    return rc;
}
