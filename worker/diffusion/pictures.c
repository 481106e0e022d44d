/* Between latents and pixels. */
#include "worker/diffusion/model.h"

#include <math.h>

uint8_t imu_colour_byte(float v)
{
    float scaled = 255.0f * fminf(fmaxf(v / 2 + 0.5f, 0), 1);
    return (uint8_t)nearbyintf(scaled);
}

/* [1, 3, h, w] from -1 to 1 */
static imu_image *to_rgb(const imu_array *a)
{
    imu_image *image = imu_image_new((int)a->dim[3], (int)a->dim[2]);
    size_t area = (size_t)(a->dim[2] * a->dim[3]);
    for (size_t i = 0; image && i < area; i++)
        for (size_t c = 0; c < 3; c++)
            image->rgb[3 * i + c] = imu_colour_byte(a->data[c * area + i]);
    return image;
}

imu_engine_status imu_model_decode(imu_model *model, const imu_array *latents,
                                   const imu_vae_args *args, imu_image **out, imu_fault *fault)
{
    imu_array *picture;
    imu_engine_status s = imu_model_need(model, IMU_PART_VAE, fault);
    if (!s)
        s = imu_vae_decode(model->vae, latents, args, &picture, fault);
    if (s)
        return s;
    imu_image *image = to_rgb(picture);
    imu_array_free(picture);
    if (!image)
        return imu_fail_memory(fault);
    *out = image;
    return IMU_ENGINE_OK;
}

imu_engine_status imu_model_encode_image(imu_model *model, const imu_image *image,
                                         const imu_vae_args *args, imu_array **out,
                                         imu_fault *fault)
{
    imu_engine_status s = imu_model_need(model, IMU_PART_VAE, fault);
    if (s)
        return s;
    imu_array *picture = imu_array_new(4, (int64_t[]){1, 3, image->height, image->width}), *mean,
              *logvar;
    if (!picture)
        return imu_fail_memory(fault);
    size_t area = (size_t)image->width * (size_t)image->height;
    for (size_t i = 0; i < area; i++)
        for (size_t c = 0; c < 3; c++)
            picture->data[c * area + i] = (float)image->rgb[3 * i + c] / 127.5f - 1;
    s = imu_vae_encode(model->vae, picture, args, &mean, &logvar, fault);
    imu_array_free(picture);
    if (s)
        return s;
    imu_array_free(logvar);
    for (int64_t i = 0, n = imu_array_count(mean); i < n; i++)
        mean->data[i] *= (float)imu_vae_scaling_factor(model->vae);
    *out = mean;
    return IMU_ENGINE_OK;
}
