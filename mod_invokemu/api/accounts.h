/*
 * accounts.h: what the sign-in, profile and people pages share.
 */
#ifndef IMU_API_ACCOUNTS_H
#define IMU_API_ACCOUNTS_H

#include "mod_invokemu/api/audit.h"
#include "mod_invokemu/request.h"
#include "mod_invokemu/store/users.h"
#include "mod_invokemu/util/person.h"
#include "mod_invokemu/validate.h"

#define IMU_PASSWORD_BODY                                                                          \
    1024 /**< bytes of a password that are read at all; the rules say what is accepted */

/** The account in row as clients see it. */
json_t *imu_account_json(const imu_rows *rows, int row);
/** A required address in its stored form; faults anything else. */
const char *imu_check_email(imu_check *c, apr_pool_t *p, const json_t *body, const char *field);
/** The optional display_name, as it is to be stored. NULL when none is given. */
const char *imu_check_name(imu_check *c, apr_pool_t *p, const json_t *body);
/** Checks a new password by the configured rules and hashes it. @return 400, 503 */
imu_err *imu_new_password(imu_req *req, const char *password, const char *email, const char *name,
                          const char **hash);
/**
 * The current password of whoever asks must be known; guessing it is limited.
 * @param action  what was tried, for the audit log
 * @param hash    as it was when the password was found to be right
 * @return 400, 429, 503
 */
imu_err *imu_confirm_password(imu_req *req, imu_db *db, imu_audit_action action,
                              const char *current, const char **hash);
/** The account named {user_id} in the path. @return 404, also for the system's */
imu_err *imu_named_account(imu_req *req, imu_rows **user);
/**
 * Stores a change of the account id and tells its open pages. A new password ends the account's
 * sessions along with it; when it is the own account, the session that asks goes on with a new
 * token and cookies. Who suspends the own account is signed out.
 * An account that is suspended loses its jobs.
 * @param hash_was  nothing is changed unless the password still has this hash; NULL: in any case
 * @return 401 when the password, or the session, has been changed or ended meanwhile; else as
 * imu_user_update
 */
imu_err *imu_account_store(imu_req *req, imu_db *db, const char *id, const imu_user_change *change,
                           const char *hash_was, imu_rows **user);
/** How the body of a new account is written: as upstream's, as the specification's, or as an
 * invitation alone. */
typedef enum imu_account_form {
    IMU_FORM_UPSTREAM,
    IMU_FORM_SPECIFICATION,
    IMU_FORM_INVITATION
} imu_account_form;

/** Creates the account that the request's body tells of. @param invited  it waits for a password */
imu_err *imu_account_new(imu_req *req, imu_account_form form, int *invited, imu_rows **user);
/** Makes the link by which the person of a new account chooses its password, mails it where mail is
 * on, and answers with both (invitations.c). */
imu_err *imu_invite(imu_req *req, imu_db *db, const imu_rows *user);
/** Tells of the jobs (imu_queue_change) that ended with the right to have them: their worker stops,
 * and everybody hears. */
void imu_account_tell_ended(imu_req *req, const apr_array_header_t *ended);
/** True for the account of the session that asks. */
int imu_is_own_account(const imu_req *req, const char *id);

#endif
