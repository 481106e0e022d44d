/* Headers of safetensors files: the first 8 bytes say how much data there is, the rest is the
 * header. */
#include "worker/diffusion/safetensors.h"

#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    uint64_t data_size = 0;
    if (size < sizeof data_size)
        return 0;
    memcpy(&data_size, data, sizeof data_size);
    imu_safetensors *st;
    imu_fault fault;
    if (imu_st_parse((const char *)data + 8, size - 8, data_size, &st, &fault))
        return 0;
    for (size_t i = 0; i < st->count; i++) {
        const imu_st_entry *e = imu_st_find(st, st->entries[i].name);
        if (!e || e->offset + e->size > data_size || e->size != e->count * imu_dtype_size(e->type))
            abort();
    }
    imu_st_close(st);
    return 0;
}
