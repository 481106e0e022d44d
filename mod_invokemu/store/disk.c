#include "mod_invokemu/store/disk.h"

#include <stdint.h>
#include <sys/statvfs.h>

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
