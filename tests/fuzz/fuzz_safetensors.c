/* Headers of safetensors files: once by themselves, where the first 8 bytes say how much data there
 * is and the rest is the header, and once as a whole file, where they say how long the header is.
 */
#include "worker/diffusion/safetensors.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static int by_place(const void *a, const void *b)
{
    const imu_st_entry *x = a, *y = b;
    return x->offset != y->offset ? (x->offset < y->offset ? -1 : 1)
                                  : (x->size > y->size) - (x->size < y->size);
}

/* What was accepted lies inside the data, and each byte of it is one tensor's. */
static void check(imu_safetensors *st, uint64_t data_size)
{
    uint64_t end = 0;
    for (size_t i = 0; i < st->count; i++) {
        const imu_st_entry *e = imu_st_find(st, st->entries[i].name);
        if (!e || e->offset + e->size > data_size || e->size != e->count * imu_dtype_size(e->type))
            abort();
    }
    qsort(st->entries, st->count, sizeof *st->entries, by_place);
    for (size_t i = 0; i < st->count; end += st->entries[i++].size)
        if (st->entries[i].offset != end)
            abort();
    if (end != data_size)
        abort();
    imu_st_close(st);
}

static void as_file(const uint8_t *data, size_t size)
{
    char path[64];
    imu_safetensors *st;
    imu_fault fault;
    int fd = memfd_create("safetensors", MFD_CLOEXEC);
    if (fd < 0 || write(fd, data, size) != (ssize_t)size)
        abort();
    snprintf(path, sizeof path, "/proc/self/fd/%d", fd);
    if (imu_st_open(path, &st, &fault)) {
        if (strncmp(fault.text, path, strlen(path)) != 0)
            abort(); /* its reader cuts the path off again */
    } else {
        if (st->file_count != 1 || st->files[0].data_start > size)
            abort();
        check(st, size - st->files[0].data_start);
    }
    close(fd);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    uint64_t data_size = 0;
    as_file(data, size);
    if (size < sizeof data_size)
        return 0;
    memcpy(&data_size, data, sizeof data_size);
    imu_safetensors *st;
    imu_fault fault;
    if (imu_st_parse((const char *)data + 8, size - 8, data_size, &st, &fault) == IMU_ENGINE_OK)
        check(st, data_size);
    return 0;
}
