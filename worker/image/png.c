/* PNG by libpng: decoding with limits and text chunks, encoding with them. See picture.h. */
#include "worker/image/picture.h"

#include <png.h>
#include <setjmp.h>
#include <stdlib.h>
#include <string.h>

#define MAX_CHUNK                                                                                  \
    (8u * 1024 * 1024) /* colour profiles and the like; longer ones make a file unreadable */

struct source {
    const uint8_t *data;
    size_t len, at;
    imu_error *err;
};

static void on_error(png_structp png, png_const_charp message)
{
    struct source *s = png_get_error_ptr(png);
    if (s && s->err && !s->err->type[0])
        imu_refuse(s->err, "corrupt", "The PNG file is damaged (%.80s).", message);
    png_longjmp(png, 1);
}

static void on_warning(png_structp png, png_const_charp message)
{
    (void)png; /* odd but readable */
    (void)message;
}

static void on_read(png_structp png, png_bytep to, size_t len)
{
    struct source *s = png_get_io_ptr(png);
    if (len > s->len - s->at)
        png_error(png, "it ends too early");
    memcpy(to, s->data + s->at, len);
    s->at += len;
}

/* Walks the chunks from IHDR to IEND: each must lie within the file, and only picture data may be
 * long. libpng takes a chunk's length at its word and fills memory of that size before it reads.
 * @return the length of the PNG, or 0 when it is none */
static size_t walk_chunks(const uint8_t *data, size_t len)
{
    if (imu_format_of(data, len) != IMU_FORMAT_PNG)
        return 0;
    for (size_t at = 8; len - at >= 12;) {
        size_t size = (size_t)data[at] << 24 | (size_t)data[at + 1] << 16 |
                      (size_t)data[at + 2] << 8 | data[at + 3];
        const uint8_t *type = data + at + 4;
        if ((at == 8) != !memcmp(type, "IHDR", 4) || size > len - at - 12)
            return 0;
        if (size > MAX_CHUNK && memcmp(type, "IDAT", 4))
            return 0;
        at += 12 + size;
        if (!memcmp(type, "IEND", 4))
            return size == 0 ? at : 0;
    }
    return 0;
}

bool imu_png_is_clean(const uint8_t *data, size_t len)
{
    return len > 0 && walk_chunks(data, len) == len;
}

/* Strict UTF-8 without NUL: what may go into JSON. */
static bool is_utf8(const uint8_t *s, size_t len)
{
    for (size_t i = 0; i < len;) {
        uint8_t c = s[i];
        size_t n = c == 0                  ? 0
                   : c < 0x80              ? 1
                   : c >= 0xC2 && c < 0xE0 ? 2
                   : (c & 0xF0) == 0xE0    ? 3
                   : c >= 0xF0 && c < 0xF5 ? 4
                                           : 0;
        if (n == 0 || n > len - i)
            return false;
        for (size_t k = 1; k < n; k++)
            if ((s[i + k] & 0xC0) != 0x80)
                return false;
        if ((c == 0xE0 && s[i + 1] < 0xA0) || (c == 0xED && s[i + 1] > 0x9F) ||
            (c == 0xF0 && s[i + 1] < 0x90) || (c == 0xF4 && s[i + 1] > 0x8F))
            return false;
        i += n;
    }
    return true;
}

/* Texts of tEXt and zTXt are Latin-1 by the standard; many programs write UTF-8 there all the same.
 */
static char *text_of(const png_text *t, size_t max)
{
    bool international =
        t->compression == PNG_ITXT_COMPRESSION_NONE || t->compression == PNG_ITXT_COMPRESSION_zTXt;
    size_t len = international ? t->itxt_length : t->text_length;
    const uint8_t *s = (const uint8_t *)t->text;
    if (len == 0 || len > max)
        return NULL;
    if (is_utf8(s, len))
        return strndup(t->text, len);
    if (international || memchr(s, 0, len) || 2 * len > max)
        return NULL;
    char *out = malloc(2 * len + 1), *d = out;
    for (size_t i = 0; out && i < len; i++) {
        if (s[i] < 0x80) {
            *d++ = (char)s[i];
        } else {
            *d++ = (char)(0xC0 | s[i] >> 6);
            *d++ = (char)(0x80 | (s[i] & 0x3F));
        }
    }
    if (out)
        *d = 0;
    return out;
}

static void take_texts(png_structp png, png_infop info, size_t max, imu_texts *texts)
{
    png_textp list = NULL;
    int n = 0;
    png_get_text(png, info, &list, &n);
    for (int i = 0; i < n; i++)
        for (int k = 0; k < IMU_TEXT_COUNT; k++)
            if (!texts->text[k] && !strcmp(list[i].key, imu_text_keywords[k]))
                texts->text[k] = text_of(&list[i], max);
}

/* Whatever the file holds becomes 8-bit grey, grey-alpha, RGB or RGBA. */
static int set_transforms(png_structp png, png_infop info)
{
    png_set_scale_16(png);
    png_set_expand(png);
    if (png_get_color_type(png, info) == PNG_COLOR_TYPE_PALETTE)
        png_set_palette_to_rgb(png);
    int passes = png_set_interlace_handling(png);
    png_read_update_info(png, info);
    return passes;
}

/* Between setjmp and the return; what it allocates hangs on *out, which the caller frees. */
static int read_png(png_structp png, png_infop info, const imu_decode_limits *limits,
                    imu_texts *texts, imu_picture **out, struct source *s)
{
    png_read_info(png, info);
    uint32_t w = png_get_image_width(png, info), h = png_get_image_height(png, info);
    if (imu_check_size(w, h, limits, s->err))
        return -1;
    int passes = set_transforms(png, info);
    *out = imu_picture_new((int)w, (int)h, png_get_channels(png, info));
    if (!*out)
        return imu_refuse(s->err, "too_large", "Not enough memory for the picture.");
    size_t stride = png_get_rowbytes(png, info);
    if (stride != (size_t)w * (size_t)(*out)->channels)
        return imu_refuse(s->err, "unsupported", "This kind of PNG is not supported.");
    for (int pass = 0; pass < passes; pass++)
        for (uint32_t y = 0; y < h; y++)
            png_read_row(png, (*out)->data + y * stride, NULL);
    png_read_end(png, info);
    if (texts)
        take_texts(png, info, limits->max_text, texts);
    return 0;
}

imu_picture *imu_png_decode(const uint8_t *data, size_t len, const imu_decode_limits *limits,
                            imu_texts *texts, imu_error *err)
{
    struct source s = {.data = data, .len = len, .err = err};
    imu_picture *volatile out = NULL;
    volatile bool ok = false;
    if (err)
        err->type[0] = 0;
    if (walk_chunks(data, len) == 0) {
        imu_refuse(err, "corrupt",
                   "The PNG file is damaged (it ends too early or has an impossible part).");
        return NULL;
    }
    png_structp png = png_create_read_struct(PNG_LIBPNG_VER_STRING, &s, on_error, on_warning);
    png_infop info = png ? png_create_info_struct(png) : NULL;
    if (!info) {
        png_destroy_read_struct(&png, NULL, NULL);
        imu_refuse(err, "too_large", "Not enough memory for the picture.");
        return NULL;
    }
    if (!setjmp(png_jmpbuf(png))) {
        png_set_read_fn(png, &s, on_read);
        /* The size check with its own sentence comes first; these bound what libpng itself
         * allocates. */
        png_set_user_limits(png, 0x7fffffff, 0x7fffffff);
        png_set_chunk_malloc_max(png, limits->max_text > MAX_CHUNK ? limits->max_text : MAX_CHUNK);
        png_set_chunk_cache_max(png, 64);
        ok = read_png(png, info, limits, texts, (imu_picture **)&out, &s) == 0;
    }
    png_destroy_read_struct(&png, &info, NULL);
    if (!ok) {
        imu_picture_free(out);
        return NULL;
    }
    return out;
}

/* ---- encoding ---- */

static void on_write(png_structp png, png_bytep from, size_t len)
{
    struct {
        imu_bytes *out;
        size_t cap;
    } *to = png_get_io_ptr(png);
    if (to->out->len + len > to->cap) {
        size_t cap = 2 * (to->out->len + len) + 65536;
        uint8_t *grown = realloc(to->out->data, cap);
        if (!grown)
            png_error(png, "no memory");
        to->out->data = grown;
        to->cap = cap;
    }
    memcpy(to->out->data + to->out->len, from, len);
    to->out->len += len;
}

static void on_flush(png_structp png)
{
    (void)png;
}

static bool is_ascii(const char *s)
{
    for (; *s; s++)
        if ((unsigned char)*s >= 0x80)
            return false;
    return true;
}

static void set_texts(png_structp png, png_infop info, const imu_texts *texts)
{
    png_text list[IMU_TEXT_COUNT];
    int n = 0;
    memset(list, 0, sizeof list);
    for (int k = 0; k < IMU_TEXT_COUNT; k++) {
        if (!texts->text[k])
            continue;
        list[n].compression =
            is_ascii(texts->text[k]) ? PNG_TEXT_COMPRESSION_NONE : PNG_ITXT_COMPRESSION_NONE;
        list[n].key = (char *)imu_text_keywords[k];
        list[n].text = texts->text[k];
        list[n].lang = (char *)"";
        list[n].lang_key = (char *)"";
        n++;
    }
    png_set_text(png, info, list, n);
}

int imu_png_encode(const imu_picture *p, const imu_texts *texts, imu_bytes *out, imu_error *err)
{
    static const int colour[] = {0, PNG_COLOR_TYPE_GRAY, PNG_COLOR_TYPE_GRAY_ALPHA,
                                 PNG_COLOR_TYPE_RGB, PNG_COLOR_TYPE_RGB_ALPHA};
    struct source s = {.err = err};
    struct {
        imu_bytes *out;
        size_t cap;
    } to = {.out = out};
    volatile int rc = -1;
    memset(out, 0, sizeof *out);
    if (err)
        err->type[0] = 0;
    png_structp png = png_create_write_struct(PNG_LIBPNG_VER_STRING, &s, on_error, on_warning);
    png_infop info = png ? png_create_info_struct(png) : NULL;
    if (info && !setjmp(png_jmpbuf(png))) {
        png_set_write_fn(png, &to, on_write, on_flush);
        png_set_IHDR(png, info, (uint32_t)p->width, (uint32_t)p->height, 8, colour[p->channels],
                     PNG_INTERLACE_NONE, PNG_COMPRESSION_TYPE_DEFAULT, PNG_FILTER_TYPE_DEFAULT);
        /* Level 1 with filters: a third of the time of the default for a few percent more bytes. */
        png_set_compression_level(png, 1);
        if (texts)
            set_texts(png, info, texts);
        png_write_info(png, info);
        for (int y = 0; y < p->height; y++)
            png_write_row(png, p->data + (size_t)y * (size_t)p->width * (size_t)p->channels);
        png_write_end(png, info);
        rc = 0;
    }
    png_destroy_write_struct(&png, &info);
    if (rc) {
        free(out->data);
        memset(out, 0, sizeof *out);
        return imu_refuse(err, "OutOfMemory", "The picture could not be written as PNG.");
    }
    return 0;
}
