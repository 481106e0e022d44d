#include "worker/diffusion/net.h"

#include "worker/diffusion/json_file.h"
#include "worker/diffusion/sharded.h"

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define CONFIG_BYTES ((size_t)1 << 20)

/* Where the values of one of the engine's tensors are: some or all of the rows of a tensor in the
 * file. */
typedef struct view {
    imu_st_entry entry; /* of these rows alone; its name belongs to the file */
    bool transposed;
} view;

/* What a weight is read from. */
typedef struct source {
    imu_net *net;
    view view;
    bool bias;
    char *layer; /* name without ".weight" and ".bias" */
} source;

struct imu_net {
    imu_backend *backend;
    const imu_safetensors *file;
    imu_safetensors *own; /* the same when the net opened it; else NULL */
    imu_naming naming;    /* of the file */
    imu_naming lora_naming;
    imu_weight **weights; /* each read from the source, or the two, of the same layer */
    source **weight_sources;
    size_t weight_count, weight_room, weight_source_count, weight_source_room;
    source **sources;
    size_t source_count, source_room;
    imu_tensor **params; /* of norms, each read from the source of the same number */
    source **param_sources;
    size_t param_count, param_room, param_source_count, param_source_room;
    imu_lora_part part;
    imu_lora_use *uses;
    size_t use_count;
    imu_fault read_fault; /* why a weight could not be read, for imu_net_status */
};

imu_engine_status imu_net_config(const imu_net_place *place, json_t **out, imu_fault *fault)
{
    if (place->folder)
        return imu_json_read(place->folder, "config.json", CONFIG_BYTES, out, fault);
    *out = json_incref((json_t *)place->config);
    return IMU_ENGINE_OK;
}

static imu_engine_status open_file(imu_net *net, const char *folder, imu_fault *fault)
{
    const char *name = imu_net_file_name(folder);
    if (!name)
        return imu_fail(fault, IMU_ENGINE_BAD_MODEL, "There is no safetensors file in %.200s.",
                        folder);
    imu_engine_status s = imu_weights_open(folder, name, &net->own, fault);
    net->file = net->own;
    return s;
}

imu_engine_status imu_net_open(imu_backend *backend, const imu_net_place *place, imu_net **out,
                               imu_fault *fault)
{
    imu_net *net = calloc(1, sizeof *net);
    if (!net)
        return imu_fail_memory(fault);
    net->backend = backend;
    net->file = place->file;
    net->naming = place->naming;
    imu_engine_status s = place->folder ? open_file(net, place->folder, fault) : IMU_ENGINE_OK;
    if (s)
        free(net);
    else
        *out = net;
    return s;
}

void imu_net_set_naming(imu_net *net, const imu_naming *naming)
{
    net->lora_naming = *naming;
}

void imu_net_read_ahead(const imu_net *net)
{
    imu_st_read_ahead(net->file);
}

static void drop_loras(imu_lora_use *uses, size_t count)
{
    for (size_t i = 0; i < count; i++)
        imu_lora_close(uses[i].lora);
    free(uses);
}

void imu_net_close(imu_net *net)
{
    if (!net)
        return;
    for (size_t i = 0; i < net->weight_count; i++)
        net->backend->weight_free(net->backend, net->weights[i]);
    for (size_t i = 0; i < net->source_count; i++) {
        free(net->sources[i]->layer);
        free(net->sources[i]);
    }
    for (size_t i = 0; i < net->param_count; i++) {
        net->backend->let_go(net->backend, net->params[i]->data, net->params[i]->bytes);
        free(net->params[i]);
    }
    drop_loras(net->uses, net->use_count);
    free(net->weights);
    free(net->weight_sources);
    free(net->sources);
    free(net->params);
    free(net->param_sources);
    imu_st_close(net->own);
    free(net);
}

uint64_t imu_net_bytes(const imu_net *net)
{
    uint64_t bytes = 0;
    for (size_t i = 0; i < net->weight_count; i++)
        bytes += net->backend->weight_bytes(net->weights[i]);
    return bytes;
}

void imu_net_count_loaded(const imu_net *net, uint64_t *there, uint64_t *all)
{
    for (size_t i = 0; i < net->weight_count; i++) {
        uint64_t count = net->weight_sources[i]->view.entry.count;
        *all += count;
        *there += net->backend->weight_bytes(net->weights[i]) ? count : 0;
    }
}

imu_backend *imu_net_backend(const imu_net *net)
{
    return net->backend;
}

/* Rows [slice, slice + 1) of `slices` equal parts. */
static bool cut(imu_st_entry *e, int slice, int slices)
{
    if (slices == 1)
        return true;
    if (e->ndim < 1 || e->dim[0] % slices)
        return false;
    e->dim[0] /= slices;
    e->count /= (uint64_t)slices;
    e->size /= (uint64_t)slices;
    e->offset += (uint64_t)slice * e->size;
    return true;
}

static bool find(const imu_net *net, const char *name, view *v)
{
    imu_old_name old;
    for (int i = 0; i < 2; i++) {
        const imu_st_entry *e =
            imu_old_name_of(&net->naming, name, i, &old) ? imu_st_find(net->file, old.name) : NULL;
        if (!e)
            continue;
        *v = (view){.entry = *e, .transposed = old.transposed && e->ndim == 2};
        if (v->transposed) {
            v->entry.dim[0] = e->dim[1];
            v->entry.dim[1] = e->dim[0];
        }
        return cut(&v->entry, old.slice, old.slices);
    }
    return false;
}

bool imu_net_has(const imu_net *net, const char *name)
{
    view v;
    return find(net, name, &v);
}

static bool reads(const imu_net *net, const imu_st_entry *e)
{
    for (size_t i = 0; i < net->source_count; i++)
        if (net->sources[i]->view.entry.name == e->name)
            return true;
    return false;
}

imu_engine_status imu_net_all_read(const imu_net *net, const char *place, imu_fault *fault)
{
    char prefix[IMU_NAME_BYTES];
    const char *outer = net->naming.prefix ? net->naming.prefix : "";
    int n = snprintf(prefix, sizeof prefix, "%s%s", outer, place);
    for (size_t i = 0; i < net->file->count; i++) {
        const imu_st_entry *e = &net->file->entries[i];
        if (!strncmp(e->name, prefix, (size_t)n) && !reads(net, e))
            return imu_fail(fault, IMU_ENGINE_BAD_MODEL,
                            "The model holds a tensor that has no place in it: %.200s.", e->name);
    }
    return IMU_ENGINE_OK;
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

/* The file's order of a transposed matrix [rows, columns] is [columns, rows]. */
static int turn(float *m, int64_t rows, int64_t columns)
{
    float *copy = malloc((size_t)(rows * columns) * sizeof *copy);
    if (!copy)
        return IMU_TENSOR_NO_MEMORY;
    memcpy(copy, m, (size_t)(rows * columns) * sizeof *copy);
    for (int64_t r = 0; r < rows; r++)
        for (int64_t c = 0; c < columns; c++)
            m[r * columns + c] = copy[c * rows + r];
    free(copy);
    return IMU_TENSOR_OK;
}

/* A layer's name as LoRAs write it. */
static void flatten(char *name)
{
    for (; *name; name++)
        *name = *name == '.' ? '_' : *name;
}

/* What a LoRA has for a layer, under our name for it or an old one; or NULL. */
static const imu_lora_module *module_of(const imu_net *net, const imu_lora *lora, const char *layer)
{
    imu_old_name old;
    char flat[IMU_NAME_BYTES];
    snprintf(flat, sizeof flat, "%s", layer);
    flatten(flat);
    const imu_lora_module *m = imu_lora_find(lora, net->part, flat);
    for (int i = 0; i < 2 && !m && net->lora_naming.kind; i++)
        if (imu_old_name_of(&net->lora_naming, layer, i, &old)) {
            flatten(old.name);
            m = imu_lora_find(lora, net->part, old.name);
        }
    return m;
}

static imu_engine_status add_loras(imu_net *net, const source *s, float *dst)
{
    int64_t rows = s->view.entry.dim[0], rest = (int64_t)s->view.entry.count / rows;
    imu_engine_status status = IMU_ENGINE_OK;
    for (size_t i = 0; i < net->use_count && !status; i++) {
        const imu_lora_use *u = &net->uses[i];
        const imu_lora_module *m = module_of(net, u->lora, s->layer);
        if (m)
            status = s->bias
                         ? imu_lora_add_bias(u->lora, m, u->weight, rows, dst, &net->read_fault)
                         : imu_lora_add(u->lora, m, u->weight, rows, rest, dst, &net->read_fault);
    }
    return status;
}

static int read_source(void *user, const void *key, float *dst, size_t count)
{
    imu_net *net = user;
    const source *s = key;
    const imu_st_entry *entry = &s->view.entry;
    if (entry->count != count) {
        imu_fail(&net->read_fault, IMU_ENGINE_INTERNAL, "%.200s: another size than asked for.",
                 entry->name);
        return IMU_TENSOR_SOURCE;
    }
    if (imu_st_read_f32(net->file, entry, dst, &net->read_fault))
        return IMU_TENSOR_SOURCE;
    if (s->view.transposed && turn(dst, entry->dim[0], entry->dim[1]))
        return IMU_TENSOR_NO_MEMORY;
    return add_loras(net, s, dst) ? IMU_TENSOR_SOURCE : IMU_TENSOR_OK;
}

static bool has_lora(const imu_net *net, const source *s)
{
    for (size_t i = 0; i < net->use_count; i++)
        if (module_of(net, net->uses[i].lora, s->layer))
            return true;
    return false;
}

static imu_dtype source_type(void *user, const void *key)
{
    const source *s = key;
    bool kept = !s->view.transposed && !has_lora(user, s);
    return kept ? s->view.entry.type : IMU_DTYPE_COUNT;
}

static int read_part(void *user, const void *key, size_t at, size_t count, void *dst)
{
    static pthread_mutex_t fault_lock = PTHREAD_MUTEX_INITIALIZER;
    imu_net *net = user;
    const source *s = key;
    imu_fault fault = {0};
    if (!imu_st_read_part(net->file, &s->view.entry, at, count, dst, &fault))
        return IMU_TENSOR_OK;
    pthread_mutex_lock(&fault_lock);
    net->read_fault = fault;
    pthread_mutex_unlock(&fault_lock);
    return IMU_TENSOR_SOURCE;
}

static imu_engine_status require(imu_net *net, const char *name, int ndim, const int64_t *dim,
                                 view *out, imu_fault *fault)
{
    if (!find(net, name, out))
        return imu_fail(fault, IMU_ENGINE_BAD_MODEL, "The model lacks the tensor %.200s.", name);
    const imu_st_entry *e = &out->entry;
    bool same = e->ndim >= ndim && e->type != IMU_I64 && e->type != IMU_I32 && e->type != IMU_U8;
    for (int i = 0; i < e->ndim && same; i++)
        same = e->dim[i] == (i < ndim ? dim[i] : 1);
    return same ? IMU_ENGINE_OK
                : imu_fail(fault, IMU_ENGINE_BAD_MODEL,
                           "The tensor %.160s has another shape than config.json says.", name);
}

static imu_engine_status member(char name[512], const char *prefix, const char *suffix,
                                imu_fault *fault)
{
    int n = snprintf(name, 512, "%s.%s", prefix, suffix);
    return n > 0 && n < 512 ? IMU_ENGINE_OK
                            : imu_fail(fault, IMU_ENGINE_INTERNAL,
                                       "The tensor name %.100s is too long.", prefix);
}

/* Where layer.weight or layer.bias is read from; belongs to the net. */
static imu_engine_status new_source(imu_net *net, const char *layer, bool bias, int ndim,
                                    const int64_t *dim, source **out, imu_fault *fault)
{
    char name[512];
    source *s = calloc(1, sizeof *s);
    if (!s)
        return imu_fail_memory(fault);
    *s = (source){.net = net, .bias = bias, .layer = strdup(layer)};
    imu_engine_status status =
        s->layer ? member(name, layer, bias ? "bias" : "weight", fault) : imu_fail_memory(fault);
    if (!status)
        status = require(net, name, ndim, dim, &s->view, fault);
    if (!status && append((void ***)&net->sources, &net->source_count, &net->source_room, s))
        status = imu_fail_memory(fault);
    if (status) {
        free(s->layer);
        free(s);
        return status;
    }
    *out = s;
    return status;
}

static bool has_bias(const imu_net *net, const char *prefix, imu_bias bias)
{
    char name[512];
    return bias == IMU_BIAS_REQUIRED ||
           (bias == IMU_BIAS_OPTIONAL && !member(name, prefix, "bias", NULL) &&
            imu_net_has(net, name));
}

static imu_engine_status new_weight(imu_net *net, const char *prefix, imu_weight_desc *desc,
                                    imu_bias bias, imu_weight **out, imu_fault *fault)
{
    source *values, *offsets;
    int64_t dim[4] = {desc->out, desc->in, desc->kernel_h, desc->kernel_w};
    imu_engine_status s =
        new_source(net, prefix, false, desc->kernel_h ? 4 : 2, dim, &values, fault);
    if (s)
        return s;
    desc->weight = (imu_weight_source){
        .read = read_source, .user = net, .key = values, .type = source_type, .part = read_part};
    if (has_bias(net, prefix, bias)) {
        s = new_source(net, prefix, true, 1, dim, &offsets, fault);
        if (s)
            return s;
        desc->bias = (imu_weight_source){.read = read_source, .user = net, .key = offsets};
    }
    if (append((void ***)&net->weight_sources, &net->weight_source_count, &net->weight_source_room,
               values))
        return imu_fail_memory(fault);
    if (net->backend->weight_new(net->backend, desc, out))
        return imu_fail_memory(fault);
    if (append((void ***)&net->weights, &net->weight_count, &net->weight_room, *out)) {
        net->backend->weight_free(net->backend, *out);
        return imu_fail_memory(fault);
    }
    return IMU_ENGINE_OK;
}

/* ---- norms ---- */

/* Reads a norm's values, with what LoRAs change of them. */
static imu_engine_status fill_param(imu_net *net, const source *s, imu_tensor *t, imu_fault *fault)
{
    size_t count = (size_t)t->dim[0];
    float *values = malloc(count * sizeof *values);
    if (!values)
        return imu_fail_memory(fault);
    int rc = read_source(net, s, values, count);
    if (!rc)
        rc = net->backend->upload(net->backend, t, values);
    free(values);
    return imu_net_status(net, rc, fault);
}

static imu_engine_status load_param(imu_net *net, const char *layer, bool bias, int64_t width,
                                    imu_tensor **out, imu_fault *fault)
{
    source *values;
    imu_engine_status s = new_source(net, layer, bias, 1, &width, &values, fault);
    if (s)
        return s;
    imu_tensor *t = calloc(1, sizeof *t);
    if (!t)
        return imu_fail_memory(fault);
    *t = (imu_tensor){
        .type = IMU_F32, .ndim = 1, .dim = {width}, .bytes = (size_t)width * sizeof(float)};
    t->data = net->backend->hold(net->backend, t->bytes);
    if (!t->data || append((void ***)&net->params, &net->param_count, &net->param_room, t)) {
        if (t->data)
            net->backend->let_go(net->backend, t->data, t->bytes);
        free(t);
        return imu_net_status(net, IMU_TENSOR_NO_MEMORY, fault);
    }
    if (append((void ***)&net->param_sources, &net->param_source_count, &net->param_source_room,
               values)) {
        net->param_count--; /* the lists go together */
        net->backend->let_go(net->backend, t->data, t->bytes);
        free(t);
        return imu_fail_memory(fault);
    }
    *out = t;
    return fill_param(net, values, t, fault);
}

/* ---- LoRAs ---- */

static bool same_loras(const imu_net *net, const imu_lora_use *uses, size_t count)
{
    bool same = net->use_count == count;
    for (size_t i = 0; i < count && same; i++)
        same =
            uses[i].weight == net->uses[i].weight && imu_lora_same(uses[i].lora, net->uses[i].lora);
    return same;
}

/* Has the layers that the LoRAs in place change read again. @return how many they are */
static size_t forget_changed(imu_net *net)
{
    size_t changed = 0;
    for (size_t w = 0; w < net->weight_count; w++) {
        bool touched = false;
        for (size_t i = 0; i < net->use_count && !touched; i++)
            touched = module_of(net, net->uses[i].lora, net->weight_sources[w]->layer) != NULL;
        if (touched)
            net->backend->weight_unload(net->backend, net->weights[w]);
        changed += touched;
    }
    return changed;
}

/* Reads the norms anew that LoRAs in place change, or, with `before`, changed. */
static imu_engine_status refresh_params(imu_net *net, const imu_lora_use *before,
                                        size_t before_count, imu_fault *fault)
{
    imu_engine_status s = IMU_ENGINE_OK;
    for (size_t p = 0; p < net->param_count && !s; p++) {
        const char *layer = net->param_sources[p]->layer;
        bool touched = false;
        for (size_t i = 0; i < before_count && !touched; i++)
            touched = module_of(net, before[i].lora, layer) != NULL;
        for (size_t i = 0; i < net->use_count && !touched; i++)
            touched = module_of(net, net->uses[i].lora, layer) != NULL;
        if (touched)
            s = fill_param(net, net->param_sources[p], net->params[p], fault);
    }
    return s;
}

/* Puts `fresh` (taken over) in the place of what lies on the network. */
static imu_engine_status exchange(imu_net *net, imu_lora_use *fresh, size_t count, imu_fault *fault)
{
    forget_changed(net);
    imu_lora_use *before = net->uses;
    size_t before_count = net->use_count;
    net->uses = fresh;
    net->use_count = count;
    forget_changed(net);
    imu_engine_status s = refresh_params(net, before, before_count, fault);
    drop_loras(before, before_count);
    return s;
}

imu_engine_status imu_net_set_loras(imu_net *net, imu_lora_part part, const imu_lora_use *uses,
                                    size_t count, imu_fault *fault)
{
    if (same_loras(net, uses, count))
        return IMU_ENGINE_OK;
    imu_lora_use *fresh = calloc(count + 1, sizeof *fresh);
    if (!fresh)
        return imu_fail_memory(fault);
    for (size_t i = 0; i < count; i++)
        fresh[i] = (imu_lora_use){imu_lora_hold(uses[i].lora), uses[i].weight};
    net->part = part;
    imu_engine_status s = exchange(net, fresh, count, fault);
    if (s) /* one that doesn't fit must not seem to lie there */
        exchange(net, NULL, 0, NULL);
    return s;
}

/* ---- layers ---- */

imu_engine_status imu_net_linear(imu_net *net, const char *prefix, int64_t in, int64_t out,
                                 imu_bias bias, imu_linear *layer, imu_fault *fault)
{
    imu_weight_desc desc = {.out = out, .in = in};
    *layer = (imu_linear){.in = in, .out = out};
    return new_weight(net, prefix, &desc, bias, &layer->w, fault);
}

static imu_engine_status new_conv(imu_net *net, const char *prefix, int64_t in, int64_t out,
                                  int kernel, imu_bias bias, imu_conv *layer, imu_fault *fault)
{
    imu_weight_desc desc = {.out = out, .in = in, .kernel_h = kernel, .kernel_w = kernel};
    *layer = (imu_conv){.in = in, .out = out, .kernel = kernel};
    return new_weight(net, prefix, &desc, bias, &layer->w, fault);
}

imu_engine_status imu_net_conv(imu_net *net, const char *prefix, int64_t in, int64_t out,
                               int kernel, imu_conv *layer, imu_fault *fault)
{
    return new_conv(net, prefix, in, out, kernel, IMU_BIAS_REQUIRED, layer, fault);
}

imu_engine_status imu_net_plain_conv(imu_net *net, const char *prefix, int64_t in, int64_t out,
                                     int kernel, imu_conv *layer, imu_fault *fault)
{
    return new_conv(net, prefix, in, out, kernel, IMU_BIAS_NONE, layer, fault);
}

imu_engine_status imu_net_vector(imu_net *net, const char *prefix, int64_t width, imu_tensor **out,
                                 imu_fault *fault)
{
    return load_param(net, prefix, false, width, out, fault);
}

imu_engine_status imu_net_norm(imu_net *net, const char *prefix, int64_t width, imu_norm *layer,
                               imu_fault *fault)
{
    imu_engine_status s = load_param(net, prefix, false, width, &layer->gamma, fault);
    return s ? s : load_param(net, prefix, true, width, &layer->beta, fault);
}

imu_engine_status imu_net_row(imu_net *net, const char *name, int64_t row, int64_t width,
                              float *dst, imu_fault *fault)
{
    view v;
    const imu_st_entry *e = &v.entry;
    if (!find(net, name, &v) || e->ndim != 2 || e->dim[1] != width || row < 0 || row >= e->dim[0])
        return imu_fail(fault, IMU_ENGINE_BAD_MODEL,
                        "The table %.160s has no row %lld of the right width.", name,
                        (long long)row);
    imu_st_entry one = *e;
    one.count = (uint64_t)width;
    one.size = one.count * imu_dtype_size(e->type);
    one.offset += (uint64_t)row * one.size;
    return imu_st_read_f32(net->file, &one, dst, fault);
}

imu_engine_status imu_net_values(imu_net *net, const char *name, int ndim, const int64_t *dim,
                                 float *dst, imu_fault *fault)
{
    view v;
    imu_engine_status s = require(net, name, ndim, dim, &v, fault);
    return s ? s : imu_st_read_f32(net->file, &v.entry, dst, fault);
}

imu_engine_status imu_net_status(imu_net *net, int run_status, imu_fault *fault)
{
    if (run_status && run_status != IMU_TENSOR_CANCELLED && net->backend->lost)
        return imu_fail(fault, IMU_ENGINE_LOST,
                        "The graphics card stopped answering while this job was computed. The "
                        "worker starts again by itself: try once more in a minute, and tell the "
                        "administrator if that fails too.");
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
