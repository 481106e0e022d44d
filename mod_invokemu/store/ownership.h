/*
 * ownership.h: what root makes for the server's user. That user may have laid links in its own
 * folders by then, so root follows none of them. POSIX only.
 */
#ifndef IMU_OWNERSHIP_H
#define IMU_OWNERSHIP_H

#include <sys/types.h>

#include "mod_invokemu/util/err.h"

/**
 * Makes the folders of a path below root and gives them away. A folder that a link leads to is used
 * as it is, whatever lies below it too.
 * @param below  such as "outputs/images"; "" for root itself
 * @param uid, gid  owner of the folders, or (uid_t)-1 and (gid_t)-1 to leave it
 */
imu_err *imu_own_folders(apr_pool_t *p, const char *root, const char *below, uid_t uid, gid_t gid);

/** Gives a file to a user, for nobody else to read. Not a link, and nothing that has two names.
 * @return 0, also when it is not there; -1 with errno */
int imu_own_file(const char *path, uid_t uid, gid_t gid);

#endif
