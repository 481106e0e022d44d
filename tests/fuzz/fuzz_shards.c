/* The index of weights in several files. Beside it lie two shards, "a.safetensors" with the tensors
 * x and y, and "b.safetensors" with z; a tensor "secret" lies in a file above the folder. */
#include "worker/diffusion/sharded.h"

#include <fcntl.h>
#include <limits.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define INDEX "model.safetensors.index.json"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static const char *const names[] = {"m/a.safetensors", "m/b.safetensors", "up.safetensors",
                                    "m/" INDEX};
static char folder[] = "/tmp/imu-fuzz-shards-XXXXXX", inner[64];

static void put(const char *name, const void *data, size_t size)
{
    char path[PATH_MAX];
    snprintf(path, sizeof path, "%s/%s", folder, name);
    int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
    if (fd < 0 || write(fd, data, size) != (ssize_t)size)
        abort();
    close(fd);
}

/* A file of one float for each letter. */
static void put_shard(const char *name, const char *const *tensors, int count)
{
    char header[512], file[1024] = {0};
    int n = snprintf(header, sizeof header, "{");
    for (int i = 0; i < count; i++)
        n += snprintf(header + n, sizeof header - (size_t)n,
                      "%s\"%s\":{\"dtype\":\"F32\",\"shape\":[1],\"data_offsets\":[%d,%d]}",
                      i ? "," : "", tensors[i], 4 * i, 4 * i + 4);
    n += snprintf(header + n, sizeof header - (size_t)n, "}");
    file[0] = (char)n;
    file[1] = (char)(n >> 8);
    memcpy(file + 8, header, (size_t)n);
    put(name, file, (size_t)(8 + n + 4 * count));
}

static void remove_all(void)
{
    char path[PATH_MAX];
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        snprintf(path, sizeof path, "%s/%s", folder, names[i]);
        unlink(path);
    }
    rmdir(inner);
    rmdir(folder);
}

static void set_up(void)
{
    if (!mkdtemp(folder))
        abort();
    snprintf(inner, sizeof inner, "%s/m", folder);
    if (mkdir(inner, 0700))
        abort();
    put_shard(names[0], (const char *const[]){"x", "y"}, 2);
    put_shard(names[1], (const char *const[]){"z"}, 1);
    put_shard(names[2], (const char *const[]){"secret"}, 1);
    atexit(remove_all);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static int ready;
    imu_safetensors *st;
    imu_fault fault = {.text = ""};
    float value;

    if (!ready) {
        set_up();
        ready = 1;
    }
    put(names[3], data, size);
    if (imu_weights_open(inner, INDEX, &st, &fault)) {
        if (!fault.text[0] || strncmp(fault.text, inner, strlen(inner)) != 0)
            abort(); /* its reader cuts the path off again */
        return 0;
    }
    if (imu_st_find(st, "secret"))
        abort();
    for (size_t i = 0; i < st->count; i++)
        if (imu_st_read_f32(st, &st->entries[i], &value, NULL) || value != 0)
            abort();
    imu_st_close(st);
    return 0;
}
