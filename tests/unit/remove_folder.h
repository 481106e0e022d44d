/* Removes a test's temporary folder with all that lies in it. */
#ifndef IMU_TEST_REMOVE_FOLDER_H
#define IMU_TEST_REMOVE_FOLDER_H

#include <ftw.h>
#include <stdio.h>

static inline int remove_one(const char *path, const struct stat *st, int type, struct FTW *where)
{
    (void)st;
    (void)type;
    (void)where;
    return remove(path);
}

/* @return 0, or not when something stays. Links are removed, not followed. */
static inline int remove_folder(const char *path)
{
    return nftw(path, remove_one, 8, FTW_DEPTH | FTW_PHYS);
}

#endif
