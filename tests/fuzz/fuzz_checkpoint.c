/* Headers of files that may be a LoRA or a checkpoint: telling what they are, and finding the
 * engine's names among theirs. The first 8 bytes say how much data there is, and the very first
 * which of the engine's names are looked for; the rest is the header. */
#include "worker/diffusion/file_kind.h"
#include "worker/diffusion/names.h"
#include "worker/diffusion/single_file.h"

#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void translate(const char *name, int seed)
{
    imu_old_name old;
    for (int kind = IMU_NAMES_OURS; kind <= IMU_NAMES_OPENCLIP; kind++)
        for (int i = 0; i < 2; i++) {
            imu_naming naming = {(imu_naming_kind)kind, "prefix.", seed % 9, seed % 7};
            if (imu_old_name_of(&naming, name, i, &old) &&
                (strlen(old.name) >= sizeof old.name || old.slice >= old.slices))
                abort();
        }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    uint64_t data_size = 0;
    imu_safetensors *st;
    imu_file_kind kind;
    if (size < sizeof data_size)
        return 0;
    memcpy(&data_size, data, sizeof data_size);
    if (imu_st_parse((const char *)data + 8, size - 8, data_size, &st, NULL))
        return 0;
    if (imu_file_kind_of(st, NULL, &kind) &&
        (!*kind.type || !*kind.base || !memchr(kind.base, 0, sizeof kind.base)))
        abort();
    for (size_t i = 0; i < st->count; i++)
        translate(st->entries[i].name, data[0]);
    imu_st_close(st);
    return 0;
}
