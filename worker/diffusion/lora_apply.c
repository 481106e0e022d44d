/* What a LoRA does to a weight. */
#include "worker/diffusion/lora_parts.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#define MAX_RANK 8192

/* A tensor of the file as a matrix [rows][columns]: the first dimension by the rest. */
typedef struct matrix {
    int64_t rows, columns;
    float *v; /* NULL: the file has none */
} matrix;

static imu_engine_status misfit(const imu_lora_module *m, imu_fault *fault)
{
    return imu_fail(fault, IMU_ENGINE_BAD_MODEL,
                    "The LoRA was made for another kind of model: %.160s has another shape.",
                    m->name);
}

static imu_engine_status take(const imu_lora *l, const imu_lora_module *m, imu_lora_role role,
                              uint64_t most, matrix *out, imu_fault *fault)
{
    const imu_st_entry *e = m->role[role];
    *out = (matrix){.v = NULL};
    if (!e)
        return IMU_ENGINE_OK;
    /* The bound keeps a hostile file from asking for all memory. */
    if (e->ndim < 1 || e->count < 1 || e->count > most || e->type == IMU_I64 ||
        e->type == IMU_I32 || e->type == IMU_U8)
        return misfit(m, fault);
    out->rows = e->dim[0];
    out->columns = (int64_t)(e->count / (uint64_t)e->dim[0]);
    out->v = malloc((size_t)e->count * sizeof *out->v);
    if (!out->v)
        return imu_fail_memory(fault);
    imu_engine_status s = imu_st_read_f32(l->file, e, out->v, fault);
    if (s) {
        free(out->v);
        out->v = NULL;
    }
    return s;
}

/* The most values that a factor of a change to w[out][rest] can have: of any rank in use. */
static uint64_t room_for(int64_t out, int64_t rest)
{
    return (uint64_t)(out * rest + MAX_RANK * (out > rest ? out : rest));
}

/* c[a.rows][b.columns] = a b */
static imu_engine_status product(const imu_lora_module *m, const matrix *a, const matrix *b,
                                 matrix *c, imu_fault *fault)
{
    if (!a->v || !b->v || a->columns != b->rows)
        return misfit(m, fault);
    *c = (matrix){.rows = a->rows, .columns = b->columns};
    c->v = calloc((size_t)(c->rows * c->columns), sizeof *c->v);
    if (!c->v)
        return imu_fail_memory(fault);
    for (int64_t i = 0; i < a->rows; i++)
        for (int64_t k = 0; k < a->columns; k++) {
            float f = a->v[i * a->columns + k];
            const float *row = b->v + k * b->columns;
            float *to = c->v + i * c->columns;
            for (int64_t j = 0; j < b->columns; j++)
                to[j] += f * row[j];
        }
    return IMU_ENGINE_OK;
}

/* alpha / rank, 1 without an alpha. */
static imu_engine_status scale_of(const imu_lora *l, const imu_lora_module *m, int64_t rank,
                                  double *scale, imu_fault *fault)
{
    const imu_st_entry *e = m->role[IMU_ROLE_ALPHA];
    float alpha;
    *scale = 1;
    if (!e || rank < 1)
        return IMU_ENGINE_OK;
    if (e->count != 1 || e->type == IMU_I64 || e->type == IMU_I32 || e->type == IMU_U8)
        return misfit(m, fault);
    imu_engine_status s = imu_st_read_f32(l->file, e, &alpha, fault);
    if (!s && !isfinite(alpha))
        return imu_fail(fault, IMU_ENGINE_BAD_MODEL, "The LoRA's alpha of %.160s is no number.",
                        m->name);
    *scale = (double)alpha / (double)rank;
    return s;
}

static void add(float *w, const float *change, int64_t n, double factor)
{
    for (int64_t i = 0; i < n; i++)
        w[i] = (float)((double)w[i] + factor * (double)change[i]);
}

/* A change in Tucker form: up [out][r], core [r][s k k], down [s][in] to [out][in k k], of at most
 * `most` values. */
static imu_engine_status tucker(const imu_lora_module *m, const matrix *up, const matrix *core,
                                const matrix *down, uint64_t most, matrix *change, imu_fault *fault)
{
    int64_t rank = down->rows, area = core->v && rank > 0 ? core->columns / rank : 0;
    matrix left;
    if (!up->v || !core->v || !down->v || area < 1 || core->columns != rank * area ||
        (uint64_t)down->columns * (uint64_t)area > most ||
        (uint64_t)up->rows * (uint64_t)core->columns > most ||
        (uint64_t)up->rows * (uint64_t)(down->columns * area) > most)
        return misfit(m, fault);
    imu_engine_status s = product(m, up, core, &left, fault); /* [out][s][area] */
    if (s)
        return s;
    int64_t in = down->columns;
    *change = (matrix){.rows = up->rows, .columns = in * area};
    change->v = calloc((size_t)(change->rows * change->columns), sizeof *change->v);
    for (int64_t o = 0; change->v && o < up->rows; o++)
        for (int64_t r = 0; r < rank; r++)
            for (int64_t i = 0; i < in; i++)
                for (int64_t k = 0; k < area; k++)
                    change->v[(o * in + i) * area + k] +=
                        left.v[(o * rank + r) * area + k] * down->v[r * in + i];
    free(left.v);
    return change->v ? IMU_ENGINE_OK : imu_fail_memory(fault);
}

static imu_engine_status add_product(const imu_lora *l, const imu_lora_module *m, double strength,
                                     int64_t out, int64_t rest, float *w, imu_fault *fault)
{
    uint64_t most = room_for(out, rest);
    matrix up = {0}, down = {0}, mid = {0}, change = {0};
    double scale = 1;
    imu_engine_status s = take(l, m, IMU_ROLE_UP, most, &up, fault);
    if (!s)
        s = take(l, m, IMU_ROLE_DOWN, most, &down, fault);
    if (!s)
        s = take(l, m, IMU_ROLE_MID, most, &mid, fault);
    if (!s && (up.rows != out || (!mid.v && down.columns != rest)))
        s = misfit(m, fault);
    if (!s)
        s = scale_of(l, m, down.rows, &scale, fault);
    if (!s)
        s = mid.v ? tucker(m, &up, &mid, &down, most, &change, fault)
                  : product(m, &up, &down, &change, fault);
    if (!s && change.columns != rest)
        s = misfit(m, fault);
    if (!s)
        add(w, change.v, out * rest, strength * scale);
    free(up.v);
    free(down.v);
    free(mid.v);
    free(change.v);
    return s;
}

/* [columns][rows] in the place of [rows][columns]. */
static imu_engine_status turn(matrix *a, imu_fault *fault)
{
    float *v = malloc((size_t)(a->rows * a->columns) * sizeof *v);
    if (!v)
        return imu_fail_memory(fault);
    for (int64_t i = 0; i < a->rows; i++)
        for (int64_t k = 0; k < a->columns; k++)
            v[k * a->rows + i] = a->v[i * a->columns + k];
    free(a->v);
    *a = (matrix){.rows = a->columns, .columns = a->rows, .v = v};
    return IMU_ENGINE_OK;
}

/* A factor that is there whole, or as the product of two, or of two and a core between them. *rank:
 * of the product, else unchanged. */
static imu_engine_status factor(const imu_lora *l, const imu_lora_module *m, imu_lora_role whole,
                                uint64_t most, matrix *out, int64_t *rank, imu_fault *fault)
{
    matrix a = {0}, b = {0}, core = {0};
    if (m->role[whole])
        return take(l, m, whole, most, out, fault);
    imu_engine_status s = take(l, m, (imu_lora_role)(whole + 1), most, &a, fault);
    if (!s)
        s = take(l, m, (imu_lora_role)(whole + 2), most, &b, fault);
    if (!s)
        s = take(l, m, (imu_lora_role)(whole + 3), most, &core, fault);
    if (!s && (!a.v || !b.v))
        s = misfit(m, fault);
    if (!s && core.v)
        s = turn(&a, fault);
    if (!s && (uint64_t)a.rows * (uint64_t)b.columns > most)
        s = misfit(m, fault);
    if (!s)
        s = core.v ? tucker(m, &a, &core, &b, most, out, fault) : product(m, &a, &b, out, fault);
    if (!s)
        *rank = a.columns;
    free(a.v);
    free(b.v);
    free(core.v);
    return s;
}

/* Both products of the same shape, multiplied value by value. */
static imu_engine_status add_hadamard(const imu_lora_module *m, const matrix *a, const matrix *b,
                                      double factor, int64_t out, int64_t rest, float *w,
                                      imu_fault *fault)
{
    if (a->rows != out || b->rows != out || a->columns != rest || b->columns != rest)
        return misfit(m, fault);
    for (int64_t i = 0; i < out * rest; i++)
        w[i] = (float)((double)w[i] + factor * (double)a->v[i] * (double)b->v[i]);
    return IMU_ENGINE_OK;
}

/* Every value of a, times all of b: [a.rows b.rows][a.columns b.columns]. */
static imu_engine_status add_kronecker(const imu_lora_module *m, const matrix *a, const matrix *b,
                                       double factor, int64_t out, int64_t rest, float *w,
                                       imu_fault *fault)
{
    if (a->rows * b->rows != out || a->columns * b->columns != rest)
        return misfit(m, fault);
    for (int64_t o = 0; o < out; o++)
        for (int64_t i = 0; i < rest; i++) {
            double left = (double)a->v[o / b->rows * a->columns + i / b->columns];
            double right = (double)b->v[o % b->rows * b->columns + i % b->columns];
            w[o * rest + i] = (float)((double)w[o * rest + i] + factor * left * right);
        }
    return IMU_ENGINE_OK;
}

static imu_engine_status add_factors(const imu_lora *l, const imu_lora_module *m, double strength,
                                     int64_t out, int64_t rest, float *w, imu_fault *fault)
{
    /* LoHa's four factors have other names than LoKr's; whole ones only LoKr has. */
    bool kronecker = strstr(imu_lora_any(m)->name, ".lokr_") != NULL;
    uint64_t most = room_for(out, rest);
    matrix a = {0}, b = {0};
    int64_t rank = 0;
    double scale = 1;
    imu_engine_status s = factor(l, m, IMU_ROLE_W1, most, &a, &rank, fault);
    if (!s)
        s = factor(l, m, IMU_ROLE_W2, most, &b, &rank, fault);
    if (!s)
        s = scale_of(l, m, rank, &scale, fault);
    if (!s)
        s = kronecker ? add_kronecker(m, &a, &b, strength * scale, out, rest, w, fault)
                      : add_hadamard(m, &a, &b, strength * scale, out, rest, w, fault);
    free(a.v);
    free(b.v);
    return s;
}

const imu_st_entry *imu_lora_any(const imu_lora_module *m)
{
    for (int r = IMU_ROLE_W1; r <= IMU_ROLE_W2_CORE; r++)
        if (m->role[r])
            return m->role[r];
    return NULL;
}

static imu_engine_status add_whole(const imu_lora *l, const imu_lora_module *m, imu_lora_role role,
                                   double strength, int64_t count, float *w, imu_fault *fault)
{
    matrix change;
    imu_engine_status s = take(l, m, role, (uint64_t)count, &change, fault);
    if (!s && change.v && change.rows * change.columns != count)
        s = misfit(m, fault);
    if (!s && change.v)
        add(w, change.v, count, strength);
    free(change.v);
    return s;
}

/* Every change but that of DoRA's lengths. */
static imu_engine_status add_changes(const imu_lora *l, const imu_lora_module *m, double strength,
                                     int64_t out, int64_t rest, float *w, imu_fault *fault)
{
    imu_engine_status s = IMU_ENGINE_OK;
    if (m->role[IMU_ROLE_UP] || m->role[IMU_ROLE_DOWN])
        s = add_product(l, m, strength, out, rest, w, fault);
    if (!s && imu_lora_any(m))
        s = add_factors(l, m, strength, out, rest, w, fault);
    return s ? s : add_whole(l, m, IMU_ROLE_DIFF, strength, out * rest, w, fault);
}

/* Gives what belongs to each output (or each input) of w the length learned for it. */
static void set_lengths(float *w, int64_t out, int64_t rest, const matrix *lengths, bool per_output)
{
    int64_t count = lengths->rows * lengths->columns, area = per_output ? rest : rest / count;
    for (int64_t n = 0; n < count; n++) {
        double sum = 0;
        int64_t first = per_output ? n : 0, last = per_output ? n + 1 : out;
        int64_t from = per_output ? 0 : n * area;
        for (int64_t o = first; o < last; o++)
            for (int64_t k = 0; k < area; k++)
                sum += (double)w[o * rest + from + k] * (double)w[o * rest + from + k];
        double factor = sum > 0 ? (double)lengths->v[n] / sqrt(sum) : 0;
        for (int64_t o = first; o < last; o++)
            for (int64_t k = 0; k < area; k++)
                w[o * rest + from + k] = (float)(factor * (double)w[o * rest + from + k]);
    }
}

/* DoRA: the direction of the changed weight with lengths of its own; `strength` of the way there.
 */
static imu_engine_status add_decomposed(const imu_lora *l, const imu_lora_module *m,
                                        double strength, int64_t out, int64_t rest, float *w,
                                        imu_fault *fault)
{
    bool peft = m->role[IMU_ROLE_MAGNITUDE] != NULL;
    matrix lengths = {0};
    float *aim = malloc((size_t)(out * rest) * sizeof *aim);
    if (!aim)
        return imu_fail_memory(fault);
    memcpy(aim, w, (size_t)(out * rest) * sizeof *aim);
    imu_engine_status s = take(l, m, peft ? IMU_ROLE_MAGNITUDE : IMU_ROLE_SCALE,
                               (uint64_t)(out > rest ? out : rest), &lengths, fault);
    int64_t count = lengths.rows * lengths.columns;
    /* [out, 1, ...] or [1, in, ...]; PEFT's are of outputs, whatever their shape. */
    bool per_output = count == out && (peft || lengths.rows == out);
    if (!s && !per_output && (peft || lengths.rows != 1 || rest % count))
        s = misfit(m, fault);
    if (!s)
        s = add_changes(l, m, 1, out, rest, aim, fault);
    if (!s) {
        set_lengths(aim, out, rest, &lengths, per_output);
        for (int64_t i = 0; i < out * rest; i++)
            w[i] = (float)((double)w[i] + strength * ((double)aim[i] - (double)w[i]));
    }
    free(aim);
    free(lengths.v);
    return s;
}

imu_engine_status imu_lora_add(const imu_lora *l, const imu_lora_module *m, double strength,
                               int64_t out, int64_t rest, float *w, imu_fault *fault)
{
    return m->role[IMU_ROLE_SCALE] || m->role[IMU_ROLE_MAGNITUDE]
               ? add_decomposed(l, m, strength, out, rest, w, fault)
               : add_changes(l, m, strength, out, rest, w, fault);
}

imu_engine_status imu_lora_add_bias(const imu_lora *l, const imu_lora_module *m, double strength,
                                    int64_t out, float *bias, imu_fault *fault)
{
    return add_whole(l, m, IMU_ROLE_DIFF_BIAS, strength, out, bias, fault);
}
