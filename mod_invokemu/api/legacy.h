/*
 * api/legacy.h: what was made here before there were accounts.
 */
#ifndef IMU_API_LEGACY_H
#define IMU_API_LEGACY_H

#include "mod_invokemu/request.h"

/** {boards, images, workflows, style_presets}, or null when there is none of them. */
json_t *imu_legacy_json(const imu_rows *counts);
/** Notes in the audit log who received what. */
void imu_legacy_noted(imu_req *req, const char *user_id, const char *email, const imu_rows *counts);

#endif
