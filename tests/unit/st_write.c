#include "tests/unit/st_write.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

static uint64_t size_of(const st_item *item)
{
    uint64_t n = imu_dtype_size(item->type);
    for (int i = 0; i < item->ndim; i++)
        n *= (uint64_t)item->dim[i];
    return n;
}

static const char *name_of(imu_dtype type)
{
    return type == IMU_F16 ? "F16" : type == IMU_BF16 ? "BF16" : type == IMU_I64 ? "I64" : "F32";
}

static void describe(FILE *to, const st_item *item, uint64_t offset)
{
    fprintf(to, "\"%s\":{\"dtype\":\"%s\",\"shape\":[", item->name, name_of(item->type));
    for (int k = 0; k < item->ndim; k++)
        fprintf(to, "%s%" PRId64, k ? "," : "", item->dim[k]);
    fprintf(to, "],\"data_offsets\":[%" PRIu64 ",%" PRIu64 "]}", offset, offset + size_of(item));
}

int st_write(const char *path, const st_item *items, size_t count)
{
    char *header = NULL;
    size_t size;
    uint64_t offset = 0;
    FILE *text = open_memstream(&header, &size), *file = fopen(path, "wb");
    if (!text || !file)
        return -1;
    fputc('{', text);
    for (size_t i = 0; i < count; i++) {
        fputs(i ? "," : "", text);
        describe(text, &items[i], offset);
        offset += size_of(&items[i]);
    }
    fputc('}', text);
    if (fclose(text))
        return -1;
    for (int i = 0; i < 8; i++)
        fputc((int)(size >> (8 * i) & 255), file);
    fwrite(header, 1, size, file);
    for (size_t i = 0; i < count; i++)
        fwrite(items[i].data, 1, size_of(&items[i]), file);
    free(header);
    return fclose(file) ? -1 : 0;
}
