/* Group norm and layer norm. Sums are kept per channel over short runs of pixels in float32 and
 * then in double, in two passes, so that large means cost no digits. */
#include "worker/tensor/cpu/cpu.h"

#include "worker/tensor/clones.h"
#include "worker/tensor/cpu/vector_math.h"

#include <math.h>
#include <omp.h>
#include <string.h>

enum { RUN = 32 }; /* pixels summed in float32 before the double takes over */

IMU_CLONES static void add_row(float *restrict sum, const float *restrict x, size_t n)
{
    for (size_t i = 0; i < n; i++)
        sum[i] += x[i];
}

IMU_CLONES static void add_row_squared(float *restrict sum, const float *restrict x,
                                       const float *restrict mean, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        float d = x[i] - mean[i];
        sum[i] += d * d;
    }
}

IMU_CLONES static void scale_shift(const float *restrict x, const float *restrict scale,
                                   const float *restrict shift, float *restrict y, size_t n)
{
    for (size_t i = 0; i < n; i++)
        y[i] = x[i] * scale[i] + shift[i];
}

IMU_CLONES static void scale_shift_silu(const float *restrict x, const float *restrict scale,
                                        const float *restrict shift, float *restrict y, size_t n)
{
    for (size_t i = 0; i < n; i++)
        y[i] = imu_silu(x[i] * scale[i] + shift[i]);
}

/* Work space of one group norm: rows of C floats or doubles. */
typedef struct norm_space {
    size_t channels, bytes;
    int threads;
    double *partial; /* [threads][C] */
    float *row;      /* [threads][2 C]: run sums, widened pixels */
    float *mean, *scale, *shift;
} norm_space;

static int space_open(imu_backend *b, norm_space *s, size_t channels, int threads)
{
    size_t t = (size_t)threads;
    s->bytes = channels * (t * sizeof(double) + (2 * t + 3) * sizeof(float));
    void *block = b->alloc(b, s->bytes);
    if (!block)
        return IMU_TENSOR_NO_MEMORY;
    s->channels = channels;
    s->threads = threads;
    s->partial = block;
    s->row = (float *)(s->partial + t * channels);
    s->mean = s->row + 2 * t * channels;
    s->scale = s->mean + channels;
    s->shift = s->scale + channels;
    return IMU_TENSOR_OK;
}

/* Per-channel sums of x (squared: of (x - mean)^2) over the pixels of one picture into partial[0].
 */
static void channel_sums(norm_space *s, const imu_tensor *x, int64_t start, int64_t pixels,
                         bool squared)
{
    size_t c = s->channels;
    memset(s->partial, 0, (size_t)s->threads * c * sizeof *s->partial);
#pragma omp parallel num_threads(s->threads)
    {
        int me = omp_get_thread_num(), all = omp_get_num_threads();
        int64_t first = pixels * me / all, last = pixels * (me + 1) / all;
        double *sum = s->partial + (size_t)me * c;
        float *run = s->row + (size_t)me * 2 * c, *wide = run + c;
        for (int64_t p = first; p < last; p += RUN) {
            memset(run, 0, c * sizeof *run);
            for (int64_t q = p; q < last && q < p + RUN; q++) {
                const float *v = imu_cpu_load(x, start + q * (int64_t)c, c, wide);
                if (squared)
                    add_row_squared(run, v, s->mean, c);
                else
                    add_row(run, v, c);
            }
            for (size_t i = 0; i < c; i++)
                sum[i] += (double)run[i];
        }
    }
    for (int t = 1; t < s->threads; t++)
        for (size_t i = 0; i < c; i++)
            s->partial[i] += s->partial[(size_t)t * c + i];
}

static double group_sum(const norm_space *s, size_t group, size_t width)
{
    double sum = 0;
    for (size_t i = 0; i < width; i++)
        sum += s->partial[group * width + i];
    return sum;
}

static void group_statistics(norm_space *s, const imu_tensor *x, int64_t start, int64_t pixels,
                             int groups, float eps, const float *gamma, const float *beta)
{
    size_t width = s->channels / (size_t)groups;
    double n = (double)pixels * (double)width;
    channel_sums(s, x, start, pixels, false);
    for (size_t g = 0; g < (size_t)groups; g++) {
        double mean = group_sum(s, g, width) / n;
        for (size_t i = g * width; i < (g + 1) * width; i++)
            s->mean[i] = (float)mean;
    }
    channel_sums(s, x, start, pixels, true);
    for (size_t g = 0; g < (size_t)groups; g++) {
        double inverse = 1.0 / sqrt(group_sum(s, g, width) / n + (double)eps);
        for (size_t i = g * width; i < (g + 1) * width; i++) {
            s->scale[i] = (float)(inverse * (double)gamma[i]);
            s->shift[i] =
                (float)((double)beta[i] - (double)s->mean[i] * inverse * (double)gamma[i]);
        }
    }
}

static void normalise(norm_space *s, const imu_tensor *x, int64_t start, int64_t pixels,
                      imu_activation act, imu_tensor *y)
{
    size_t c = s->channels;
#pragma omp parallel num_threads(s->threads)
    {
        int me = omp_get_thread_num(), all = omp_get_num_threads();
        float *wide = s->row + (size_t)me * 2 * c, *result = wide + c;
        for (int64_t p = pixels * me / all; p < pixels * (me + 1) / all; p++) {
            int64_t at = start + p * (int64_t)c;
            const float *v = imu_cpu_load(x, at, c, wide);
            float *out = imu_cpu_target(y, at, result);
            if (act == IMU_ACT_SILU)
                scale_shift_silu(v, s->scale, s->shift, out, c);
            else
                scale_shift(v, s->scale, s->shift, out, c);
            imu_cpu_store(y, at, c, out);
        }
    }
}

int imu_cpu_group_norm(imu_backend *b, const imu_tensor *x, const imu_tensor *gamma,
                       const imu_tensor *beta, int groups, float eps, imu_activation act,
                       imu_tensor *y)
{
    imu_cpu *cpu = (imu_cpu *)b;
    norm_space s;
    int64_t channels = x->dim[x->ndim - 1], pixels = imu_tensor_count(x) / x->dim[0] / channels;
    if (channels % groups || (act != IMU_ACT_NONE && act != IMU_ACT_SILU))
        return IMU_TENSOR_REFUSED;
    int threads = pixels * channels < 4096 ? 1 : cpu->threads;
    if (space_open(b, &s, (size_t)channels, threads))
        return IMU_TENSOR_NO_MEMORY;
    for (int64_t n = 0; n < x->dim[0]; n++) {
        group_statistics(&s, x, n * pixels * channels, pixels, groups, eps, gamma->data,
                         beta->data);
        normalise(&s, x, n * pixels * channels, pixels, act, y);
    }
    b->release(b, s.partial, s.bytes);
    return IMU_TENSOR_OK;
}

IMU_CLONES static float row_mean(const float *x, size_t n)
{
    float lanes[16] = {0};
    size_t i = 0;
    for (; i + 16 <= n; i += 16)
        for (size_t k = 0; k < 16; k++)
            lanes[k] += x[i + k];
    double sum = 0;
    for (; i < n; i++)
        sum += (double)x[i];
    for (size_t k = 0; k < 16; k++)
        sum += (double)lanes[k];
    return (float)(sum / (double)n);
}

IMU_CLONES static double row_squares(const float *x, float mean, size_t n)
{
    float lanes[16] = {0};
    size_t i = 0;
    for (; i + 16 <= n; i += 16)
        for (size_t k = 0; k < 16; k++) {
            float d = x[i + k] - mean;
            lanes[k] += d * d;
        }
    double sum = 0;
    for (; i < n; i++)
        sum += (double)(x[i] - mean) * (double)(x[i] - mean);
    for (size_t k = 0; k < 16; k++)
        sum += (double)lanes[k];
    return sum;
}

IMU_CLONES static void layer_row(const float *restrict x, float mean, float inverse,
                                 const float *restrict gamma, const float *restrict beta,
                                 float *restrict y, size_t n)
{
    for (size_t i = 0; i < n; i++)
        y[i] = (x[i] - mean) * inverse * gamma[i] + beta[i];
}

int imu_cpu_layer_norm(imu_backend *b, const imu_tensor *x, const imu_tensor *gamma,
                       const imu_tensor *beta, float eps, imu_tensor *y)
{
    imu_cpu *cpu = (imu_cpu *)b;
    size_t c = (size_t)x->dim[x->ndim - 1];
    int64_t rows = imu_tensor_count(x) / (int64_t)c;
    size_t bytes = (size_t)cpu->threads * 2 * c * sizeof(float);
    float *space = b->alloc(b, bytes);
    if (!space)
        return IMU_TENSOR_NO_MEMORY;
#pragma omp parallel for num_threads(cpu->threads) schedule(static)
    for (int64_t r = 0; r < rows; r++) {
        float *wide = space + (size_t)omp_get_thread_num() * 2 * c;
        const float *v = imu_cpu_load(x, r * (int64_t)c, c, wide);
        float *out = imu_cpu_target(y, r * (int64_t)c, wide + c);
        float mean = row_mean(v, c);
        float inverse = (float)(1.0 / sqrt(row_squares(v, mean, c) / (double)c + (double)eps));
        layer_row(v, mean, inverse, gamma->data, beta->data, out, c);
        imu_cpu_store(y, r * (int64_t)c, c, out);
    }
    b->release(b, space, bytes);
    return IMU_TENSOR_OK;
}
