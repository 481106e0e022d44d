#include "worker/tensor/ops.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* A result and its links in the run's list; the tensor comes first so that the two pointers are
 * one. */
struct imu_run_node {
    imu_tensor tensor;
    struct imu_run_node *before, *after;
};

void imu_run_begin(imu_run *run, imu_backend *backend, int (*cancelled)(void *), void *user)
{
    memset(run, 0, sizeof *run);
    run->backend = backend;
    run->compute = backend->compute;
    run->cancelled = cancelled;
    run->user = user;
    backend->error[0] = 0;
    backend->cancelled = cancelled;
    backend->cancel_user = user;
    run->status = backend->enter(backend);
}

int imu_run_end(imu_run *run)
{
    while (run->live)
        imu_drop(run, &run->live->tensor);
    run->backend->cancelled = NULL;
    return run->status;
}

void imu_run_fail(imu_run *run, int status)
{
    if (!run->status)
        run->status = status;
}

int imu_run_check(imu_run *run)
{
    if (!run->status && run->cancelled && run->cancelled(run->user))
        run->status = IMU_TENSOR_CANCELLED;
    return run->status;
}

void imu_run_probe(imu_run *run, const char *stage, const imu_tensor *value)
{
    if (run->probe && value && !run->status)
        run->probe(run->probe_user, stage, value);
}

imu_tensor *imu_op_new(imu_run *run, imu_dtype type, int ndim, const int64_t *dim)
{
    if (run->status)
        return NULL;
    struct imu_run_node *node = calloc(1, sizeof *node);
    if (!node) {
        imu_run_fail(run, IMU_TENSOR_NO_MEMORY);
        return NULL;
    }
    node->tensor.type = type;
    node->tensor.ndim = ndim;
    memcpy(node->tensor.dim, dim, (size_t)ndim * sizeof *dim);
    node->tensor.bytes = (size_t)imu_tensor_count(&node->tensor) * imu_dtype_size(type);
    node->tensor.data = run->backend->alloc(run->backend, node->tensor.bytes);
    if (!node->tensor.data) {
        free(node);
        imu_run_fail(run, IMU_TENSOR_NO_MEMORY);
        return NULL;
    }
    node->after = run->live;
    if (run->live)
        run->live->before = node;
    run->live = node;
    return &node->tensor;
}

void imu_drop(imu_run *run, imu_tensor *t)
{
    if (!t)
        return;
    struct imu_run_node *node = (struct imu_run_node *)t;
    /* NOLINTNEXTLINE(clang-analyzer-unix.Malloc): the first node has none before it, ever */
    if (node->before)
        node->before->after = node->after;
    else
        run->live = node->after;
    if (node->after)
        node->after->before = node->before;
    run->backend->release(run->backend, t->data, t->bytes);
    free(node);
}

/* A kernel's answer: sticks when bad, and takes the result along. */
static imu_tensor *settle(imu_run *run, int rc, imu_tensor *y)
{
    if (!rc)
        return y;
    imu_run_fail(run, rc);
    imu_drop(run, y);
    return NULL;
}

imu_tensor *imu_op_from(imu_run *run, int ndim, const int64_t *dim, const float *values)
{
    imu_tensor *y = imu_op_new(run, IMU_F32, ndim, dim);
    return y ? settle(run, run->backend->upload(run->backend, y, values), y) : NULL;
}

imu_tensor *imu_op_from_nchw(imu_run *run, const int64_t *dim, const float *values)
{
    imu_tensor *x = imu_op_from(run, 4, dim, values);
    int64_t last[4] = {dim[0], dim[2], dim[3], dim[1]};
    imu_tensor *y = x ? imu_op_new(run, IMU_F32, 4, last) : NULL;
    if (y)
        y = settle(run, run->backend->to_channels_last(run->backend, x, y), y);
    imu_drop(run, x);
    return y;
}

void imu_op_to_nchw(imu_run *run, const imu_tensor *x, float *dst)
{
    if (run->status || !x)
        return;
    imu_tensor *y =
        imu_op_new(run, IMU_F32, 4, (int64_t[]){x->dim[0], x->dim[3], x->dim[1], x->dim[2]});
    if (!y)
        return;
    int rc = run->backend->to_channels_first(run->backend, x, y);
    if (!rc)
        rc = run->backend->download(run->backend, y, dst);
    imu_drop(run, settle(run, rc, y));
}

/* x in `type`: x itself with *made NULL, or a converted copy that is also *made. */
static const imu_tensor *as_type(imu_run *run, const imu_tensor *x, imu_dtype type,
                                 imu_tensor **made)
{
    *made = NULL;
    if (!x || run->status || x->type == type)
        return run->status ? NULL : x;
    imu_tensor *y = imu_op_new(run, type, x->ndim, x->dim);
    if (y)
        y = settle(run, run->backend->cast(run->backend, x, y), y);
    *made = y;
    return y;
}

/* Products are where the time goes: each asks first whether it is still wanted. */
static const imu_tensor *product_input(imu_run *run, const imu_tensor *x, imu_tensor **made)
{
    *made = NULL;
    return imu_run_check(run) ? NULL : as_type(run, x, run->compute, made);
}

imu_tensor *imu_op_linear(imu_run *run, imu_weight *w, int64_t width, const imu_tensor *x,
                          imu_dtype out)
{
    imu_tensor *made, *y = NULL;
    const imu_tensor *in = product_input(run, x, &made);
    if (in) {
        int64_t dim[4];
        memcpy(dim, in->dim, sizeof dim);
        dim[in->ndim - 1] = width;
        y = imu_op_new(run, out, in->ndim, dim);
    }
    if (y)
        y = settle(run, run->backend->linear(run->backend, w, in, y, false), y);
    imu_drop(run, made);
    return y;
}

void imu_op_linear_add(imu_run *run, imu_weight *w, const imu_tensor *x, imu_tensor *y)
{
    imu_tensor *made;
    const imu_tensor *in = product_input(run, x, &made);
    if (in && y)
        imu_run_fail(run, run->backend->linear(run->backend, w, in, y, true));
    imu_drop(run, made);
}

/* Whether the device has an operation; says what is missing otherwise. */
static bool has(imu_run *run, bool there, const char *what)
{
    if (there)
        return true;
    snprintf(run->backend->error, sizeof run->backend->error, "this device can't %s yet", what);
    imu_run_fail(run, IMU_TENSOR_REFUSED);
    return false;
}

/* x with the borders that `g` asks for where the run wraps; what is left to pad with zeros goes to
 * *rest. x itself with *made NULL where nothing wraps. */
static const imu_tensor *wrapped(imu_run *run, const imu_tensor *x, const imu_conv_geometry *g,
                                 imu_conv_geometry *rest, imu_tensor **made)
{
    bool across = run->wrap & IMU_WRAP_X && g->pad_left + g->pad_right,
         along = run->wrap & IMU_WRAP_Y && g->pad_top + g->pad_bottom;
    *rest = *g;
    *made = NULL;
    if (!x || (!across && !along))
        return x;
    int64_t h = x->dim[1], w = x->dim[2];
    if (along) {
        h += g->pad_top + g->pad_bottom;
        rest->pad_top = rest->pad_bottom = 0;
    }
    if (across) {
        w += g->pad_left + g->pad_right;
        rest->pad_left = rest->pad_right = 0;
    }
    imu_tensor *y = NULL;
    if (has(run, run->backend->wrap != NULL, "make pictures that tile"))
        y = imu_op_new(run, x->type, 4, (int64_t[]){x->dim[0], h, w, x->dim[3]});
    if (y)
        y = settle(run,
                   run->backend->wrap(run->backend, x, along ? g->pad_top : 0,
                                      across ? g->pad_left : 0, y),
                   y);
    *made = y;
    return y;
}

imu_tensor *imu_op_conv(imu_run *run, imu_weight *w, int64_t channels, int kernel,
                        const imu_tensor *x, const imu_conv_geometry *given, imu_dtype out)
{
    imu_tensor *made, *bordered, *y = NULL;
    imu_conv_geometry rest, *g = &rest;
    const imu_tensor *in = wrapped(run, product_input(run, x, &made), given, g, &bordered);
    if (in) {
        int64_t h = (in->dim[1] + g->pad_top + g->pad_bottom - kernel) / g->stride + 1;
        int64_t v = (in->dim[2] + g->pad_left + g->pad_right - kernel) / g->stride + 1;
        y = imu_op_new(run, out, 4, (int64_t[]){in->dim[0], h, v, channels});
    }
    if (y)
        y = settle(run, run->backend->conv2d(run->backend, w, in, g, y, false), y);
    imu_drop(run, bordered);
    imu_drop(run, made);
    return y;
}

void imu_op_conv_add(imu_run *run, imu_weight *w, const imu_tensor *x, const imu_conv_geometry *g,
                     imu_tensor *y)
{
    imu_tensor *made, *bordered;
    imu_conv_geometry rest;
    const imu_tensor *in = wrapped(run, product_input(run, x, &made), g, &rest, &bordered);
    if (in && y)
        imu_run_fail(run, run->backend->conv2d(run->backend, w, in, &rest, y, true));
    imu_drop(run, bordered);
    imu_drop(run, made);
}

imu_tensor *imu_op_group_norm(imu_run *run, const imu_tensor *x, const imu_tensor *gamma,
                              const imu_tensor *beta, int groups, double eps, imu_activation act)
{
    imu_tensor *y = x ? imu_op_new(run, run->compute, x->ndim, x->dim) : NULL;
    if (!y)
        return NULL;
    return settle(
        run, run->backend->group_norm(run->backend, x, gamma, beta, groups, (float)eps, act, y), y);
}

imu_tensor *imu_op_layer_norm(imu_run *run, const imu_tensor *x, const imu_tensor *gamma,
                              const imu_tensor *beta, double eps, imu_dtype out)
{
    imu_tensor *y = x ? imu_op_new(run, out, x->ndim, x->dim) : NULL;
    return y ? settle(run, run->backend->layer_norm(run->backend, x, gamma, beta, (float)eps, y), y)
             : NULL;
}

imu_tensor *imu_op_attention(imu_run *run, const imu_tensor *q, const imu_tensor *k,
                             const imu_tensor *v, int heads, bool causal,
                             const imu_tensor *key_bias)
{
    imu_tensor *y =
        q && k && v && !imu_run_check(run) ? imu_op_new(run, q->type, q->ndim, q->dim) : NULL;
    return y ? settle(run,
                      run->backend->attention(run->backend, q, k, v, heads, causal, key_bias, y), y)
             : NULL;
}

imu_tensor *imu_op_activate(imu_run *run, const imu_tensor *x, imu_activation act)
{
    imu_tensor *y = x ? imu_op_new(run, x->type, x->ndim, x->dim) : NULL;
    return y ? settle(run, run->backend->activate(run->backend, x, act, y), y) : NULL;
}

imu_tensor *imu_op_geglu(imu_run *run, const imu_tensor *x)
{
    if (!x)
        return NULL;
    int64_t dim[4];
    memcpy(dim, x->dim, sizeof dim);
    dim[x->ndim - 1] /= 2;
    imu_tensor *y = imu_op_new(run, x->type, x->ndim, dim);
    return y ? settle(run, run->backend->geglu(run->backend, x, y), y) : NULL;
}

void imu_op_add(imu_run *run, imu_tensor *y, const imu_tensor *x)
{
    if (!run->status && y && x)
        imu_run_fail(run, run->backend->add(run->backend, y, x));
}

void imu_op_add_channels(imu_run *run, imu_tensor *y, const imu_tensor *c)
{
    if (!run->status && y && c)
        imu_run_fail(run, run->backend->add_channels(run->backend, y, c));
}

void imu_op_scale_rows(imu_run *run, imu_tensor *y, const imu_tensor *rows)
{
    if (!run->status && y && rows)
        imu_run_fail(run, run->backend->scale_rows(run->backend, y, rows));
}

imu_tensor *imu_op_upsample(imu_run *run, const imu_tensor *x, int64_t height, int64_t width)
{
    if (!x)
        return NULL;
    imu_tensor *y =
        imu_op_new(run, run->compute, 4, (int64_t[]){x->dim[0], height, width, x->dim[3]});
    return y ? settle(run, run->backend->upsample(run->backend, x, y), y) : NULL;
}

void imu_op_leaky(imu_run *run, imu_tensor *y, const imu_tensor *slopes, float slope)
{
    if (!run->status && y && has(run, run->backend->leaky != NULL, "enlarge pictures"))
        imu_run_fail(run, run->backend->leaky(run->backend, y, slopes, slope));
}

void imu_op_scale_channels(imu_run *run, imu_tensor *y, int64_t channels, double factor)
{
    if (!run->status && y && has(run, run->backend->scale_channels != NULL, "scale channels"))
        imu_run_fail(run, run->backend->scale_channels(run->backend, y, channels, (float)factor));
}

void imu_op_scale_low(imu_run *run, imu_tensor *y, double factor)
{
    if (!run->status && y && has(run, run->backend->scale_low != NULL, "use FreeU"))
        imu_run_fail(run, run->backend->scale_low(run->backend, y, (float)factor));
}

imu_tensor *imu_op_concat(imu_run *run, const imu_tensor *x1, const imu_tensor *x2)
{
    if (!x1 || !x2)
        return NULL;
    int64_t dim[4];
    memcpy(dim, x1->dim, sizeof dim);
    dim[x1->ndim - 1] += x2->dim[x2->ndim - 1];
    imu_tensor *y = imu_op_new(run, x1->type, x1->ndim, dim);
    return y ? settle(run, run->backend->concat(run->backend, x1, x2, y), y) : NULL;
}
