/* Rough pictures of latents. */
#include "worker/diffusion/model.h"

#include <string.h>

enum { MOST = 100 }; /* no colour of use needs more of a channel */

void imu_latent_colours_of(const char *base, imu_latent_colours *colours)
{
    /* Least-squares maps, known for each family of VAE. */
    static const imu_latent_colours first = {.weight = {{0.298f, 0.207f, 0.208f},
                                                        {0.187f, 0.286f, 0.173f},
                                                        {-0.158f, 0.189f, 0.264f},
                                                        {-0.184f, -0.271f, -0.473f}}},
                                    large = {.weight = {{0.3920f, 0.4054f, 0.4549f},
                                                        {-0.2634f, -0.0196f, 0.0653f},
                                                        {0.0568f, 0.1687f, -0.0755f},
                                                        {-0.3112f, -0.2359f, -0.2076f}}};
    *colours = strncmp(base, "sdxl", 4) ? first : large;
}

/* A row of three numbers. */
static bool read_row(const json_t *row, float out[3])
{
    if (json_array_size(row) != 3)
        return false;
    for (size_t c = 0; c < 3; c++) {
        const json_t *v = json_array_get(row, c);
        double value = json_number_value(v);
        if (!json_is_number(v) || !(value >= -MOST && value <= MOST))
            return false;
        out[c] = (float)value;
    }
    return true;
}

imu_engine_status imu_latent_colours_read(const json_t *vae, imu_latent_colours *colours,
                                          imu_fault *fault)
{
    const json_t *factors = json_object_get(vae, "latent_rgb_factors");
    const json_t *bias = json_object_get(vae, "latent_rgb_bias");
    imu_latent_colours own = {.bias = {0}};
    bool right = json_array_size(factors) == 4 && (!bias || read_row(bias, own.bias));
    if (!factors)
        return IMU_ENGINE_OK;
    for (size_t k = 0; right && k < 4; k++)
        right = read_row(json_array_get(factors, k), own.weight[k]);
    if (!right)
        return imu_fail(fault, IMU_ENGINE_BAD_MODEL,
                        "The VAE's latent_rgb_factors must be four rows of three numbers, and its "
                        "latent_rgb_bias one, none beyond %d.",
                        MOST);
    *colours = own;
    return IMU_ENGINE_OK;
}

imu_image *imu_latents_preview(const imu_array *latents, const imu_latent_colours *colours)
{
    if (latents->ndim != 4 || latents->dim[0] != 1 || latents->dim[1] != 4 ||
        latents->dim[2] > 65535 || latents->dim[3] > 65535)
        return NULL;
    imu_image *image = imu_image_new((int)latents->dim[3], (int)latents->dim[2]);
    size_t area = (size_t)(latents->dim[2] * latents->dim[3]);
    for (size_t i = 0; image && i < area; i++)
        for (size_t c = 0; c < 3; c++) {
            float sum = colours->bias[c];
            for (size_t k = 0; k < 4; k++)
                sum += latents->data[k * area + i] * colours->weight[k][c];
            image->rgb[3 * i + c] = imu_colour_byte(sum);
        }
    return image;
}
