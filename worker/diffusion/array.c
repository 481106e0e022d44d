/* Host arrays and pictures. */
#include "worker/diffusion/fault.h"

#include <stdlib.h>
#include <string.h>

/* More elements than any tensor of a sensible model or picture has: 64 GiB of floats. */
#define IMU_MAX_ELEMENTS ((int64_t)1 << 34)

imu_array *imu_array_new(int ndim, const int64_t *dim)
{
    if (ndim < 1 || ndim > 4)
        return NULL;
    int64_t count = 1;
    for (int i = 0; i < ndim; i++) {
        if (dim[i] < 1 || dim[i] > IMU_MAX_ELEMENTS / count)
            return NULL;
        count *= dim[i];
    }
    imu_array *a = calloc(1, sizeof *a);
    if (!a)
        return NULL;
    a->ndim = ndim;
    memcpy(a->dim, dim, (size_t)ndim * sizeof *dim);
    a->data = calloc((size_t)count, sizeof *a->data);
    if (!a->data) {
        free(a);
        return NULL;
    }
    return a;
}

int64_t imu_array_count(const imu_array *a)
{
    int64_t count = 1;
    for (int i = 0; i < a->ndim; i++)
        count *= a->dim[i];
    return count;
}

imu_array *imu_array_clone(const imu_array *a)
{
    imu_array *b = imu_array_new(a->ndim, a->dim);
    if (b)
        memcpy(b->data, a->data, (size_t)imu_array_count(a) * sizeof *a->data);
    return b;
}

void imu_array_free(imu_array *a)
{
    if (!a)
        return;
    free(a->data);
    free(a);
}

imu_image *imu_image_new(int width, int height)
{
    if (width < 1 || height < 1 || width > 65535 || height > 65535)
        return NULL;
    imu_image *image = calloc(1, sizeof *image);
    if (!image)
        return NULL;
    image->width = width;
    image->height = height;
    image->rgb = calloc((size_t)width * (size_t)height, 3);
    if (!image->rgb) {
        free(image);
        return NULL;
    }
    return image;
}

void imu_image_free(imu_image *image)
{
    if (!image)
        return;
    free(image->rgb);
    free(image);
}

void imu_conditioning_free(imu_conditioning *c)
{
    if (!c)
        return;
    imu_array_free(c->embeds);
    imu_array_free(c->pooled);
    free(c);
}
