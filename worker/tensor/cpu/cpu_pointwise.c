/* Activations, sums, resizing and layout changes. */
#include "worker/tensor/cpu/cpu.h"

#include "worker/tensor/clones.h"
#include "worker/tensor/cpu/vector_math.h"

#include <string.h>

enum { BLOCK = 2048 }; /* values a thread takes at a time, so that buffers fit on its stack */

IMU_CLONES static void activate_block(const float *x, float *y, size_t n, imu_activation act)
{
    switch (act) {
    case IMU_ACT_SILU:
        for (size_t i = 0; i < n; i++)
            y[i] = imu_silu(x[i]);
        break;
    case IMU_ACT_GELU:
        for (size_t i = 0; i < n; i++)
            y[i] = imu_gelu(x[i]);
        break;
    case IMU_ACT_QUICK_GELU:
        for (size_t i = 0; i < n; i++)
            y[i] = imu_quick_gelu(x[i]);
        break;
    case IMU_ACT_NONE:
        memmove(y, x, n * sizeof *y);
        break;
    }
}

int imu_cpu_activate(imu_backend *b, const imu_tensor *x, imu_activation act, imu_tensor *y)
{
    imu_cpu *cpu = (imu_cpu *)b;
    int64_t count = imu_tensor_count(x), blocks = (count + BLOCK - 1) / BLOCK;
#pragma omp parallel for num_threads(cpu->threads) if (blocks > 1)
    for (int64_t i = 0; i < blocks; i++) {
        float wide[BLOCK], result[BLOCK];
        int64_t at = i * BLOCK;
        size_t n = (size_t)(count - at < BLOCK ? count - at : BLOCK);
        const float *v = imu_cpu_load(x, at, n, wide);
        float *out = imu_cpu_target(y, at, result);
        activate_block(v, out, n, act);
        imu_cpu_store(y, at, n, out);
    }
    return IMU_TENSOR_OK;
}

int imu_cpu_cast(imu_backend *b, const imu_tensor *x, imu_tensor *y)
{
    return imu_cpu_activate(b, x, IMU_ACT_NONE, y);
}

IMU_CLONES static void geglu_block(const float *restrict value, const float *restrict gate,
                                   float *restrict y, size_t n)
{
    for (size_t i = 0; i < n; i++)
        y[i] = value[i] * imu_gelu(gate[i]);
}

int imu_cpu_geglu(imu_backend *b, const imu_tensor *x, imu_tensor *y)
{
    imu_cpu *cpu = (imu_cpu *)b;
    int64_t width = y->dim[y->ndim - 1], rows = imu_tensor_count(y) / width;
    if (x->dim[x->ndim - 1] != 2 * width)
        return IMU_TENSOR_REFUSED;
#pragma omp parallel for num_threads(cpu->threads)
    for (int64_t r = 0; r < rows; r++) {
        float value[BLOCK], gate[BLOCK], result[BLOCK];
        for (int64_t c = 0; c < width; c += BLOCK) {
            size_t n = (size_t)(width - c < BLOCK ? width - c : BLOCK);
            int64_t from = r * 2 * width + c, to = r * width + c;
            const float *v = imu_cpu_load(x, from, n, value),
                        *g = imu_cpu_load(x, from + width, n, gate);
            float *out = imu_cpu_target(y, to, result);
            geglu_block(v, g, out, n);
            imu_cpu_store(y, to, n, out);
        }
    }
    return IMU_TENSOR_OK;
}

IMU_CLONES static void sum_block(const float *x1, const float *x2, float *y, size_t n)
{
    for (size_t i = 0; i < n; i++)
        y[i] = x1[i] + x2[i];
}

int imu_cpu_add(imu_backend *b, imu_tensor *y, const imu_tensor *x)
{
    imu_cpu *cpu = (imu_cpu *)b;
    int64_t count = imu_tensor_count(y), blocks = (count + BLOCK - 1) / BLOCK;
    if (imu_tensor_count(x) != count)
        return IMU_TENSOR_REFUSED;
#pragma omp parallel for num_threads(cpu->threads) if (blocks > 1)
    for (int64_t i = 0; i < blocks; i++) {
        float first[BLOCK], second[BLOCK], result[BLOCK];
        int64_t at = i * BLOCK;
        size_t n = (size_t)(count - at < BLOCK ? count - at : BLOCK);
        const float *v = imu_cpu_load(y, at, n, first), *w = imu_cpu_load(x, at, n, second);
        float *out = imu_cpu_target(y, at, result);
        sum_block(v, w, out, n);
        imu_cpu_store(y, at, n, out);
    }
    return IMU_TENSOR_OK;
}

IMU_CLONES static void scale_block(const float *x, float factor, float *y, size_t n)
{
    for (size_t i = 0; i < n; i++)
        y[i] = x[i] * factor;
}

int imu_cpu_scale_rows(imu_backend *b, imu_tensor *y, const imu_tensor *rows)
{
    imu_cpu *cpu = (imu_cpu *)b;
    int64_t width = y->dim[y->ndim - 1], count = imu_tensor_count(y) / width;
    if (rows->type != IMU_F32 || imu_tensor_count(rows) != count)
        return IMU_TENSOR_REFUSED;
#pragma omp parallel for num_threads(cpu->threads) if (count > 64)
    for (int64_t r = 0; r < count; r++) {
        float value[BLOCK], result[BLOCK];
        for (int64_t c = 0; c < width; c += BLOCK) {
            size_t n = (size_t)(width - c < BLOCK ? width - c : BLOCK);
            const float *v = imu_cpu_load(y, r * width + c, n, value);
            float *out = imu_cpu_target(y, r * width + c, result);
            scale_block(v, ((const float *)rows->data)[r], out, n);
            imu_cpu_store(y, r * width + c, n, out);
        }
    }
    return IMU_TENSOR_OK;
}

int imu_cpu_add_channels(imu_backend *b, imu_tensor *y, const imu_tensor *c)
{
    imu_cpu *cpu = (imu_cpu *)b;
    int64_t width = y->dim[y->ndim - 1], rows = imu_tensor_count(y) / width, per = rows / y->dim[0];
    if (c->type != IMU_F32 || y->type != IMU_F32 || imu_tensor_count(c) != y->dim[0] * width)
        return IMU_TENSOR_REFUSED;
#pragma omp parallel for num_threads(cpu->threads) if (rows > 64)
    for (int64_t r = 0; r < rows; r++) {
        float *row = (float *)y->data + r * width;
        sum_block(row, (const float *)c->data + r / per * width, row, (size_t)width);
    }
    return IMU_TENSOR_OK;
}

/* Copies `n` values between tensors that may differ in type. */
static void copy_values(const imu_tensor *x, int64_t from, imu_tensor *y, int64_t to, int64_t n)
{
    if (x->type == y->type) {
        size_t size = imu_dtype_size(x->type);
        memcpy((char *)y->data + (size_t)to * size, (const char *)x->data + (size_t)from * size,
               (size_t)n * size);
        return;
    }
    float wide[BLOCK];
    for (int64_t i = 0; i < n; i += BLOCK) {
        size_t part = (size_t)(n - i < BLOCK ? n - i : BLOCK);
        const float *v = imu_cpu_load(x, from + i, part, wide);
        if (y->type == IMU_F32)
            memcpy((float *)y->data + to + i, v, part * sizeof *v);
        else
            imu_cpu_store(y, to + i, part, v);
    }
}

int imu_cpu_upsample(imu_backend *b, const imu_tensor *x, imu_tensor *y)
{
    imu_cpu *cpu = (imu_cpu *)b;
    int64_t h = x->dim[1], w = x->dim[2], c = x->dim[3], oh = y->dim[1], ow = y->dim[2];
    int64_t rows = y->dim[0] * oh;
#pragma omp parallel for num_threads(cpu->threads)
    for (int64_t r = 0; r < rows; r++) {
        int64_t source = (r / oh) * h + (r % oh) * h / oh;
        for (int64_t i = 0; i < ow; i++)
            copy_values(x, (source * w + i * w / ow) * c, y, (r * ow + i) * c, c);
    }
    return IMU_TENSOR_OK;
}

int imu_cpu_wrap(imu_backend *b, const imu_tensor *x, int top, int left, imu_tensor *y)
{
    imu_cpu *cpu = (imu_cpu *)b;
    int64_t h = x->dim[1], w = x->dim[2], c = x->dim[3], oh = y->dim[1], ow = y->dim[2];
    int64_t rows = y->dim[0] * oh;
    if (x->type != y->type || top > h || left > w || y->dim[3] != c)
        return IMU_TENSOR_REFUSED;
#pragma omp parallel for num_threads(cpu->threads)
    for (int64_t r = 0; r < rows; r++) {
        int64_t source = (r / oh * h + (r % oh - top + h) % h) * w;
        for (int64_t i = 0; i < ow; i++)
            copy_values(x, (source + (i - left + w) % w) * c, y, (r * ow + i) * c, c);
    }
    return IMU_TENSOR_OK;
}

IMU_CLONES static void leak(float *y, const float *slopes, float slope, int64_t n)
{
    for (int64_t i = 0; i < n; i++)
        y[i] *= y[i] < 0 ? (slopes ? slopes[i] : slope) : 1;
}

int imu_cpu_leaky(imu_backend *b, imu_tensor *y, const imu_tensor *slopes, float slope)
{
    imu_cpu *cpu = (imu_cpu *)b;
    int64_t width = y->dim[y->ndim - 1], rows = imu_tensor_count(y) / width;
    if (y->type != IMU_F32 || (slopes && imu_tensor_count(slopes) != width))
        return IMU_TENSOR_REFUSED;
#pragma omp parallel for num_threads(cpu->threads) if (rows > 64)
    for (int64_t r = 0; r < rows; r++)
        leak((float *)y->data + r * width, slopes ? slopes->data : NULL, slope, width);
    return IMU_TENSOR_OK;
}

int imu_cpu_scale_channels(imu_backend *b, imu_tensor *y, int64_t channels, float factor)
{
    imu_cpu *cpu = (imu_cpu *)b;
    int64_t width = y->dim[y->ndim - 1], rows = imu_tensor_count(y) / width;
    if (y->type != IMU_F32 || channels > width)
        return IMU_TENSOR_REFUSED;
#pragma omp parallel for num_threads(cpu->threads) if (rows > 64)
    for (int64_t r = 0; r < rows; r++)
        for (int64_t i = 0; i < channels; i++)
            ((float *)y->data)[r * width + i] *= factor;
    return IMU_TENSOR_OK;
}

int imu_cpu_concat(imu_backend *b, const imu_tensor *x1, const imu_tensor *x2, imu_tensor *y)
{
    imu_cpu *cpu = (imu_cpu *)b;
    int64_t c1 = x1->dim[x1->ndim - 1], c2 = x2->dim[x2->ndim - 1],
            rows = imu_tensor_count(x1) / c1;
    if (imu_tensor_count(x2) != rows * c2 || imu_tensor_count(y) != rows * (c1 + c2))
        return IMU_TENSOR_REFUSED;
#pragma omp parallel for num_threads(cpu->threads)
    for (int64_t r = 0; r < rows; r++) {
        copy_values(x1, r * c1, y, r * (c1 + c2), c1);
        copy_values(x2, r * c2, y, r * (c1 + c2) + c1, c2);
    }
    return IMU_TENSOR_OK;
}

int imu_cpu_to_channels_last(imu_backend *b, const imu_tensor *nchw, imu_tensor *nhwc)
{
    imu_cpu *cpu = (imu_cpu *)b;
    int64_t c = nchw->dim[1], area = nchw->dim[2] * nchw->dim[3], pixels = nchw->dim[0] * area;
    if (nchw->type != IMU_F32 || nhwc->type != IMU_F32)
        return IMU_TENSOR_REFUSED;
    const float *from = nchw->data;
    float *to = nhwc->data;
#pragma omp parallel for num_threads(cpu->threads)
    for (int64_t p = 0; p < pixels; p++)
        for (int64_t i = 0; i < c; i++)
            to[p * c + i] = from[(p / area * c + i) * area + p % area];
    return IMU_TENSOR_OK;
}

int imu_cpu_to_channels_first(imu_backend *b, const imu_tensor *nhwc, imu_tensor *nchw)
{
    imu_cpu *cpu = (imu_cpu *)b;
    int64_t c = nchw->dim[1], area = nchw->dim[2] * nchw->dim[3], pixels = nchw->dim[0] * area;
    if (nchw->type != IMU_F32 || nhwc->type != IMU_F32)
        return IMU_TENSOR_REFUSED;
    const float *from = nhwc->data;
    float *to = nchw->data;
#pragma omp parallel for num_threads(cpu->threads)
    for (int64_t p = 0; p < pixels; p++)
        for (int64_t i = 0; i < c; i++)
            to[(p / area * c + i) * area + p % area] = from[p * c + i];
    return IMU_TENSOR_OK;
}
