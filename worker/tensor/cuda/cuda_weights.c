/* Linear layers and convolutions: matrix products on weights that lie on the device once for each
 * type they are wanted in. A convolution is a product over unfolded windows, some rows of the
 * picture at a time. */
#include "worker/tensor/cuda/cuda.h"

#include <stdlib.h>
#include <string.h>

struct imu_weight {
    imu_resident place;
    imu_weight_desc desc;
    /* By type, IMU_F32 and IMU_BF16: values as [out, kernel_h, kernel_w, in], and the bias. */
    void *values[2], *bias[2];
    bool passing; /* dropped after use: there is no room to keep it */
};

static int64_t area_of(const imu_weight_desc *d)
{
    return d->kernel_h ? (int64_t)d->kernel_h * d->kernel_w : 1;
}

static size_t values_bytes(const imu_weight_desc *d, imu_dtype type)
{
    return (size_t)(d->out * d->in * area_of(d)) * imu_dtype_size(type);
}

static size_t bias_bytes(const imu_weight_desc *d, imu_dtype type)
{
    return (size_t)d->out * imu_dtype_size(type);
}

int imu_cuda_weight_new(imu_backend *b, const imu_weight_desc *desc, imu_weight **out)
{
    (void)b;
    imu_weight *w = calloc(1, sizeof *w);
    if (!w)
        return IMU_TENSOR_NO_MEMORY;
    w->desc = *desc;
    *out = w;
    return IMU_TENSOR_OK;
}

void imu_cuda_weight_unload(imu_backend *b, imu_weight *w)
{
    imu_cuda *c = (imu_cuda *)b;
    for (int type = 0; type < 2; type++) {
        imu_cuda_free(c, w->values[type], values_bytes(&w->desc, type));
        imu_cuda_free(c, w->bias[type], bias_bytes(&w->desc, type));
        w->values[type] = w->bias[type] = NULL;
    }
    w->passing = false;
    imu_residency_remove(&b->residency, &w->place);
}

void imu_cuda_weight_free(imu_backend *b, imu_weight *w)
{
    if (!w)
        return;
    imu_cuda_weight_unload(b, w);
    free(w);
}

uint64_t imu_cuda_weight_bytes(const imu_weight *w)
{
    return w->place.bytes;
}

/* Values from their source to the device as [out, area, in] of that type. */
static int fetch(imu_cuda *c, imu_weight *w, const imu_weight_source *s, int64_t out, int64_t in,
                 int64_t area, imu_dtype type, void **result)
{
    size_t count = (size_t)(out * in * area), raw = count * sizeof(float),
           bytes = count * imu_dtype_size(type);
    float *host = imu_cuda_host(c, count);
    void *staged = host ? c->base.alloc(&c->base, raw) : NULL;
    void *values = staged ? imu_cuda_memory(c, bytes) : NULL;
    int rc = values ? s->read(s->user, s->key, host, count) : IMU_TENSOR_NO_MEMORY;
    if (!rc &&
        (imu_device_upload(c->device, staged, host, raw) ||
         imu_kernel_pack(c->stream, staged, (imu_values){values, type == IMU_BF16}, out, in, area)))
        rc = imu_cuda_failed(c, "a weight");
    c->base.release(&c->base, staged, raw);
    if (rc) {
        imu_cuda_free(c, values, bytes);
        return rc;
    }
    imu_residency_add(&c->base.residency, &w->place, bytes);
    *result = values;
    return IMU_TENSOR_OK;
}

/* Weights in the type that products take, the bias in the type that they give. */
static int ready(imu_cuda *c, imu_weight *w, imu_dtype in, imu_dtype out)
{
    const imu_weight_desc *d = &w->desc;
    bool values = !w->values[in], bias = d->bias.key && !w->bias[out];
    w->place.turn = c->base.residency.turn;
    if (values || bias) /* beside its values as the file has them, on their way */
        w->passing =
            !imu_cuda_has_room(c, (values ? values_bytes(d, in) : 0) +
                                      (bias ? bias_bytes(d, out) : 0) + values_bytes(d, IMU_F32));
    int rc = values ? fetch(c, w, &d->weight, d->out, d->in, area_of(d), in, &w->values[in])
                    : IMU_TENSOR_OK;
    if (!rc && bias)
        rc = fetch(c, w, &d->bias, 1, d->out, 1, out, &w->bias[out]);
    return rc;
}

/* y[rows, out] (+)= x[rows, in of all the window] w' + bias, where y is of a type that comes of
 * x's. */
static int product(imu_cuda *c, imu_weight *w, imu_dtype in, const void *x, imu_dtype out, void *y,
                   int64_t rows, bool accumulate)
{
    int64_t inner = w->desc.in * area_of(&w->desc), cols = w->desc.out;
    imu_product p = {.rows = rows,
                     .cols = cols,
                     .inner = inner,
                     .batch = 1,
                     .a_ld = inner,
                     .b_ld = inner,
                     .c_ld = cols,
                     .in = in,
                     .out = out,
                     .b_by_columns = true,
                     .accumulate = accumulate,
                     .alpha = 1};
    return imu_device_product(c->device, &p, x, w->values[in], w->bias[out], y)
               ? imu_cuda_failed(c, "a product")
               : IMU_TENSOR_OK;
}

typedef int layer_fn(imu_cuda *c, imu_weight *w, const imu_tensor *x, const imu_conv_geometry *g,
                     imu_tensor *y, bool accumulate);

/* Float32 products don't give bf16: those are made in float32 and rounded. */
static int run_ready(imu_cuda *c, layer_fn *layer, imu_weight *w, const imu_tensor *x,
                     const imu_conv_geometry *g, imu_tensor *y, bool accumulate)
{
    bool rounded = x->type == IMU_F32 && y->type == IMU_BF16;
    imu_tensor wide = *y;
    int rc = ready(c, w, x->type, rounded ? IMU_F32 : y->type);
    if (rc || !rounded)
        return rc ? rc : layer(c, w, x, g, y, accumulate);
    wide.type = IMU_F32;
    wide.bytes = (size_t)imu_tensor_count(y) * sizeof(float);
    wide.data = c->base.alloc(&c->base, wide.bytes);
    if (!wide.data)
        return IMU_TENSOR_NO_MEMORY;
    rc = accumulate ? imu_cuda_cast(&c->base, y, &wide) : IMU_TENSOR_OK;
    if (!rc)
        rc = layer(c, w, x, g, &wide, accumulate);
    if (!rc)
        rc = imu_cuda_cast(&c->base, &wide, y);
    c->base.release(&c->base, wide.data, wide.bytes);
    return rc;
}

static int run_layer(imu_cuda *c, layer_fn *layer, imu_weight *w, const imu_tensor *x,
                     const imu_conv_geometry *g, imu_tensor *y, bool accumulate)
{
    c->busy = &w->place;
    int rc = run_ready(c, layer, w, x, g, y, accumulate);
    c->busy = NULL;
    if (w->passing)
        imu_cuda_weight_unload(&c->base, w);
    return rc;
}

static int whole(imu_cuda *c, imu_weight *w, const imu_tensor *x, const imu_conv_geometry *g,
                 imu_tensor *y, bool accumulate)
{
    (void)g;
    return product(c, w, x->type, x->data, y->type, y->data, imu_tensor_count(x) / w->desc.in,
                   accumulate);
}

static int by_windows(imu_cuda *c, imu_weight *w, const imu_tensor *x, const imu_conv_geometry *g,
                      imu_tensor *y, bool accumulate)
{
    const imu_weight_desc *d = &w->desc;
    imu_windows windows = {d->kernel_h, d->kernel_w, g->stride, g->pad_top,
                           g->pad_left, y->dim[1],   y->dim[2]};
    imu_extent extent = {x->dim[0], x->dim[1], x->dim[2], x->dim[3]};
    int64_t row = area_of(d) * d->in * (int64_t)imu_dtype_size(x->type);
    int64_t rows = y->dim[0] * y->dim[1] * y->dim[2];
    int64_t most = c->scratch / row < 1 ? 1 : c->scratch / row > rows ? rows : c->scratch / row;
    imu_values unfolded = {c->base.alloc(&c->base, (size_t)(most * row)), x->type == IMU_BF16};
    int rc = unfolded.data ? IMU_TENSOR_OK : IMU_TENSOR_NO_MEMORY;
    for (int64_t first = 0; first < rows && !rc; first += most) {
        int64_t n = rows - first < most ? rows - first : most;
        char *to = (char *)y->data + (size_t)(first * d->out) * imu_dtype_size(y->type);
        if (imu_kernel_unfold(c->stream, imu_cuda_values(x), unfolded, extent, windows, first, n))
            rc = imu_cuda_failed(c, "a convolution");
        else
            rc = product(c, w, x->type, unfolded.data, y->type, to, n, accumulate);
    }
    c->base.release(&c->base, unfolded.data, (size_t)(most * row));
    return rc;
}

static bool computable(imu_dtype type)
{
    return type == IMU_F32 || type == IMU_BF16;
}

int imu_cuda_linear(imu_backend *b, imu_weight *w, const imu_tensor *x, imu_tensor *y,
                    bool accumulate)
{
    imu_cuda *c = (imu_cuda *)b;
    if (!computable(x->type) || !computable(y->type) || x->dim[x->ndim - 1] != w->desc.in ||
        imu_tensor_count(y) / w->desc.out != imu_tensor_count(x) / w->desc.in)
        return imu_cuda_refused(c, "a layer's input has another width than its weight");
    return run_layer(c, whole, w, x, NULL, y, accumulate);
}

int imu_cuda_conv2d(imu_backend *b, imu_weight *w, const imu_tensor *x, const imu_conv_geometry *g,
                    imu_tensor *y, bool accumulate)
{
    imu_cuda *c = (imu_cuda *)b;
    const imu_weight_desc *d = &w->desc;
    bool padded = g->pad_top || g->pad_left || g->pad_bottom || g->pad_right;
    if (!computable(x->type) || !computable(y->type) || x->dim[3] != d->in || y->dim[3] != d->out ||
        x->dim[0] != y->dim[0])
        return imu_cuda_refused(c, "a convolution's picture has other channels than its weight");
    return run_layer(c, area_of(d) == 1 && g->stride == 1 && !padded ? whole : by_windows, w, x, g,
                     y, accumulate);
}
