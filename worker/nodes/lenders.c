/* See lenders.h. */
#include "worker/nodes/lenders.h"

#include "worker/diffusion/tokenizer_files.h"

#include <dirent.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

typedef bool lend(const char *folder, const char *name, imu_model *model);

static int by_name(const struct dirent **a, const struct dirent **b)
{
    return strcmp((*a)->d_name, (*b)->d_name);
}

static int is_shown(const struct dirent *entry)
{
    return entry->d_name[0] != '.';
}

/* Tries what lies in a folder, by name, as the order of a directory is anybody's. */
static bool first_of(const char *folder, lend *one, imu_model *model)
{
    struct dirent **entries = NULL;
    int count = *folder ? scandir(folder, &entries, is_shown, by_name) : 0;
    bool lent = false;
    for (int i = 0; i < count; i++) {
        lent = lent || one(folder, entries[i]->d_name, model);
        free(entries[i]);
    }
    free(entries);
    return lent;
}

/* Whether that model had one. A refiner's folder has its second alone. */
static bool of_neighbour(const char *folder, const char *name, imu_model *model)
{
    static const char *const parts[] = {"tokenizer", "tokenizer_2"};
    char path[PATH_MAX];
    for (size_t i = 0; i < sizeof parts / sizeof *parts; i++) {
        int n = snprintf(path, sizeof path, "%s/%s/%s", folder, name, parts[i]);
        if (n > 0 && n < PATH_MAX && !access(path, R_OK) &&
            !imu_model_use_tokenizer(model, path, NULL, NULL))
            return true;
    }
    return false;
}

/* Whether the one with that hash fits, and still has it. */
static bool of_kept(const char *folder, const char *name, imu_model *model)
{
    char path[PATH_MAX];
    int n = snprintf(path, sizeof path, "%s/%s", folder, name);
    return n > 0 && n < PATH_MAX && strlen(name) == IMU_TOKENIZER_HASH - 1 &&
           !imu_model_use_tokenizer(model, path, name, NULL);
}

static bool of_published(const char *folder, const char *name, imu_model *model)
{
    return imu_tokenizer_is_published(name) && of_kept(folder, name, model);
}

void imu_lend_tokenizer(const char *kept, const char *where, imu_model *model)
{
    if (!first_of(kept, of_published, model) && !first_of(where, of_neighbour, model))
        first_of(kept, of_kept, model);
}
