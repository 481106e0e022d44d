#include "mod_invokemu/store/archives.h"

#include <errno.h>
#include <fcntl.h>
#include <locale.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <apr_file_info.h>
#include <apr_strings.h>
#include <archive.h>
#include <archive_entry.h>

#include "mod_invokemu/store/disk.h"
#include "mod_invokemu/store/files.h"
#include "mod_invokemu/store/picture_files.h"
#include "mod_invokemu/util/ids.h"
#include "mod_invokemu/util/jsons.h"

#define KEEP       apr_time_from_sec(24 * 60 * 60)
#define COPY_BYTES 131072
/* What a person may leave unfetched; of the bytes, the newest archive may alone be more. */
#define MAX_KEPT       10
#define MAX_KEPT_BYTES ((apr_int64_t)8 * 1024 * 1024 * 1024)

/* A ZIP file that is being written. */
typedef struct packing {
    const imu_archive_job *job;
    struct archive *zip;
    apr_int64_t left; /* bytes of pictures that are still to come */
} packing;

const char *imu_archive_name_new(apr_pool_t *p)
{
    return apr_pstrcat(p, imu_uuid4(p), ".zip", NULL);
}

const char *imu_archive_path(apr_pool_t *p, const char *root, const char *name)
{
    return apr_pstrcat(p, root, "/" IMU_ARCHIVES_DIR "/", name, NULL);
}

static imu_err *failed(apr_pool_t *p, struct archive *zip, const char *doing)
{
    int code = archive_errno(zip);

    if (code == ENOSPC || code == EDQUOT)
        return imu_error_disk_full(p);
    return imu_error_internal(p, "archive: %s: %s", doing, archive_error_string(zip));
}

static imu_err *copy_file(apr_pool_t *p, packing *to, int fd)
{
    const imu_archive_job *job = to->job;
    char buf[COPY_BYTES];
    ssize_t n;

    while ((n = read(fd, buf, sizeof buf)) > 0) {
        if (!job->wanted(job->user))
            return imu_archive_busy(p);
        if (archive_write_data(to->zip, buf, (size_t)n) != n)
            return failed(p, to->zip, "data");
        to->left -= n;
    }
    return n == 0 ? NULL
                  : imu_error_internal(p, "archive: a picture cannot be read: %s", strerror(errno));
}

static imu_err *add_picture(apr_pool_t *p, packing *to, const char *name)
{
    const char *root = to->job->root;
    int fd = imu_picture_file_ok(name) ? open(imu_picture_path(p, root, name), O_RDONLY | O_CLOEXEC)
                                       : -1;
    struct archive_entry *entry;
    struct stat info;
    imu_err *err = NULL;

    if (fd < 0)
        return NULL;
    entry = archive_entry_new();
    if (!entry || fstat(fd, &info) != 0) {
        err = imu_error_internal(p, "archive: no entry for %s", name);
    } else {
        archive_entry_set_pathname(entry, name);
        archive_entry_set_size(entry, info.st_size);
        archive_entry_set_mtime(entry, info.st_mtime, 0);
        archive_entry_set_filetype(entry, AE_IFREG);
        archive_entry_set_perm(entry, 0644);
        err = archive_write_header(to->zip, entry) == ARCHIVE_OK ? copy_file(p, to, fd)
                                                                 : failed(p, to->zip, "header");
    }
    archive_entry_free(entry);
    close(fd);
    return err;
}

static apr_int64_t file_bytes(const char *path)
{
    struct stat info;

    return stat(path, &info) == 0 ? (apr_int64_t)info.st_size : 0;
}

/* Runs for each name, with a pool of its own. @return the first error */
typedef imu_err *each_picture(apr_pool_t *p, packing *to, const char *name);

static imu_err *for_each(apr_pool_t *p, packing *to, each_picture *act)
{
    imu_err *err = NULL;
    apr_pool_t *sub;
    json_t *name;
    size_t i;

    if (apr_pool_create(&sub, p) != APR_SUCCESS)
        return imu_error_internal(p, "no memory");
    json_array_foreach (to->job->names, i, name) {
        if ((err = act(sub, to, json_string_value(name)))) {
            err = imu_error_keep(p, err);
            break;
        }
        apr_pool_clear(sub);
    }
    apr_pool_destroy(sub);
    return err;
}

static imu_err *weigh(apr_pool_t *p, packing *to, const char *name)
{
    to->left +=
        imu_picture_file_ok(name) ? file_bytes(imu_picture_path(p, to->job->root, name)) : 0;
    return NULL;
}

/* Others write meanwhile: whether there is room for the rest is asked again and again. */
static imu_err *pack(apr_pool_t *p, packing *to, const char *name)
{
    imu_err *err = imu_disk_check_for(p, to->job->root, to->job->min_free, to->left);

    return err ? err : add_picture(p, to, name);
}

static imu_err *write_pictures(apr_pool_t *p, packing *to, const char *path)
{
    struct archive *zip = to->zip;
    imu_err *err = for_each(p, to, weigh);

    if (!err)
        err = imu_disk_check_for(p, to->job->root, to->job->min_free, to->left);
    if (err)
        return err;
    /* PNG is compressed already. */
    if (archive_write_set_format_zip(zip) != ARCHIVE_OK ||
        archive_write_zip_set_compression_store(zip) != ARCHIVE_OK ||
        archive_write_set_format_option(zip, "zip", "hdrcharset", "UTF-8") != ARCHIVE_OK ||
        archive_write_open_filename(zip, path) != ARCHIVE_OK)
        return failed(p, zip, "open");
    if (!(err = for_each(p, to, pack)) && archive_write_close(zip) != ARCHIVE_OK)
        err = failed(p, zip, "close");
    return err;
}

/* libarchive turns names by way of the thread's locale: in Apache's, which is "C", those with a
 * letter beyond ASCII get lost, and it crashes on what is left. */
static imu_err *write_in_utf8(apr_pool_t *p, const imu_archive_job *job, const char *path)
{
    locale_t utf8 = newlocale(LC_CTYPE_MASK, "C.UTF-8", (locale_t)0), before;
    packing to = {.job = job};
    imu_err *err;

    if (!utf8)
        return imu_error_internal(p, "the locale C.UTF-8 is missing on this system: %s",
                                  strerror(errno));
    before = uselocale(utf8);
    if ((to.zip = archive_write_new())) {
        err = write_pictures(p, &to, path);
        archive_write_free(to.zip);
    } else {
        err = imu_error_internal(p, "no memory for an archive");
    }
    uselocale(before);
    freelocale(utf8);
    return err;
}

imu_err *imu_archive_busy(apr_pool_t *p)
{
    imu_err *err = imu_error(p, 429, "packing_busy",
                             "The server is packing other downloads. Try again in a moment.");

    err->retry_after = 5;
    return err;
}

imu_err *imu_archive_write(apr_pool_t *p, const imu_archive_job *job, const char *name)
{
    const char *path = imu_archive_path(p, job->root, name);
    imu_err *err = write_in_utf8(p, job, path);

    if (err && unlink(path) != 0 && errno != ENOENT)
        err->log = apr_psprintf(p, "%s; and %s stays behind: %s", err->log ? err->log : err->detail,
                                path, strerror(errno));
    return err;
}

/* Files nobody fetched in time, also those of accounts that are gone. */
static void remove_old_files(apr_pool_t *p, const char *root, apr_time_t before)
{
    const char *folder = apr_pstrcat(p, root, "/" IMU_ARCHIVES_DIR, NULL);
    apr_finfo_t entry;
    apr_dir_t *dir;

    if (apr_dir_open(&dir, folder, p) != APR_SUCCESS)
        return;
    while (apr_dir_read(&entry, APR_FINFO_NAME | APR_FINFO_TYPE | APR_FINFO_MTIME, dir) ==
           APR_SUCCESS)
        if (entry.filetype == APR_REG && entry.mtime < before)
            /* What cannot be deleted now is tried again at the next archive. */
            (void)unlink(apr_pstrcat(p, folder, "/", entry.name, NULL));
    apr_dir_close(dir);
}

/* Takes out of the list the oldest of a person's archives beyond what one may leave unfetched.
 * *paths: their files. */
static imu_err *give_way(imu_db *db, apr_pool_t *p, const char *root, const char *user_id,
                         apr_array_header_t *paths)
{
    apr_int64_t bytes = 0;
    imu_rows *rows;
    imu_err *err = imu_db_select(db, p, &rows, "bulk_download_list", "s", user_id);

    for (int i = 0; !err && i < rows->count; i++) {
        const char *name = imu_text(rows, i, "name"), *path = imu_archive_path(p, root, name);

        bytes += file_bytes(path);
        if (i == 0 || (i < MAX_KEPT && bytes <= MAX_KEPT_BYTES))
            continue;
        err = imu_archive_take(db, p, name, NULL);
        APR_ARRAY_PUSH(paths, const char *) = path;
    }
    return err;
}

imu_err *imu_archive_add(imu_db *db, apr_pool_t *p, const char *root, const char *name,
                         const char *user_id, const imu_archive_source *source)
{
    apr_array_header_t *paths = apr_array_make(p, 1, sizeof(const char *));
    apr_time_t old = apr_time_now() - KEEP;
    imu_err *err = imu_db_begin(db);

    if (err)
        return err;
    if (!(err = imu_db_exec(db, p, NULL, "bulk_download_forget", "s", imu_time_text(p, old))))
        err = imu_db_exec(db, p, NULL, "bulk_download_insert", "sssss", name, user_id,
                          source->board_id, imu_json_compact(p, source->names), imu_now(p));
    if (!err)
        err = give_way(db, p, root, user_id, paths);
    if ((err = imu_db_end(db, err)))
        return err;
    /* What cannot be deleted now goes with the files that nobody fetched. */
    for (int i = 0; i < paths->nelts; i++)
        (void)unlink(APR_ARRAY_IDX(paths, i, const char *));
    remove_old_files(p, root, old);
    return NULL;
}

imu_err *imu_archive_owner(imu_db *db, apr_pool_t *p, const char *name, const char **user_id,
                           imu_archive_source *source)
{
    imu_rows *rows;
    imu_err *err = imu_db_select(db, p, &rows, "bulk_download_get", "s", name);

    if (err)
        return err;
    *user_id = imu_text(rows, 0, "user_id");
    source->board_id = imu_text(rows, 0, "board_id");
    source->names = imu_json_own(p, imu_json_parsed(rows, 0, "image_names"));
    return NULL;
}

imu_err *imu_archive_take(imu_db *db, apr_pool_t *p, const char *name, int *taken)
{
    return imu_db_exec(db, p, taken, "bulk_download_take", "s", name);
}
