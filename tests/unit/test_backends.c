/* Every operation of every backend that is here, over odd shapes and both types, against plain
 * loops in double. With a GPU and the plugin, that one too; always the CUDA backend's own code on a
 * device that is the processor. */
#include "worker/tensor/cuda/cuda.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

/* Of the largest value of a result: float32 sums in another order, and one rounding to bf16 of each
 * input and result. */
#define ALLOWED_F32  2e-5
#define ALLOWED_BF16 2e-2

/* A weight's values, and in what type a file is said to hold them: IMU_DTYPE_COUNT, none. */
typedef struct filed {
    imu_dtype type;
    const float *values;
} filed;

typedef struct fixture {
    imu_backend *backend;
    imu_dtype type; /* of what products take in */
    filed weight;
    uint32_t seed;
} fixture;

static float any(fixture *f)
{
    f->seed = f->seed * 1664525u + 1013904223u;
    float value = (float)(f->seed >> 8) / (float)(1 << 23) - 1;
    /* So that an input's rounding is not taken for an error; what bf16 holds, f16 does. */
    if (f->type == IMU_BF16 || f->weight.type == IMU_BF16 || f->weight.type == IMU_F16) {
        uint16_t rounded;
        imu_f32_to_bf16(&value, &rounded, 1);
        imu_to_f32(IMU_BF16, &rounded, &value, 1);
    }
    return value;
}

static float *many(fixture *f, int64_t count)
{
    float *values = malloc((size_t)count * sizeof *values);
    assert_non_null(values);
    for (int64_t i = 0; i < count; i++)
        values[i] = any(f);
    return values;
}

static imu_tensor empty(fixture *f, imu_dtype type, int ndim, const int64_t *dim)
{
    imu_tensor t = {.type = type, .ndim = ndim};
    memcpy(t.dim, dim, (size_t)ndim * sizeof *dim);
    t.bytes = (size_t)imu_tensor_count(&t) * imu_dtype_size(type);
    t.data = f->backend->alloc(f->backend, t.bytes);
    assert_non_null(t.data);
    return t;
}

static imu_tensor from(fixture *f, imu_dtype type, int ndim, const int64_t *dim,
                       const float *values)
{
    imu_tensor t = empty(f, type, ndim, dim);
    assert_int_equal(f->backend->upload(f->backend, &t, values), 0);
    return t;
}

#define DIM(...) ((int64_t[]){__VA_ARGS__})

static void drop(fixture *f, imu_tensor *t)
{
    f->backend->release(f->backend, t->data, t->bytes);
}

/* Compares with what was expected, and gives both back. */
static void expect(fixture *f, const char *what, imu_tensor *t, double *expected)
{
    int64_t count = imu_tensor_count(t);
    float *values = malloc((size_t)count * sizeof *values);
    double most = 1e-6, worst = 0,
           allowed = t->type == IMU_BF16 || f->type == IMU_BF16 ? ALLOWED_BF16 : ALLOWED_F32;
    assert_non_null(values);
    assert_int_equal(f->backend->download(f->backend, t, values), 0);
    for (int64_t i = 0; i < count; i++) {
        most = fmax(most, fabs(expected[i]));
        double off = fabs((double)values[i] - expected[i]);
        worst = off > worst || isnan(off) ? off : worst;
    }
    if (!(worst <= allowed * most))
        fail_msg("%s on %s: off by %g of %g", what, f->backend->description, worst, most);
    free(values);
    free(expected);
    drop(f, t);
}

static double *room(int64_t count)
{
    double *values = calloc((size_t)count, sizeof *values);
    assert_non_null(values);
    return values;
}

static int read_values(void *user, const void *key, float *dst, size_t count)
{
    (void)user;
    memcpy(dst, key, count * sizeof *dst);
    return 0;
}

static int read_filed(void *user, const void *key, float *dst, size_t count)
{
    (void)user;
    memcpy(dst, ((const filed *)key)->values, count * sizeof *dst);
    return 0;
}

static imu_dtype filed_type(void *user, const void *key)
{
    (void)user;
    return ((const filed *)key)->type;
}

static int filed_part(void *user, const void *key, size_t at, size_t count, void *dst)
{
    const filed *from = key;
    (void)user;
    if (from->type == IMU_F16)
        imu_f32_to_f16(from->values + at, dst, count);
    else if (from->type == IMU_BF16)
        imu_f32_to_bf16(from->values + at, dst, count);
    else
        memcpy(dst, from->values + at, count * sizeof(float));
    return 0;
}

static imu_weight *weight_of(fixture *f, const float *values, const float *bias, int64_t out,
                             int64_t in, int kh, int kw)
{
    imu_weight *w;
    imu_weight_desc desc = {.out = out, .in = in, .kernel_h = kh, .kernel_w = kw};
    f->weight.values = values;
    desc.weight = (imu_weight_source){
        .read = read_filed, .key = &f->weight, .type = filed_type, .part = filed_part};
    desc.bias = (imu_weight_source){.read = read_values, .key = bias};
    assert_int_equal(f->backend->weight_new(f->backend, &desc, &w), 0);
    return w;
}

/* The types that a file may hold weights in, and none. */
static const imu_dtype file_types[] = {IMU_DTYPE_COUNT, IMU_F32, IMU_F16, IMU_BF16};

static void linear_case(fixture *f, int64_t rows, int64_t in, int64_t out, imu_dtype result,
                        bool accumulate, bool biased)
{
    float *x = many(f, rows * in), *w = many(f, out * in), *bias = many(f, out),
          *old = many(f, rows * out);
    imu_tensor tx = from(f, f->type, 2, DIM(rows, in), x),
               ty = from(f, result, 2, DIM(rows, out), old);
    imu_weight *weight = weight_of(f, w, biased ? bias : NULL, out, in, 0, 0);
    double *expected = room(rows * out);
    for (int64_t i = 0; i < rows * out; i++) {
        expected[i] = (accumulate ? (double)old[i] : 0) + (biased ? (double)bias[i % out] : 0);
        for (int64_t k = 0; k < in; k++)
            expected[i] += (double)x[i / out * in + k] * (double)w[i % out * in + k];
    }
    assert_int_equal(f->backend->linear(f->backend, weight, &tx, &ty, accumulate), 0);
    assert_true(f->backend->weight_bytes(weight) >= (uint64_t)(out * in) * imu_dtype_size(f->type));
    expect(f, "linear", &ty, expected);
    drop(f, &tx);
    f->backend->weight_free(f->backend, weight);
    free(x), free(w), free(bias), free(old);
}

static void test_linear(void **state)
{
    fixture *f = *state;
    for (size_t i = 0; i < sizeof file_types / sizeof *file_types; i++) {
        f->weight.type = file_types[i];
        linear_case(f, 1, 1, 1, IMU_F32, false, true);
        linear_case(f, 7, 33, 5, f->type, false, true);
        linear_case(f, 77, 40, 129, IMU_F32, true, true);
        linear_case(f, 65, 129, 64, f->type, true, false);
        linear_case(f, 130, 192, 256, f->type, false, true);
    }
    f->weight.type = IMU_DTYPE_COUNT;
}

/* What a pixel outside the picture is. */
static double pixel(const float *x, const int64_t *dim, int64_t n, int64_t row, int64_t col,
                    int64_t c)
{
    if (row < 0 || row >= dim[1] || col < 0 || col >= dim[2])
        return 0;
    return (double)x[((n * dim[1] + row) * dim[2] + col) * dim[3] + c];
}

static void conv_case(fixture *f, const int64_t *dim, int64_t out, int kernel, imu_conv_geometry g,
                      imu_dtype result, bool accumulate)
{
    int64_t n = dim[0], h = (dim[1] + g.pad_top + g.pad_bottom - kernel) / g.stride + 1;
    int64_t v = (dim[2] + g.pad_left + g.pad_right - kernel) / g.stride + 1, in = dim[3],
            area = kernel * kernel;
    float *x = many(f, n * dim[1] * dim[2] * in), *w = many(f, out * in * area),
          *bias = many(f, out), *old = many(f, n * h * v * out);
    imu_tensor tx = from(f, f->type, 4, dim, x), ty = from(f, result, 4, DIM(n, h, v, out), old);
    imu_weight *weight = weight_of(f, w, bias, out, in, kernel, kernel);
    double *expected = room(n * h * v * out);
    for (int64_t i = 0; i < n * h * v * out; i++) {
        int64_t o = i % out, col = i / out % v, row = i / out / v % h, picture = i / out / v / h;
        expected[i] = (double)bias[o] + (accumulate ? (double)old[i] : 0);
        for (int64_t k = 0; k < in * area; k++)
            expected[i] += (double)w[o * in * area + k] *
                           pixel(x, dim, picture, row * g.stride - g.pad_top + k % area / kernel,
                                 col * g.stride - g.pad_left + k % kernel, k / area);
    }
    assert_int_equal(f->backend->conv2d(f->backend, weight, &tx, &g, &ty, accumulate), 0);
    expect(f, "conv2d", &ty, expected);
    drop(f, &tx);
    f->backend->weight_free(f->backend, weight);
    free(x), free(w), free(bias), free(old);
}

static void test_conv2d(void **state)
{
    fixture *f = *state;
    for (size_t i = 0; i < sizeof file_types / sizeof *file_types; i++) {
        f->weight.type = file_types[i];
        conv_case(f, DIM(2, 7, 5, 9), 6, 3, (imu_conv_geometry){1, 1, 1, 1, 1}, f->type, false);
        conv_case(f, DIM(1, 9, 11, 4), 33, 3, (imu_conv_geometry){2, 0, 0, 1, 1}, IMU_F32, false);
        conv_case(f, DIM(2, 6, 3, 16), 8, 1, (imu_conv_geometry){1, 0, 0, 0, 0}, IMU_F32, true);
        conv_case(f, DIM(1, 8, 8, 3), 5, 3, (imu_conv_geometry){2, 2, 0, 1, 1}, f->type, true);
        conv_case(f, DIM(1, 33, 17, 40), 24, 3, (imu_conv_geometry){1, 1, 1, 1, 1}, IMU_F32, true);
        conv_case(f, DIM(1, 8, 8, 64), 96, 3, (imu_conv_geometry){1, 1, 1, 1, 1}, f->type, false);
    }
    f->weight.type = IMU_DTYPE_COUNT;
}

static double activated(double x, imu_activation act)
{
    switch (act) {
    case IMU_ACT_SILU:
        return x / (1 + exp(-x));
    case IMU_ACT_GELU:
        return 0.5 * x * (1 + erf(x / sqrt(2)));
    case IMU_ACT_QUICK_GELU:
        return x / (1 + exp(-1.702 * x));
    default:
        return x;
    }
}

static void group_norm_case(fixture *f, const int64_t *dim, int groups, imu_activation act,
                            imu_dtype in)
{
    int64_t n = dim[0], pixels = dim[1] * dim[2], c = dim[3], width = c / groups;
    float *x = many(f, n * pixels * c), *gamma = many(f, c), *beta = many(f, c);
    imu_tensor tx = from(f, in, 4, dim, x), ty = empty(f, f->type, 4, dim);
    imu_tensor tg = from(f, IMU_F32, 1, &c, gamma), tb = from(f, IMU_F32, 1, &c, beta);
    double *expected = room(n * pixels * c);
    for (int64_t g = 0; g < n * groups; g++) {
        double sum = 0, squares = 0, count = (double)(pixels * width);
        int64_t base = g / groups * pixels * c + g % groups * width;
        for (int64_t i = 0; i < pixels * width; i++)
            sum += (double)x[base + i / width * c + i % width];
        for (int64_t i = 0; i < pixels * width; i++)
            squares += pow((double)x[base + i / width * c + i % width] - sum / count, 2);
        for (int64_t i = 0; i < pixels * width; i++) {
            int64_t at = base + i / width * c + i % width;
            double value = ((double)x[at] - sum / count) / sqrt(squares / count + 1e-5);
            expected[at] = activated(value * (double)gamma[at % c] + (double)beta[at % c], act);
        }
    }
    assert_int_equal(f->backend->group_norm(f->backend, &tx, &tg, &tb, groups, 1e-5f, act, &ty), 0);
    expect(f, "group_norm", &ty, expected);
    drop(f, &tx), drop(f, &tg), drop(f, &tb);
    free(x), free(gamma), free(beta);
}

static void test_group_norm(void **state)
{
    fixture *f = *state;
    group_norm_case(f, DIM(2, 5, 3, 12), 4, IMU_ACT_SILU, IMU_F32);
    group_norm_case(f, DIM(1, 1, 1, 6), 3, IMU_ACT_NONE, f->type);
    group_norm_case(f, DIM(1, 31, 17, 32), 32, IMU_ACT_NONE, IMU_F32);
}

static void test_layer_norm(void **state)
{
    fixture *f = *state;
    int64_t rows = 13, width = 77;
    float *x = many(f, rows * width), *gamma = many(f, width), *beta = many(f, width);
    imu_tensor tx = from(f, IMU_F32, 2, DIM(rows, width), x),
               ty = empty(f, f->type, 2, DIM(rows, width));
    imu_tensor tg = from(f, IMU_F32, 1, &width, gamma), tb = from(f, IMU_F32, 1, &width, beta);
    double *expected = room(rows * width);
    for (int64_t r = 0; r < rows; r++) {
        double sum = 0, squares = 0;
        for (int64_t i = 0; i < width; i++)
            sum += (double)x[r * width + i];
        for (int64_t i = 0; i < width; i++)
            squares += pow((double)x[r * width + i] - sum / (double)width, 2);
        for (int64_t i = 0; i < width; i++)
            expected[r * width + i] = ((double)x[r * width + i] - sum / (double)width) /
                                          sqrt(squares / (double)width + 1e-5) * (double)gamma[i] +
                                      (double)beta[i];
    }
    assert_int_equal(f->backend->layer_norm(f->backend, &tx, &tg, &tb, 1e-5f, &ty), 0);
    expect(f, "layer_norm", &ty, expected);
    drop(f, &tx), drop(f, &tg), drop(f, &tb);
    free(x), free(gamma), free(beta);
}

/* One query of one head: scores against the keys it sees, their shares of the values. */
static void attend(const float *q, const float *k, const float *v, const float *bias, int64_t seen,
                   int64_t width, int64_t head_width, double *y)
{
    double *p = room(seen), most = -1e300, sum = 0;
    for (int64_t j = 0; j < seen; j++) {
        for (int64_t c = 0; c < head_width; c++)
            p[j] += (double)q[c] * (double)k[j * width + c];
        p[j] = p[j] / sqrt((double)head_width) + (bias ? (double)bias[j] : 0);
        most = fmax(most, p[j]);
    }
    for (int64_t j = 0; j < seen; j++)
        sum += p[j] = exp(p[j] - most);
    for (int64_t j = 0; j < seen; j++)
        for (int64_t c = 0; c < head_width; c++)
            y[c] += p[j] / sum * (double)v[j * width + c];
    free(p);
}

static void attention_case(fixture *f, int64_t n, int64_t queries, int64_t keys, int heads,
                           int64_t head_width, bool causal, bool biased)
{
    int64_t width = heads * head_width;
    float *q = many(f, n * queries * width), *k = many(f, n * keys * width),
          *v = many(f, n * keys * width), *bias = many(f, n * keys);
    imu_tensor tq = from(f, f->type, 3, DIM(n, queries, width), q),
               tk = from(f, f->type, 3, DIM(n, keys, width), k);
    imu_tensor tv = from(f, f->type, 3, DIM(n, keys, width), v),
               tb = from(f, IMU_F32, 2, DIM(n, keys), bias);
    imu_tensor ty = empty(f, f->type, 3, DIM(n, queries, width));
    double *expected = room(n * queries * width);
    for (int64_t i = 0; i < n * queries * heads; i++) {
        int64_t head = i % heads, query = i / heads % queries, picture = i / heads / queries,
                from_key = picture * keys * width;
        int64_t at = (picture * queries + query) * width + head * head_width;
        attend(q + at, k + from_key + head * head_width, v + from_key + head * head_width,
               biased ? bias + picture * keys : NULL, causal ? query + 1 : keys, width, head_width,
               expected + at);
    }
    assert_int_equal(
        f->backend->attention(f->backend, &tq, &tk, &tv, heads, causal, biased ? &tb : NULL, &ty),
        0);
    expect(f, "attention", &ty, expected);
    drop(f, &tq), drop(f, &tk), drop(f, &tv), drop(f, &tb);
    free(q), free(k), free(v), free(bias);
}

static void test_attention(void **state)
{
    fixture *f = *state;
    attention_case(f, 1, 1, 1, 1, 1, false, false);
    attention_case(f, 2, 77, 77, 3, 16, true, false);
    attention_case(f, 2, 65, 33, 2, 40, false, true);
    attention_case(f, 1, 130, 131, 1, 48, false, false);
}

static void test_values_one_by_one(void **state)
{
    fixture *f = *state;
    int64_t rows = 37, width = 29, count = rows * width;
    for (int act = IMU_ACT_NONE; act <= IMU_ACT_QUICK_GELU; act++) {
        float *x = many(f, count);
        imu_tensor tx = from(f, f->type, 2, DIM(rows, width), x),
                   ty = empty(f, f->type, 2, DIM(rows, width));
        double *expected = room(count);
        for (int64_t i = 0; i < count; i++)
            expected[i] = activated((double)x[i], (imu_activation)act);
        assert_int_equal(f->backend->activate(f->backend, &tx, (imu_activation)act, &ty), 0);
        expect(f, "activate", &ty, expected);
        drop(f, &tx), free(x);
    }
    float *x = many(f, 2 * count), *z = many(f, count);
    imu_tensor gated = from(f, f->type, 2, DIM(rows, 2 * width), x),
               out = empty(f, f->type, 2, DIM(rows, width));
    double *expected = room(count);
    for (int64_t i = 0; i < count; i++) {
        int64_t at = i / width * 2 * width + i % width;
        expected[i] = (double)x[at] * activated((double)x[at + width], IMU_ACT_GELU);
    }
    assert_int_equal(f->backend->geglu(f->backend, &gated, &out), 0);
    expect(f, "geglu", &out, expected);
    imu_tensor sum = from(f, IMU_F32, 2, DIM(rows, width), z),
               more = from(f, f->type, 2, DIM(rows, width), x);
    expected = room(count);
    for (int64_t i = 0; i < count; i++)
        expected[i] = (double)z[i] + (double)x[i];
    assert_int_equal(f->backend->add(f->backend, &sum, &more), 0);
    expect(f, "add", &sum, expected);
    imu_tensor factors = from(f, IMU_F32, 1, DIM(rows), z),
               scaled = from(f, f->type, 2, DIM(rows, width), x);
    expected = room(count);
    for (int64_t i = 0; i < count; i++)
        expected[i] = (double)x[i] * (double)z[i / width];
    assert_int_equal(f->backend->scale_rows(f->backend, &scaled, &factors), 0);
    expect(f, "scale_rows", &scaled, expected);
    drop(f, &factors);
    imu_tensor narrow = empty(f, IMU_BF16, 2, DIM(rows, width));
    expected = room(count);
    for (int64_t i = 0; i < count; i++)
        expected[i] = (double)x[i];
    assert_int_equal(f->backend->cast(f->backend, &more, &narrow), 0);
    expect(f, "cast", &narrow, expected);
    drop(f, &gated), drop(f, &more);
    free(x), free(z);
}

static void test_pictures(void **state)
{
    fixture *f = *state;
    int64_t n = 2, h = 3, w = 5, c = 7, c2 = 4, count = n * h * w * c;
    float *x = many(f, count), *more = many(f, n * h * w * c2), *each = many(f, n * c);
    imu_tensor tx = from(f, IMU_F32, 4, DIM(n, h, w, c), x),
               t2 = from(f, IMU_F32, 4, DIM(n, h, w, c2), more);
    imu_tensor big = empty(f, f->type, 4, DIM(n, 2 * h + 1, 3 * w, c)),
               both = empty(f, IMU_F32, 4, DIM(n, h, w, c + c2));
    double *expected = room(imu_tensor_count(&big));
    for (int64_t i = 0; i < imu_tensor_count(&big); i++) {
        int64_t col = i / c % (3 * w) * w / (3 * w),
                row = i / c / (3 * w) % (2 * h + 1) * h / (2 * h + 1);
        expected[i] = pixel(x, tx.dim, i / c / (3 * w) / (2 * h + 1), row, col, i % c);
    }
    assert_int_equal(f->backend->upsample(f->backend, &tx, &big), 0);
    expect(f, "upsample", &big, expected);
    expected = room(n * h * w * (c + c2));
    for (int64_t i = 0; i < n * h * w * (c + c2); i++) {
        int64_t at = i / (c + c2), channel = i % (c + c2);
        expected[i] = (double)(channel < c ? x[at * c + channel] : more[at * c2 + channel - c]);
    }
    assert_int_equal(f->backend->concat(f->backend, &tx, &t2, &both), 0);
    expect(f, "concat", &both, expected);
    imu_tensor first = empty(f, IMU_F32, 4, DIM(n, c, h, w)),
               back = empty(f, IMU_F32, 4, DIM(n, h, w, c));
    assert_int_equal(f->backend->to_channels_first(f->backend, &tx, &first), 0);
    assert_int_equal(f->backend->to_channels_last(f->backend, &first, &back), 0);
    expected = room(count);
    for (int64_t i = 0; i < count; i++)
        expected[i] = pixel(x, tx.dim, i / (c * h * w), i / w % h, i % w, i / (h * w) % c);
    expect(f, "to_channels_first", &first, expected);
    expected = room(count);
    for (int64_t i = 0; i < count; i++)
        expected[i] = (double)x[i];
    expect(f, "to_channels_last", &back, expected);
    imu_tensor tc = from(f, IMU_F32, 2, DIM(n, c), each);
    expected = room(count);
    for (int64_t i = 0; i < count; i++)
        expected[i] = (double)x[i] + (double)each[i / (h * w * c) * c + i % c];
    assert_int_equal(f->backend->add_channels(f->backend, &tx, &tc), 0);
    expect(f, "add_channels", &tx, expected);
    drop(f, &t2), drop(f, &tc);
    free(x), free(more), free(each);
}

/* Borders from the other side, some channels scaled, and the four slowest waves of each. */
static void test_ways(void **state)
{
    fixture *f = *state;
    int64_t n = 2, h = 5, w = 7, c = 3, count = n * h * w * c;
    float *x = many(f, count);
    imu_tensor tx = from(f, IMU_F32, 4, DIM(n, h, w, c), x),
               more = empty(f, IMU_F32, 4, DIM(n, h + 3, w + 2, c));
    double *expected = room(imu_tensor_count(&more));
    for (int64_t i = 0; i < imu_tensor_count(&more); i++) {
        int64_t col = (i / c % (w + 2) - 2 + w) % w, row = (i / c / (w + 2) % (h + 3) - 1 + h) % h;
        expected[i] = pixel(x, tx.dim, i / c / (w + 2) / (h + 3), row, col, i % c);
    }
    assert_int_equal(f->backend->wrap(f->backend, &tx, 1, 2, &more), 0);
    expect(f, "wrap", &more, expected);
    imu_tensor some = from(f, IMU_F32, 4, DIM(n, h, w, c), x);
    expected = room(count);
    for (int64_t i = 0; i < count; i++)
        expected[i] = (double)x[i] * (i % c < 2 ? 1.25 : 1);
    assert_int_equal(f->backend->scale_channels(f->backend, &some, 2, 1.25f), 0);
    expect(f, "scale_channels", &some, expected);
    expected = room(count);
    for (int64_t i = 0; i < count * 4; i++) {
        int64_t at = i / 4, picture = at / (h * w * c), channel = at % c, k = i % 4;
        expected[at] += k ? 0 : (double)x[at];
        for (int64_t p = 0; p < h * w; p++) {
            double turns = (k & 1 ? (double)(p % w - at / c % w) / (double)w : 0) +
                           (k & 2 ? (double)(p / w - at / c / w % h) / (double)h : 0);
            expected[at] += (0.75 - 1) / (double)(h * w) *
                            (double)x[(picture * h * w + p) * c + channel] * cos(2 * M_PI * turns);
        }
    }
    for (int own = 0; own < 2; own++) {
        const float slopes[] = {0.5f, 0, -2};
        imu_tensor ts = from(f, IMU_F32, 1, &c, slopes),
                   leaked = from(f, IMU_F32, 4, DIM(n, h, w, c), x);
        double *after = room(count);
        for (int64_t i = 0; i < count; i++)
            after[i] = (double)x[i] * (x[i] < 0 ? (double)(own ? slopes[i % c] : 0.2f) : 1);
        assert_int_equal(f->backend->leaky(f->backend, &leaked, own ? &ts : NULL, 0.2f), 0);
        expect(f, "leaky", &leaked, after);
        drop(f, &ts);
    }
    assert_int_equal(f->backend->scale_low(f->backend, &tx, 0.75f), 0);
    expect(f, "scale_low", &tx, expected);
    free(x);
}

/* Shapes that don't fit are an error with a sentence, not a read beyond the end. */
static void test_refusals(void **state)
{
    fixture *f = *state;
    float values[64] = {0};
    imu_tensor a = from(f, IMU_F32, 2, DIM(4, 6), values),
               b = from(f, IMU_F32, 2, DIM(4, 5), values);
    imu_weight *w = weight_of(f, values, NULL, 5, 7, 0, 0);
    f->backend->error[0] = 0;
    assert_int_equal(f->backend->linear(f->backend, w, &a, &b, false), IMU_TENSOR_REFUSED);
    assert_true(f->backend->error[0]);
    assert_int_equal(f->backend->add(f->backend, &a, &b), IMU_TENSOR_REFUSED);
    assert_int_equal(f->backend->geglu(f->backend, &a, &b), IMU_TENSOR_REFUSED);
    f->backend->weight_free(f->backend, w);
    drop(f, &a), drop(f, &b);
}

static imu_backend *emulated(bool bf16)
{
    char why[200];
    imu_backend *b = imu_cuda_open(0, bf16, why, sizeof why);
    assert_non_null(b);
    ((imu_cuda *)b)->scratch = 20000; /* several parts of a picture, and of an attention */
    return b;
}

static int run_on(const char *name, imu_backend *b)
{
    if (!b) {
        printf("# not here: %s\n", name);
        return 0;
    }
    fixture f = {.backend = b, .type = b->compute, .weight = {.type = IMU_DTYPE_COUNT}, .seed = 1};
    struct CMUnitTest tests[] = {
        {"linear", test_linear, NULL, NULL, &f},
        {"conv2d", test_conv2d, NULL, NULL, &f},
        {"group_norm", test_group_norm, NULL, NULL, &f},
        {"layer_norm", test_layer_norm, NULL, NULL, &f},
        {"attention", test_attention, NULL, NULL, &f},
        {"values_one_by_one", test_values_one_by_one, NULL, NULL, &f},
        {"pictures", test_pictures, NULL, NULL, &f},
        {"ways", test_ways, NULL, NULL, &f},
        /* Last: the processor's backend leaves these to oneDNN, in other words. */
        {"refusals", test_refusals, NULL, NULL, &f},
    };
    size_t count = sizeof tests / sizeof tests[0] - (strcmp(b->name, "cuda") ? 1 : 0);
    b->enter(b);
    int failed = _cmocka_run_group_tests(name, tests, count, NULL, NULL);
    b->close(b);
    return failed;
}

int main(void)
{
    char why[200];
    int failed = run_on("cpu f32", imu_backend_cpu(1, false));
    failed += run_on("cpu bf16", imu_cpu_has_bf16() ? imu_backend_cpu(1, true) : NULL);
    failed += run_on("emulated cuda f32", emulated(false));
    failed += run_on("emulated cuda bf16", emulated(true));
    failed += run_on("cuda f32", imu_backend_cuda(0, false, why, sizeof why));
    failed += run_on("cuda bf16", imu_backend_cuda(0, true, why, sizeof why));
    return failed ? 1 : 0;
}
