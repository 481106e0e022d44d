#include "mod_invokemu/store/database_use.h"

#include <errno.h>
#include <fcntl.h>
#include <stdint.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include <apr_strings.h>

static apr_status_t let_go(void *fd)
{
    return close((int)(intptr_t)fd) == 0 ? APR_SUCCESS : errno;
}

static imu_err *in_use(apr_pool_t *p, const char *database, int alone)
{
    if (alone)
        return imu_error(p, 409, "running",
                         "%s is in use: stop Apache first, and let every other command end, or "
                         "name another folder with --root",
                         database);
    return imu_error(p, 409, "restoring",
                     "a backup is being restored to %s: try again when that is done", database);
}

imu_err *imu_database_complete(apr_pool_t *p, const char *database)
{
    struct stat st;

    if (lstat(apr_pstrcat(p, database, IMU_DATABASE_RESTORING, NULL), &st) != 0)
        return NULL;
    return imu_error(p, 409, "half_restored", "a restore to %s was broken off: " IMU_RESTORE_AGAIN,
                     database);
}

imu_err *imu_database_hold(apr_pool_t *p, const char *database, int alone)
{
    const char *path = apr_pstrcat(p, database, IMU_DATABASE_USE, NULL);
    /* Not for waiting at what somebody may have laid there in its place. */
    int fd = open(path, O_RDONLY | O_CREAT | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC, 0600);

    if (fd < 0)
        return imu_error_internal(p, "can't open %s: %s", path, strerror(errno));
    if (flock(fd, (alone ? LOCK_EX : LOCK_SH) | LOCK_NB) != 0) {
        int busy = errno == EWOULDBLOCK;
        imu_err *err = busy ? in_use(p, database, alone)
                            : imu_error_internal(p, "can't lock %s: %s", path, strerror(errno));

        close(fd);
        return err;
    }
    apr_pool_cleanup_register(p, (void *)(intptr_t)fd, let_go, apr_pool_cleanup_null);
    return alone ? NULL : imu_database_complete(p, database);
}
