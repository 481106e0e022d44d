/*
 * core_secret.h: the key that tokens are signed with. Lives in app_settings, 256 random bits made
 * once as base64url text, whose characters are the key. Kept in the process after the first read,
 * since every request needs it.
 */
#ifndef IMU_CORE_SECRET_H
#define IMU_CORE_SECRET_H

#include "mod_invokemu/store/db.h"

#define IMU_SECRET_SETTING "jwt_secret"

/** Makes the key when there is none, and keeps it in this process and its children. For the parent,
 * at every start. */
imu_err *imu_secrets_ensure(imu_db *db);

/** The key, read from the database at the first call. Thread-safe. */
imu_err *imu_secret(imu_db *db, apr_pool_t *p, const char **key);

#endif
