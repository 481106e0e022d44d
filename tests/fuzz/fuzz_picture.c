/* Fuzzes the picture decoders and our own PNG chunk walk. What decodes must encode and decode
 * again. */
#include "worker/image/picture.h"

#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const imu_decode_limits limits = {
        .max_pixels = 1 << 18, .max_side = 2048, .max_text = 4096};
    imu_error err = {.text = ""};
    imu_texts texts = {.text = {NULL}};
    bool clean = imu_png_is_clean(data, size);
    if (clean && (size < 8 + 12 + 13 + 12 || memcmp(data + size - 8, "IEND", 4)))
        abort();
    imu_picture *p = imu_decode(data, size, &limits, &texts, &err);
    if (!p && !err.type[0])
        abort(); /* a refusal says why */
    imu_bytes png, thumbnail;
    if (p && imu_png_encode(p, &texts, &png, &err) == 0) {
        imu_picture *again = imu_decode(png.data, png.len, &limits, NULL, &err);
        if (!again || again->width != p->width || again->height != p->height ||
            !imu_png_is_clean(png.data, png.len))
            abort();
        imu_picture_free(again);
        free(png.data);
    }
    if (p && imu_thumbnail(p, 16, &thumbnail, &err) == 0)
        free(thumbnail.data);
    for (int i = 0; i < IMU_TEXT_COUNT; i++) {
        json_t *text = texts.text[i] ? json_string(texts.text[i]) : NULL;
        if (texts.text[i] && !text)
            abort(); /* texts are valid UTF-8 */
        json_decref(text);
    }
    imu_texts_free(&texts);
    imu_picture_free(p);
    return 0;
}
