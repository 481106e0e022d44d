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

imu_err *cli_cannot(apr_pool_t *p, const char *doing, const char *path)
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

const char *cli_folder_of(apr_pool_t *p, const char *path)
{
    const char *slash = strrchr(path, '/');

    return slash > path ? apr_pstrmemdup(p, path, (apr_size_t)(slash - path)) : "/";
}

int cli_is_below(const char *path, const char *folder)
{
    size_t len = strlen(folder);

    return strncmp(path, folder, len) == 0 && (path[len] == '/' || path[len] == '\0');
}

const char *cli_nearest(apr_pool_t *p, const char *path)
{
    struct stat st;
    int rc;

    for (;; path = cli_folder_of(p, path)) {
        cli_as(path);
        rc = stat(path, &st);
        cli_as(NULL);
        if (rc == 0 || strcmp(path, "/") == 0)
            return path;
    }
}

/* A name beside `to` that nothing has, for what is renamed to it once it is whole. */
static const char *part_of(apr_pool_t *p, const char *to)
{
    return apr_pstrcat(p, cli_folder_of(p, to), "/" IMU_TEMPORARY_PREFIX, imu_uuid4(p), NULL);
}

/* Closes a finished part and gives it its name, or takes it away after an error. */
static imu_err *end_part(apr_pool_t *p, int fd, const char *part, const char *to, imu_err *err)
{
    if (close(fd) != 0 && !err)
        err = cli_cannot(p, "write", to);
    if (!err && rename(part, to) != 0)
        err = cli_cannot(p, "rename", to);
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
        return cli_cannot(p, "make", part);
    if (copy_bytes(from, fd) != 0)
        err = cli_cannot(p, "copy to", to);
    return end_part(p, fd, part, to, err);
}

/* By its descriptor: nobody can put another file in its place meanwhile. */
static int link_to(apr_pool_t *p, int from, const char *to)
{
    return linkat(AT_FDCWD, apr_psprintf(p, "/proc/self/fd/%d", from), AT_FDCWD, to,
                  AT_SYMLINK_FOLLOW);
}

/* from is open. */
static imu_err *place(apr_pool_t *p, int from, const char *to, cli_how how, cli_placed *placed)
{
    imu_err *err = NULL;

    cli_as(to);
    if (how == CLI_LINK_OR_COPY && link_to(p, from, to) == 0)
        placed->linked++;
    else if (!(err = copy_file(p, from, to)))
        placed->copied++;
    cli_as(NULL);
    return err;
}

imu_err *cli_place_open(apr_pool_t *p, int from, const char *to, cli_how how, cli_placed *placed)
{
    if (!cli_exists(to))
        return place(p, from, to, how, placed);
    placed->there++;
    return NULL;
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
    fd = cli_open_file(from);
    if (fd < 0 && errno == ENOENT && gone) {
        *gone = 1;
        return NULL;
    }
    if (fd < 0)
        return imu_error(p, 500, "unreadable", "can't read %s: %s", from, strerror(errno));
    err = place(p, fd, to, how, placed);
    close(fd);
    return err;
}

static imu_err *make_folders(apr_pool_t *p, const char *path, mode_t mode)
{
    char *at = apr_pstrdup(p, path);

    for (char *slash = at + 1; (slash = strchr(slash, '/')); slash++) {
        *slash = '\0';
        if (mkdir(at, mode) != 0 && errno != EEXIST)
            return cli_cannot(p, "make the folder", at);
        *slash = '/';
    }
    return mkdir(at, mode) == 0 || errno == EEXIST ? NULL : cli_cannot(p, "make the folder", at);
}

imu_err *cli_make_folders(apr_pool_t *p, const char *path, mode_t mode)
{
    imu_err *err;

    cli_as(path);
    err = make_folders(p, path, mode);
    cli_as(NULL);
    return err;
}

imu_err *cli_each(apr_pool_t *p, const char *folder,
                  imu_err *(*what)(void *baton, const char *path, const char *name), void *baton)
{
    struct dirent *entry;
    apr_pool_t *sub;
    imu_err *err = NULL;
    DIR *dir;

    cli_as(folder);
    dir = opendir(folder);
    cli_as(NULL);
    if (!dir)
        return errno == ENOENT ? NULL : cli_cannot(p, "read", folder);
    apr_pool_create(&sub, p);
    while (!err && (errno = 0, entry = readdir(dir))) {
        if (strcmp(entry->d_name, ".") == 0 || strcmp(entry->d_name, "..") == 0)
            continue;
        apr_pool_clear(sub);
        err = what(baton, apr_pstrcat(sub, folder, "/", entry->d_name, NULL), entry->d_name);
    }
    if (!err && errno)
        err = cli_cannot(p, "read", folder);
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
    int rc;

    cli_as(path);
    rc = nftw(path, remove_one, MAX_FOLDERS, FTW_DEPTH | FTW_PHYS);
    cli_as(NULL);
    return rc == 0 || errno == ENOENT ? NULL : cli_cannot(p, "remove", path);
}

imu_err *cli_sync(apr_pool_t *p, const char *path)
{
    imu_err *err = NULL;
    int fd;

    cli_as(path);
    fd = open(path, O_RDONLY | O_CLOEXEC);
    cli_as(NULL);
    if (fd < 0)
        return cli_cannot(p, "open", path);
    if (syncfs(fd) != 0)
        err = cli_cannot(p, "sync", path);
    close(fd);
    return err;
}

int cli_look(const char *path, struct stat *st)
{
    int rc;

    cli_as(path);
    rc = lstat(path, st);
    cli_as(NULL);
    return rc;
}

int cli_exists(const char *path)
{
    struct stat st;

    return cli_look(path, &st) == 0;
}

int cli_is_file(const char *path)
{
    struct stat st;

    return cli_look(path, &st) == 0 && S_ISREG(st.st_mode);
}

/* What was opened, if it is a file; else -1 with errno. */
static int only_file(int fd)
{
    struct stat st;

    if (fd < 0 || (fstat(fd, &st) == 0 && S_ISREG(st.st_mode)))
        return fd;
    close(fd);
    errno = EINVAL;
    return -1;
}

int cli_open_file(const char *path)
{
    int fd;

    cli_as(path);
    fd = open(path, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);
    cli_as(NULL);
    return only_file(fd);
}

int cli_open_new(const char *path, mode_t mode)
{
    int fd;

    cli_as(path);
    fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, mode);
    cli_as(NULL);
    return fd;
}

/* A folder, or what it holds, by one name that is no link. */
static int step(int folder, const char *name, int flags)
{
    int fd = openat(folder, name, flags | O_NOFOLLOW | O_CLOEXEC), code = errno;

    close(folder);
    errno = code;
    return fd;
}

/* path is cut up. */
static int open_below(const char *folder, char *path)
{
    int fd = open(folder, O_PATH | O_DIRECTORY | O_CLOEXEC);

    for (char *slash; fd >= 0 && (slash = strchr(path, '/')); path = slash + 1) {
        *slash = '\0';
        fd = step(fd, path, O_PATH | O_DIRECTORY);
    }
    return fd < 0 ? fd : step(fd, path, O_RDONLY | O_NONBLOCK);
}

int cli_open_below(apr_pool_t *p, const char *folder, const char *path)
{
    int fd;

    cli_as(folder);
    fd = open_below(folder, apr_pstrdup(p, path));
    cli_as(NULL);
    return only_file(fd);
}

const char *cli_why_closed(apr_pool_t *p, int code)
{
    switch (code) {
    case ENOENT:
        return "its file is missing";
    case ELOOP:
    case ENOTDIR:
        return "its path leads over a link, which may lead out of their folder";
    case EINVAL:
        return "what lies there is no file";
    default:
        return apr_psprintf(p, "its file can't be read: %s", strerror(code));
    }
}

int cli_is_whole(const char *path, int (*check)(int fd))
{
    int fd = cli_open_file(path), whole = fd >= 0 && check(fd);

    if (fd >= 0)
        close(fd);
    return whole;
}

int cli_unlink(const char *path)
{
    int rc;

    cli_as(path);
    rc = unlink(path);
    cli_as(NULL);
    return rc;
}

int cli_mkdir(const char *path, mode_t mode)
{
    int rc;

    cli_as(path);
    rc = mkdir(path, mode);
    cli_as(NULL);
    return rc;
}

int cli_rename_new(const char *from, const char *to)
{
    int rc;

    cli_as(to);
    rc = imu_rename_new(from, to);
    cli_as(NULL);
    return rc;
}

int cli_database_in_use(apr_pool_t *p, const char *database)
{
    struct flock lock = {.l_type = F_WRLCK, .l_start = SHM_LOCK_BYTE, .l_len = 1};
    int fd, used;

    cli_as(database);
    fd = open(apr_pstrcat(p, database, "-shm", NULL), O_RDONLY | O_CLOEXEC);
    cli_as(NULL);
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
        return cli_cannot(p, "make", file);
    if (flock(fd, LOCK_EX | LOCK_NB) == 0)
        return NULL;
    close(fd);
    return imu_error(p, 409, "busy", "another import is running");
}

/* @return a descriptor of what has the lock, or -1 with errno */
static int lock(const char *path, int how)
{
    int fd, code;

    cli_as(path);
    fd = open(path, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);
    cli_as(NULL);
    if (fd < 0 || flock(fd, how | LOCK_NB) == 0)
        return fd;
    code = errno;
    close(fd);
    errno = code;
    return -1;
}

void cli_at_work(const char *folder)
{
    (void)lock(folder, LOCK_SH);
}

int cli_is_worked_on(const char *path)
{
    int fd = lock(path, LOCK_EX);

    if (fd < 0)
        return errno == EWOULDBLOCK;
    close(fd);
    return 0;
}

static imu_err *write_file(apr_pool_t *p, const char *path, const char *text)
{
    const char *part = part_of(p, path);
    int fd = open(part, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
    imu_err *err = NULL;

    if (fd < 0)
        return cli_cannot(p, "make", part);
    if (imu_write_all(fd, text, strlen(text)) != 0 || fsync(fd) != 0)
        err = cli_cannot(p, "write", path);
    return end_part(p, fd, part, path, err);
}

imu_err *cli_write_file(apr_pool_t *p, const char *path, const char *text)
{
    imu_err *err;

    cli_as(path);
    err = write_file(p, path, text);
    cli_as(NULL);
    return err;
}
