#include "mod_invokemu/store/ownership.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <apr_strings.h>

#define FOLDER (O_RDONLY | O_DIRECTORY | O_CLOEXEC)

/* One folder further. @param linked  set once a link was followed @return a descriptor or -1 */
static int enter(int at, const char *name, uid_t uid, gid_t gid, int *linked)
{
    int fd;

    if (!*linked && mkdirat(at, name, 0750) != 0 && errno != EEXIST)
        return -1;
    fd = openat(at, name, *linked ? FOLDER : FOLDER | O_NOFOLLOW);
    if (fd < 0 && !*linked && (errno == ELOOP || errno == ENOTDIR)) {
        *linked = 1;
        fd = openat(at, name, FOLDER);
    }
    if (fd >= 0 && !*linked && uid != (uid_t)-1 && fchown(fd, uid, gid) != 0) {
        close(fd);
        return -1;
    }
    return fd;
}

imu_err *imu_own_folders(apr_pool_t *p, const char *root, const char *below, uid_t uid, gid_t gid)
{
    char *state, *rest = apr_pstrdup(p, below);
    int linked = 0, fd = open(root, FOLDER);

    for (const char *name = apr_strtok(rest, "/", &state); fd >= 0 && name;
         name = apr_strtok(NULL, "/", &state)) {
        int next = enter(fd, name, uid, gid, &linked);
        int why = errno;

        close(fd);
        fd = next;
        errno = why;
    }
    if (fd < 0)
        return imu_error_internal(p, "cannot make the folder %s/%s for the server's user: %s", root,
                                  below, strerror(errno));
    close(fd);
    return NULL;
}

int imu_own_file(const char *path, uid_t uid, gid_t gid)
{
    int fd = open(path, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC), rc = -1;
    struct stat info;

    if (fd < 0)
        return errno == ENOENT ? 0 : -1;
    if (fstat(fd, &info) == 0) {
        errno = EPERM;
        if (S_ISREG(info.st_mode) && info.st_nlink == 1 && fchown(fd, uid, gid) == 0)
            rc = fchmod(fd, 0600);
    }
    close(fd);
    return rc;
}
