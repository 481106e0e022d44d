/* bench-ops: what each operation of a backend takes on a shape of Stable Diffusion 1.5 at 512 x
 * 512 with guidance. Prints `op.NAME.TYPE value unit`, and for each the rate it comes to: the
 * arithmetic of products, or the bytes of operands and result for what only passes over memory.
 *
 * usage: bench-ops [f32|bf16]; BENCH_DEVICE=cuda measures a GPU. */
#include "tests/bench/engine/device.h"
#include "tests/bench/engine/floor.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { LEAST_RUNS = 3, MOST_RUNS = 200, EDGE = 64, WIDE = 320, HEADS = 8, WORDS = 77 };
#define BUDGET 0.3 /* seconds for each operation */

typedef struct bench {
    imu_backend *b;
    imu_tensor x, y, small, wide, twice, context, gamma, half, chw, rows, wrapped;
    imu_weight *matrix, *kernel;
} bench;

static int ones(void *user, const void *key, float *dst, size_t count)
{
    (void)user;
    (void)key;
    for (size_t i = 0; i < count; i++)
        dst[i] = (float)(i % 7) * 0.01f;
    return 0;
}

/* ---- one call of each ---- */

static int op_linear(bench *t)
{
    return t->b->linear(t->b, t->matrix, &t->x, &t->twice, false);
}

static int op_conv2d(bench *t)
{
    return t->b->conv2d(t->b, t->kernel, &t->x, &(imu_conv_geometry){1, 1, 1, 1, 1}, &t->y, false);
}

static int op_group_norm(bench *t)
{
    return t->b->group_norm(t->b, &t->x, &t->gamma, &t->gamma, 32, 1e-5f, IMU_ACT_SILU, &t->y);
}

static int op_layer_norm(bench *t)
{
    return t->b->layer_norm(t->b, &t->x, &t->gamma, &t->gamma, 1e-5f, &t->y);
}

/* [2, 64, 64, 320] as the tokens of two pictures. */
static imu_tensor tokens(const imu_tensor *t)
{
    imu_tensor flat = *t;
    flat.ndim = 3;
    flat.dim[1] = t->dim[1] * t->dim[2];
    flat.dim[2] = t->dim[3];
    return flat;
}

static int op_self_attention(bench *t)
{
    imu_tensor x = tokens(&t->x), y = tokens(&t->y);
    return t->b->attention(t->b, &x, &x, &x, HEADS, false, NULL, &y);
}

static int op_cross_attention(bench *t)
{
    imu_tensor x = tokens(&t->x), y = tokens(&t->y);
    return t->b->attention(t->b, &x, &t->context, &t->context, HEADS, false, NULL, &y);
}

static int op_silu(bench *t)
{
    return t->b->activate(t->b, &t->x, IMU_ACT_SILU, &t->y);
}

static int op_geglu(bench *t)
{
    return t->b->geglu(t->b, &t->twice, &t->y);
}

static int op_add(bench *t)
{
    return t->b->add(t->b, &t->wide, &t->x);
}

static int op_add_channels(bench *t)
{
    return t->b->add_channels(t->b, &t->wide, &t->small);
}

static int op_scale_rows(bench *t)
{
    return t->b->scale_rows(t->b, &t->wide, &t->rows);
}

static int op_wrap(bench *t)
{
    return t->b->wrap(t->b, &t->x, 1, 1, &t->wrapped);
}

static int op_upsample(bench *t)
{
    return t->b->upsample(t->b, &t->half, &t->y);
}

static int op_concat(bench *t)
{
    return t->b->concat(t->b, &t->x, &t->x, &t->twice);
}

static int op_cast(bench *t)
{
    return t->b->cast(t->b, &t->x, &t->wide);
}

static int op_to_channels_last(bench *t)
{
    return t->b->to_channels_last(t->b, &t->chw, &t->wide);
}

static int op_to_channels_first(bench *t)
{
    return t->b->to_channels_first(t->b, &t->wide, &t->chw);
}

static int op_leaky(bench *t)
{
    return t->b->leaky(t->b, &t->wide, NULL, 0.2f);
}

static int op_scale_channels(bench *t)
{
    return t->b->scale_channels(t->b, &t->wide, WIDE / 2, 1.0001f);
}

static int op_scale_low(bench *t)
{
    return t->b->scale_low(t->b, &t->wide, 1.0001f);
}

#define PIXELS ((double)2 * EDGE * EDGE)
static const struct op {
    const char *name;
    int (*call)(bench *t);
    double flop;   /* of products; 0: it passes over memory */
    double values; /* of x, or as long as it, that are read or written */
} ops[] = {
    {"linear", op_linear, 2 * PIXELS *WIDE * 2 * WIDE, 0},
    {"conv2d", op_conv2d, 2 * PIXELS * 9 * WIDE *WIDE, 0},
    {"self_attention", op_self_attention, 4 * PIXELS *EDGE *EDGE *WIDE, 0},
    {"cross_attention", op_cross_attention, 4 * PIXELS *WORDS *WIDE, 0},
    {"group_norm", op_group_norm, 0, 2},
    {"layer_norm", op_layer_norm, 0, 2},
    {"silu", op_silu, 0, 2},
    {"geglu", op_geglu, 0, 3},
    {"add", op_add, 0, 3},
    {"add_channels", op_add_channels, 0, 2},
    {"scale_rows", op_scale_rows, 0, 2},
    {"wrap", op_wrap, 0, 2},
    {"upsample", op_upsample, 0, 1.25},
    {"concat", op_concat, 0, 4},
    {"cast", op_cast, 0, 2},
    {"to_channels_last", op_to_channels_last, 0, 2},
    {"to_channels_first", op_to_channels_first, 0, 2},
    {"leaky", op_leaky, 0, 2},
    {"scale_channels", op_scale_channels, 0, 1},
    {"scale_low", op_scale_low, 0, 3},
};

/* Waits for what was started: a device may still be at it. */
static int settle(bench *t)
{
    float value[2 * WIDE];
    return t->b->download(t->b, &t->small, value);
}

static int measure(bench *t, const struct op *op, imu_lapse *best)
{
    imu_lapse first = imu_lapse_now();
    *best = (imu_lapse){1e9, 1e9};
    for (int i = 0; i < MOST_RUNS; i++) {
        imu_lapse start = imu_lapse_now();
        if (i > LEAST_RUNS && imu_lapse_since(first).wall > BUDGET)
            break;
        int rc = op->call(t);
        if (!rc)
            rc = settle(t);
        if (rc)
            return rc;
        if (i)
            imu_lapse_least(best, start);
    }
    return 0;
}

static int run(bench *t, const char *type)
{
    for (size_t i = 0; i < sizeof ops / sizeof *ops; i++) {
        const struct op *op = &ops[i];
        imu_lapse best;
        if (measure(t, op, &best)) {
            fprintf(stderr, "%s: %s\n", op->name, t->b->error);
            return -1;
        }
        double bytes = op->values * PIXELS * WIDE * (double)imu_dtype_size(t->x.type);
        printf("op.%s.%s %.4g ms\n", op->name, type, 1e3 * best.wall);
        printf("op.%s.rate.%s %.4g %s\n", op->name, type,
               (op->flop > 0 ? op->flop : bytes) * 1e-9 / best.wall,
               op->flop > 0 ? "GFLOP/s" : "GB/s");
    }
    return 0;
}

/* ---- operands ---- */

static int make(bench *t, imu_tensor *out, imu_dtype type, int ndim, const int64_t *dim)
{
    *out = (imu_tensor){.type = type, .ndim = ndim};
    memcpy(out->dim, dim, (size_t)ndim * sizeof *dim);
    size_t count = (size_t)imu_tensor_count(out);
    out->bytes = count * imu_dtype_size(type);
    out->data = t->b->alloc(t->b, out->bytes);
    float *values = malloc(count * sizeof *values);
    if (!out->data || !values) {
        free(values);
        return -1;
    }
    ones(NULL, NULL, values, count);
    int rc = t->b->upload(t->b, out, values);
    free(values);
    return rc;
}

#define DIM(...) ((int64_t[]){__VA_ARGS__})

static int set_up(bench *t)
{
    imu_dtype type = t->b->compute;
    imu_weight_source values = {.read = ones, .key = t};
    imu_weight_desc matrix = {.out = 2 * WIDE, .in = WIDE, .weight = values, .bias = values};
    imu_weight_desc kernel = {
        .out = WIDE, .in = WIDE, .kernel_h = 3, .kernel_w = 3, .weight = values, .bias = values};
    return make(t, &t->x, type, 4, DIM(2, EDGE, EDGE, WIDE)) ||
           make(t, &t->y, type, 4, DIM(2, EDGE, EDGE, WIDE)) ||
           make(t, &t->wide, IMU_F32, 4, DIM(2, EDGE, EDGE, WIDE)) ||
           make(t, &t->chw, IMU_F32, 4, DIM(2, WIDE, EDGE, EDGE)) ||
           make(t, &t->twice, type, 4, DIM(2, EDGE, EDGE, 2 * WIDE)) ||
           make(t, &t->half, type, 4, DIM(2, EDGE / 2, EDGE / 2, WIDE)) ||
           make(t, &t->rows, IMU_F32, 3, DIM(2, EDGE, EDGE)) ||
           make(t, &t->wrapped, type, 4, DIM(2, EDGE + 2, EDGE + 2, WIDE)) ||
           make(t, &t->context, type, 3, DIM(2, WORDS, WIDE)) ||
           make(t, &t->small, IMU_F32, 2, DIM(2, WIDE)) ||
           make(t, &t->gamma, IMU_F32, 1, DIM(WIDE)) ||
           t->b->weight_new(t->b, &matrix, &t->matrix) ||
           t->b->weight_new(t->b, &kernel, &t->kernel);
}

static void tear_down(bench *t)
{
    imu_tensor *all[] = {&t->x,     &t->y,       &t->wide,  &t->chw,  &t->twice,   &t->half,
                         &t->small, &t->context, &t->gamma, &t->rows, &t->wrapped, NULL};
    for (int i = 0; all[i]; i++)
        t->b->release(t->b, all[i]->data, all[i]->bytes);
    if (t->matrix)
        t->b->weight_free(t->b, t->matrix);
    if (t->kernel)
        t->b->weight_free(t->b, t->kernel);
    t->b->close(t->b);
}

int main(int argc, char **argv)
{
    const char *type = argc > 1 ? argv[1] : "f32";
    bench t = {.b = imu_bench_device(argv, type)};
    if (!t.b)
        return 0;
    t.b->enter(t.b);
    int rc = set_up(&t);
    if (rc)
        fprintf(stderr, "There is no memory for the operands.\n");
    else
        rc = run(&t, type);
    tear_down(&t);
    return rc ? 1 : 0;
}
