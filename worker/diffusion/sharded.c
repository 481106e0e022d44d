#include "worker/diffusion/sharded.h"

#include "worker/diffusion/json_file.h"

#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#define MAX_INDEX ((size_t)16 << 20)

bool imu_is_index(const char *name)
{
    size_t n = strlen(name);
    return n > 5 && !strcmp(name + n - 5, ".json");
}

/* A plain name of a safetensors file: nothing that leads elsewhere. */
static bool is_shard_name(const char *name)
{
    static const char end[] = ".safetensors";
    size_t n = strlen(name), m = sizeof end - 1;
    return n > m && n < IMU_SHARD_NAME && name[0] != '.' && !strcmp(name + n - m, end) &&
           strspn(name, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789._-") == n;
}

static imu_engine_status note_shard(imu_shards *shards, const char *name, imu_fault *fault)
{
    if (!name || !is_shard_name(name))
        return imu_fail(fault, IMU_ENGINE_BAD_MODEL,
                        "The index names a shard that is no safetensors file beside it.");
    for (size_t i = 0; i < shards->count; i++)
        if (!strcmp(shards->name[i], name))
            return IMU_ENGINE_OK;
    if (shards->count == IMU_MAX_SHARDS)
        return imu_fail(fault, IMU_ENGINE_BAD_MODEL, "The index names more than %d shards.",
                        IMU_MAX_SHARDS);
    snprintf(shards->name[shards->count++], IMU_SHARD_NAME, "%s", name);
    return IMU_ENGINE_OK;
}

static imu_engine_status take_map(imu_shards *shards, const json_t *root, imu_fault *fault)
{
    json_t *map = json_object_get(root, "weight_map");
    const char *tensor;
    json_t *shard;
    imu_engine_status s = IMU_ENGINE_OK;
    if (!json_is_object(map) || !json_object_size(map))
        return imu_fail(fault, IMU_ENGINE_BAD_MODEL, "The index has no weight_map.");
    json_object_foreach (map, tensor, shard)
        if ((s = note_shard(shards, json_string_value(shard), fault)))
            return s;
    shards->map = json_incref(map);
    return s;
}

static imu_engine_status read_index(const char *folder, const char *name, imu_shards *shards,
                                    imu_fault *fault)
{
    char *text;
    size_t size;
    imu_engine_status s = imu_file_read(folder, name, MAX_INDEX, &text, &size, fault);
    if (s)
        return s;
    /* With one tensor named twice, its shard would be a matter of the reader's taste. */
    json_t *root = json_loadb(text, size, JSON_REJECT_DUPLICATES, NULL);
    free(text);
    s = root ? take_map(shards, root, fault)
             : imu_fail(fault, IMU_ENGINE_BAD_MODEL,
                        "The index is no JSON, or names a tensor "
                        "twice.");
    json_decref(root);
    return s;
}

/* A path and why, the way imu_st_open says it. */
static imu_engine_status blame(const char *folder, const char *name, imu_engine_status s,
                               const imu_fault *why, imu_fault *fault)
{
    char path[PATH_MAX];
    snprintf(path, sizeof path, "%s/%s", folder, name);
    return imu_fail(fault, s, IMU_ST_PATH "%.240s", path, why->text);
}

imu_engine_status imu_shards_read(const char *folder, const char *name, imu_shards **out,
                                  imu_fault *fault)
{
    imu_fault why = {.text = ""};
    imu_shards *shards = calloc(1, sizeof *shards);
    if (!shards)
        return imu_fail_memory(fault);
    imu_engine_status s = read_index(folder, name, shards, &why);
    if (s) {
        imu_shards_free(shards);
        return blame(folder, name, s, &why, fault);
    }
    *out = shards;
    return IMU_ENGINE_OK;
}

void imu_shards_free(imu_shards *shards)
{
    if (!shards)
        return;
    json_decref(shards->map);
    free(shards);
}

static imu_engine_status open_one(const char *folder, const char *name, imu_safetensors **out,
                                  imu_fault *fault)
{
    char path[PATH_MAX];
    int n = snprintf(path, sizeof path, "%s/%s", folder, name);
    if (n < 0 || (size_t)n >= sizeof path)
        return imu_fail(fault, IMU_ENGINE_BAD_MODEL, "The model's path is too long.");
    return imu_st_open(path, out, fault);
}

/* Opens one more shard, whose tensors must all be those that the index has in it. */
static imu_engine_status add_shard(const char *folder, const imu_shards *shards, size_t which,
                                   imu_safetensors **all, imu_fault *fault)
{
    imu_safetensors *st;
    imu_fault why = {.text = ""};
    const char *name = shards->name[which];
    imu_engine_status s = open_one(folder, name, &st, fault);
    if (s)
        return s;
    for (size_t i = 0; i < st->count && !s; i++) {
        const char *tensor = st->entries[i].name,
                   *place = json_string_value(json_object_get(shards->map, tensor));
        if (!place || strcmp(place, name))
            s = imu_fail(&why, IMU_ENGINE_BAD_MODEL,
                         "It holds the tensor %.120s, which the index has elsewhere.", tensor);
    }
    if (s) {
        imu_st_close(st);
    } else if (!*all) {
        *all = st;
    } else {
        s = imu_st_join(*all, st, &why);
    }
    return s ? blame(folder, name, s, &why, fault) : s;
}

static imu_engine_status open_all(const char *folder, const char *index, imu_safetensors **out,
                                  imu_fault *fault)
{
    imu_shards *shards;
    imu_safetensors *all = NULL;
    imu_engine_status s = imu_shards_read(folder, index, &shards, fault);
    if (s)
        return s;
    for (size_t i = 0; i < shards->count && !s; i++)
        s = add_shard(folder, shards, i, &all, fault);
    const char *tensor;
    json_t *shard;
    json_object_foreach (shards->map, tensor, shard)
        if (!s && !imu_st_find(all, tensor)) {
            imu_fault why = {.text = ""};
            imu_fail(&why, IMU_ENGINE_BAD_MODEL,
                     "The index has the tensor %.120s in it, which is not there.", tensor);
            s = blame(folder, json_string_value(shard), IMU_ENGINE_BAD_MODEL, &why, fault);
        }
    imu_shards_free(shards);
    if (s)
        imu_st_close(all);
    else
        *out = all;
    return s;
}

imu_engine_status imu_weights_open(const char *folder, const char *name, imu_safetensors **out,
                                   imu_fault *fault)
{
    return imu_is_index(name) ? open_all(folder, name, out, fault)
                              : open_one(folder, name, out, fault);
}

static uint64_t bytes_of(const char *folder, const char *name)
{
    char path[PATH_MAX];
    struct stat info;
    int n = snprintf(path, sizeof path, "%s/%s", folder, name);
    return n < 0 || (size_t)n >= sizeof path || stat(path, &info) ? 0 : (uint64_t)info.st_size;
}

uint64_t imu_weights_bytes(const char *folder, const char *name)
{
    imu_shards *shards;
    uint64_t sum = 0;
    if (!imu_is_index(name))
        return bytes_of(folder, name);
    if (imu_shards_read(folder, name, &shards, NULL))
        return 0;
    for (size_t i = 0; i < shards->count; i++)
        sum += bytes_of(folder, shards->name[i]);
    imu_shards_free(shards);
    return sum;
}
