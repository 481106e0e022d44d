/*
 * secrets.h: the key that signs tokens. Made once, by the parent, and kept in app_settings.
 */
#ifndef IMU_SECRETS_H
#define IMU_SECRETS_H

#include "mod_invokemu/store/db.h"

#define IMU_JWT_SECRET_SETTING "jwt_secret"

/** Makes the 256-bit signing key if the database has none yet. */
imu_err *imu_secrets_ensure(imu_db *db);

#endif
