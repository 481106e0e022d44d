/*
 * legacy.h: boards, pictures, workflows and style presets from before there were accounts. They
 * belong to the server's own account, which nobody signs in to, until an account receives them
 * (specification 6.4).
 */
#ifndef IMU_STORE_LEGACY_H
#define IMU_STORE_LEGACY_H

#include "mod_invokemu/store/db.h"

/** How many there are. Columns boards, images (without intermediate ones), workflows,
 * style_presets. */
imu_err *imu_legacy_count(imu_db *db, apr_pool_t *p, imu_rows **counts);
/** {boards, images, workflows, style_presets}. */
json_t *imu_legacy_numbers(const imu_rows *counts);
/** The same, or null when there is none of them. */
json_t *imu_legacy_json(const imu_rows *counts);
/** True when there is any. */
int imu_legacy_any(const imu_rows *counts);
/**
 * Hands all of it to an account, with the ended jobs and what a client kept for itself.
 * @param counts  how many it were
 * @return 404 "user_not_found"; 400 as imu_user_check_receiver, for one that has no password yet
 * and would take everything along when its invitation is taken back, or is suspended
 */
imu_err *imu_legacy_assign(imu_db *db, apr_pool_t *p, const char *user_id, imu_rows **counts);

#endif
