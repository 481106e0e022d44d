#include "tests/bench/engine/floor.h"

#include <oneapi/dnnl/dnnl.h>
#include <stdlib.h>
#include <string.h>

enum { MOST_WEIGHTS = 2048, MOST_PRODUCTS = 512, LEAST_RUNS = 3, MOST_RUNS = 1000 };

typedef enum product_kind { CONV, LINEAR, ATTENTION } product_kind;

/* A convolution [n, in, h, w] to [n, out, h_out, w_out], or `n` products [h, in] [in, out]. */
typedef struct product {
    product_kind kind;
    imu_dtype type;
    int64_t n, in, h, w, out, h_out, w_out;
    int kernel_h, kernel_w;
    imu_conv_geometry g;
} product;

typedef struct counted {
    product what;
    int times;
} counted;

/* What was noted, and the backend's own functions. One at a time: a backend's functions know no
 * user. */
static struct watch {
    imu_backend own;
    struct {
        const imu_weight *weight;
        imu_weight_desc desc;
    } weights[MOST_WEIGHTS];
    size_t weight_count;
    counted products[MOST_PRODUCTS];
    size_t product_count;
    bool full;
} seen;

static void note(const product *p)
{
    size_t i = 0;
    while (i < seen.product_count && memcmp(&seen.products[i].what, p, sizeof *p) != 0)
        i++;
    if (i == MOST_PRODUCTS) {
        seen.full = true;
        return;
    }
    if (i == seen.product_count)
        seen.products[seen.product_count++] = (counted){.what = *p};
    seen.products[i].times++;
}

static int weight_new(imu_backend *b, const imu_weight_desc *desc, imu_weight **out)
{
    int rc = seen.own.weight_new(b, desc, out);
    if (rc)
        return rc;
    if (seen.weight_count == MOST_WEIGHTS) {
        seen.full = true;
        return rc;
    }
    seen.weights[seen.weight_count].weight = *out;
    seen.weights[seen.weight_count++].desc = *desc;
    return rc;
}

/* The youngest of that address: older ones were freed. */
static const imu_weight_desc *desc_of(const imu_weight *w)
{
    for (size_t i = seen.weight_count; i-- > 0;)
        if (seen.weights[i].weight == w)
            return &seen.weights[i].desc;
    return NULL;
}

static int linear(imu_backend *b, imu_weight *w, const imu_tensor *x, imu_tensor *y,
                  bool accumulate)
{
    const imu_weight_desc *d = desc_of(w);
    product p;
    memset(&p, 0, sizeof p); /* compared as bytes */
    p.kind = LINEAR;
    p.type = x->type;
    p.n = 1;
    p.in = x->dim[x->ndim - 1];
    p.h = imu_tensor_count(x) / p.in;
    p.out = d ? d->out : 0;
    note(&p);
    return seen.own.linear(b, w, x, y, accumulate);
}

static int conv2d(imu_backend *b, imu_weight *w, const imu_tensor *x, const imu_conv_geometry *g,
                  imu_tensor *y, bool accumulate)
{
    const imu_weight_desc *d = desc_of(w);
    product p;
    memset(&p, 0, sizeof p);
    p.kind = CONV;
    p.type = x->type;
    p.n = x->dim[0];
    p.h = x->dim[1];
    p.w = x->dim[2];
    p.in = x->dim[3];
    p.h_out = y->dim[1];
    p.w_out = y->dim[2];
    p.out = y->dim[3];
    p.kernel_h = d ? d->kernel_h : 0;
    p.kernel_w = d ? d->kernel_w : 0;
    p.g = *g;
    note(&p);
    return seen.own.conv2d(b, w, x, g, y, accumulate);
}

static void note_batch(imu_dtype type, int64_t n, int64_t rows, int64_t in, int64_t out)
{
    product p;
    memset(&p, 0, sizeof p);
    p.kind = ATTENTION;
    p.type = type;
    p.n = n;
    p.h = rows;
    p.in = in;
    p.out = out;
    note(&p);
}

static int attention(imu_backend *b, const imu_tensor *q, const imu_tensor *k, const imu_tensor *v,
                     int heads, bool causal, const imu_tensor *key_bias, imu_tensor *y)
{
    int64_t n = q->dim[0] * heads, width = q->dim[2] / heads;
    note_batch(q->type, n, q->dim[1], width, k->dim[1]);
    note_batch(q->type, n, q->dim[1], k->dim[1], width);
    return seen.own.attention(b, q, k, v, heads, causal, key_bias, y);
}

void imu_floor_watch(imu_backend *backend)
{
    seen.own = *backend;
    seen.weight_count = 0;
    imu_floor_reset();
    backend->weight_new = weight_new;
    backend->linear = linear;
    backend->conv2d = conv2d;
    backend->attention = attention;
}

void imu_floor_reset(void)
{
    seen.product_count = 0;
    seen.full = false;
}

/* ---- timing one of them alone ---- */

static double flop_of(const product *p)
{
    double rows = p->kind == CONV ? (double)(p->n * p->h_out * p->w_out) : (double)(p->n * p->h);
    int taps = p->kind == CONV ? p->kernel_h * p->kernel_w : 1;
    return 2 * rows * taps * (double)p->in * (double)p->out;
}

static dnnl_data_type_t type_of(const product *p)
{
    return p->type == IMU_BF16 ? dnnl_bf16 : dnnl_f32;
}

/* A linear layer's weights lie as the library likes them best; attention's operands as they come.
 */
static dnnl_status_t describe_product(dnnl_engine_t engine, const product *p,
                                      dnnl_primitive_desc_t *pd)
{
    int flat = p->kind == LINEAR, n = flat ? 2 : 3;
    dnnl_dims_t x = {p->n, p->h, p->in}, w = {p->n, p->in, p->out}, y = {p->n, p->h, p->out};
    dnnl_format_tag_t rows = flat ? dnnl_ab : dnnl_abc;
    dnnl_memory_desc_t mx, mw, my;
    dnnl_matmul_desc_t op;
    dnnl_status_t s = dnnl_memory_desc_init_by_tag(&mx, n, x + flat, type_of(p), rows);
    if (s == dnnl_success)
        s = dnnl_memory_desc_init_by_tag(&mw, n, w + flat, type_of(p),
                                         flat ? dnnl_format_tag_any : rows);
    if (s == dnnl_success)
        s = dnnl_memory_desc_init_by_tag(&my, n, y + flat, type_of(p), rows);
    if (s == dnnl_success)
        s = dnnl_matmul_desc_init(&op, &mx, &mw, NULL, &my);
    return s == dnnl_success ? dnnl_primitive_desc_create(pd, &op, NULL, engine, NULL) : s;
}

static dnnl_status_t describe_conv(dnnl_engine_t engine, const product *p,
                                   dnnl_primitive_desc_t *pd)
{
    dnnl_dims_t x = {p->n, p->in, p->h, p->w}, w = {p->out, p->in, p->kernel_h, p->kernel_w};
    dnnl_dims_t y = {p->n, p->out, p->h_out, p->w_out}, stride = {p->g.stride, p->g.stride};
    dnnl_dims_t before = {p->g.pad_top, p->g.pad_left}, after = {p->g.pad_bottom, p->g.pad_right};
    dnnl_memory_desc_t mx, mw, my;
    dnnl_convolution_desc_t op;
    dnnl_status_t s = dnnl_memory_desc_init_by_tag(&mx, 4, x, type_of(p), dnnl_format_tag_any);
    if (s == dnnl_success)
        s = dnnl_memory_desc_init_by_tag(&mw, 4, w, type_of(p), dnnl_format_tag_any);
    if (s == dnnl_success)
        s = dnnl_memory_desc_init_by_tag(&my, 4, y, type_of(p), dnnl_format_tag_any);
    if (s == dnnl_success)
        s = dnnl_convolution_forward_desc_init(&op, dnnl_forward_inference, dnnl_convolution_direct,
                                               &mx, &mw, NULL, &my, stride, before, after);
    return s == dnnl_success ? dnnl_primitive_desc_create(pd, &op, NULL, engine, NULL) : s;
}

/* Memory as the primitive wants it, holding small values: zeros and denormal numbers would run at
 * another speed. */
static dnnl_status_t filled(dnnl_engine_t engine, const_dnnl_primitive_desc_t pd,
                            dnnl_query_t which, imu_dtype type, dnnl_memory_t *memory)
{
    const dnnl_memory_desc_t *md = dnnl_primitive_desc_query_md(pd, which, 0);
    void *data = NULL;
    dnnl_status_t s = dnnl_memory_create(memory, md, engine, DNNL_MEMORY_ALLOCATE);
    if (s == dnnl_success)
        s = dnnl_memory_get_data_handle(*memory, &data);
    if (s != dnnl_success)
        return s;
    size_t count = dnnl_memory_desc_get_size(md) / imu_dtype_size(type);
    uint32_t random = 12345;
    for (size_t i = 0; i < count; i++) {
        random = random * 1664525u + 1013904223u;
        float value = (float)(random >> 8) / (float)(1 << 24) - 0.5f;
        if (type == IMU_BF16)
            imu_f32_to_bf16(&value, (uint16_t *)data + i, 1);
        else
            ((float *)data)[i] = value;
    }
    return s;
}

/* The least of as many executions as fit into the budget; the first one warms up. */
static dnnl_status_t least(dnnl_engine_t engine, dnnl_primitive_t primitive,
                           const dnnl_exec_arg_t *args, double budget, imu_lapse *time)
{
    dnnl_stream_t stream;
    dnnl_status_t s = dnnl_stream_create(&stream, engine, dnnl_stream_default_flags);
    imu_lapse start = imu_lapse_now();
    *time = (imu_lapse){1e9, 1e9};
    for (int i = 0; s == dnnl_success && i < MOST_RUNS; i++) {
        imu_lapse before = imu_lapse_now();
        if (i > LEAST_RUNS && before.wall - start.wall > budget)
            break;
        s = dnnl_primitive_execute(primitive, stream, 3, args);
        if (s == dnnl_success)
            s = dnnl_stream_wait(stream);
        if (i)
            imu_lapse_least(time, before);
    }
    dnnl_stream_destroy(stream);
    return s;
}

static dnnl_status_t time_desc(dnnl_engine_t engine, const product *p, dnnl_primitive_desc_t pd,
                               double budget, imu_lapse *time)
{
    static const dnnl_query_t query[] = {dnnl_query_src_md, dnnl_query_weights_md,
                                         dnnl_query_dst_md};
    dnnl_exec_arg_t args[] = {{DNNL_ARG_SRC, NULL}, {DNNL_ARG_WEIGHTS, NULL}, {DNNL_ARG_DST, NULL}};
    dnnl_primitive_t primitive = NULL;
    dnnl_status_t s = dnnl_primitive_create(&primitive, pd);
    for (int i = 0; i < 3 && s == dnnl_success; i++)
        s = filled(engine, pd, query[i], p->type, &args[i].memory);
    if (s == dnnl_success)
        s = least(engine, primitive, args, budget, time);
    for (int i = 0; i < 3; i++)
        if (args[i].memory)
            dnnl_memory_destroy(args[i].memory);
    if (primitive)
        dnnl_primitive_destroy(primitive);
    return s;
}

static dnnl_status_t time_alone(dnnl_engine_t engine, const product *p, double budget,
                                imu_lapse *time)
{
    dnnl_primitive_desc_t pd = NULL;
    dnnl_status_t s =
        p->kind == CONV ? describe_conv(engine, p, &pd) : describe_product(engine, p, &pd);
    if (s != dnnl_success)
        return s;
    s = time_desc(engine, p, pd, budget, time);
    dnnl_primitive_desc_destroy(pd);
    return s;
}

int imu_floor_measure(double budget, imu_floor *out)
{
    dnnl_engine_t engine;
    *out = (imu_floor){0};
    for (size_t i = 0; i < seen.product_count; i++)
        out->flop += seen.products[i].times * flop_of(&seen.products[i].what);
    if (budget <= 0 && !seen.full)
        return 0;
    if (seen.full || dnnl_engine_create(&engine, dnnl_cpu, 0) != dnnl_success)
        return -1;
    dnnl_status_t s = dnnl_success;
    double *share[] = {&out->conv, &out->linear, &out->attention};
    for (size_t i = 0; i < seen.product_count && s == dnnl_success; i++) {
        const counted *c = &seen.products[i];
        imu_lapse alone = {0};
        s = time_alone(engine, &c->what, budget, &alone);
        out->total.wall += c->times * alone.wall;
        out->total.processors += c->times * alone.processors;
        *share[c->what.kind] += c->times * alone.wall;
    }
    dnnl_engine_destroy(engine);
    return s == dnnl_success ? 0 : -1;
}
