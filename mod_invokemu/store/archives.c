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
#include "mod_invokemu/util/clock.h"
#include "mod_invokemu/util/ids.h"
#include "mod_invokemu/util/jsons.h"

#define KEEP       apr_time_from_sec(24 * 60 * 60)
#define COPY_BYTES 131072
/* What a person may leave unfetched; of the bytes, the newest archive may alone be more. */
#define MAX_KEPT       10
#define MAX_KEPT_BYTES ((apr_int64_t)8 * 1024 * 1024 * 1024)
/* When others that are read now may have arrived. */
#define RETRY_SECONDS 30

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
    imu_err *err;

    if (!to->job->wanted(to->job->user))
        return imu_archive_busy(p);
    err = imu_disk_check_for(p, to->job->root, to->job->min_free, to->left);
    return err ? err : add_picture(p, to, name);
}

static imu_err *underway(apr_pool_t *p)
{
    imu_err *err = imu_error(p, 429, "downloads_underway",
                             "Your earlier downloads have not arrived yet. Try again when one of "
                             "them has, or break one off.");

    err->retry_after = RETRY_SECONDS;
    return err;
}

static imu_err *write_pictures(apr_pool_t *p, packing *to, const char *path)
{
    struct archive *zip = to->zip;
    imu_err *err = for_each(p, to, weigh);

    if (!err && to->left > to->job->room)
        err = underway(p);
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

imu_err *imu_archive_discard(apr_pool_t *p, const char *root, const char *name, imu_err *err)
{
    const char *path = imu_archive_path(p, root, name);

    if (unlink(path) != 0 && errno != ENOENT)
        err->log = apr_psprintf(p, "%s; and %s stays behind: %s", err->log ? err->log : err->detail,
                                path, strerror(errno));
    return err;
}

imu_err *imu_archive_write(apr_pool_t *p, const imu_archive_job *job, const char *name)
{
    imu_err *err = write_in_utf8(p, job, imu_archive_path(p, job->root, name));

    return err ? imu_archive_discard(p, job->root, name, err) : NULL;
}

/* ---- who has an archive ---- */

/* All of a file. Such a lock is one of the open file: of two threads one gets it, and it ends with
 * the process at the latest. */
static struct flock whole_file(void)
{
    return (struct flock){.l_type = F_WRLCK, .l_whence = SEEK_SET};
}

/* Whether somebody is being sent this file. */
static int is_taken(const char *path)
{
    int fd = open(path, O_RDWR | O_CLOEXEC | O_NOFOLLOW), taken;
    struct flock lock = whole_file();

    if (fd < 0)
        return 0;
    taken = fcntl(fd, F_OFD_GETLK, &lock) == 0 && lock.l_type != F_UNLCK;
    close(fd);
    return taken;
}

/* Takes it. @return a descriptor, with which it is given back; or -1 with ENOENT in errno when it
 * is not there (any more), else when somebody has it */
static int take(const char *path)
{
    int fd = open(path, O_RDWR | O_CLOEXEC | O_NOFOLLOW), code;
    struct flock lock = whole_file();
    struct stat info;

    if (fd < 0)
        return -1;
    /* Who had it may just have deleted it. */
    if (fcntl(fd, F_OFD_SETLK, &lock) == 0 && fstat(fd, &info) == 0) {
        if (info.st_nlink > 0)
            return fd;
        errno = ENOENT;
    }
    code = errno;
    close(fd);
    errno = code;
    return -1;
}

typedef struct sending {
    const char *path;
    int fd;
} sending;

/* Deleted before it is given back, so that whoever comes next finds nothing. What can't be deleted
 * now goes with those that nobody fetched. */
static apr_status_t end_sending(void *data)
{
    const sending *s = data;

    (void)unlink(s->path);
    close(s->fd);
    return APR_SUCCESS;
}

int imu_archive_take(apr_pool_t *p, const char *root, const char *name)
{
    sending *s = apr_palloc(p, sizeof *s);

    s->path = imu_archive_path(p, root, name);
    if ((s->fd = take(s->path)) < 0)
        return 0;
    apr_pool_cleanup_register(p, s, end_sending, apr_pool_cleanup_null);
    return 1;
}

int imu_archive_there(apr_pool_t *p, const char *root, const char *name)
{
    return access(imu_archive_path(p, root, name), F_OK) == 0;
}

/* ---- which are kept ---- */

imu_err *imu_archive_drop(imu_db *db, apr_pool_t *p, const char *root, const char *name)
{
    const char *path = imu_archive_path(p, root, name);
    int fd = take(path);
    imu_err *err;

    if (fd < 0 && errno != ENOENT)
        return NULL;
    err = imu_db_exec(db, p, NULL, "bulk_download_delete", "s", name);
    /* A file that can't be deleted now goes with those that nobody fetched. */
    if (!err && fd >= 0)
        (void)unlink(path);
    if (fd >= 0)
        close(fd);
    return err;
}

/* Files without a row. */
static void remove_old_files(apr_pool_t *p, const char *root, apr_time_t before)
{
    const char *folder = apr_pstrcat(p, root, "/" IMU_ARCHIVES_DIR, NULL);
    apr_finfo_t entry;
    apr_dir_t *dir;

    if (apr_dir_open(&dir, folder, p) != APR_SUCCESS)
        return;
    while (apr_dir_read(&entry, APR_FINFO_NAME | APR_FINFO_TYPE | APR_FINFO_MTIME, dir) ==
           APR_SUCCESS) {
        const char *path = apr_pstrcat(p, folder, "/", entry.name, NULL);

        /* What cannot be deleted now is tried again. */
        if (entry.filetype == APR_REG && entry.mtime < before && !is_taken(path))
            (void)unlink(path);
    }
    apr_dir_close(dir);
}

imu_err *imu_archives_purge(imu_db *db, apr_pool_t *p, const char *root)
{
    apr_time_t before = imu_clock_now() - KEEP;
    imu_rows *rows;
    imu_err *err =
        imu_db_select(db, p, &rows, "bulk_download_list_old", "s", imu_time_text(p, before));

    for (int i = 0; !err && i < rows->count; i++)
        err = imu_archive_drop(db, p, root, imu_text(rows, i, "name"));
    if (!err)
        remove_old_files(p, root, before);
    return err;
}

/* Archives of a person, the newest first, and what of them is being sent. */
typedef struct belongings {
    imu_rows *rows;
    int sent;
    apr_int64_t sent_bytes;
} belongings;

static imu_err *look_at(imu_db *db, apr_pool_t *p, const char *root, const char *user_id,
                        belongings *of)
{
    imu_err *err = imu_db_select(db, p, &of->rows, "bulk_download_list", "s", user_id);

    of->sent = 0;
    of->sent_bytes = 0;
    for (int i = 0; !err && i < of->rows->count; i++) {
        const char *path = imu_archive_path(p, root, imu_text(of->rows, i, "name"));

        if (!is_taken(path))
            continue;
        of->sent++;
        of->sent_bytes += file_bytes(path);
    }
    return err;
}

imu_err *imu_archive_room(imu_db *db, apr_pool_t *p, const char *root, const char *user_id,
                          apr_int64_t *bytes)
{
    belongings theirs;
    imu_err *err = look_at(db, p, root, user_id, &theirs);

    if (err)
        return err;
    *bytes = theirs.sent > 0 ? MAX_KEPT_BYTES - theirs.sent_bytes : APR_INT64_MAX;
    return theirs.sent >= MAX_KEPT || *bytes <= 0 ? underway(p) : NULL;
}

/* Drops the oldest of a person's archives, the newest of which has just come, beyond what one may
 * leave unfetched. */
static imu_err *give_way(imu_db *db, apr_pool_t *p, const char *root, const char *user_id)
{
    belongings theirs;
    apr_int64_t bytes;
    imu_err *err = look_at(db, p, root, user_id, &theirs);
    int kept = theirs.sent;

    bytes = theirs.sent_bytes;
    for (int i = 0; !err && i < theirs.rows->count; i++) {
        const char *name = imu_text(theirs.rows, i, "name");
        const char *path = imu_archive_path(p, root, name);
        int there = imu_archive_there(p, root, name);

        if (is_taken(path))
            continue;
        kept += there;
        bytes += file_bytes(path);
        if (there && kept <= MAX_KEPT && (kept == 1 || bytes <= MAX_KEPT_BYTES))
            continue;
        err = i == 0 ? underway(p) : imu_archive_drop(db, p, root, name);
    }
    return err;
}

imu_err *imu_archive_add(imu_db *db, apr_pool_t *p, const char *root, const char *name,
                         const char *user_id, const imu_archive_source *source)
{
    imu_err *err = imu_db_begin(db);

    if (err)
        return err;
    err = imu_db_exec(db, p, NULL, "bulk_download_insert", "sssss", name, user_id, source->board_id,
                      imu_json_compact(p, source->lent), imu_now(p));
    if (!err)
        err = give_way(db, p, root, user_id);
    return imu_db_end(db, err);
}

imu_err *imu_archive_owner(imu_db *db, apr_pool_t *p, const char *name, const char **user_id,
                           imu_archive_source *source)
{
    imu_rows *rows;
    imu_err *err = imu_db_select(db, p, &rows, "bulk_download_get", "ss", name,
                                 imu_time_text(p, imu_clock_now() - KEEP));

    if (err)
        return err;
    *user_id = imu_text(rows, 0, "user_id");
    source->board_id = imu_text(rows, 0, "board_id");
    source->lent = imu_json_own(p, imu_json_parsed(rows, 0, "image_names"));
    return NULL;
}
