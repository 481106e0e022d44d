#include "cli/files.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include <apr_strings.h>

#include "mod_invokemu/store/files.h"
#include "mod_invokemu/util/ids.h"

#define COPY_BYTES  (1 << 20)
#define MAX_FOLDERS 16 /* open at a time */

/* Where SQLite's processes that use a database in WAL mode hold a shared lock, in the file behind
 * "-shm" (SQLite, "WAL-mode File Format": the byte after the eight locks at 120). */
#define SHM_LOCK_BYTE 128

static imu_err *cannot(apr_pool_t *p, const char *doing, const char *path)
{
    int code = errno;

    if (code == ENOSPC || code == EDQUOT)
        return imu_error(p, 507, "disk_full", "can't %s %s: the disk is full", doing, path);
    return imu_error(p, 500, "files", "can't %s %s: %s", doing, path, strerror(code));
}

static int copy_bytes(int from, int to)
{
    static char buf[COPY_BYTES];
    ssize_t n;

    /* Shares the blocks where the file system can. */
    while ((n = copy_file_range(from, NULL, to, NULL, COPY_BYTES, 0)) > 0)
        ;
    if (n == 0)
        return 0;
    if (errno != EXDEV && errno != EINVAL && errno != ENOSYS && errno != EOPNOTSUPP)
        return -1;
    while ((n = read(from, buf, sizeof buf)) != 0) {
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0 || imu_write_all(to, buf, (apr_size_t)n) != 0)
            return -1;
    }
    return 0;
}

/* A name beside `to` that nothing has, for what is renamed to it once it is whole. */
static const char *part_of(apr_pool_t *p, const char *to)
{
    const char *folder = apr_pstrmemdup(p, to, (apr_size_t)(strrchr(to, '/') - to));

    return apr_pstrcat(p, folder, "/" IMU_TEMPORARY_PREFIX, imu_uuid4(p), NULL);
}

/* Closes a finished part and gives it its name, or takes it away after an error. */
static imu_err *end_part(apr_pool_t *p, int fd, const char *part, const char *to, imu_err *err)
{
    if (close(fd) != 0 && !err)
        err = cannot(p, "write", to);
    if (!err && rename(part, to) != 0)
        err = cannot(p, "rename", to);
    if (err)
        (void)unlink(part);
    return err;
}

static imu_err *copy_file(apr_pool_t *p, int from, const char *to)
{
    const char *part = part_of(p, to);
    int fd = open(part, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0640);
    imu_err *err = NULL;

    if (fd < 0)
        return cannot(p, "make", part);
    if (copy_bytes(from, fd) != 0)
        err = cannot(p, "copy to", to);
    return end_part(p, fd, part, to, err);
}

imu_err *cli_place(apr_pool_t *p, const char *from, const char *to, cli_how how, cli_placed *placed,
                   int *gone)
{
    imu_err *err;
    int fd;

    if (gone)
        *gone = 0;
    if (cli_exists(to)) {
        placed->there++;
        return NULL;
    }
    if (how == CLI_LINK_OR_COPY && linkat(AT_FDCWD, from, AT_FDCWD, to, AT_SYMLINK_FOLLOW) == 0) {
        placed->linked++;
        return NULL;
    }
    fd = open(from, O_RDONLY | O_CLOEXEC);
    if (fd < 0 && errno == ENOENT && gone) {
        *gone = 1;
        return NULL;
    }
    if (fd < 0)
        return imu_error(p, 500, "unreadable", "can't read %s: %s", from, strerror(errno));
    if (!(err = copy_file(p, fd, to)))
        placed->copied++;
    close(fd);
    return err;
}

imu_err *cli_make_folders(apr_pool_t *p, const char *path, mode_t mode)
{
    char *at = apr_pstrdup(p, path);

    for (char *slash = at + 1; (slash = strchr(slash, '/')); slash++) {
        *slash = '\0';
        if (mkdir(at, mode) != 0 && errno != EEXIST)
            return cannot(p, "make the folder", at);
        *slash = '/';
    }
    return mkdir(at, mode) == 0 || errno == EEXIST ? NULL : cannot(p, "make the folder", at);
}

imu_err *cli_each(apr_pool_t *p, const char *folder,
                  imu_err *(*what)(void *baton, const char *path, const char *name), void *baton)
{
    DIR *dir = opendir(folder);
    struct dirent *entry;
    apr_pool_t *sub;
    imu_err *err = NULL;

    if (!dir)
        return errno == ENOENT ? NULL : cannot(p, "read", folder);
    apr_pool_create(&sub, p);
    while (!err && (errno = 0, entry = readdir(dir))) {
        if (strcmp(entry->d_name, ".") == 0 || strcmp(entry->d_name, "..") == 0)
            continue;
        apr_pool_clear(sub);
        err = what(baton, apr_pstrcat(sub, folder, "/", entry->d_name, NULL), entry->d_name);
    }
    if (!err && errno)
        err = cannot(p, "read", folder);
    if (err)
        err = imu_error_keep(p, err);
    apr_pool_destroy(sub);
    closedir(dir);
    return err;
}

static int remove_one(const char *path, const struct stat *st, int kind, struct FTW *ftw)
{
    (void)st;
    (void)kind;
    (void)ftw;
    return remove(path);
}

imu_err *cli_remove_tree(apr_pool_t *p, const char *path)
{
    if (nftw(path, remove_one, MAX_FOLDERS, FTW_DEPTH | FTW_PHYS) != 0 && errno != ENOENT)
        return cannot(p, "remove", path);
    return NULL;
}

static struct stat new_owner;

static int give_one(const char *path, const struct stat *st, int kind, struct FTW *ftw)
{
    (void)kind;
    (void)ftw;
    if (st->st_uid == new_owner.st_uid && st->st_gid == new_owner.st_gid)
        return 0;
    return lchown(path, new_owner.st_uid, new_owner.st_gid);
}

imu_err *cli_give_to_owner(apr_pool_t *p, const char *path, const char *like)
{
    if (geteuid() != 0)
        return NULL;
    if (stat(like, &new_owner) != 0)
        return cannot(p, "look at", like);
    if (nftw(path, give_one, MAX_FOLDERS, FTW_PHYS) != 0)
        return cannot(p, "change the owner of what is in", path);
    return NULL;
}

imu_err *cli_sync(apr_pool_t *p, const char *path)
{
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    imu_err *err = NULL;

    if (fd < 0)
        return cannot(p, "open", path);
    if (syncfs(fd) != 0)
        err = cannot(p, "sync", path);
    close(fd);
    return err;
}

int cli_exists(const char *path)
{
    struct stat st;

    return lstat(path, &st) == 0;
}

int cli_database_in_use(apr_pool_t *p, const char *database)
{
    struct flock lock = {.l_type = F_WRLCK, .l_start = SHM_LOCK_BYTE, .l_len = 1};
    int fd = open(apr_pstrcat(p, database, "-shm", NULL), O_RDONLY | O_CLOEXEC);
    int used;

    if (fd < 0)
        return 0;
    used = fcntl(fd, F_GETLK, &lock) == 0 && lock.l_type != F_UNLCK;
    close(fd);
    return used;
}

imu_err *cli_alone(apr_pool_t *p, const char *file)
{
    int fd = open(file, O_WRONLY | O_CREAT | O_NOFOLLOW | O_CLOEXEC, 0600);

    if (fd < 0)
        return cannot(p, "make", file);
    if (flock(fd, LOCK_EX | LOCK_NB) == 0)
        return NULL;
    close(fd);
    return imu_error(p, 409, "busy", "another import is running");
}

imu_err *cli_write_file(apr_pool_t *p, const char *path, const char *text)
{
    /* Root works in folders of the server's user: a link that lies there must not be followed. */
    const char *part = part_of(p, path);
    int fd = open(part, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
    imu_err *err = NULL;

    if (fd < 0)
        return cannot(p, "make", part);
    if (imu_write_all(fd, text, strlen(text)) != 0 || fsync(fd) != 0)
        err = cannot(p, "write", path);
    return end_part(p, fd, part, path, err);
}
