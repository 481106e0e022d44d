#include "mod_invokemu/store/wal_index.h"

#include <string.h>

#include <apr_strings.h>
#include <sqlite3.h>

/* The header stands there twice: whoever writes it begins with the second. */
#define WORDS      12
#define BLOCK_SIZE 32768
#define WAL_FORMAT 3007000

/* Its words: the format, a count of commits, the last frame, that frame's checksum over all frames,
 * and the two numbers that each new WAL draws. */
enum { FORMAT = 0, CHANGES = 2, LAST_FRAME = 4, CHECKSUM = 6, SALT = 8 };

imu_wal_index *imu_wal_index_of(void *sqlite)
{
    sqlite3_file *file = NULL;
    volatile void *block = NULL;

    if (sqlite3_file_control(sqlite, "main", SQLITE_FCNTL_FILE_POINTER, &file) != SQLITE_OK ||
        !file || !file->pMethods || file->pMethods->iVersion < 2 || !file->pMethods->xShmMap ||
        file->pMethods->xShmMap(file, 0, BLOCK_SIZE, 0, &block) != SQLITE_OK)
        return NULL;
    return block;
}

static void copy_of(apr_uint32_t *copy, imu_wal_index *header)
{
    for (int i = 0; i < WORDS; i++)
        copy[i] = __atomic_load_n(&header[i], __ATOMIC_RELAXED);
}

const char *imu_wal_version(apr_pool_t *p, imu_wal_index *index)
{
    apr_uint32_t first[WORDS], second[WORDS];

    copy_of(first, index);
    __atomic_thread_fence(__ATOMIC_SEQ_CST);
    copy_of(second, index + WORDS);
    if (memcmp(first, second, sizeof first) != 0 || first[FORMAT] != WAL_FORMAT)
        return NULL;
    /* Nobody has written since the file is there: after the next such time it looks the same. */
    if (first[LAST_FRAME] == 0 && first[SALT] == 0 && first[SALT + 1] == 0)
        return NULL;
    return apr_psprintf(p, "%x.%x.%x.%x.%x.%x", first[CHANGES], first[LAST_FRAME], first[CHECKSUM],
                        first[CHECKSUM + 1], first[SALT], first[SALT + 1]);
}
