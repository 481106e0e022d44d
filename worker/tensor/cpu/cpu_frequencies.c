/* The slowest waves of a picture: a discrete Fourier transform of four frequencies, each a sum over
 * all pixels. */
#include "worker/tensor/cpu/cpu.h"

#include "worker/tensor/clones.h"

#include <math.h>

enum { CHANNELS = 64, WAVES = 4 };

/* What the waves (0 or -1 along each axis) are at a pixel. */
typedef struct wave {
    float cosine[WAVES], sine[WAVES];
} wave;

static wave waves_at(int64_t y, int64_t x, int64_t h, int64_t w)
{
    wave v;
    for (int k = 0; k < WAVES; k++) {
        double angle = 0;
        if (k & 1)
            angle += (double)x / (double)w;
        if (k & 2)
            angle += (double)y / (double)h;
        v.cosine[k] = (float)cos(2 * M_PI * angle);
        v.sine[k] = (float)sin(2 * M_PI * angle);
    }
    return v;
}

/* Whether the k-th wave exists: an axis of one pixel has its mean alone. */
static bool exists(int k, int64_t h, int64_t w)
{
    return !(k & 1 && w < 2) && !(k & 2 && h < 2);
}

IMU_CLONES static void add_pixel(const float *x, float cosine, float sine, double *even,
                                 double *odd, int64_t n)
{
    for (int64_t i = 0; i < n; i++) {
        even[i] += (double)(x[i] * cosine);
        odd[i] += (double)(x[i] * sine);
    }
}

IMU_CLONES static void add_wave(float *y, float cosine, float sine, const double *even,
                                const double *odd, float share, int64_t n)
{
    for (int64_t i = 0; i < n; i++)
        y[i] += share * ((float)even[i] * cosine + (float)odd[i] * sine);
}

/* Some channels of one picture; `width` is how many a pixel has. */
static void scale_block(float *y, int64_t h, int64_t w, int64_t width, int64_t n, float factor)
{
    double even[WAVES][CHANNELS] = {{0}}, odd[WAVES][CHANNELS] = {{0}};
    float share = (factor - 1) / (float)(h * w);
    for (int64_t p = 0; p < h * w; p++) {
        wave v = waves_at(p / w, p % w, h, w);
        for (int k = 0; k < WAVES; k++)
            add_pixel(y + p * width, v.cosine[k], v.sine[k], even[k], odd[k], n);
    }
    for (int64_t p = 0; p < h * w; p++) {
        wave v = waves_at(p / w, p % w, h, w);
        for (int k = 0; k < WAVES; k++)
            if (exists(k, h, w))
                add_wave(y + p * width, v.cosine[k], v.sine[k], even[k], odd[k], share, n);
    }
}

int imu_cpu_scale_low(imu_backend *b, imu_tensor *y, float factor)
{
    imu_cpu *cpu = (imu_cpu *)b;
    if (y->type != IMU_F32 || y->ndim != 4)
        return IMU_TENSOR_REFUSED;
    int64_t h = y->dim[1], w = y->dim[2], c = y->dim[3], blocks = (c + CHANNELS - 1) / CHANNELS;
#pragma omp parallel for num_threads(cpu->threads)
    for (int64_t i = 0; i < y->dim[0] * blocks; i++) {
        int64_t first = i % blocks * CHANNELS, n = c - first < CHANNELS ? c - first : CHANNELS;
        scale_block((float *)y->data + i / blocks * h * w * c + first, h, w, c, n, factor);
    }
    return IMU_TENSOR_OK;
}
