/* A device that is the processor: what the CUDA backend asks of one, in plain loops. It checks what
 * a GPU would not tell: that copies and products stay within what was handed out. */
#include "tests/engine/device_host.h"
#include "worker/tensor/cuda/device.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct imu_device {
    char error[80];
};

struct imu_host_memory imu_host_memory = {.limit = UINT64_MAX};
struct imu_host_loss imu_host_loss;

int imu_host_answers(void)
{
    if (++imu_host_loss.calls == imu_host_loss.at)
        imu_host_loss.lost = 1;
    return imu_host_loss.lost ? -1 : 0;
}

bool imu_device_lost(imu_device *d)
{
    (void)d;
    return imu_host_loss.lost;
}

imu_device *imu_device_open(int index, char *why, size_t size)
{
    if (index) {
        snprintf(why, size, "there is no device %d", index);
        return NULL;
    }
    return calloc(1, sizeof(imu_device));
}

void imu_device_close(imu_device *d)
{
    free(d);
}

int imu_device_enter(imu_device *d)
{
    (void)d;
    return imu_host_answers();
}

const char *imu_device_name(const imu_device *d)
{
    (void)d;
    return "emulated";
}

bool imu_device_has_bf16(const imu_device *d)
{
    (void)d;
    return true;
}

void *imu_device_stream(const imu_device *d)
{
    (void)d;
    return NULL;
}

uint64_t imu_device_memory(imu_device *d)
{
    (void)d;
    return imu_host_memory.limit - imu_host_memory.held;
}

/* Before each block lies how large it is: what malloc makes of it depends on what was freed before.
 */
#define HEAD (2 * sizeof(uint64_t))

void *imu_device_alloc(imu_device *d, size_t bytes)
{
    struct imu_host_memory *m = &imu_host_memory;
    (void)d;
    bool has = !imu_host_answers() && bytes <= m->limit - m->held;
    uint64_t *block = has ? malloc(HEAD + bytes) : NULL;
    if (!block)
        return NULL;
    block[0] = bytes;
    m->held += bytes;
    m->most = m->held > m->most ? m->held : m->most;
    return (char *)block + HEAD;
}

void imu_device_free(imu_device *d, void *data)
{
    (void)d;
    if (!data)
        return;
    uint64_t *block = (uint64_t *)(void *)((char *)data - HEAD);
    imu_host_memory.held -= block[0];
    free(block);
}

int imu_device_upload(imu_device *d, void *dst, const void *src, size_t bytes)
{
    (void)d;
    if (imu_host_answers())
        return -1;
    imu_host_memory.uploads++;
    imu_host_memory.uploaded += bytes;
    memcpy(dst, src, bytes);
    return 0;
}

int imu_device_download(imu_device *d, void *dst, const void *src, size_t bytes)
{
    (void)d;
    if (imu_host_answers())
        return -1;
    memcpy(dst, src, bytes);
    return 0;
}

int imu_device_wait(imu_device *d)
{
    (void)d;
    return imu_host_answers();
}

const char *imu_device_error(const imu_device *d)
{
    return imu_host_loss.lost ? "the device was lost on purpose" : d->error;
}

static float load(imu_dtype type, const void *data, int64_t at)
{
    float value;
    imu_to_f32(type, (const char *)data + (size_t)at * imu_dtype_size(type), &value, 1);
    return value;
}

static void store(imu_dtype type, void *data, int64_t at, float value)
{
    char *to = (char *)data + (size_t)at * imu_dtype_size(type);
    if (type == IMU_BF16)
        imu_f32_to_bf16(&value, (uint16_t *)(void *)to, 1);
    else
        memcpy(to, &value, sizeof value);
}

/* What cuBLASLt refuses too: rows that overlap, and types it has no product for. */
static bool sound(const imu_product *p)
{
    int64_t b_width = p->b_by_columns ? p->inner : p->cols;
    bool types = (p->in == IMU_F32 && p->out == IMU_F32) ||
                 (p->in == IMU_BF16 && (p->out == IMU_F32 || p->out == IMU_BF16));
    return types && p->rows > 0 && p->cols > 0 && p->inner > 0 && p->batch > 0 &&
           p->a_ld >= p->inner && p->b_ld >= b_width && p->c_ld >= p->cols;
}

/* Sixteen sums at once, which compilers turn into vectors. */
static float dot(const float *x, const float *y, int64_t n)
{
    float lanes[16] = {0};
    double sum = 0;
    int64_t i = 0;
    for (; i + 16 <= n; i += 16)
        for (int64_t k = 0; k < 16; k++)
            lanes[k] += x[i + k] * y[i + k];
    for (; i < n; i++)
        sum += (double)x[i] * (double)y[i];
    for (int k = 0; k < 16; k++)
        sum += (double)lanes[k];
    return (float)sum;
}

/* b of one of the batch, as [cols, inner] in float32. */
static void widen_columns(const imu_product *p, const void *b, int64_t at, float *wide)
{
    size_t size = imu_dtype_size(p->in);
    for (int64_t i = 0; p->b_by_columns && i < p->cols; i++)
        imu_to_f32(p->in, (const char *)b + (size_t)(at + i * p->b_ld) * size, wide + i * p->inner,
                   (size_t)p->inner);
    for (int64_t i = 0; !p->b_by_columns && i < p->cols * p->inner; i++)
        wide[i] = load(p->in, b, at + i % p->inner * p->b_ld + i / p->inner);
}

static void one_of_batch(const imu_product *p, int64_t n, const void *a, const float *columns,
                         float *row, const void *bias, void *c)
{
    size_t size = imu_dtype_size(p->in);
    for (int64_t r = 0; r < p->rows; r++) {
        imu_to_f32(p->in, (const char *)a + (size_t)(n * p->a_step + r * p->a_ld) * size, row,
                   (size_t)p->inner);
        for (int64_t i = 0; i < p->cols; i++) {
            int64_t at = n * p->c_step + r * p->c_ld + i;
            float value = dot(row, columns + i * p->inner, p->inner) * p->alpha +
                          (bias ? load(p->out, bias, i) : 0);
            store(p->out, c, at, value + (p->accumulate ? load(p->out, c, at) : 0));
        }
    }
}

int imu_device_product(imu_device *d, const imu_product *p, const void *a, const void *b,
                       const void *bias, void *c)
{
    if (imu_host_answers())
        return -1;
    if (!sound(p)) {
        snprintf(d->error, sizeof d->error, "a product of %lld by %lld over %lld is refused",
                 (long long)p->rows, (long long)p->cols, (long long)p->inner);
        return -1;
    }
    float *columns = malloc((size_t)(p->cols + 1) * (size_t)p->inner * sizeof *columns);
    if (!columns)
        return -1;
    for (int64_t n = 0; n < p->batch; n++) {
        widen_columns(p, b, n * p->b_step, columns);
        one_of_batch(p, n, a, columns, columns + p->cols * p->inner, bias, c);
    }
    free(columns);
    return 0;
}
