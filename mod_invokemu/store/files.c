#include "mod_invokemu/store/files.h"

#include <errno.h>
#include <fcntl.h>
#include <libgen.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <apr_strings.h>

#include "mod_invokemu/util/ids.h"

#define COPY_BYTES 131072

ssize_t imu_read_at(int fd, void *data, apr_size_t len, off_t at)
{
    apr_size_t done = 0;

    while (done < len) {
        ssize_t n = pread(fd, (char *)data + done, len - done, at + (off_t)done);

        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            return -1;
        if (n == 0)
            break;
        done += (apr_size_t)n;
    }
    return (ssize_t)done;
}

static int same_bytes(int one, int other, char *a, char *b, off_t size)
{
    for (off_t at = 0; at < size; at += COPY_BYTES) {
        ssize_t n = imu_read_at(one, a, COPY_BYTES, at);

        if (n <= 0 || imu_read_at(other, b, COPY_BYTES, at) != n || memcmp(a, b, (size_t)n) != 0)
            return 0;
    }
    return 1;
}

int imu_is_same_file(int one, int other)
{
    struct stat first, second;
    char *buffers;
    int same;

    if (fstat(one, &first) != 0 || fstat(other, &second) != 0 || first.st_size != second.st_size)
        return 0;
    if (first.st_dev == second.st_dev && first.st_ino == second.st_ino)
        return 1;
    buffers = malloc(2 * COPY_BYTES);
    same = buffers && same_bytes(one, other, buffers, buffers + COPY_BYTES, first.st_size);
    free(buffers);
    return same;
}

int imu_rename_new(const char *from, const char *to)
{
    struct stat st;

    if (renameat2(AT_FDCWD, from, AT_FDCWD, to, RENAME_NOREPLACE) == 0)
        return 0;
    if (errno != EINVAL && errno != ENOSYS)
        return -1;
    /* A file system that can't promise it. */
    if (lstat(to, &st) == 0) {
        errno = EEXIST;
        return -1;
    }
    return rename(from, to);
}

int imu_write_all(int fd, const void *data, apr_size_t len)
{
    const char *at = data;

    while (len > 0) {
        ssize_t n = write(fd, at, len);

        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            return -1;
        at += n;
        len -= (apr_size_t)n;
    }
    return 0;
}

static imu_err *failed(apr_pool_t *p, const char *doing, const char *path)
{
    int code = errno;

    if (code == ENOSPC || code == EDQUOT || code == EFBIG)
        return imu_error_log(p, imu_error_disk_full(p), "cannot %s %s: %s", doing, path,
                             strerror(code));
    return imu_error_internal(p, "cannot %s %s: %s", doing, path, strerror(code));
}

static int begins_right(const char *data, ssize_t len, imu_content_kind kind)
{
    switch (kind) {
    case IMU_FILE_PNG:
        return len >= 8 && memcmp(data, "\x89PNG\r\n\x1a\n", 8) == 0;
    case IMU_FILE_WEBP:
        return len >= 12 && memcmp(data, "RIFF", 4) == 0 && memcmp(data + 8, "WEBP", 4) == 0;
    default:
        return 1;
    }
}

static imu_err *invalid(apr_pool_t *p, const char *why)
{
    return imu_error(p, 422, "picture_invalid", "The picture cannot be stored: %s.", why);
}

static imu_err *copy(apr_pool_t *p, int from, int to, const char *path, imu_content_kind kind,
                     apr_int64_t max)
{
    char *buf = malloc(COPY_BYTES);
    imu_err *err = NULL;
    apr_int64_t done = 0;

    if (!buf)
        return imu_error_internal(p, "no memory to copy a file");
    while (!err) {
        ssize_t n = pread(from, buf, COPY_BYTES, done);

        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            err = failed(p, "read what goes to", path);
        else if (done == 0 && !begins_right(buf, n, kind))
            err = invalid(p, "its file is of the wrong kind");
        else if (done + n > max)
            err = invalid(p, "its file is too large");
        else if (n > 0 && imu_write_all(to, buf, (apr_size_t)n) != 0)
            err = failed(p, "write", path);
        if (err || n == 0)
            break;
        done += n;
    }
    free(buf);
    return err;
}

/* The rename itself must survive: its folder is synced too. */
static imu_err *sync_folder(apr_pool_t *p, const char *folder)
{
    int fd = open(folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    imu_err *err = NULL;

    if (fd < 0)
        return failed(p, "open", folder);
    if (fsync(fd) != 0)
        err = failed(p, "sync", folder);
    if (close(fd) != 0 && !err)
        err = failed(p, "close", folder);
    return err;
}

imu_err *imu_file_store(apr_pool_t *p, int fd, const char *path, imu_content_kind kind,
                        apr_int64_t max)
{
    const char *folder = dirname(apr_pstrdup(p, path));
    const char *temporary = apr_pstrcat(p, folder, "/" IMU_TEMPORARY_PREFIX, imu_uuid4(p), NULL);
    int to = open(temporary, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0640);
    imu_err *err;

    if (to < 0)
        return failed(p, "create", temporary);
    err = copy(p, fd, to, temporary, kind, max);
    if (!err && fsync(to) != 0)
        err = failed(p, "sync", temporary);
    if (close(to) != 0 && !err)
        err = failed(p, "close", temporary);
    if (!err && rename(temporary, path) != 0)
        err = failed(p, "rename to", path);
    if (!err)
        return sync_folder(p, folder);
    if (unlink(temporary) != 0)
        err = imu_error_log(p, err, "%s; and %s remains", err->log ? err->log : err->detail,
                            temporary);
    return err;
}

static apr_status_t close_fd(void *data)
{
    return close((int)(intptr_t)data) == 0 ? APR_SUCCESS : errno;
}

static void close_with(apr_pool_t *p, int fd)
{
    apr_pool_cleanup_register(p, (void *)(intptr_t)fd, close_fd, apr_pool_cleanup_null);
}

imu_err *imu_file_temporary(apr_pool_t *p, const char *folder, int *fd)
{
    *fd = open(folder, O_TMPFILE | O_RDWR | O_CLOEXEC, 0600);
    if (*fd < 0 && (errno == EOPNOTSUPP || errno == EISDIR || errno == ENOENT)) {
        /* Some file systems know no nameless files: take the name away at once. */
        char *name = apr_pstrcat(p, folder, "/" IMU_TEMPORARY_PREFIX "XXXXXX", NULL);

        *fd = mkostemp(name, O_CLOEXEC);
        if (*fd >= 0 && unlink(name) != 0) {
            imu_err *err = failed(p, "unlink", name);

            close(*fd);
            return err;
        }
    }
    if (*fd < 0)
        return failed(p, "open a temporary file in", folder);
    close_with(p, *fd);
    return NULL;
}

imu_err *imu_file_reopen(apr_pool_t *p, int fd, int *read_only)
{
    const char *path = apr_psprintf(p, "/proc/self/fd/%d", fd);

    *read_only = open(path, O_RDONLY | O_CLOEXEC);
    if (*read_only < 0)
        return failed(p, "reopen", path);
    close_with(p, *read_only);
    return NULL;
}
