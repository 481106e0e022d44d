/* Linear layers and convolutions: oneDNN primitives, each made once per shape, on weights that are
 * kept in the blocked layout the primitive asked for. */
#include "worker/tensor/cpu/cpu.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { MAX_PLANS = 12, MAX_PACKS = 2 };

/* The values in one layout. */
typedef struct pack {
    dnnl_memory_desc_t md;
    dnnl_memory_t memory;
    void *values;
} pack;

/* What tells one primitive of a weight from another. */
typedef struct plan_key {
    int64_t n, h, w; /* rows, 0, 0 for a linear layer */
    imu_conv_geometry g;
    imu_dtype in, out;
    int accumulate;
} plan_key;

typedef struct plan {
    plan_key key;
    dnnl_primitive_t primitive;
    dnnl_memory_t src, dst;
    dnnl_memory_t scratch; /* NULL: it needs none */
    size_t scratch_bytes;
    int pack; /* index into packs */
} plan;

struct imu_weight {
    imu_resident place;
    imu_weight_desc desc;
    pack packs[MAX_PACKS];
    int pack_count;
    plan plans[MAX_PLANS];
    int plan_count, next_victim;
    float *bias;
    dnnl_memory_t bias_memory;
};

int imu_cpu_weight_new(imu_backend *b, const imu_weight_desc *desc, imu_weight **out)
{
    (void)b;
    imu_weight *w = calloc(1, sizeof *w);
    if (!w)
        return IMU_TENSOR_NO_MEMORY;
    w->desc = *desc;
    *out = w;
    return IMU_TENSOR_OK;
}

static void plan_close(plan *p)
{
    if (p->primitive)
        dnnl_primitive_destroy(p->primitive);
    if (p->src)
        dnnl_memory_destroy(p->src);
    if (p->dst)
        dnnl_memory_destroy(p->dst);
    if (p->scratch)
        dnnl_memory_destroy(p->scratch);
    memset(p, 0, sizeof *p);
}

static void pack_close(pack *p)
{
    if (p->memory)
        dnnl_memory_destroy(p->memory);
    free(p->values);
}

void imu_cpu_weight_unload(imu_backend *b, imu_weight *w)
{
    for (int i = 0; i < w->plan_count; i++)
        plan_close(&w->plans[i]);
    for (int i = 0; i < w->pack_count; i++)
        pack_close(&w->packs[i]);
    if (w->bias_memory)
        dnnl_memory_destroy(w->bias_memory);
    free(w->bias);
    w->plan_count = w->pack_count = w->next_victim = 0;
    w->bias_memory = NULL;
    w->bias = NULL;
    imu_residency_remove(&b->residency, &w->place);
}

void imu_cpu_weight_free(imu_backend *b, imu_weight *w)
{
    if (!w)
        return;
    imu_cpu_weight_unload(b, w);
    free(w);
}

uint64_t imu_cpu_weight_bytes(const imu_weight *w)
{
    return w->place.bytes;
}

/* Has weights of earlier turns leave where the budget has no room for `bytes` more. */
static void make_room(imu_backend *b, uint64_t bytes)
{
    imu_resident *leaving;
    while (b->residency.bytes + bytes > b->budget &&
           (leaving = imu_residency_leaving(&b->residency, NULL, b->residency.turn)))
        imu_cpu_weight_unload(b, (imu_weight *)leaving);
}

static int load_bias(imu_cpu *cpu, imu_weight *w)
{
    const imu_weight_source *s = &w->desc.bias;
    if (!s->key || w->bias)
        return IMU_TENSOR_OK;
    size_t bytes = (size_t)w->desc.out * sizeof(float);
    make_room(&cpu->base, bytes);
    float *bias = imu_cpu_memory(cpu, bytes);
    if (!bias)
        return IMU_TENSOR_NO_MEMORY;
    int rc = s->read(s->user, s->key, bias, (size_t)w->desc.out);
    if (rc) {
        free(bias);
        return rc;
    }
    dnnl_memory_desc_t md;
    dnnl_dims_t dims = {w->desc.out}, row = {1, w->desc.out};
    bool linear = !w->desc.kernel_h;
    dnnl_status_t status = linear ? dnnl_memory_desc_init_by_tag(&md, 2, row, dnnl_f32, dnnl_ab)
                                  : dnnl_memory_desc_init_by_tag(&md, 1, dims, dnnl_f32, dnnl_a);
    if (status == dnnl_success)
        status = dnnl_memory_create(&w->bias_memory, &md, cpu->engine, bias);
    if (status != dnnl_success) {
        free(bias);
        return imu_cpu_dnnl_error(cpu, status, "a bias");
    }
    w->bias = bias;
    imu_residency_add(&cpu->base.residency, &w->place, bytes);
    return IMU_TENSOR_OK;
}

static int make_pack(imu_cpu *cpu, imu_weight *w, const dnnl_memory_desc_t *md)
{
    pack p = {.md = *md};
    size_t bytes = dnnl_memory_desc_get_size(md);
    make_room(&cpu->base, bytes);
    p.values = imu_cpu_memory(cpu, bytes);
    if (!p.values)
        return IMU_TENSOR_NO_MEMORY;
    dnnl_status_t s = dnnl_memory_create(&p.memory, md, cpu->engine, p.values);
    int rc = s == dnnl_success ? imu_cpu_lay_out(cpu, &w->desc, md, p.values)
                               : imu_cpu_dnnl_error(cpu, s, "memory for a weight");
    if (rc) {
        pack_close(&p);
        return rc;
    }
    w->packs[w->pack_count++] = p;
    imu_residency_add(&cpu->base.residency, &w->place, bytes);
    return IMU_TENSOR_OK;
}

/* The index of the values laid out as `md`, made when missing. */
static int find_pack(imu_cpu *cpu, imu_weight *w, const dnnl_memory_desc_t *md, int *index)
{
    for (int i = 0; i < w->pack_count; i++)
        if (dnnl_memory_desc_equal(&w->packs[i].md, md)) {
            *index = i;
            return IMU_TENSOR_OK;
        }
    if (w->pack_count == MAX_PACKS)
        imu_cpu_weight_unload(&cpu->base, w);
    int rc = make_pack(cpu, w, md);
    *index = w->pack_count - 1;
    return rc;
}

static dnnl_status_t make_attr(bool accumulate, dnnl_primitive_attr_t *attr)
{
    dnnl_post_ops_t ops = NULL;
    dnnl_status_t s = dnnl_primitive_attr_create(attr);
    if (s == dnnl_success)
        s = dnnl_primitive_attr_set_scratchpad_mode(*attr, dnnl_scratchpad_mode_user);
    if (s != dnnl_success || !accumulate)
        return s;
    s = dnnl_post_ops_create(&ops);
    if (s == dnnl_success)
        s = dnnl_post_ops_append_sum(ops, 1.0f);
    if (s == dnnl_success)
        s = dnnl_primitive_attr_set_post_ops(*attr, ops);
    if (ops)
        dnnl_post_ops_destroy(ops);
    return s;
}

static dnnl_status_t describe_linear(imu_cpu *cpu, const imu_weight *w, const plan_key *key,
                                     dnnl_primitive_attr_t attr, dnnl_primitive_desc_t *pd)
{
    const imu_weight_desc *d = &w->desc;
    dnnl_dims_t x = {key->n, d->in}, y = {key->n, d->out}, wt = {d->in, d->out}, bias = {1, d->out};
    dnnl_data_type_t in = imu_cpu_dnnl_type(key->in), out = imu_cpu_dnnl_type(key->out);
    dnnl_memory_desc_t mx, my, mw, mb;
    dnnl_matmul_desc_t op;
    dnnl_status_t s = dnnl_memory_desc_init_by_tag(&mx, 2, x, in, dnnl_ab);
    if (s == dnnl_success)
        s = dnnl_memory_desc_init_by_tag(&my, 2, y, out, dnnl_ab);
    if (s == dnnl_success)
        s = dnnl_memory_desc_init_by_tag(&mw, 2, wt, in, dnnl_format_tag_any);
    if (s == dnnl_success)
        s = dnnl_memory_desc_init_by_tag(&mb, 2, bias, dnnl_f32, dnnl_ab);
    if (s == dnnl_success)
        s = dnnl_matmul_desc_init(&op, &mx, &mw, d->bias.key ? &mb : NULL, &my);
    return s == dnnl_success ? dnnl_primitive_desc_create(pd, &op, attr, cpu->engine, NULL) : s;
}

static dnnl_status_t describe_conv(imu_cpu *cpu, const imu_weight *w, const plan_key *key,
                                   const imu_tensor *out, dnnl_primitive_attr_t attr,
                                   dnnl_primitive_desc_t *pd)
{
    const imu_weight_desc *d = &w->desc;
    dnnl_dims_t x = {key->n, d->in, key->h, key->w}, wt = {d->out, d->in, d->kernel_h, d->kernel_w};
    dnnl_dims_t y = {key->n, d->out, out->dim[1], out->dim[2]}, bias = {d->out};
    dnnl_dims_t stride = {key->g.stride, key->g.stride}, before = {key->g.pad_top, key->g.pad_left};
    dnnl_dims_t after = {key->g.pad_bottom, key->g.pad_right};
    dnnl_memory_desc_t mx, my, mw, mb;
    dnnl_convolution_desc_t op;
    dnnl_data_type_t tin = imu_cpu_dnnl_type(key->in), tout = imu_cpu_dnnl_type(key->out);
    dnnl_status_t s = dnnl_memory_desc_init_by_tag(&mx, 4, x, tin, dnnl_nhwc);
    if (s == dnnl_success)
        s = dnnl_memory_desc_init_by_tag(&my, 4, y, tout, dnnl_nhwc);
    if (s == dnnl_success)
        s = dnnl_memory_desc_init_by_tag(&mw, 4, wt, tin, dnnl_format_tag_any);
    if (s == dnnl_success)
        s = dnnl_memory_desc_init_by_tag(&mb, 1, bias, dnnl_f32, dnnl_a);
    if (s == dnnl_success)
        s = dnnl_convolution_forward_desc_init(&op, dnnl_forward_inference, dnnl_convolution_direct,
                                               &mx, &mw, d->bias.key ? &mb : NULL, &my, stride,
                                               before, after);
    return s == dnnl_success ? dnnl_primitive_desc_create(pd, &op, attr, cpu->engine, NULL) : s;
}

static int plan_from_desc(imu_cpu *cpu, imu_weight *w, const_dnnl_primitive_desc_t pd, plan *p)
{
    int rc =
        find_pack(cpu, w, dnnl_primitive_desc_query_md(pd, dnnl_query_weights_md, 0), &p->pack);
    if (!rc)
        rc = load_bias(cpu, w);
    if (rc)
        return rc;
    const dnnl_memory_desc_t *src = dnnl_primitive_desc_query_md(pd, dnnl_query_src_md, 0);
    const dnnl_memory_desc_t *dst = dnnl_primitive_desc_query_md(pd, dnnl_query_dst_md, 0);
    const dnnl_memory_desc_t *scratch =
        dnnl_primitive_desc_query_md(pd, dnnl_query_scratchpad_md, 0);
    p->scratch_bytes = scratch ? dnnl_memory_desc_get_size(scratch) : 0;
    dnnl_status_t s = dnnl_primitive_create(&p->primitive, pd);
    if (s == dnnl_success)
        s = dnnl_memory_create(&p->src, src, cpu->engine, DNNL_MEMORY_NONE);
    if (s == dnnl_success)
        s = dnnl_memory_create(&p->dst, dst, cpu->engine, DNNL_MEMORY_NONE);
    if (s == dnnl_success && p->scratch_bytes)
        s = dnnl_memory_create(&p->scratch, scratch, cpu->engine, DNNL_MEMORY_NONE);
    return s == dnnl_success ? IMU_TENSOR_OK : imu_cpu_dnnl_error(cpu, s, "a layer");
}

static int make_plan(imu_cpu *cpu, imu_weight *w, const plan_key *key, const imu_tensor *out,
                     plan **result)
{
    dnnl_primitive_attr_t attr = NULL;
    dnnl_primitive_desc_t pd = NULL;
    plan made = {.key = *key};
    dnnl_status_t s = make_attr(key->accumulate, &attr);
    if (s == dnnl_success)
        s = w->desc.kernel_h ? describe_conv(cpu, w, key, out, attr, &pd)
                             : describe_linear(cpu, w, key, attr, &pd);
    int rc = s == dnnl_success
                 ? plan_from_desc(cpu, w, pd, &made)
                 : imu_cpu_dnnl_error(cpu, s, w->desc.kernel_h ? "a convolution" : "a product");
    if (pd)
        dnnl_primitive_desc_destroy(pd);
    if (attr)
        dnnl_primitive_attr_destroy(attr);
    if (rc) {
        plan_close(&made);
        return rc;
    }
    plan *slot;
    if (w->plan_count < MAX_PLANS) {
        slot = &w->plans[w->plan_count++];
    } else {
        slot = &w->plans[w->next_victim++ % MAX_PLANS];
        plan_close(slot);
    }
    *slot = made;
    *result = slot;
    return IMU_TENSOR_OK;
}

static int execute(imu_cpu *cpu, imu_weight *w, const plan *p, const imu_tensor *x, imu_tensor *y)
{
    imu_backend *b = &cpu->base;
    void *scratch = p->scratch_bytes ? b->alloc(b, p->scratch_bytes) : NULL;
    if (p->scratch_bytes && !scratch)
        return IMU_TENSOR_NO_MEMORY;
    dnnl_status_t s = dnnl_memory_set_data_handle(p->src, x->data);
    if (s == dnnl_success)
        s = dnnl_memory_set_data_handle(p->dst, y->data);
    if (s == dnnl_success && p->scratch)
        s = dnnl_memory_set_data_handle(p->scratch, scratch);
    dnnl_exec_arg_t args[5] = {{DNNL_ARG_SRC, p->src},
                               {DNNL_ARG_WEIGHTS, w->packs[p->pack].memory},
                               {DNNL_ARG_DST, p->dst}};
    int count = 3;
    if (w->bias)
        args[count++] = (dnnl_exec_arg_t){DNNL_ARG_BIAS, w->bias_memory};
    if (p->scratch)
        args[count++] = (dnnl_exec_arg_t){DNNL_ARG_SCRATCHPAD, p->scratch};
    if (s == dnnl_success)
        s = dnnl_primitive_execute(p->primitive, cpu->stream, count, args);
    if (s == dnnl_success)
        s = dnnl_stream_wait(cpu->stream);
    b->release(b, scratch, p->scratch_bytes);
    return s == dnnl_success ? IMU_TENSOR_OK : imu_cpu_dnnl_error(cpu, s, "to run a layer");
}

static int run_plan(imu_cpu *cpu, imu_weight *w, const plan_key *key, const imu_tensor *x,
                    imu_tensor *y)
{
    plan *p = NULL;
    w->place.turn = cpu->base.residency.turn;
    int rc = imu_cpu_leave_reserve(cpu);
    for (int i = 0; i < w->plan_count && !p; i++)
        if (!memcmp(&w->plans[i].key, key, sizeof *key))
            p = &w->plans[i];
    if (!rc && !p)
        rc = make_plan(cpu, w, key, y, &p);
    return rc ? rc : execute(cpu, w, p, x, y);
}

int imu_cpu_linear(imu_backend *b, imu_weight *w, const imu_tensor *x, imu_tensor *y,
                   bool accumulate)
{
    plan_key key;
    memset(&key, 0, sizeof key); /* keys are compared as bytes */
    key.n = imu_tensor_count(x) / w->desc.in;
    key.in = x->type;
    key.out = y->type;
    key.accumulate = accumulate;
    return run_plan((imu_cpu *)b, w, &key, x, y);
}

int imu_cpu_conv2d(imu_backend *b, imu_weight *w, const imu_tensor *x, const imu_conv_geometry *g,
                   imu_tensor *y, bool accumulate)
{
    plan_key key;
    memset(&key, 0, sizeof key);
    key.n = x->dim[0];
    key.h = x->dim[1];
    key.w = x->dim[2];
    key.g = *g;
    key.in = x->type;
    key.out = y->type;
    key.accumulate = accumulate;
    return run_plan((imu_cpu *)b, w, &key, x, y);
}
