#include "worker/diffusion/net.h"

#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct imu_net {
    imu_backend *backend;
    imu_safetensors *file;
    imu_weight **weights;
    size_t weight_count, weight_room;
    imu_tensor **params;
    size_t param_count, param_room;
    imu_fault read_fault; /* why a weight could not be read, for imu_net_status */
};

imu_engine_status imu_net_open(imu_backend *backend, const char *folder, imu_net **out,
                               imu_fault *fault)
{
    char path[PATH_MAX];
    const char *name = imu_net_file_name(folder);
    int n = name ? snprintf(path, sizeof path, "%s/%s", folder, name) : -1;
    if (n < 0 || (size_t)n >= sizeof path)
        return imu_fail(fault, IMU_ENGINE_BAD_MODEL, "There is no safetensors file in %.200s.",
                        folder);
    imu_net *net = calloc(1, sizeof *net);
    if (!net)
        return imu_fail_memory(fault);
    net->backend = backend;
    imu_engine_status s = imu_st_open(path, &net->file, fault);
    if (s)
        free(net);
    else
        *out = net;
    return s;
}

void imu_net_read_ahead(const imu_net *net)
{
    /* Only advice: what it answers changes nothing. */
    (void)posix_fadvise(net->file->fd, 0, 0, POSIX_FADV_WILLNEED);
}

void imu_net_close(imu_net *net)
{
    if (!net)
        return;
    for (size_t i = 0; i < net->weight_count; i++)
        net->backend->weight_free(net->backend, net->weights[i]);
    for (size_t i = 0; i < net->param_count; i++) {
        net->backend->release(net->backend, net->params[i]->data, net->params[i]->bytes);
        free(net->params[i]);
    }
    free(net->weights);
    free(net->params);
    imu_st_close(net->file);
    free(net);
}

uint64_t imu_net_bytes(const imu_net *net)
{
    uint64_t bytes = 0;
    for (size_t i = 0; i < net->weight_count; i++)
        bytes += net->backend->weight_bytes(net->weights[i]);
    for (size_t i = 0; i < net->param_count; i++)
        bytes += net->params[i]->bytes;
    return bytes;
}

imu_backend *imu_net_backend(const imu_net *net)
{
    return net->backend;
}

const imu_st_entry *imu_net_find(const imu_net *net, const char *name)
{
    return imu_st_find(net->file, name);
}

/* Appends to a growing list of pointers; -1 without memory. */
static int append(void ***list, size_t *count, size_t *room, void *item)
{
    if (*count == *room) {
        size_t more = *room ? *room * 2 : 64;
        void **grown = realloc(*list, more * sizeof *grown);
        if (!grown)
            return -1;
        *list = grown;
        *room = more;
    }
    (*list)[(*count)++] = item;
    return 0;
}

static int read_source(void *user, const void *key, float *dst, size_t count)
{
    imu_net *net = user;
    const imu_st_entry *entry = key;
    if (entry->count != count) {
        imu_fail(&net->read_fault, IMU_ENGINE_INTERNAL, "%.200s: another size than asked for.",
                 entry->name);
        return IMU_TENSOR_SOURCE;
    }
    return imu_st_read_f32(net->file, entry, dst, &net->read_fault) ? IMU_TENSOR_SOURCE
                                                                    : IMU_TENSOR_OK;
}

static imu_engine_status require(imu_net *net, const char *name, int ndim, const int64_t *dim,
                                 const imu_st_entry **out, imu_fault *fault)
{
    const imu_st_entry *e = imu_st_find(net->file, name);
    if (!e)
        return imu_fail(fault, IMU_ENGINE_BAD_MODEL, "The model lacks the tensor %.200s.", name);
    bool same = e->ndim >= ndim && e->type != IMU_I64 && e->type != IMU_I32 && e->type != IMU_U8;
    for (int i = 0; i < e->ndim && same; i++)
        same = e->dim[i] == (i < ndim ? dim[i] : 1);
    if (!same)
        return imu_fail(fault, IMU_ENGINE_BAD_MODEL,
                        "The tensor %.160s has another shape than config.json says.", name);
    *out = e;
    return IMU_ENGINE_OK;
}

static imu_engine_status member(char name[512], const char *prefix, const char *suffix,
                                imu_fault *fault)
{
    int n = snprintf(name, 512, "%s.%s", prefix, suffix);
    return n > 0 && n < 512 ? IMU_ENGINE_OK
                            : imu_fail(fault, IMU_ENGINE_INTERNAL,
                                       "The tensor name %.100s is too long.", prefix);
}

static imu_engine_status new_weight(imu_net *net, const char *prefix, imu_weight_desc *desc,
                                    imu_bias bias, imu_weight **out, imu_fault *fault)
{
    char name[512];
    const imu_st_entry *e;
    int64_t dim[4] = {desc->out, desc->in, desc->kernel_h, desc->kernel_w};
    imu_engine_status s = member(name, prefix, "weight", fault);
    if (!s)
        s = require(net, name, desc->kernel_h ? 4 : 2, dim, &e, fault);
    if (s)
        return s;
    desc->weight = (imu_weight_source){read_source, net, e};
    s = member(name, prefix, "bias", fault);
    if (s)
        return s;
    if (bias == IMU_BIAS_REQUIRED || (bias == IMU_BIAS_OPTIONAL && imu_st_find(net->file, name))) {
        s = require(net, name, 1, dim, &e, fault);
        if (s)
            return s;
        desc->bias = (imu_weight_source){read_source, net, e};
    }
    if (net->backend->weight_new(net->backend, desc, out))
        return imu_fail_memory(fault);
    if (append((void ***)&net->weights, &net->weight_count, &net->weight_room, *out)) {
        net->backend->weight_free(net->backend, *out);
        return imu_fail_memory(fault);
    }
    return IMU_ENGINE_OK;
}

imu_engine_status imu_net_linear(imu_net *net, const char *prefix, int64_t in, int64_t out,
                                 imu_bias bias, imu_linear *layer, imu_fault *fault)
{
    imu_weight_desc desc = {.out = out, .in = in};
    *layer = (imu_linear){.in = in, .out = out};
    return new_weight(net, prefix, &desc, bias, &layer->w, fault);
}

imu_engine_status imu_net_conv(imu_net *net, const char *prefix, int64_t in, int64_t out,
                               int kernel, imu_conv *layer, imu_fault *fault)
{
    imu_weight_desc desc = {.out = out, .in = in, .kernel_h = kernel, .kernel_w = kernel};
    *layer = (imu_conv){.in = in, .out = out, .kernel = kernel};
    return new_weight(net, prefix, &desc, IMU_BIAS_REQUIRED, &layer->w, fault);
}

static imu_engine_status load_param(imu_net *net, const char *name, int64_t width, imu_tensor **out,
                                    imu_fault *fault)
{
    const imu_st_entry *e;
    imu_engine_status s = require(net, name, 1, &width, &e, fault);
    if (s)
        return s;
    imu_tensor *t = calloc(1, sizeof *t);
    float *values = calloc((size_t)width, sizeof *values);
    if (t) {
        *t = (imu_tensor){
            .type = IMU_F32, .ndim = 1, .dim = {width}, .bytes = (size_t)width * sizeof(float)};
        t->data = net->backend->alloc(net->backend, t->bytes);
    }
    s = t && t->data && values ? imu_st_read_f32(net->file, e, values, fault)
                               : imu_fail_memory(fault);
    if (!s && net->backend->upload(net->backend, t, values))
        s = imu_fail(fault, IMU_ENGINE_INTERNAL, "Can't move %.200s to the device.", name);
    free(values);
    if (!s && append((void ***)&net->params, &net->param_count, &net->param_room, t))
        s = imu_fail_memory(fault);
    if (s && t) {
        net->backend->release(net->backend, t->data, t->bytes);
        free(t);
    }
    if (!s)
        *out = t;
    return s;
}

imu_engine_status imu_net_norm(imu_net *net, const char *prefix, int64_t width, imu_norm *layer,
                               imu_fault *fault)
{
    char name[512];
    imu_engine_status s = member(name, prefix, "weight", fault);
    if (!s)
        s = load_param(net, name, width, &layer->gamma, fault);
    if (!s)
        s = member(name, prefix, "bias", fault);
    if (!s)
        s = load_param(net, name, width, &layer->beta, fault);
    return s;
}

imu_engine_status imu_net_row(imu_net *net, const char *name, int64_t row, int64_t width,
                              float *dst, imu_fault *fault)
{
    const imu_st_entry *e = imu_st_find(net->file, name);
    if (!e || e->ndim != 2 || e->dim[1] != width || row < 0 || row >= e->dim[0])
        return imu_fail(fault, IMU_ENGINE_BAD_MODEL,
                        "The table %.160s has no row %lld of the right width.", name,
                        (long long)row);
    imu_st_entry one = *e;
    one.count = (uint64_t)width;
    one.size = one.count * imu_dtype_size(e->type);
    one.offset += (uint64_t)row * one.size;
    return imu_st_read_f32(net->file, &one, dst, fault);
}

imu_engine_status imu_net_status(imu_net *net, int run_status, imu_fault *fault)
{
    switch (run_status) {
    case IMU_TENSOR_OK:
        return IMU_ENGINE_OK;
    case IMU_TENSOR_CANCELLED:
        return imu_fail(fault, IMU_ENGINE_CANCELLED, "Cancelled.");
    case IMU_TENSOR_NO_MEMORY:
        return imu_fail_memory(fault);
    case IMU_TENSOR_SOURCE:
        if (fault)
            *fault = net->read_fault;
        return net->read_fault.status ? net->read_fault.status : IMU_ENGINE_BAD_MODEL;
    default:
        return imu_fail(fault, IMU_ENGINE_INTERNAL, "The computation failed: %.200s.",
                        net->backend->error);
    }
}

imu_tensor *imu_linear_run(imu_run *run, const imu_linear *l, const imu_tensor *x, imu_dtype out)
{
    return imu_op_linear(run, l->w, l->out, x, out);
}

imu_tensor *imu_conv_run(imu_run *run, const imu_conv *c, const imu_tensor *x, imu_dtype out)
{
    int p = c->kernel / 2;
    return imu_op_conv(run, c->w, c->out, c->kernel, x, &(imu_conv_geometry){1, p, p, p, p}, out);
}
