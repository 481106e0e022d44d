#include "mod_invokemu/store/disk.h"

#include <fcntl.h>
#include <stdint.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include <apr_strings.h>

/* What cannot be asked is not taken for full: whoever writes there will hear of it. */
static int is_low(const char *path, apr_int64_t min)
{
    struct statvfs fs;

    return statvfs(path, &fs) == 0 && (uint64_t)fs.f_bavail * fs.f_frsize < (uint64_t)min;
}

imu_err *imu_disk_check(apr_pool_t *p, const char *root, const char *database, apr_int64_t min)
{
    const char *where = is_low(root, min) ? root : is_low(database, min) ? database : NULL;

    if (min == 0 || !where)
        return NULL;
    return imu_error_log(p,
                         imu_error(p, 507, "disk_low",
                                   "The server's disk is nearly full. Delete pictures that are no "
                                   "longer needed, or tell the administrator."),
                         "less than InvokeMUMinFree (%" APR_INT64_T_FMT " MiB) is free at %s",
                         min / 1048576, where);
}

imu_err *imu_disk_check_for(apr_pool_t *p, const char *root, apr_int64_t min, apr_int64_t bytes)
{
    if (min == 0 || !is_low(root, min + 2 * bytes))
        return NULL;
    return imu_error_log(p,
                         imu_error(p, 507, "disk_low",
                                   "The server's disk has too little room for that. Choose fewer "
                                   "pictures, or tell the administrator."),
                         "%" APR_INT64_T_FMT " MiB at %s would take more than half of what is "
                         "free above InvokeMUMinFree",
                         bytes / 1048576, root);
}

static const char *reserve_path(apr_pool_t *p, const char *database)
{
    return apr_pstrcat(p, database, "-reserve", NULL);
}

void imu_disk_reserve(apr_pool_t *p, const char *database)
{
    const char *path = reserve_path(p, database);
    struct stat st;
    int fd, rc;

    if (is_low(database, 4 * IMU_DISK_RESERVE) ||
        (stat(path, &st) == 0 && st.st_size >= IMU_DISK_RESERVE))
        return;
    fd = open(path, O_WRONLY | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
    if (fd < 0)
        return;
    rc = posix_fallocate(fd, 0, IMU_DISK_RESERVE);
    close(fd);
    if (rc != 0)
        unlink(path);
}

int imu_disk_release(apr_pool_t *p, const char *database, apr_int64_t tight)
{
    return is_low(database, tight) && unlink(reserve_path(p, database)) == 0;
}
