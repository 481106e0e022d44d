/* The tensors of a LoRA file, sorted into layers. What they do to a weight is in lora_apply.c. */
#include "worker/diffusion/lora_parts.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#define FOLDER_FILE "pytorch_lora_weights.safetensors"

/* How the names of tensors end, and what they are then; longer ones before their own ends. */
static const struct {
    const char *end;
    imu_lora_role role;
} ends[] = {{".lora_down.weight", IMU_ROLE_DOWN},
            {".lora_up.weight", IMU_ROLE_UP},
            {".lora_mid.weight", IMU_ROLE_MID},
            {".lora_A.weight", IMU_ROLE_DOWN},
            {".lora_B.weight", IMU_ROLE_UP},
            {".lora_A.default.weight", IMU_ROLE_DOWN},
            {".lora_B.default.weight", IMU_ROLE_UP},
            {".lora_linear_layer.down.weight", IMU_ROLE_DOWN},
            {".lora_linear_layer.up.weight", IMU_ROLE_UP},
            {".lora.down.weight", IMU_ROLE_DOWN},
            {".lora.up.weight", IMU_ROLE_UP},
            {"_lora.down.weight", IMU_ROLE_DOWN},
            {"_lora.up.weight", IMU_ROLE_UP},
            {".alpha", IMU_ROLE_ALPHA},
            {".hada_w1_a", IMU_ROLE_W1_A},
            {".hada_w1_b", IMU_ROLE_W1_B},
            {".hada_w2_a", IMU_ROLE_W2_A},
            {".hada_w2_b", IMU_ROLE_W2_B},
            {".lokr_w1", IMU_ROLE_W1},
            {".lokr_w1_a", IMU_ROLE_W1_A},
            {".lokr_w1_b", IMU_ROLE_W1_B},
            {".lokr_w2", IMU_ROLE_W2},
            {".lokr_w2_a", IMU_ROLE_W2_A},
            {".lokr_w2_b", IMU_ROLE_W2_B},
            {".diff", IMU_ROLE_DIFF},
            {".diff_b", IMU_ROLE_DIFF_BIAS},
            {".hada_t1", IMU_ROLE_W1_CORE},
            {".hada_t2", IMU_ROLE_W2_CORE},
            {".lokr_t2", IMU_ROLE_W2_CORE},
            {".dora_scale", IMU_ROLE_SCALE},
            {".lora_magnitude_vector", IMU_ROLE_MAGNITUDE},
            {".lora_magnitude_vector.weight", IMU_ROLE_MAGNITUDE},
            {".w_norm", IMU_ROLE_DIFF},
            {".b_norm", IMU_ROLE_DIFF_BIAS}};

/* How the names begin, and which part of the model is meant. */
static const struct {
    const char *start;
    imu_lora_part part;
} starts[] = {{"lora_unet_", IMU_LORA_UNET},
              {"lora_te1_", IMU_LORA_TEXT},
              {"lora_te2_", IMU_LORA_TEXT_2},
              {"lora_te_", IMU_LORA_TEXT},
              {"unet.", IMU_LORA_UNET},
              {"text_encoder_2.", IMU_LORA_TEXT_2},
              {"text_encoder.", IMU_LORA_TEXT},
              {"model.diffusion_model.", IMU_LORA_UNET},
              {"diffusion_model.", IMU_LORA_UNET},
              {"text_model", IMU_LORA_TEXT},
              {"", IMU_LORA_UNET}};

/* The part that a name is of; *rest is what follows. */
static imu_lora_part part_of(const char *name, const char **rest)
{
    static const char peft[] = "base_model.model.";
    if (!strncmp(name, peft, sizeof peft - 1))
        name += sizeof peft - 1;
    for (size_t i = 0;; i++) {
        size_t n = strlen(starts[i].start);
        if (strncmp(name, starts[i].start, n) != 0)
            continue;
        *rest = strcmp(starts[i].start, "text_model") ? name + n : name;
        return starts[i].part;
    }
}

/* Which of `ends` the name has, or -1. The longest counts. */
static int end_of(const char *name)
{
    int best = -1;
    size_t length = strlen(name);
    for (int i = 0; i < (int)(sizeof ends / sizeof *ends); i++) {
        size_t n = strlen(ends[i].end);
        if (n < length && !strcmp(name + length - n, ends[i].end) &&
            (best < 0 || n > strlen(ends[best].end)))
            best = i;
    }
    return best;
}

/* Takes out of `text` what diffusers once put between a layer and its LoRA. */
static void take_out(char *text, const char *what)
{
    char *found = strstr(text, what);
    if (found)
        memmove(found, found + strlen(what), strlen(found + strlen(what)) + 1);
}

/* The layer's name, flattened: dots become underscores. */
static void flatten(const char *from, size_t n, char *to, size_t room, bool processor)
{
    snprintf(to, room, "%.*s", (int)n, from);
    if (processor) {
        take_out(to, ".processor");
        size_t length = strlen(to);
        if (length > 6 && !strcmp(to + length - 6, "to_out"))
            snprintf(to + length, room - length, ".0");
    }
    for (char *c = to; *c; c++)
        *c = *c == '.' ? '_' : *c;
}

static int by_key(const void *a, const void *b)
{
    const imu_lora_module *x = a, *y = b;
    return x->part != y->part ? (int)x->part - (int)y->part : strcmp(x->name, y->name);
}

/* One row for each tensor that says something, not yet merged. */
static imu_engine_status list_tensors(imu_lora *l, imu_fault *fault)
{
    l->modules = calloc(l->file->count + 1, sizeof *l->modules);
    if (!l->modules)
        return imu_fail_memory(fault);
    for (size_t i = 0; i < l->file->count; i++) {
        const imu_st_entry *e = &l->file->entries[i];
        const char *rest;
        imu_lora_part part = part_of(e->name, &rest);
        int end = end_of(rest);
        if (end < 0)
            continue; /* other things lie in such files too: embeddings, notes */
        imu_lora_module *m = &l->modules[l->count++];
        m->part = part;
        m->role[ends[end].role] = e;
        flatten(rest, strlen(rest) - strlen(ends[end].end), m->name, sizeof m->name,
                ends[end].end[0] == '_' || strstr(rest, ".processor"));
    }
    return l->count ? IMU_ENGINE_OK
                    : imu_fail(fault, IMU_ENGINE_BAD_MODEL, "The file holds no LoRA.");
}

/* Rows of one layer become one. */
static imu_engine_status merge(imu_lora *l, imu_fault *fault)
{
    size_t n = 0;
    qsort(l->modules, l->count, sizeof *l->modules, by_key);
    for (size_t i = 0; i < l->count; i++) {
        if (!n || by_key(&l->modules[n - 1], &l->modules[i])) {
            if (n != i)
                l->modules[n] = l->modules[i];
            n++;
            continue;
        }
        for (int r = 0; r < IMU_ROLES; r++) {
            const imu_st_entry *e = l->modules[i].role[r];
            if (e && l->modules[n - 1].role[r])
                return imu_fail(fault, IMU_ENGINE_BAD_MODEL,
                                "The LoRA holds %.200s twice, under two names.", e->name);
            if (e)
                l->modules[n - 1].role[r] = e;
        }
    }
    l->count = n;
    return IMU_ENGINE_OK;
}

static imu_engine_status open_file(const char *path, imu_lora *l, imu_fault *fault)
{
    struct stat info;
    imu_engine_status s = imu_st_open(path, &l->file, fault);
    if (s)
        return s;
    if (fstat(l->file->files[0].fd, &info))
        return imu_fail(fault, IMU_ENGINE_BAD_MODEL, "The LoRA can't be read.");
    l->device = (uint64_t)info.st_dev;
    l->inode = (uint64_t)info.st_ino;
    l->size = (uint64_t)info.st_size;
    l->changed = info.st_mtim;
    return imu_lora_sort(l, fault);
}

imu_engine_status imu_lora_sort(imu_lora *l, imu_fault *fault)
{
    imu_engine_status s = list_tensors(l, fault);
    return s ? s : merge(l, fault);
}

imu_engine_status imu_lora_open(const char *path, imu_lora **out, imu_fault *fault)
{
    struct stat info;
    char inside[4096];
    if (!stat(path, &info) && S_ISDIR(info.st_mode)) {
        int n = snprintf(inside, sizeof inside, "%s/" FOLDER_FILE, path);
        if (n < 0 || (size_t)n >= sizeof inside)
            return imu_fail(fault, IMU_ENGINE_BAD_MODEL, "The LoRA's path is too long.");
        path = inside;
    }
    imu_lora *l = calloc(1, sizeof *l);
    if (!l)
        return imu_fail_memory(fault);
    l->holders = 1;
    imu_engine_status s = open_file(path, l, fault);
    if (s)
        imu_lora_close(l);
    else
        *out = l;
    return s;
}

imu_lora *imu_lora_hold(imu_lora *lora)
{
    lora->holders++;
    return lora;
}

void imu_lora_close(imu_lora *lora)
{
    if (!lora || --lora->holders > 0)
        return;
    imu_st_close(lora->file);
    free(lora->modules);
    free(lora);
}

bool imu_lora_same(const imu_lora *a, const imu_lora *b)
{
    return a == b ||
           (a->device == b->device && a->inode == b->inode && a->size == b->size &&
            a->changed.tv_sec == b->changed.tv_sec && a->changed.tv_nsec == b->changed.tv_nsec);
}

const imu_lora_module *imu_lora_find(const imu_lora *lora, imu_lora_part part, const char *name)
{
    imu_lora_module key = {.part = part};
    if (snprintf(key.name, sizeof key.name, "%s", name) >= (int)sizeof key.name)
        return NULL;
    return bsearch(&key, lora->modules, lora->count, sizeof *lora->modules, by_key);
}
