/*
 * tar.c: a backup as one file.
 *
 * Names go in and out as the bytes that the file system has, whatever language the caller's
 * terminal speaks: this program never leaves the "C" locale, where libarchive can't turn those with
 * a letter beyond ASCII. It reports that by a warning, marks the entry as bytes (hdrcharset=BINARY)
 * and keeps them. (Elsewhere it would compose what a Mac has written apart, so that a row and its
 * file no longer had one name.)
 */
#include "cli/backup.h"

#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <archive.h>
#include <archive_entry.h>
#include <apr_strings.h>

#define COPY_BYTES  65536
#define MAX_FOLDERS 16
#define END_BYTES   1024 /* of zero, at the end of every archive */

/* What a walk over a folder works on; nftw hands nothing through. */
static struct {
    struct archive *tar;
    size_t prefix; /* length of the folder's path, with its slash */
} walk;

static int add_data(int fd)
{
    char buf[COPY_BYTES];
    ssize_t n;

    while ((n = read(fd, buf, sizeof buf)) > 0)
        if (archive_write_data(walk.tar, buf, (size_t)n) != n)
            return -1;
    return n < 0 ? -1 : 0;
}

static int add_file(const char *path, const struct stat *st, int kind, struct FTW *ftw)
{
    struct archive_entry *entry;
    int fd, rv;

    (void)ftw;
    if (kind != FTW_F || !S_ISREG(st->st_mode))
        return 0;
    if (!(entry = archive_entry_new()))
        return -1;
    archive_entry_copy_stat(entry, st);
    archive_entry_set_pathname(entry, path + walk.prefix);
    rv = archive_write_header(walk.tar, entry);
    rv = rv == ARCHIVE_OK || rv == ARCHIVE_WARN ? 0 : -1;
    archive_entry_free(entry);
    fd = rv == 0 ? open(path, O_RDONLY | O_CLOEXEC) : -1;
    if (fd < 0)
        return -1;
    rv = add_data(fd);
    close(fd);
    return rv;
}

/* libarchive's own words for a full disk are "Write error". */
static imu_err *failed(apr_pool_t *p, struct archive *tar, const char *file)
{
    const char *why = tar ? archive_error_string(tar) : NULL;

    if (why && (archive_errno(tar) == ENOSPC || archive_errno(tar) == EDQUOT)) {
        errno = archive_errno(tar);
        return cli_cannot(p, "write", file);
    }
    return imu_error(p, 500, "tar", "%s: %s", file, why ? why : strerror(errno));
}

imu_err *cli_tar_write(apr_pool_t *p, const char *folder, const char *file, int fd)
{
    imu_err *err = NULL;

    walk.tar = archive_write_new();
    walk.prefix = strlen(folder) + 1;
    if (!walk.tar || archive_write_set_format_pax_restricted(walk.tar) != ARCHIVE_OK ||
        archive_write_open_fd(walk.tar, fd) != ARCHIVE_OK ||
        nftw(folder, add_file, MAX_FOLDERS, FTW_PHYS) != 0 ||
        archive_write_close(walk.tar) != ARCHIVE_OK)
        err = failed(p, walk.tar, file);
    archive_write_free(walk.tar);
    return err || fsync(fd) == 0 ? err : cli_cannot(p, "write", file);
}

/* Plain files alone, below the folder. */
static imu_err *take_entry(apr_pool_t *p, struct archive *tar, struct archive_entry *entry,
                           const char *file, const char *folder)
{
    const char *name = archive_entry_pathname(entry), *path;
    imu_err *err;
    int fd, rv;

    if (!name || archive_entry_filetype(entry) != AE_IFREG || *name == '/' || *name == '.' ||
        strstr(name, "/.") || archive_entry_hardlink(entry))
        return imu_error(p, 422, "no_backup", "%s holds what no backup of invokemu does (%s)", file,
                         name ? name : "?");
    path = apr_pstrcat(p, folder, "/", name, NULL);
    if ((err = cli_make_folders(p, cli_folder_of(p, path), 0700)))
        return err;
    fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0640);
    if (fd < 0)
        return cli_cannot(p, "make", path);
    rv = archive_read_data_into_fd(tar, fd);
    if (close(fd) != 0 && rv == ARCHIVE_OK)
        return cli_cannot(p, "write", path);
    return rv == ARCHIVE_OK ? NULL : failed(p, tar, path);
}

/* libarchive looks no further than the mark at the end, and takes a file that lacks it for whole:
 * a part of a backup, or one with something behind it. @param end  where the mark begins */
static imu_err *check_end(apr_pool_t *p, const char *file, int fd, apr_int64_t end)
{
    char buf[COPY_BYTES];
    apr_int64_t at = end;
    int empty = 1;
    ssize_t n = 0;

    for (; empty && (n = pread(fd, buf, sizeof buf, at)) > 0; at += n)
        for (ssize_t i = 0; i < n; i++)
            empty &= !buf[i];
    return empty && n == 0 && at - end >= END_BYTES
               ? NULL
               : imu_error(p, 422, "no_backup",
                           "%s does not end where a backup of invokemu does: it is a part of "
                           "one, or something was added",
                           file);
}

imu_err *cli_tar_read(apr_pool_t *p, const char *file, const char *folder)
{
    struct archive *tar = archive_read_new();
    struct archive_entry *entry;
    apr_pool_t *sub;
    imu_err *err = NULL;
    int fd, rv = ARCHIVE_OK;

    if (!tar || apr_pool_create(&sub, p) != APR_SUCCESS)
        return imu_error(p, 500, "tar", "no memory");
    cli_as(file);
    fd = open(file, O_RDONLY | O_CLOEXEC);
    cli_as(NULL);
    if (fd < 0)
        err = imu_error(p, 500, "tar", "can't read %s: %s", file, strerror(errno));
    else if (archive_read_support_format_tar(tar) != ARCHIVE_OK ||
             archive_read_open_fd(tar, fd, COPY_BYTES) != ARCHIVE_OK)
        err = failed(p, tar, file);
    while (!err &&
           ((rv = archive_read_next_header(tar, &entry)) == ARCHIVE_OK || rv == ARCHIVE_WARN)) {
        apr_pool_clear(sub);
        if ((err = take_entry(sub, tar, entry, file, folder)))
            err = imu_error_keep(p, err);
    }
    if (!err && rv != ARCHIVE_EOF)
        err = failed(p, tar, file);
    if (!err)
        err = check_end(p, file, fd, archive_read_header_position(tar));
    apr_pool_destroy(sub);
    archive_read_free(tar);
    if (fd >= 0)
        close(fd);
    return err;
}
