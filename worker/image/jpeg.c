/* JPEG by libjpeg-turbo: decoding with limits, turned as EXIF says; encoding of previews. See
 * picture.h. */
#include "worker/image/picture.h"

#include <setjmp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <jpeglib.h>
#include <jerror.h>

struct failure {
    struct jpeg_error_mgr mgr; /* first: libjpeg hands out a pointer to it */
    jmp_buf back;
    imu_error *err;
};

static void on_error(j_common_ptr c)
{
    struct failure *f = (struct failure *)c->err;
    char message[JMSG_LENGTH_MAX];
    f->mgr.format_message(c, message);
    imu_refuse(f->err, "corrupt", "The JPEG file is damaged (%.100s).", message);
    longjmp(f->back, 1);
}

static void on_message(j_common_ptr c, int level)
{
    struct failure *f = (struct failure *)c->err;
    int code = f->mgr.msg_code;
    /* Stray bytes between segments are common and harmless. What these warnings stand for, a file
     * cut short or broken within, gives half a picture: refused. */
    if (level < 0 &&
        (code == JWRN_JPEG_EOF || code == JWRN_HIT_MARKER || code == JWRN_HUFF_BAD_CODE)) {
        char message[JMSG_LENGTH_MAX];
        f->mgr.format_message(c, message);
        imu_refuse(f->err, "corrupt", "The JPEG file is damaged (%.100s).", message);
        longjmp(f->back, 1);
    }
}

static unsigned get16(const uint8_t *p, bool big)
{
    return big ? (unsigned)p[0] << 8 | p[1] : (unsigned)p[1] << 8 | p[0];
}

static unsigned long get32(const uint8_t *p, bool big)
{
    return big ? (unsigned long)get16(p, big) << 16 | get16(p + 2, big)
               : (unsigned long)get16(p + 2, big) << 16 | get16(p, big);
}

/* The orientation, 1 to 8, that an APP1 marker's EXIF block states; 1 without one. */
static int orientation_of(const uint8_t *d, size_t len)
{
    if (len < 14 || memcmp(d, "Exif\0\0", 6))
        return 1;
    d += 6;
    len -= 6;
    bool big = d[0] == 'M';
    size_t at = get32(d + 4, big);
    if (at > len || len - at < 2)
        return 1;
    unsigned n = get16(d + at, big);
    at += 2;
    for (unsigned i = 0; i < n && len - at >= 12; i++, at += 12) {
        if (get16(d + at, big) == 0x0112 && get16(d + at + 2, big) == 3) {
            unsigned v = get16(d + at + 8, big);
            return v >= 1 && v <= 8 ? (int)v : 1;
        }
    }
    return 1;
}

/* Turns and mirrors as orientation 2 to 8 asks. Takes p over; NULL without memory. */
static imu_picture *turn(imu_picture *p, int orientation)
{
    if (orientation == 1)
        return p;
    bool swap = orientation >= 5;
    imu_picture *out =
        imu_picture_new(swap ? p->height : p->width, swap ? p->width : p->height, p->channels);
    int w = p->width, h = p->height;
    for (int y = 0; out && y < out->height; y++) {
        for (int x = 0; x < out->width; x++) {
            int sx = swap ? y : x, sy = swap ? x : y;
            if (orientation == 2 || orientation == 3 || orientation == 7 || orientation == 8)
                sx = w - 1 - sx;
            if (orientation == 3 || orientation == 4 || orientation == 6 || orientation == 7)
                sy = h - 1 - sy;
            memcpy(out->data + ((size_t)y * (size_t)out->width + (size_t)x) * (size_t)p->channels,
                   p->data + ((size_t)sy * (size_t)w + (size_t)sx) * (size_t)p->channels,
                   (size_t)p->channels);
        }
    }
    imu_picture_free(p);
    return out;
}

/* CMYK as Adobe writes it (inverted) becomes RGB in place of its four samples. */
static void cmyk_row(const uint8_t *s, uint8_t *d, int width, bool inverted)
{
    for (int x = 0; x < width; x++, s += 4, d += 3) {
        for (int c = 0; c < 3; c++) {
            unsigned ink = inverted ? s[c] : 255u - s[c], black = inverted ? s[3] : 255u - s[3];
            d[c] = (uint8_t)((ink * black + 127) / 255);
        }
    }
}

/* Between setjmp and the return; what it allocates hangs on the two pointers, which the caller
 * frees. */
static int read_jpeg(struct jpeg_decompress_struct *j, const imu_decode_limits *limits,
                     imu_picture **out, uint8_t **row, int *orientation, imu_error *err)
{
    jpeg_save_markers(j, JPEG_APP0 + 1, 0xFFFF);
    jpeg_read_header(j, TRUE);
    if (imu_check_size(j->image_width, j->image_height, limits, err))
        return -1;
    for (jpeg_saved_marker_ptr m = j->marker_list; m; m = m->next)
        if (*orientation == 1)
            *orientation = orientation_of(m->data, m->data_length);
    bool cmyk = j->jpeg_color_space == JCS_CMYK || j->jpeg_color_space == JCS_YCCK;
    bool grey = j->jpeg_color_space == JCS_GRAYSCALE;
    j->out_color_space = cmyk ? JCS_CMYK : grey ? JCS_GRAYSCALE : JCS_RGB;
    jpeg_start_decompress(j);
    *out = imu_picture_new((int)j->output_width, (int)j->output_height, grey ? 1 : 3);
    *row = cmyk ? malloc((size_t)j->output_width * 4) : NULL;
    if (!*out || (cmyk && !*row))
        return imu_refuse(err, "too_large", "Not enough memory for the picture.");
    size_t stride = (size_t)(*out)->width * (size_t)(*out)->channels;
    while (j->output_scanline < j->output_height) {
        uint8_t *to = (*out)->data + j->output_scanline * stride;
        JSAMPROW line = cmyk ? *row : to;
        jpeg_read_scanlines(j, &line, 1);
        if (cmyk)
            cmyk_row(*row, to, (*out)->width, j->saw_Adobe_marker);
    }
    jpeg_finish_decompress(j);
    return 0;
}

/* A progressive file of many scans costs time per scan: refuse absurd ones. */
static void on_progress(j_common_ptr c)
{
    struct jpeg_decompress_struct *j = (struct jpeg_decompress_struct *)c;
    struct failure *f = (struct failure *)c->err;
    if (c->is_decompressor && j->input_scan_number > 100) {
        imu_refuse(f->err, "too_large", "The JPEG file has too many scans.");
        longjmp(f->back, 1);
    }
}

imu_picture *imu_jpeg_decode(const uint8_t *data, size_t len, const imu_decode_limits *limits,
                             imu_error *err)
{
    struct jpeg_decompress_struct j;
    struct jpeg_progress_mgr progress = {.progress_monitor = on_progress};
    struct failure f = {.err = err};
    imu_picture *volatile out = NULL;
    uint8_t *volatile row = NULL;
    volatile int orientation = 1;
    volatile bool ok = false;
    j.err = jpeg_std_error(&f.mgr);
    f.mgr.error_exit = on_error;
    f.mgr.emit_message = on_message;
    jpeg_create_decompress(&j);
    j.progress = &progress;
    if (!setjmp(f.back)) {
        jpeg_mem_src(&j, data, len);
        ok = read_jpeg(&j, limits, (imu_picture **)&out, (uint8_t **)&row, (int *)&orientation,
                       err) == 0;
    }
    jpeg_destroy_decompress(&j);
    free(row);
    if (!ok) {
        imu_picture_free(out);
        return NULL;
    }
    imu_picture *turned = turn(out, orientation);
    if (!turned)
        imu_refuse(err, "too_large", "Not enough memory for the picture.");
    return turned;
}

int imu_jpeg_encode(const imu_picture *p, int quality, imu_bytes *out, imu_error *err)
{
    struct jpeg_compress_struct j;
    struct failure f = {.err = err};
    unsigned char *data = NULL;
    unsigned long len = 0;
    memset(out, 0, sizeof *out);
    if (p->channels != 3)
        return imu_refuse(err, "Internal", "Only RGB pictures are written as JPEG.");
    j.err = jpeg_std_error(&f.mgr);
    f.mgr.error_exit = on_error;
    jpeg_create_compress(&j);
    if (setjmp(f.back)) {
        jpeg_destroy_compress(&j);
        free(data);
        return -1;
    }
    jpeg_mem_dest(&j, &data, &len);
    j.image_width = (JDIMENSION)p->width;
    j.image_height = (JDIMENSION)p->height;
    j.input_components = 3;
    j.in_color_space = JCS_RGB;
    jpeg_set_defaults(&j);
    jpeg_set_quality(&j, quality, TRUE);
    jpeg_start_compress(&j, TRUE);
    while (j.next_scanline < j.image_height) {
        JSAMPROW line = p->data + (size_t)j.next_scanline * (size_t)p->width * 3;
        jpeg_write_scanlines(&j, &line, 1);
    }
    jpeg_finish_compress(&j);
    jpeg_destroy_compress(&j);
    out->data = data;
    out->len = len;
    return 0;
}
