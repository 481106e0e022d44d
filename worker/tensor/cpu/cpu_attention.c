/* Attention, tile by tile: the scores of some queries against all keys stay in cache between the
 * two products, so the full score matrix never exists. */
#include "worker/tensor/cpu/cpu.h"

#include "worker/tensor/clones.h"
#include "worker/tensor/cpu/vector_math.h"

#include <math.h>
#include <omp.h>
#include <stdatomic.h>

enum { TILE = 64 }; /* queries at a time */

/* exp(x) for x <= 0; nothing below e^-70, so that no product of it gets slow denormal numbers. */
static inline __attribute__((always_inline)) float softmax_exp(float x)
{
    float e = imu_expf(x);
    return x < -70.0f ? 0.0f : e;
}

/* exp(row - max) of row[0 .. valid), zeros from there to n. Returns what the sum must be divided
 * out by: the caller does that on the much shorter result. */
IMU_CLONES static float softmax_row(float *row, int64_t valid, int64_t n)
{
    float lanes[16], max = row[0];
    int64_t i = 0;
    for (int64_t k = 0; k < 16; k++)
        lanes[k] = max;
    for (; i + 16 <= valid; i += 16)
        for (int64_t k = 0; k < 16; k++)
            lanes[k] = row[i + k] > lanes[k] ? row[i + k] : lanes[k];
    for (; i < valid; i++)
        max = row[i] > max ? row[i] : max;
    for (int64_t k = 0; k < 16; k++) {
        max = lanes[k] > max ? lanes[k] : max;
        lanes[k] = 0;
    }
    i = 0;
    for (; i + 16 <= valid; i += 16)
        for (int64_t k = 0; k < 16; k++) {
            float e = softmax_exp(row[i + k] - max);
            row[i + k] = e;
            lanes[k] += e;
        }
    double sum = 0;
    for (; i < valid; i++) {
        row[i] = softmax_exp(row[i] - max);
        sum += (double)row[i];
    }
    for (int64_t k = 0; k < 16; k++)
        sum += (double)lanes[k];
    for (i = valid; i < n; i++)
        row[i] = 0;
    return (float)(1.0 / sum);
}

IMU_CLONES static void scale_row(float *row, float factor, int64_t n)
{
    for (int64_t i = 0; i < n; i++)
        row[i] *= factor;
}

IMU_CLONES static void add_row(float *restrict row, const float *restrict bias, int64_t n)
{
    for (int64_t i = 0; i < n; i++)
        row[i] += bias[i];
}

/* The geometry of one attention over float32 memory. */
typedef struct attention_job {
    const float *q, *k, *v;
    const float *key_bias; /* [pictures][keys], or NULL */
    float *y;
    int64_t queries, keys, width, head_width; /* width: all heads of a token */
    float scale;
    bool causal;
} attention_job;

static dnnl_status_t attend_tile(const attention_job *j, int64_t picture, int64_t head,
                                 int64_t first, float *scores)
{
    int64_t rows = j->queries - first < TILE ? j->queries - first : TILE;
    int64_t q_at = (picture * j->queries + first) * j->width + head * j->head_width;
    int64_t k_at = picture * j->keys * j->width + head * j->head_width;
    dnnl_status_t s = dnnl_sgemm('N', 'T', rows, j->keys, j->head_width, j->scale, j->q + q_at,
                                 j->width, j->k + k_at, j->width, 0.0f, scores, j->keys);
    if (s != dnnl_success)
        return s;
    for (int64_t r = 0; r < rows && j->key_bias; r++)
        add_row(scores + r * j->keys, j->key_bias + picture * j->keys, j->keys);
    float inverse[TILE];
    for (int64_t r = 0; r < rows; r++)
        inverse[r] =
            softmax_row(scores + r * j->keys, j->causal ? first + r + 1 : j->keys, j->keys);
    s = dnnl_sgemm('N', 'N', rows, j->head_width, j->keys, 1.0f, scores, j->keys, j->v + k_at,
                   j->width, 0.0f, j->y + q_at, j->width);
    for (int64_t r = 0; r < rows; r++)
        scale_row(j->y + q_at + r * j->width, inverse[r], j->head_width);
    return s;
}

static int attend(imu_cpu *cpu, const attention_job *j, int64_t pictures, int64_t heads)
{
    int64_t tiles = (j->queries + TILE - 1) / TILE, jobs = pictures * heads * tiles;
    size_t space = (size_t)TILE * (size_t)j->keys,
           bytes = (size_t)cpu->threads * space * sizeof(float);
    float *scores = cpu->base.alloc(&cpu->base, bytes);
    if (!scores || imu_cpu_leave_reserve(cpu)) {
        cpu->base.release(&cpu->base, scores, bytes);
        return IMU_TENSOR_NO_MEMORY;
    }
    int worst = dnnl_success;
    atomic_bool stopped = false;
#pragma omp parallel for num_threads(cpu->threads) schedule(dynamic, 1) reduction(max : worst)
    for (int64_t i = 0; i < jobs; i++) {
        if (omp_get_thread_num() == 0 && cpu->base.cancelled && !stopped &&
            cpu->base.cancelled(cpu->base.cancel_user))
            stopped = true;
        if (stopped)
            continue;
        float *mine = scores + (size_t)omp_get_thread_num() * space;
        dnnl_status_t s =
            attend_tile(j, i / tiles / heads, i / tiles % heads, i % tiles * TILE, mine);
        worst = (int)s > worst ? (int)s : worst;
    }
    cpu->base.release(&cpu->base, scores, bytes);
    if (stopped)
        return IMU_TENSOR_CANCELLED;
    return worst ? imu_cpu_dnnl_error(cpu, (dnnl_status_t)worst, "an attention") : IMU_TENSOR_OK;
}

/* `t` as float32: itself, or a widened copy in *copy. */
static const float *widened(imu_cpu *cpu, const imu_tensor *t, imu_tensor *copy)
{
    if (t->type == IMU_F32)
        return t->data;
    *copy = *t;
    copy->type = IMU_F32;
    copy->bytes = (size_t)imu_tensor_count(t) * sizeof(float);
    copy->data = cpu->base.alloc(&cpu->base, copy->bytes);
    if (copy->data)
        imu_cpu_cast(&cpu->base, t, copy);
    return copy->data;
}

int imu_cpu_attention(imu_backend *b, const imu_tensor *q, const imu_tensor *k, const imu_tensor *v,
                      int heads, bool causal, const imu_tensor *key_bias, imu_tensor *y)
{
    imu_cpu *cpu = (imu_cpu *)b;
    imu_tensor copies[4] = {0};
    attention_job j = {
        .q = widened(cpu, q, &copies[0]),
        .k = widened(cpu, k, &copies[1]),
        .v = widened(cpu, v, &copies[2]),
        .y = (float *)widened(cpu, y, &copies[3]),
        .queries = q->dim[1],
        .keys = k->dim[1],
        .width = q->dim[2],
        .head_width = q->dim[2] / heads,
        .causal = causal,
        .key_bias = key_bias ? key_bias->data : NULL,
    };
    j.scale = 1.0f / sqrtf((float)j.head_width);
    int rc = j.q && j.k && j.v && j.y ? attend(cpu, &j, q->dim[0], heads) : IMU_TENSOR_NO_MEMORY;
    if (!rc && copies[3].data)
        rc = imu_cpu_cast(b, &copies[3], y);
    for (int i = 0; i < 4; i++)
        b->release(b, copies[i].data, copies[i].bytes);
    return rc;
}
