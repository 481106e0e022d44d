/*
 * picture.h: pixels in memory, the three file formats, and the changes made to them.
 *
 * Everything works on memory blocks and allocates with malloc only, so that the decoders also run
 * in a process that may open no file. All input bytes are hostile: limits are checked against what
 * the file announces before anything of that size is allocated. Safe from any thread.
 */
#ifndef IMU_PICTURE_H
#define IMU_PICTURE_H

#include "worker/util.h"

/** 8 bits a sample, rows from the top without padding; 1 grey, 2 grey and alpha, 3 RGB, 4 RGBA. */
typedef struct imu_picture {
    int width, height, channels;
    uint8_t *data;
} imu_picture;

/** A zeroed picture, or NULL: no memory, or a size outside 1 to 65535. */
imu_picture *imu_picture_new(int width, int height, int channels);
void imu_picture_free(imu_picture *p);
/** The same picture with other channels (grey from RGB by Rec. 601), or NULL without memory. */
imu_picture *imu_picture_convert(const imu_picture *p, int channels);

typedef struct imu_bytes {
    uint8_t *data; /**< malloc'ed */
    size_t len;
} imu_bytes;

/** What a decoder accepts. Errors have the types "unsupported", "too_large" and "corrupt". */
typedef struct imu_decode_limits {
    uint64_t max_pixels;
    int max_side;
    size_t max_text; /**< of each text chunk kept, bytes of UTF-8 */
} imu_decode_limits;

enum { IMU_TEXT_METADATA, IMU_TEXT_WORKFLOW, IMU_TEXT_GRAPH, IMU_TEXT_COUNT };
/** Keywords of the PNG text chunks that InvokeAI writes, by the numbers above. */
extern const char *const imu_text_keywords[IMU_TEXT_COUNT];

typedef struct imu_texts {
    char *text[IMU_TEXT_COUNT]; /**< UTF-8, malloc'ed, or NULL */
} imu_texts;
void imu_texts_free(imu_texts *t);

/* ---- formats ---- */

enum imu_format { IMU_FORMAT_OTHER, IMU_FORMAT_PNG, IMU_FORMAT_JPEG, IMU_FORMAT_WEBP };
/** By the first bytes. */
enum imu_format imu_format_of(const uint8_t *data, size_t len);

/** Decodes PNG, JPEG (turned as its EXIF says) or WebP (first frame). texts may be NULL. NULL with
 * the error. */
imu_picture *imu_decode(const uint8_t *data, size_t len, const imu_decode_limits *limits,
                        imu_texts *texts, imu_error *err);
/** True when a PNG consists of whole chunks from IHDR to IEND and nothing follows. */
bool imu_png_is_clean(const uint8_t *data, size_t len);

/** PNG with these text chunks (texts may be NULL). @return 0 with out->data to free, or -1. */
int imu_png_encode(const imu_picture *p, const imu_texts *texts, imu_bytes *out, imu_error *err);
int imu_webp_encode(const imu_picture *p, float quality, imu_bytes *out, imu_error *err);
/** Of an RGB picture. */
int imu_jpeg_encode(const imu_picture *p, int quality, imu_bytes *out, imu_error *err);

/* The decoders behind imu_decode. */
imu_picture *imu_png_decode(const uint8_t *data, size_t len, const imu_decode_limits *limits,
                            imu_texts *texts, imu_error *err);
imu_picture *imu_jpeg_decode(const uint8_t *data, size_t len, const imu_decode_limits *limits,
                             imu_error *err);
imu_picture *imu_webp_decode(const uint8_t *data, size_t len, const imu_decode_limits *limits,
                             imu_error *err);
/** Refuses sizes over the limits. @return 0, or -1 with "too_large". */
int imu_check_size(uint64_t width, uint64_t height, const imu_decode_limits *limits,
                   imu_error *err);

/* ---- changes ---- */

enum imu_filter {
    IMU_FILTER_NEAREST,
    IMU_FILTER_BOX,
    IMU_FILTER_BILINEAR,
    IMU_FILTER_HAMMING,
    IMU_FILTER_BICUBIC,
    IMU_FILTER_LANCZOS
};
/** A resized copy; colours are weighted by alpha. NULL without memory. */
imu_picture *imu_resize(const imu_picture *p, int width, int height, enum imu_filter filter);
/**
 * A sharper copy: what sets each pixel apart from a blur of the picture counts `strength` percent
 * more. Transparency stays as it is.
 * @param radius standard deviation of the blur in pixels: more than 0, at most IMU_UNSHARP_RADIUS
 * @return a picture with the same channels, or NULL without memory
 */
imu_picture *imu_unsharp(const imu_picture *p, double radius, double strength);
#define IMU_UNSHARP_RADIUS 1000
/** WebP whose longest side is `side` (never larger than the picture). @return 0 or -1. */
int imu_thumbnail(const imu_picture *p, int side, imu_bytes *out, imu_error *err);

#endif
