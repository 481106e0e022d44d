#include "mod_invokemu/store/tokenizers.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <apr_strings.h>

#include "mod_invokemu/store/files.h"
#include "mod_invokemu/store/models.h"
#include "mod_invokemu/store/ownership.h"
#include "worker/diffusion/tokenizer_files.h"

#define FOLDER (O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC)
#define PART   IMU_TEMPORARY_PREFIX "new"

static imu_err *cannot_keep(apr_pool_t *p, const char *path)
{
    if (errno == ENOSPC || errno == EDQUOT)
        return imu_error_disk_full(p);
    return imu_error_internal(p, "can't keep a tokenizer in %s: %s", path, strerror(errno));
}

/* For workers to read, which are another user. Root gives it to whom the folder belongs. */
static int give(int fd, mode_t mode, const struct stat *like)
{
    return fchmod(fd, mode) != 0 || (geteuid() == 0 && fchown(fd, like->st_uid, like->st_gid) != 0)
               ? -1
               : 0;
}

/* A whole file or none, in a folder in which somebody may have laid links. */
static int put_file(int at, const char *name, const char *data, size_t size,
                    const struct stat *like)
{
    int fd;

    if (unlinkat(at, PART, 0) != 0 && errno != ENOENT)
        return -1;
    fd = openat(at, PART, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0640);
    if (fd < 0)
        return -1;
    if (imu_write_all(fd, data, size) != 0 || give(fd, 0644, like) != 0 || fsync(fd) != 0) {
        close(fd);
        return -1;
    }
    return close(fd) != 0 ? -1 : renameat(at, PART, at, name);
}

static int put_both(int at, const imu_tokenizer_files *files)
{
    struct stat like;
    int fd, rc = -1;

    if (fstat(at, &like) != 0 || (mkdirat(at, files->hash, 0750) != 0 && errno != EEXIST))
        return -1;
    fd = openat(at, files->hash, FOLDER);
    if (fd < 0)
        return -1;
    if (give(fd, 0755, &like) == 0 &&
        put_file(fd, IMU_TOKENIZER_VOCAB, files->vocab, files->vocab_size, &like) == 0)
        rc = put_file(fd, IMU_TOKENIZER_MERGES, files->merges, files->merges_size, &like);
    close(fd);
    return rc;
}

int imu_tokenizer_is_kept(apr_pool_t *p, const char *root, const char *hash)
{
    const char *path = apr_pstrcat(p, root, "/" IMU_TOKENIZERS_DIR "/", hash, NULL);
    imu_tokenizer_files kept;
    int whole;

    if (imu_tokenizer_files_read(path, &kept, NULL))
        return 0;
    whole = strcmp(kept.hash, hash) == 0;
    imu_tokenizer_files_free(&kept);
    return whole;
}

imu_err *imu_tokenizer_keep(apr_pool_t *p, const char *root, const imu_tokenizer_files *files,
                            int *fresh)
{
    const char *dir = apr_pstrcat(p, root, "/" IMU_TOKENIZERS_DIR, NULL);
    imu_err *err;
    int at, rc;

    if (imu_tokenizer_is_kept(p, root, files->hash))
        return NULL;
    if ((err = imu_own_folders(p, root, IMU_TOKENIZERS_DIR, (uid_t)-1, (gid_t)-1)))
        return err;
    at = open(dir, FOLDER);
    rc = at < 0 ? -1 : put_both(at, files);
    err = rc ? cannot_keep(p, dir) : NULL;
    if (at >= 0)
        close(at);
    if (fresh && !err)
        *fresh = 1;
    return err;
}

/* The last one that was kept: most models of a server have the same. */
static imu_err *keep_of(apr_pool_t *p, const char *root, const char *path,
                        char last[IMU_TOKENIZER_HASH])
{
    static const char *const parts[] = {"/tokenizer", "/tokenizer_2"};
    imu_err *err = NULL;

    for (size_t i = 0; !err && i < sizeof parts / sizeof parts[0]; i++) {
        imu_tokenizer_files files;

        if (imu_tokenizer_files_read(apr_pstrcat(p, path, parts[i], NULL), &files, NULL))
            continue;
        if (strcmp(files.hash, last) != 0 && !imu_tokenizer_files_check(&files, NULL) &&
            !(err = imu_tokenizer_keep(p, root, &files, NULL)))
            memcpy(last, files.hash, IMU_TOKENIZER_HASH);
        imu_tokenizer_files_free(&files);
    }
    return err;
}

imu_err *imu_tokenizers_of_model(apr_pool_t *p, const char *root, const char *path)
{
    char last[IMU_TOKENIZER_HASH] = "";

    return keep_of(p, root, path, last);
}

imu_err *imu_tokenizers_remember(imu_db *db, apr_pool_t *p, const char *root)
{
    char last[IMU_TOKENIZER_HASH] = "";
    imu_rows *rows;
    imu_err *err = imu_model_list_all(db, p, &rows);

    for (int i = 0; !err && i < rows->count; i++)
        err = keep_of(p, root, imu_text(rows, i, "path"), last);
    return err;
}
