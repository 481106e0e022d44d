/* See models.h. */
#include "worker/diffusion/model_files.h"
#include "worker/nodes/lenders.h"
#include "worker/nodes/models.h"

#include <errno.h>
#include <limits.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define MAX_OPEN         16
#define MAX_LORAS        64
#define LOADING_INTERVAL 250 /* milliseconds */

struct entry {
    char *key;
    char *path;
    imu_model *model;
    uint64_t used; /* counts up: the smallest was used longest ago */
    uint64_t mark; /* of its files when it was opened */
};

struct imu_models {
    imu_engine *engine;
    char folder[PATH_MAX];     /* "" for anywhere */
    char tokenizers[PATH_MAX]; /* those that are kept; "" for none */
    uint64_t clock;
    struct entry open[MAX_OPEN];
    size_t n_open;
    pthread_mutex_t lock; /* of what follows */
    json_t *loaded;
    json_t *unload; /* keys to drop, or null in it for all */
};

imu_models *imu_models_new(const imu_options *o, imu_error *err)
{
    imu_models *m = calloc(1, sizeof *m);
    if (!m) {
        imu_refuse(err, "OutOfMemory", "Not enough memory.");
        return NULL;
    }
    m->loaded = json_array();
    m->unload = json_array();
    pthread_mutex_init(&m->lock, NULL);
    snprintf(m->tokenizers, sizeof m->tokenizers, "%s", o->tokenizers ? o->tokenizers : "");
    if (o->models && !realpath(o->models, m->folder)) {
        imu_refuse(err, "NotFound", "The folder of models does not exist.");
        imu_models_free(m);
        return NULL;
    }
    if (o->tokenizers && access(o->tokenizers, R_OK | X_OK))
        fprintf(stderr, "invokemu-worker: --tokenizers %s can't be read: %s\n", o->tokenizers,
                strerror(errno));
    imu_engine_options options = {.threads = o->threads,
                                  .precision = o->precision,
                                  .sequential = o->sequential,
                                  .device = o->device ? o->device : "auto",
                                  .cpu_bytes = o->cache_bytes,
                                  .gpu_bytes = o->gpu_bytes};
    imu_fault fault;
    if (imu_engine_open(&options, &m->engine, &fault) != IMU_ENGINE_OK) {
        imu_refuse(err, "EngineError", "%s", fault.text);
        imu_models_free(m);
        return NULL;
    }
    if (imu_engine_no_gpu(m->engine))
        fprintf(stderr, "invokemu-worker: no GPU is used: %s\n", imu_engine_no_gpu(m->engine));
    if (o->precision == IMU_PRECISION_BF16 && !strstr(imu_engine_device(m->engine), "bf16"))
        fprintf(stderr, "invokemu-worker: --precision bf16: there is none on this device\n");
    return m;
}

static void close_entry(imu_models *m, size_t i)
{
    imu_model_close(m->open[i].model);
    free(m->open[i].key);
    free(m->open[i].path);
    m->open[i] = m->open[--m->n_open];
}

static void close_model(imu_models *m, const imu_model *model)
{
    for (size_t i = m->n_open; i-- > 0;)
        if (m->open[i].model == model)
            close_entry(m, i);
}

void imu_models_free(imu_models *m)
{
    if (!m)
        return;
    while (m->n_open > 0)
        close_entry(m, m->n_open - 1);
    imu_engine_close(m->engine);
    json_decref(m->loaded);
    json_decref(m->unload);
    pthread_mutex_destroy(&m->lock);
    free(m);
}

const char *imu_models_device_kind(const imu_models *m)
{
    return imu_engine_device_kind(m->engine);
}

const char *imu_models_device(const imu_models *m)
{
    return imu_engine_device(m->engine);
}

const char *imu_models_lost(const imu_models *m)
{
    return imu_engine_lost(m->engine);
}

void imu_models_note_loaded(imu_models *m)
{
    json_t *keys = json_array();
    for (size_t i = 0; i < m->n_open; i++)
        if (imu_model_memory(m->open[i].model, IMU_PART_ALL) > 0)
            json_array_append_new(keys, json_string(m->open[i].key));
    pthread_mutex_lock(&m->lock);
    json_t *old = m->loaded;
    m->loaded = keys;
    pthread_mutex_unlock(&m->lock);
    json_decref(old);
}

json_t *imu_models_loaded(imu_models *m)
{
    pthread_mutex_lock(&m->lock);
    json_t *keys = json_deep_copy(m->loaded);
    pthread_mutex_unlock(&m->lock);
    return keys;
}

void imu_models_ask_unload(imu_models *m, const char *key)
{
    pthread_mutex_lock(&m->lock);
    if (json_array_size(m->unload) < MAX_OPEN)
        json_array_append_new(m->unload, key ? json_string(key) : json_null());
    pthread_mutex_unlock(&m->lock);
}

void imu_models_do_unload(imu_models *m)
{
    json_t *fresh = json_array(), *key;
    pthread_mutex_lock(&m->lock);
    json_t *asked = m->unload;
    m->unload = fresh;
    pthread_mutex_unlock(&m->lock);
    size_t k;
    json_array_foreach (asked, k, key)
        for (size_t i = m->n_open; i-- > 0;)
            if (!json_is_string(key) || !strcmp(json_string_value(key), m->open[i].key))
                close_entry(m, i);
    if (json_array_size(asked) > 0)
        imu_models_note_loaded(m);
    json_decref(asked);
}

/* ---- finding ---- */

static bool same(const json_t *a, const json_t *b, const char *key)
{
    const char *x = imu_json_str(a, key), *y = imu_json_str(b, key);
    return x && y && *x && !strcmp(x, y);
}

const json_t *imu_models_find(const json_t *rows, const json_t *identifier)
{
    const json_t *row;
    size_t i;
    json_array_foreach (rows, i, row)
        if (same(row, identifier, "key"))
            return row;
    json_array_foreach (rows, i, row)
        if (same(json_object_get(row, "record"), identifier, "hash"))
            return row;
    json_array_foreach (rows, i, row) {
        const json_t *record = json_object_get(row, "record");
        if (same(record, identifier, "name") && same(record, identifier, "base") &&
            same(record, identifier, "type"))
            return row;
    }
    return NULL;
}

/* ---- faults ---- */

/* The engine names files by their path; people are told those below the model's folder. */
static void leave_out_paths(const char *from, const char *root, char *to, size_t size)
{
    size_t n = 0, skip = strlen(root);
    for (const char *c = from; *c && n + 1 < size; c++) {
        if (skip && !strncmp(c, root, skip) && c[skip] == '/') {
            c += skip; /* the slash goes too */
            continue;
        }
        to[n++] = *c;
        if (*c == '/' && (n == 1 || strchr(" \"'(:", to[n - 2]))) {
            /* A path elsewhere: its last two names. */
            const char *end = c + strcspn(c, " \"'):,;"), *last = c, *before = c;
            for (const char *p = c; p < end; p++)
                if (*p == '/') {
                    before = last;
                    last = p;
                }
            n--;
            c = before;
        }
    }
    to[n] = 0;
}

/* Where models lie: the worker's own folder of them, or that of the run's first model. */
static void models_root(const imu_call *call, char root[PATH_MAX])
{
    const imu_models *m = call->env->models;
    const char *path = imu_json_str(json_array_get(call->env->model_rows, 0), "path");
    const char *slash = path ? strrchr(path, '/') : NULL;
    root[0] = 0;
    if (m && m->folder[0])
        snprintf(root, PATH_MAX, "%s", m->folder);
    else if (slash && slash - path < PATH_MAX)
        snprintf(root, PATH_MAX, "%.*s", (int)(slash - path), path);
}

int imu_models_fault(imu_call *call, const imu_fault *fault)
{
    static const char *const types[] = {"InternalError", "CanceledException", "OutOfMemory",
                                        "InvalidInput",  "InvalidModel",      "NotSupported",
                                        "InternalError", "InvalidModel",      "DeviceLost"};
    unsigned status = (unsigned)fault->status;
    char root[PATH_MAX], text[sizeof fault->text];
    if (fault->status == IMU_ENGINE_CANCELLED)
        return imu_call_stop(call);
    models_root(call, root);
    leave_out_paths(fault->text, root, text, sizeof text);
    bool bad = fault->status == IMU_ENGINE_BAD_MODEL;
    int rc = imu_refuse(call->error, types[status < sizeof types / sizeof types[0] ? status : 0],
                        "%s", bad ? IMU_MODEL_UNUSABLE : text);
    if (bad && call->error)
        snprintf(call->error->detail, sizeof call->error->detail, "%s", text);
    return rc;
}

/* Fails the call because of the model itself: people get one sentence, the log gets `why`. */
static int unusable(imu_call *call, const char *why)
{
    imu_fault fault = {.status = IMU_ENGINE_BAD_MODEL};
    snprintf(fault.text, sizeof fault.text, "%s", why);
    imu_models_fault(call, &fault);
    return -1;
}

/* The fault of a model that doesn't open: of a kind that can't be computed, or broken. One that
 * lacks another beside it says so to people: that can be helped. */
int imu_models_refuse(imu_call *call, const imu_fault *fault)
{
    return fault->status == IMU_ENGINE_UNSUPPORTED ? unusable(call, fault->text)
                                                   : imu_models_fault(call, fault);
}

/* ---- opening ---- */

/* The model's folder as an absolute path that lies where models may lie. */
static int resolve(imu_call *call, const imu_models *m, const char *path, char out[PATH_MAX])
{
    char joined[PATH_MAX];
    int n = path[0] == '/' || !m->folder[0]
                ? snprintf(joined, sizeof joined, "%s", path)
                : snprintf(joined, sizeof joined, "%s/%s", m->folder, path);
    size_t len = strlen(m->folder);
    if (n < 0 || n >= (int)sizeof joined || !realpath(joined, out))
        return unusable(call, "The model's files are missing.");
    if (len && (strncmp(out, m->folder, len) || (out[len] != '/' && out[len] != 0)))
        return unusable(call, "The model lies outside of the folder that this worker may read.");
    return 0;
}

int imu_models_path(imu_call *call, const json_t *row, char path[PATH_MAX])
{
    const char *given = imu_json_str(row, "path");
    return given ? resolve(call, call->env->models, given, path)
                 : unusable(call, "The model's record has no path.");
}

imu_engine *imu_models_engine(const imu_call *call)
{
    return call->env->models->engine;
}

/* ---- the cache ---- */

/* Where a checkpoint's neighbours lie: in the worker's folder of models, or beside it. */
static void lend_tokenizer(const imu_models *m, const char *file, imu_model *model)
{
    char beside[PATH_MAX];
    const char *slash = strrchr(file, '/');
    snprintf(beside, sizeof beside, "%.*s", (int)(slash ? slash - file : 0), file);
    imu_lend_tokenizer(m->tokenizers, m->folder[0] ? m->folder : beside, model);
}

static imu_engine_status open_files(const imu_models *m, const char *path, imu_model **model,
                                    imu_fault *fault)
{
    if (!imu_is_weights_file(path))
        return imu_model_open(m->engine, path, model, fault);
    imu_engine_status s = imu_model_open_file(m->engine, path, model, fault);
    if (!s)
        lend_tokenizer(m, path, *model);
    return s;
}

static int open_model(imu_call *call, imu_models *m, const json_t *row, struct entry **out)
{
    const char *key = imu_json_str(row, "key"), *path = imu_json_str(row, "path");
    char folder[PATH_MAX];
    if (!key || !path)
        return unusable(call, "The model's record has no key or no path.");
    if (resolve(call, m, path, folder))
        return -1;
    uint64_t mark = imu_model_files_mark(folder);
    for (size_t i = m->n_open; i-- > 0;) {
        if (strcmp(m->open[i].key, key) != 0 || strcmp(m->open[i].path, folder) != 0)
            continue;
        if (m->open[i].mark == mark) {
            *out = &m->open[i];
            return 0;
        }
        close_entry(m, i); /* its files are others now */
    }
    if (m->n_open == MAX_OPEN) {
        size_t oldest = 0;
        for (size_t i = 1; i < m->n_open; i++)
            oldest = m->open[i].used < m->open[oldest].used ? i : oldest;
        close_entry(m, oldest);
    }
    struct entry e = {.key = strdup(key), .path = strdup(folder), .mark = mark};
    imu_fault fault;
    if (!e.key || !e.path || open_files(m, folder, &e.model, &fault) != IMU_ENGINE_OK) {
        if (e.key && e.path)
            imu_models_refuse(call, &fault);
        else
            imu_refuse(call->error, "OutOfMemory", "Not enough memory.");
        free(e.key);
        free(e.path);
        return -1;
    }
    m->open[m->n_open] = e;
    *out = &m->open[m->n_open++];
    return 0;
}

/* Reads the weights of one part, and says so before and after: clients count the two. */
static int load_part(imu_call *call, imu_models *m, struct entry *e, int part, const char *name)
{
    imu_env *env = call->env;
    imu_model *model = e->model;
    if (env->model_load)
        env->model_load(env->user, e->key, name, false);
    imu_fault fault;
    imu_engine_status status = imu_model_load(model, part, &fault);
    if (env->model_load)
        env->model_load(env->user, e->key, name, true);
    if (status != IMU_ENGINE_OK) {
        /* Opened anew the next time: the folder may have been mended, or joined by what it lacks,
         * by then. */
        if (fault.status == IMU_ENGINE_BAD_MODEL || fault.status == IMU_ENGINE_UNSUPPORTED ||
            fault.status == IMU_ENGINE_INCOMPLETE) {
            close_model(m, model);
            imu_models_note_loaded(m);
        }
        return imu_models_refuse(call, &fault);
    }
    return 0;
}

/* What an administrator said of a model of one file, which its tensors don't tell. */
static int use_record(imu_call *call, const json_t *record, imu_model *model)
{
    const char *prediction = imu_json_str(record, "prediction_type");
    imu_fault fault;
    return prediction && imu_model_set_prediction(model, prediction, &fault)
               ? imu_models_refuse(call, &fault)
               : 0;
}

int imu_models_get(imu_call *call, const json_t *identifier, int parts, imu_model **out)
{
    static const struct {
        int part;
        const char *name;
    } all[] = {{IMU_PART_TEXT, "text_encoder"}, {IMU_PART_UNET, "unet"}, {IMU_PART_VAE, "vae"}};
    imu_models *m = call->env->models;
    const json_t *row = imu_models_find(call->env->model_rows, identifier);
    struct entry *e;
    if (!m || !row)
        return imu_refuse(
            call->error, "UnknownModelException", "The model \"%.80s\" is not installed.",
            imu_json_str(identifier, "name") ? imu_json_str(identifier, "name") : "?");
    if (open_model(call, m, row, &e))
        return -1;
    e->used = ++m->clock;
    *out = e->model;
    if (use_record(call, json_object_get(row, "record"), e->model))
        return -1;
    for (size_t i = 0; i < 3; i++)
        if ((parts & all[i].part) && !imu_model_memory(*out, all[i].part) &&
            load_part(call, m, e, all[i].part, all[i].name))
            return -1;
    return 0;
}

/* ---- loading ---- */

static void tell_loading(imu_loading *l)
{
    const imu_env *env = l->call->env;
    l->last = imu_clock_ms();
    if (env->progress)
        env->progress(
            env->user, l->call,
            &(struct imu_progress_note){.message = "Loading the model", .share = l->there});
}

bool imu_loading_begin(imu_loading *l, imu_call *call, const imu_model *model, int part)
{
    *l = (imu_loading){.call = call, .model = model, .part = part};
    l->there = imu_model_loaded(model, part);
    if (l->there > 0)
        return false;
    tell_loading(l);
    return true;
}

void imu_loading_tell(imu_loading *l)
{
    if (l->there >= 1 || imu_clock_ms() - l->last < LOADING_INTERVAL)
        return;
    double before = l->there;
    l->there = imu_model_loaded(l->model, l->part);
    if (l->there > before && l->there < 1)
        tell_loading(l);
}

/* ---- LoRAs ---- */

/* Opens one LoRAField; *use holds it. */
static int open_lora(imu_call *call, const char *base, const json_t *field, imu_lora_use *use)
{
    const json_t *id = json_object_get(field, "lora"),
                 *row = imu_models_find(call->env->model_rows, id),
                 *record = json_object_get(row, "record");
    const char *name = imu_json_str(id, "name"), *mine = imu_json_str(record, "base"),
               *type = imu_json_str(record, "type");
    char file[PATH_MAX];
    imu_fault fault;
    if (!row || !type || strcmp(type, "lora"))
        return imu_refuse(call->error, "UnknownModelException",
                          "The LoRA \"%.80s\" is not installed.", name ? name : "?");
    if (mine && strcmp(mine, base))
        return imu_refuse(call->error, "InvalidInput",
                          "The LoRA \"%.80s\" is for %.16s models, this one is of %s.",
                          name ? name : "?", mine, base);
    use->weight = json_number_value(json_object_get(field, "weight"));
    if (!(use->weight >= -100 && use->weight <= 100))
        return imu_refuse(call->error, "InvalidInput", "A LoRA's weight must be -100 to 100.");
    if (imu_models_path(call, row, file))
        return -1;
    return imu_lora_open(file, &use->lora, &fault) ? imu_models_refuse(call, &fault) : 0;
}

int imu_models_set_loras(imu_call *call, imu_model *model, int part, int encoder,
                         const json_t *loras)
{
    imu_lora_use uses[MAX_LORAS] = {{0}};
    size_t count = json_array_size(loras);
    const char *base = imu_model_get_info(model)->base;
    imu_fault fault;
    int rc = 0;
    if (count > MAX_LORAS)
        return imu_refuse(call->error, "TooLarge", "At most %d LoRAs can be used together.",
                          MAX_LORAS);
    for (size_t i = 0; i < count && !rc; i++)
        rc = open_lora(call, base, json_array_get(loras, i), &uses[i]);
    if (!rc && imu_model_set_loras(model, part, encoder, uses, count, &fault) != IMU_ENGINE_OK)
        rc = imu_models_fault(call, &fault);
    for (size_t i = 0; i < count; i++)
        imu_lora_close(uses[i].lora);
    return rc;
}
