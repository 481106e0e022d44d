/*
 * api/legacy.h: what was made here before there were accounts.
 */
#ifndef IMU_API_LEGACY_H
#define IMU_API_LEGACY_H

#include "mod_invokemu/request.h"
#include "mod_invokemu/store/legacy.h"

/** Notes in the audit log who received what. */
void imu_legacy_noted(imu_req *req, const char *user_id, const char *email, const imu_rows *counts);

#endif
