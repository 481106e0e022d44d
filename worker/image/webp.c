/* WebP by libwebp: the first frame of a file, and thumbnails. See picture.h. */
#include "worker/image/picture.h"

#include <stdlib.h>
#include <string.h>
#include <webp/decode.h>
#include <webp/demux.h>
#include <webp/encode.h>

/* The still picture's or the first frame's bitstream. */
static int first_frame(const uint8_t *data, size_t len, WebPDemuxer **demux, WebPIterator *frame,
                       imu_error *err)
{
    WebPData all = {.bytes = data, .size = len};
    *demux = WebPDemux(&all);
    if (!*demux)
        return imu_refuse(err, "corrupt", "The WebP file is damaged.");
    if (!WebPDemuxGetFrame(*demux, 1, frame)) {
        WebPDemuxDelete(*demux);
        return imu_refuse(err, "corrupt", "The WebP file has no picture.");
    }
    return 0;
}

static imu_picture *decode_frame(const WebPIterator *frame, int canvas_w, int canvas_h,
                                 const imu_decode_limits *limits, imu_error *err)
{
    WebPBitstreamFeatures info;
    const uint8_t *d = frame->fragment.bytes;
    size_t n = frame->fragment.size;
    if (WebPGetFeatures(d, n, &info) != VP8_STATUS_OK) {
        imu_refuse(err, "corrupt", "The WebP file is damaged.");
        return NULL;
    }
    if (imu_check_size((uint64_t)info.width, (uint64_t)info.height, limits, err))
        return NULL;
    bool whole = info.width == canvas_w && info.height == canvas_h;
    int ch = info.has_alpha || !whole ? 4 : 3;
    if (!whole &&
        (frame->x_offset < 0 || frame->y_offset < 0 || frame->x_offset + info.width > canvas_w ||
         frame->y_offset + info.height > canvas_h)) {
        imu_refuse(err, "corrupt", "The WebP file's first frame lies outside of it.");
        return NULL;
    }
    imu_picture *p = imu_picture_new(canvas_w, canvas_h, ch);
    if (!p) {
        imu_refuse(err, "too_large", "Not enough memory for the picture.");
        return NULL;
    }
    int stride = canvas_w * ch;
    uint8_t *to = p->data + (whole ? 0
                                   : (size_t)frame->y_offset * (size_t)stride +
                                         (size_t)frame->x_offset * (size_t)ch);
    size_t room = (size_t)stride * (size_t)canvas_h - (size_t)(to - p->data);
    const uint8_t *ok = ch == 4 ? WebPDecodeRGBAInto(d, n, to, room, stride)
                                : WebPDecodeRGBInto(d, n, to, room, stride);
    if (!ok) {
        imu_picture_free(p);
        imu_refuse(err, "corrupt", "The WebP file is damaged.");
        return NULL;
    }
    return p;
}

imu_picture *imu_webp_decode(const uint8_t *data, size_t len, const imu_decode_limits *limits,
                             imu_error *err)
{
    WebPDemuxer *demux;
    WebPIterator frame;
    memset(&frame, 0, sizeof frame);
    if (first_frame(data, len, &demux, &frame, err))
        return NULL;
    uint32_t w = WebPDemuxGetI(demux, WEBP_FF_CANVAS_WIDTH),
             h = WebPDemuxGetI(demux, WEBP_FF_CANVAS_HEIGHT);
    imu_picture *p = NULL;
    if (!imu_check_size(w, h, limits, err))
        p = decode_frame(&frame, (int)w, (int)h, limits, err);
    WebPDemuxReleaseIterator(&frame);
    WebPDemuxDelete(demux);
    return p;
}

int imu_webp_encode(const imu_picture *p, float quality, imu_bytes *out, imu_error *err)
{
    memset(out, 0, sizeof *out);
    bool alpha = p->channels == 2 || p->channels == 4;
    imu_picture *colour = imu_picture_convert(p, alpha ? 4 : 3);
    uint8_t *data = NULL;
    if (colour && alpha)
        out->len = WebPEncodeRGBA(colour->data, p->width, p->height, p->width * 4, quality, &data);
    else if (colour)
        out->len = WebPEncodeRGB(colour->data, p->width, p->height, p->width * 3, quality, &data);
    imu_picture_free(colour);
    if (out->len == 0)
        return imu_refuse(err, "OutOfMemory", "The thumbnail could not be made.");
    out->data = data; /* libwebp's allocator is malloc */
    return 0;
}
