/* Between latents and pixels. */
#include "worker/diffusion/model.h"

#include <math.h>
#include <string.h>

static uint8_t to_byte(float v)
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
            image->rgb[3 * i + c] = to_byte(a->data[c * area + i]);
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

imu_image *imu_latents_preview(const imu_array *latents, const char *base)
{
    /* Least-squares maps from a latent cell to its mean colour, known for each family of VAE. */
    static const float first[4][3] = {{0.298f, 0.207f, 0.208f},
                                      {0.187f, 0.286f, 0.173f},
                                      {-0.158f, 0.189f, 0.264f},
                                      {-0.184f, -0.271f, -0.473f}};
    static const float large[4][3] = {{0.3920f, 0.4054f, 0.4549f},
                                      {-0.2634f, -0.0196f, 0.0653f},
                                      {0.0568f, 0.1687f, -0.0755f},
                                      {-0.3112f, -0.2359f, -0.2076f}};
    const float(*map)[3] = base && !strcmp(base, "sdxl") ? large : first;
    if (latents->ndim != 4 || latents->dim[0] != 1 || latents->dim[1] != 4 ||
        latents->dim[2] > 65535 || latents->dim[3] > 65535)
        return NULL;
    imu_image *image = imu_image_new((int)latents->dim[3], (int)latents->dim[2]);
    size_t area = (size_t)(latents->dim[2] * latents->dim[3]);
    for (size_t i = 0; image && i < area; i++)
        for (size_t c = 0; c < 3; c++) {
            float sum = 0;
            for (size_t k = 0; k < 4; k++)
                sum += latents->data[k * area + i] * map[k][c];
            image->rgb[3 * i + c] = to_byte(sum);
        }
    return image;
}
