#include "mod_invokemu/store/orphans.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <apr_strings.h>

#include "mod_invokemu/store/files.h"

static const char *folder_of(apr_pool_t *p, const char *root, int n)
{
    return n > 1 ? apr_psprintf(p, "%s/" IMU_ORPHANS_DIR "/%d", root, n)
                 : apr_pstrcat(p, root, "/" IMU_ORPHANS_DIR, NULL);
}

const char *imu_orphan_path(apr_pool_t *p, const char *root, const char *name, int n)
{
    return apr_pstrcat(p, folder_of(p, root, n), "/", name, NULL);
}

/* A file itself, and nothing that only leads to one. @return a descriptor or -1 */
static int open_plain(const char *path)
{
    int fd = open(path, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);
    struct stat st;

    if (fd < 0 || (fstat(fd, &st) == 0 && S_ISREG(st.st_mode)))
        return fd;
    close(fd);
    return -1;
}

static int is_copy(const char *path, const char *kept)
{
    int one = open_plain(path), other = open_plain(kept);
    int same = one >= 0 && other >= 0 && imu_is_same_file(one, other);

    if (one >= 0)
        close(one);
    if (other >= 0)
        close(other);
    return same;
}

static imu_err *cannot(apr_pool_t *p, const char *doing, const char *path)
{
    return imu_error_internal(p, "cannot %s %s: %s", doing, path, strerror(errno));
}

/* @param taken  set when another orphan has that place */
static imu_err *try_place(apr_pool_t *p, const char *path, const char *folder, const char *place,
                          int *taken)
{
    *taken = 0;
    if (mkdir(folder, 0750) != 0 && errno != EEXIST)
        return cannot(p, "make", folder);
    if (imu_rename_new(path, place) == 0 || errno == ENOENT)
        return NULL;
    /* ENOTDIR: an orphan that is called as a folder of ours would be. */
    if (errno != EEXIST && errno != ENOTDIR)
        return cannot(p, "move", path);
    if (!is_copy(path, place)) {
        *taken = 1;
        return NULL;
    }
    return unlink(path) == 0 || errno == ENOENT ? NULL : cannot(p, "remove", path);
}

imu_err *imu_orphan_keep(apr_pool_t *p, const char *root, const char *path, const char *name)
{
    int taken = 1;
    imu_err *err = NULL;

    for (int n = 1; !err && taken && n <= IMU_ORPHANS_MAX; n++)
        err = try_place(p, path, folder_of(p, root, n), imu_orphan_path(p, root, name, n), &taken);
    if (!err && taken)
        err = imu_error_internal(
            p, "cannot move %s: too many files of its name are below outputs/orphans", path);
    return err;
}
