#include "worker/diffusion/json_file.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static imu_engine_status read_fd(int fd, const char *path, size_t max_bytes, char **out,
                                 size_t *size, imu_fault *fault)
{
    struct stat info;
    if (fstat(fd, &info) || !S_ISREG(info.st_mode) || (uint64_t)info.st_size > max_bytes)
        return imu_fail(fault, IMU_ENGINE_BAD_MODEL, "%.200s is no file of at most %zu bytes.",
                        path, max_bytes);
    size_t want = (size_t)info.st_size, have = 0;
    char *text = malloc(want + 1);
    if (!text)
        return imu_fail_memory(fault);
    while (have < want) {
        ssize_t n = read(fd, text + have, want - have);
        if (n < 0 && errno == EINTR)
            continue;
        if (n <= 0)
            break;
        have += (size_t)n;
    }
    if (have < want) {
        free(text);
        return imu_fail(fault, IMU_ENGINE_BAD_MODEL, "Can't read %.200s.", path);
    }
    text[have] = 0;
    *out = text;
    *size = have;
    return IMU_ENGINE_OK;
}

imu_engine_status imu_file_read(const char *folder, const char *name, size_t max_bytes, char **out,
                                size_t *size, imu_fault *fault)
{
    char path[PATH_MAX];
    int n = snprintf(path, sizeof path, "%s/%s", folder, name);
    if (n < 0 || (size_t)n >= sizeof path)
        return imu_fail(fault, IMU_ENGINE_BAD_MODEL, "The path of %.100s is too long.", name);
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
    if (fd < 0)
        return imu_fail(fault, IMU_ENGINE_BAD_MODEL, "Can't open %.200s: %s.", path,
                        strerror(errno));
    imu_engine_status s = read_fd(fd, path, max_bytes, out, size, fault);
    close(fd);
    return s;
}

imu_engine_status imu_json_parse(const char *text, size_t size, const char *name, json_t **out,
                                 imu_fault *fault)
{
    json_error_t error;
    json_t *root = json_loadb(text, size, JSON_REJECT_DUPLICATES, &error);
    if (!root && json_error_code(&error) == json_error_out_of_memory)
        return imu_fail_memory(fault);
    if (!root && json_error_code(&error) == json_error_duplicate_key)
        return imu_fail(fault, IMU_ENGINE_BAD_MODEL, "%.200s says one key twice, in line %d.", name,
                        error.line);
    if (!json_is_object(root)) {
        json_decref(root);
        return imu_fail(fault, IMU_ENGINE_BAD_MODEL, "%.200s holds no JSON object.", name);
    }
    *out = root;
    return IMU_ENGINE_OK;
}

imu_engine_status imu_json_read(const char *folder, const char *name, size_t max_bytes,
                                json_t **out, imu_fault *fault)
{
    char *text, path[PATH_MAX];
    size_t size;
    imu_engine_status s = imu_file_read(folder, name, max_bytes, &text, &size, fault);
    if (s)
        return s;
    snprintf(path, sizeof path, "%.140s/%.59s", folder, name);
    s = imu_json_parse(text, size, path, out, fault);
    free(text);
    return s;
}

imu_engine_status imu_json_int(const json_t *o, const char *key, int fallback, int low, int high,
                               int *out, imu_fault *fault)
{
    const json_t *v = json_object_get(o, key);
    *out = fallback;
    if (!v || json_is_null(v))
        return IMU_ENGINE_OK;
    if (!json_is_integer(v) || json_integer_value(v) < low || json_integer_value(v) > high)
        return imu_fail(fault, IMU_ENGINE_BAD_MODEL,
                        "The model's config: %s must be from %d to %d.", key, low, high);
    *out = (int)json_integer_value(v);
    return IMU_ENGINE_OK;
}

imu_engine_status imu_json_double(const json_t *o, const char *key, double fallback, double *out,
                                  imu_fault *fault)
{
    const json_t *v = json_object_get(o, key);
    *out = fallback;
    if (!v || json_is_null(v))
        return IMU_ENGINE_OK;
    if (!json_is_number(v) || !isfinite(json_number_value(v)))
        return imu_fail(fault, IMU_ENGINE_BAD_MODEL, "The model's config: %s must be a number.",
                        key);
    *out = json_number_value(v);
    return IMU_ENGINE_OK;
}

bool imu_json_bool(const json_t *o, const char *key, bool fallback)
{
    const json_t *v = json_object_get(o, key);
    return json_is_boolean(v) ? json_is_true(v) : fallback;
}

const char *imu_json_string(const json_t *o, const char *key, const char *fallback)
{
    const char *text = json_string_value(json_object_get(o, key));
    return text ? text : fallback;
}

imu_engine_status imu_json_ints(const json_t *o, const char *key, int fallback, int low, int high,
                                int count, int *out, imu_fault *fault)
{
    const json_t *v = json_object_get(o, key);
    if (!json_is_array(v)) {
        int all;
        imu_engine_status s = imu_json_int(o, key, fallback, low, high, &all, fault);
        for (int i = 0; i < count && !s; i++)
            out[i] = all;
        return s;
    }
    if (json_array_size(v) != (size_t)count)
        return imu_fail(fault, IMU_ENGINE_BAD_MODEL, "The model's config: %s must have %d entries.",
                        key, count);
    for (int i = 0; i < count; i++) {
        const json_t *e = json_array_get(v, (size_t)i);
        if (!json_is_integer(e) || json_integer_value(e) < low || json_integer_value(e) > high)
            return imu_fail(fault, IMU_ENGINE_BAD_MODEL,
                            "The model's config: %s must be from %d to %d.", key, low, high);
        out[i] = (int)json_integer_value(e);
    }
    return IMU_ENGINE_OK;
}
