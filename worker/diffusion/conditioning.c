/* Prompts to conditioning. */
#include "worker/diffusion/model.h"

#include <stdlib.h>
#include <string.h>

imu_engine_status imu_model_encode_prompt(imu_model *model, const char *prompt, int clip_skip,
                                          imu_conditioning **out, imu_fault *fault)
{
    imu_engine_status s = imu_model_need(model, IMU_PART_TEXT, fault);
    int *ids;
    size_t count;
    if (!s)
        s = imu_tokenize(model->tokenizer[0], prompt, &ids, &count, fault);
    if (s)
        return s;
    int length = imu_text_encoder_length(model->encoder[0]), room = length - 2;
    int chunks = count ? (int)((count + (size_t)room - 1) / (size_t)room) : 1;
    int *rows = malloc((size_t)chunks * (size_t)length * sizeof *rows);
    imu_conditioning *c = calloc(1, sizeof *c);
    int64_t dim[3] = {1, (int64_t)chunks * length, imu_text_encoder_width(model->encoder[0])};
    if (c)
        c->embeds = imu_array_new(3, dim);
    if (!rows || !c || !c->embeds) {
        s = imu_fail_memory(fault);
    } else {
        for (int k = 0; k < chunks; k++)
            for (int i = 0; i < length; i++) {
                size_t at = (size_t)k * (size_t)room + (size_t)i - 1;
                int end = at == count || i == length - 1;
                rows[k * length + i] = i == 0              ? imu_tokenizer_bos(model->tokenizer[0])
                                       : at < count && !end ? ids[at]
                                       : end               ? imu_tokenizer_eos(model->tokenizer[0])
                                                           : imu_tokenizer_pad(model->tokenizer[0]);
            }
        imu_text_request r = {rows, chunks, clip_skip, true, false, c->embeds->data, NULL, NULL};
        s = imu_text_encode(model->encoder[0], &r, fault);
    }
    free(ids);
    free(rows);
    if (s)
        imu_conditioning_free(c);
    else
        *out = c;
    return s;
}
