/*
 * board_shares.h: the people a board is shared with by name. Decides nothing about access.
 */
#ifndef IMU_BOARD_SHARES_H
#define IMU_BOARD_SHARES_H

#include "mod_invokemu/store/db.h"

/**
 * *shares: JSON array of {user_id, display_name, permission}, owned by p. Who has no display name
 * goes by their address, if the reader knows it, else by null.
 * @param reader      user id
 * @param is_admin    the reader sees all accounts
 */
imu_err *imu_board_shares(imu_db *db, apr_pool_t *p, const char *board_id, const char *reader,
                          int is_admin, json_t **shares);
/** Up to 20 people it could be shared with whose name holds the text `search`: for administrators
 * everybody, for others whom they know here. Columns user_id, display_name, email (NULL but for
 * administrators). */
imu_err *imu_board_people(imu_db *db, apr_pool_t *p, const char *board_id, const char *reader,
                          int is_admin, const char *search, imu_rows **people);
/**
 * Shares a board with people (JSON array of distinct user ids), or changes what they may do.
 * @param permission  "read", "write" or "admin"
 * @param named_by  user id of who named them by their addresses, or NULL
 * @return code "user_not_found" (404) when one of them does not exist; then nothing is changed
 */
imu_err *imu_board_share(imu_db *db, apr_pool_t *p, const char *board_id, const json_t *user_ids,
                         const char *permission, const char *named_by);
/** Ends it for one person. *ended: 0 when it was not shared with them, which is no error. */
imu_err *imu_board_unshare(imu_db *db, apr_pool_t *p, const char *board_id, const char *user_id,
                           int *ended);

#endif
