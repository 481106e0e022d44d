/*
 * board_shares.h: the people a board is shared with by name. Decides nothing about access.
 */
#ifndef IMU_BOARD_SHARES_H
#define IMU_BOARD_SHARES_H

#include "mod_invokemu/store/db.h"

/** *shares: JSON array of {user_id, display_name, permission}, owned by p. */
imu_err *imu_board_shares(imu_db *db, apr_pool_t *p, const char *board_id, json_t **shares);
/**
 * Shares a board with people (JSON array of distinct user ids), or changes what they may do.
 * @param permission  "read", "write" or "admin"
 * @return code "user_not_found" (404) when one of them does not exist; then nothing is changed
 */
imu_err *imu_board_share(imu_db *db, apr_pool_t *p, const char *board_id, const json_t *user_ids,
                         const char *permission);
/** Ends it for one person; no error when it was not shared with them. */
imu_err *imu_board_unshare(imu_db *db, apr_pool_t *p, const char *board_id, const char *user_id);

#endif
