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
/** The same for somebody who asked for it themselves: only earlier ones of that kind stop working.
 * Nobody else could end an administrator's link that way. */
imu_err *imu_invitation_create_own(imu_db *db, apr_pool_t *p, const imu_rows *user, int hours,
                                   const char **token);
/** Ends the open links of an account, and the mails that would bring them. Inside a transaction. */
imu_err *imu_invitation_revoke(imu_db *db, apr_pool_t *p, const char *user_id);
/** The account a token opens: columns invitation_id, user_id, email, display_name. @return 404
 * "link_unknown", also while the account is suspended, 410 "link_used" or "link_expired" */
imu_err *imu_invitation_account(imu_db *db, apr_pool_t *p, const char *token, imu_rows **account);
/** Stores the chosen password, uses the link up and ends the account's sessions. @param network
 * where that happens: the only one that the account is known from then @return 410 "link_used"
 * when somebody was faster, 404 "link_unknown" when it was ended meanwhile */
imu_err *imu_invitation_redeem(imu_db *db, apr_pool_t *p, const imu_rows *account,
                               const char *password_hash, const char *network);

/** Links that nobody has used: columns invitation_id, user_id, email, display_name, is_admin,
 * invited_by_user_id, created_at, expires_at, expired, and purpose: "invitation" to an account that
 * nobody had a password for and that owns nothing, else "reset" of a password. */
imu_err *imu_invitation_list(imu_db *db, apr_pool_t *p, imu_rows **rows);
/** One of them as clients read it. */
json_t *imu_invitation_json(const imu_rows *rows, int row);
/** A link that nobody has used: columns user_id, email, purpose ("invitation" or "reset").
 * @return 404 "invitation_not_found", also when it was used */
imu_err *imu_invitation_open(imu_db *db, apr_pool_t *p, const char *invitation_id,
                             imu_rows **account);
/**
 * Ends a link. An account that was merely invited, which owns nothing, goes with it.
 * @param account  whose link it was: columns user_id, email, purpose ("invitation": it is gone)
 * @return 404 "invitation_not_found", also when it was used
 */
imu_err *imu_invitation_end(imu_db *db, apr_pool_t *p, const char *invitation_id,
                            imu_rows **account);

#endif
