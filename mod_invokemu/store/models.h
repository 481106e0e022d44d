/*
 * models.h: what the server can render with.
 */
#ifndef IMU_MODELS_H
#define IMU_MODELS_H

#include "mod_invokemu/store/db.h"

/** Makes a record of each model folder below dir that has none yet. */
imu_err *imu_models_scan(imu_db *db, const char *dir);

#endif
