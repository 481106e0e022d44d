/* Norms, attention, and what works value by value: shapes checked, kernels started. */
#include "worker/tensor/cuda/cuda.h"

#include <math.h>

static int started(imu_cuda *c, int rc, const char *what)
{
    return rc ? imu_cuda_failed(c, what) : IMU_TENSOR_OK;
}

int imu_cuda_group_norm(imu_backend *b, const imu_tensor *x, const imu_tensor *gamma,
                        const imu_tensor *beta, int groups, float eps, imu_activation act,
                        imu_tensor *y)
{
    imu_cuda *c = (imu_cuda *)b;
    int64_t channels = x->dim[x->ndim - 1], n = x->dim[0];
    int64_t pixels = imu_tensor_count(x) / n / channels;
    if (groups < 1 || channels % groups || imu_tensor_count(gamma) != channels ||
        imu_tensor_count(beta) != channels)
        return imu_cuda_refused(c, "a group norm's channels don't fit its groups");
    size_t bytes = (size_t)(n * groups * 2) * sizeof(float);
    float *stats = b->alloc(b, bytes);
    if (!stats)
        return IMU_TENSOR_NO_MEMORY;
    int rc = imu_kernel_group_stats(c->stream, imu_cuda_values(x), stats, n, pixels, channels,
                                    groups, eps);
    if (!rc)
        rc = imu_kernel_group_apply(c->stream, imu_cuda_values(x), imu_cuda_values(y), stats,
                                    gamma->data, beta->data, n, pixels, channels, groups, (int)act);
    b->release(b, stats, bytes);
    return started(c, rc, "a group norm");
}

int imu_cuda_layer_norm(imu_backend *b, const imu_tensor *x, const imu_tensor *gamma,
                        const imu_tensor *beta, float eps, imu_tensor *y)
{
    imu_cuda *c = (imu_cuda *)b;
    int64_t width = x->dim[x->ndim - 1];
    if (imu_tensor_count(gamma) != width || imu_tensor_count(beta) != width)
        return imu_cuda_refused(c, "a layer norm has another width than its input");
    return started(c,
                   imu_kernel_layer_norm(c->stream, imu_cuda_values(x), imu_cuda_values(y),
                                         gamma->data, beta->data, imu_tensor_count(x) / width,
                                         width, eps),
                   "a layer norm");
}

/* One attention: sizes, and the room for scores and probabilities of some queries at a time. */
typedef struct attending {
    const imu_tensor *q, *k, *v, *key_bias;
    imu_tensor *y;
    int64_t heads, head_width, most; /* most: queries at a time */
    bool causal;
    float *scores;
    imu_values probabilities; /* the scores' own memory in float32 */
} attending;

/* The values of `t` from a picture's query or key number `at`, where a head's are head_width and a
 * token's all heads. */
static void *from(const imu_tensor *t, int64_t picture, int64_t at)
{
    int64_t values = (picture * t->dim[1] + at) * t->dim[2];
    return (char *)t->data + (size_t)values * imu_dtype_size(t->type);
}

static int attend_some(imu_cuda *c, const attending *a, int64_t picture, int64_t first)
{
    int64_t queries = a->q->dim[1], keys = a->k->dim[1], width = a->q->dim[2];
    int64_t rows = queries - first < a->most ? queries - first : a->most;
    imu_product scores = {.rows = rows,
                          .cols = keys,
                          .inner = a->head_width,
                          .batch = a->heads,
                          .a_ld = width,
                          .b_ld = width,
                          .c_ld = keys,
                          .a_step = a->head_width,
                          .b_step = a->head_width,
                          .c_step = rows * keys,
                          .in = a->q->type,
                          .out = IMU_F32,
                          .b_by_columns = true,
                          .alpha = 1.0f / sqrtf((float)a->head_width)};
    imu_product values = {.rows = rows,
                          .cols = a->head_width,
                          .inner = keys,
                          .batch = a->heads,
                          .a_ld = keys,
                          .b_ld = width,
                          .c_ld = width,
                          .a_step = rows * keys,
                          .b_step = a->head_width,
                          .c_step = a->head_width,
                          .in = a->v->type,
                          .out = a->y->type,
                          .alpha = 1};
    const float *bias = a->key_bias ? (const float *)a->key_bias->data + picture * keys : NULL;
    if (imu_device_product(c->device, &scores, from(a->q, picture, first), from(a->k, picture, 0),
                           NULL, a->scores) ||
        imu_kernel_softmax(c->stream, a->scores, a->probabilities, a->heads, rows, keys, bias,
                           a->causal, first) ||
        imu_device_product(c->device, &values, a->probabilities.data, from(a->v, picture, 0), NULL,
                           from(a->y, picture, first)))
        return imu_cuda_failed(c, "an attention");
    return IMU_TENSOR_OK;
}

int imu_cuda_attention(imu_backend *b, const imu_tensor *q, const imu_tensor *k,
                       const imu_tensor *v, int heads, bool causal, const imu_tensor *key_bias,
                       imu_tensor *y)
{
    imu_cuda *c = (imu_cuda *)b;
    int64_t queries = q->dim[1], keys = k->dim[1];
    if (heads < 1 || q->dim[2] % heads || k->type != q->type || v->type != q->type ||
        y->type != q->type || k->dim[2] != q->dim[2] || v->dim[1] != keys ||
        (key_bias && imu_tensor_count(key_bias) != q->dim[0] * keys))
        return imu_cuda_refused(c, "an attention's inputs don't fit each other");
    bool bf16 = q->type == IMU_BF16;
    int64_t each = heads * keys * (int64_t)sizeof(float) * (bf16 ? 2 : 1);
    attending a = {.q = q,
                   .k = k,
                   .v = v,
                   .key_bias = key_bias,
                   .y = y,
                   .heads = heads,
                   .head_width = q->dim[2] / heads,
                   .most = c->scratch / each < 1 ? 1 : c->scratch / each,
                   .causal = causal};
    if (a.most > queries)
        a.most = queries;
    size_t bytes = (size_t)(a.most * each);
    a.scores = b->alloc(b, bytes);
    if (!a.scores)
        return IMU_TENSOR_NO_MEMORY;
    a.probabilities = (imu_values){bf16 ? a.scores + a.most * heads * keys : a.scores, bf16};
    int rc = IMU_TENSOR_OK;
    for (int64_t picture = 0; picture < q->dim[0] && !rc; picture++)
        for (int64_t first = 0; first < queries && !rc; first += a.most)
            rc = attend_some(c, &a, picture, first);
    b->release(b, a.scores, bytes);
    return rc;
}

int imu_cuda_activate(imu_backend *b, const imu_tensor *x, imu_activation act, imu_tensor *y)
{
    imu_cuda *c = (imu_cuda *)b;
    return started(c,
                   imu_kernel_activate(c->stream, imu_cuda_values(x), imu_cuda_values(y),
                                       imu_tensor_count(x), (int)act),
                   "an activation");
}

int imu_cuda_cast(imu_backend *b, const imu_tensor *x, imu_tensor *y)
{
    return imu_cuda_activate(b, x, IMU_ACT_NONE, y);
}

int imu_cuda_geglu(imu_backend *b, const imu_tensor *x, imu_tensor *y)
{
    imu_cuda *c = (imu_cuda *)b;
    int64_t width = y->dim[y->ndim - 1];
    if (x->dim[x->ndim - 1] != 2 * width || imu_tensor_count(x) != 2 * imu_tensor_count(y))
        return imu_cuda_refused(c, "a gate is not as wide as what it gates");
    return started(c,
                   imu_kernel_geglu(c->stream, imu_cuda_values(x), imu_cuda_values(y),
                                    imu_tensor_count(y) / width, width),
                   "a gate");
}

int imu_cuda_add(imu_backend *b, imu_tensor *y, const imu_tensor *x)
{
    imu_cuda *c = (imu_cuda *)b;
    int64_t count = imu_tensor_count(y);
    if (imu_tensor_count(x) != count)
        return imu_cuda_refused(c, "what is added has another size");
    return started(c, imu_kernel_add(c->stream, imu_cuda_values(y), imu_cuda_values(x), count),
                   "a sum");
}

int imu_cuda_add_channels(imu_backend *b, imu_tensor *y, const imu_tensor *t)
{
    imu_cuda *c = (imu_cuda *)b;
    int64_t channels = y->dim[y->ndim - 1], count = imu_tensor_count(y);
    if (t->type != IMU_F32 || y->type != IMU_F32 || imu_tensor_count(t) != y->dim[0] * channels)
        return imu_cuda_refused(c, "what is added to channels has another size");
    return started(c,
                   imu_kernel_add_channels(c->stream, y->data, t->data, count,
                                           count / y->dim[0] / channels, channels),
                   "a sum");
}

static imu_extent extent_of(const imu_tensor *t)
{
    return (imu_extent){t->dim[0], t->dim[1], t->dim[2], t->dim[3]};
}

int imu_cuda_upsample(imu_backend *b, const imu_tensor *x, imu_tensor *y)
{
    imu_cuda *c = (imu_cuda *)b;
    if (x->dim[0] != y->dim[0] || x->dim[3] != y->dim[3])
        return imu_cuda_refused(c, "an enlarged picture has other channels");
    return started(c,
                   imu_kernel_upsample(c->stream, imu_cuda_values(x), imu_cuda_values(y),
                                       extent_of(x), extent_of(y)),
                   "an enlargement");
}

int imu_cuda_wrap(imu_backend *b, const imu_tensor *x, int top, int left, imu_tensor *y)
{
    imu_cuda *c = (imu_cuda *)b;
    if (x->type != y->type || x->dim[0] != y->dim[0] || x->dim[3] != y->dim[3] || top < 0 ||
        left < 0 || top > x->dim[1] || left > x->dim[2])
        return imu_cuda_refused(c, "a picture's borders are larger than it");
    return started(c,
                   imu_kernel_wrap(c->stream, imu_cuda_values(x), imu_cuda_values(y), extent_of(x),
                                   extent_of(y), top, left),
                   "a border");
}

int imu_cuda_leaky(imu_backend *b, imu_tensor *y, const imu_tensor *slopes, float slope)
{
    imu_cuda *c = (imu_cuda *)b;
    int64_t width = y->dim[y->ndim - 1];
    if (y->type != IMU_F32 ||
        (slopes && (slopes->type != IMU_F32 || imu_tensor_count(slopes) != width)))
        return imu_cuda_refused(c, "the slopes are not one for each channel");
    return started(c,
                   imu_kernel_leaky(c->stream, y->data, slopes ? slopes->data : NULL,
                                    imu_tensor_count(y) / width, width, slope),
                   "a leaky activation");
}

int imu_cuda_scale_channels(imu_backend *b, imu_tensor *y, int64_t channels, float factor)
{
    imu_cuda *c = (imu_cuda *)b;
    int64_t width = y->dim[y->ndim - 1];
    if (y->type != IMU_F32 || channels < 0 || channels > width)
        return imu_cuda_refused(c, "more channels are scaled than there are");
    return started(c,
                   imu_kernel_scale_channels(c->stream, y->data, imu_tensor_count(y) / width, width,
                                             channels, factor),
                   "a scaling");
}

int imu_cuda_scale_rows(imu_backend *b, imu_tensor *y, const imu_tensor *rows)
{
    imu_cuda *c = (imu_cuda *)b;
    int64_t width = y->dim[y->ndim - 1], count = imu_tensor_count(y);
    if (rows->type != IMU_F32 || imu_tensor_count(rows) != count / width)
        return imu_cuda_refused(c, "there is no value for each row");
    return started(c,
                   imu_kernel_scale_rows(c->stream, imu_cuda_values(y), rows->data, count, width),
                   "a scaling");
}

int imu_cuda_scale_low(imu_backend *b, imu_tensor *y, float factor)
{
    imu_cuda *c = (imu_cuda *)b;
    if (y->type != IMU_F32 || y->ndim != 4)
        return imu_cuda_refused(c, "only pictures have slow waves");
    return started(c, imu_kernel_scale_low(c->stream, y->data, extent_of(y), factor), "a filter");
}

int imu_cuda_concat(imu_backend *b, const imu_tensor *x1, const imu_tensor *x2, imu_tensor *y)
{
    imu_cuda *c = (imu_cuda *)b;
    int64_t c1 = x1->dim[x1->ndim - 1], c2 = x2->dim[x2->ndim - 1],
            rows = imu_tensor_count(x1) / c1;
    if (imu_tensor_count(x2) != rows * c2 || imu_tensor_count(y) != rows * (c1 + c2))
        return imu_cuda_refused(c, "what is joined has other sizes");
    int rc =
        imu_kernel_place(c->stream, imu_cuda_values(x1), imu_cuda_values(y), rows, c1, c1 + c2, 0);
    if (!rc)
        rc = imu_kernel_place(c->stream, imu_cuda_values(x2), imu_cuda_values(y), rows, c2, c1 + c2,
                              c1);
    return started(c, rc, "a junction");
}

static int permute(imu_backend *b, const imu_tensor *x, imu_tensor *y, const imu_tensor *last,
                   int back)
{
    imu_cuda *c = (imu_cuda *)b;
    if (x->type != IMU_F32 || y->type != IMU_F32 || imu_tensor_count(x) != imu_tensor_count(y))
        return imu_cuda_refused(c, "a picture can't be turned into another size");
    return started(c, imu_kernel_permute(c->stream, x->data, y->data, extent_of(last), back),
                   "a transposition");
}

int imu_cuda_to_channels_last(imu_backend *b, const imu_tensor *nchw, imu_tensor *nhwc)
{
    return permute(b, nchw, nhwc, nhwc, 0);
}

int imu_cuda_to_channels_first(imu_backend *b, const imu_tensor *nhwc, imu_tensor *nchw)
{
    return permute(b, nhwc, nchw, nhwc, 1);
}
