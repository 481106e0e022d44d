/*
 * invitations.h: links by which a person chooses the password of an account, once: an invitation to
 * a new account, or a reset. The database keeps the hash of the link's token alone.
 */
#ifndef IMU_STORE_INVITATIONS_H
#define IMU_STORE_INVITATIONS_H

#include "mod_invokemu/store/db.h"

/** Makes a link's token for the account in *user; earlier links of that account stop working.
 * @param hours  its life */
imu_err *imu_invitation_create(imu_db *db, apr_pool_t *p, const imu_rows *user,
                               const char *by_user_id, int hours, const char **token);
/** The account a token opens: columns invitation_id, user_id, email, display_name. @return 404
 * "link_unknown", 410 "link_used" or "link_expired" */
imu_err *imu_invitation_account(imu_db *db, apr_pool_t *p, const char *token, imu_rows **account);
/** Stores the chosen password, uses the link up and ends the account's sessions. @return 400
 * "link_invalid" when somebody was faster */
imu_err *imu_invitation_redeem(imu_db *db, apr_pool_t *p, const imu_rows *account,
                               const char *password_hash);

#endif
