/* See inversions.h. */
#include "worker/nodes/inversions.h"

#include "worker/nodes/models.h"

#include <limits.h>
#include <stdio.h>
#include <string.h>

/* What InvokeAI lets stand between the brackets. */
#define LETTERS "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789., _-"

static bool says(const json_t *record, const char *key, const char *value, size_t size)
{
    const char *text = imu_json_str(record, key);
    return text && strlen(text) == size && !memcmp(text, value, size);
}

/* The row of the inversion with that name; NULL for none. */
static const json_t *find(const imu_call *call, const char *name, size_t size, const char *base)
{
    const json_t *row;
    size_t i;
    json_array_foreach (call->env->model_rows, i, row) {
        const json_t *record = json_object_get(row, "record");
        if (says(record, "type", "embedding", strlen("embedding")) &&
            says(record, "name", name, size) && says(record, "base", base, strlen(base)))
            return row;
    }
    return NULL;
}

static bool is_known(const imu_inversions *all, const char *trigger, size_t size)
{
    for (int i = 0; i < all->count; i++)
        if (strlen(all->trigger[i]) == size && !memcmp(all->trigger[i], trigger, size))
            return true;
    return false;
}

static int open_one(imu_call *call, const json_t *row, const char *trigger, size_t size,
                    imu_inversions *all)
{
    char path[PATH_MAX];
    imu_inversion *vectors;
    imu_fault fault;
    if (all->count == IMU_MAX_TRIGGERS || size >= IMU_TRIGGER_BYTES)
        return imu_refuse(call->error, "TooLarge",
                          "At most %d textual inversions can be used together.", IMU_MAX_TRIGGERS);
    if (imu_models_path(call, row, path))
        return -1;
    if (imu_inversion_open(path, &vectors, &fault))
        return imu_models_refuse(call, &fault);
    memcpy(all->trigger[all->count], trigger, size);
    all->trigger[all->count][size] = 0;
    all->use[all->count] = (imu_inversion_use){all->trigger[all->count], vectors};
    all->count++;
    return 0;
}

int imu_inversions_add(imu_call *call, const char *text, const char *base, imu_inversions *all)
{
    for (const char *c = text ? strchr(text, '<') : NULL; c; c = strchr(c + 1, '<')) {
        size_t n = strspn(c + 1, LETTERS);
        const json_t *row = n && c[1 + n] == '>' ? find(call, c + 1, n, base) : NULL;
        if (row && !is_known(all, c, n + 2) && open_one(call, row, c, n + 2, all))
            return -1;
    }
    return 0;
}

void imu_inversions_close(imu_inversions *all)
{
    for (int i = 0; i < all->count; i++)
        imu_inversion_close((imu_inversion *)all->use[i].vectors);
    all->count = 0;
}
