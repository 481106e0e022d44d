#include "mod_invokemu/store/previews.h"

#include <errno.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <apr_strings.h>

#include "mod_invokemu/store/files.h"
#include "mod_invokemu/util/ids.h"

#define UUID_LENGTH 36

const char *imu_preview_path(apr_pool_t *p, const char *root, const char *folder, const char *name)
{
    if (!name || strlen(name) != UUID_LENGTH + sizeof ".webp" - 1 ||
        strcmp(name + UUID_LENGTH, ".webp") != 0 ||
        !imu_is_any_uuid(apr_pstrmemdup(p, name, UUID_LENGTH)))
        return NULL;
    return apr_pstrcat(p, root, "/", folder, "/", name, NULL);
}

imu_err *imu_preview_store(apr_pool_t *p, const char *root, const char *folder, const char *name,
                           int fd)
{
    const char *path = imu_preview_path(p, root, folder, name);
    const char *dir = apr_pstrcat(p, root, "/", folder, NULL);

    if (!path)
        return imu_error_internal(p, "no name for a preview: %s", name ? name : "(none)");
    if (mkdir(dir, 0750) != 0 && errno != EEXIST)
        return imu_error_internal(p, "cannot make %s: %s", dir, strerror(errno));
    return imu_file_store(p, fd, path, IMU_FILE_WEBP, IMU_PREVIEW_MAX_FILE);
}

imu_err *imu_preview_remove(apr_pool_t *p, const char *root, const char *folder, const char *name)
{
    const char *path = imu_preview_path(p, root, folder, name);

    if (path && unlink(path) != 0 && errno != ENOENT)
        return imu_error_internal(p, "cannot remove %s: %s", path, strerror(errno));
    return NULL;
}
