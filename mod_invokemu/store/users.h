/*
 * users.h: accounts in the database. Rows carry every column but the password hash, except where
 * the name says so.
 */
#ifndef IMU_STORE_USERS_H
#define IMU_STORE_USERS_H

#include "mod_invokemu/store/db.h"

/** Matches no password: the account waits for its person to choose one. */
#define IMU_NO_PASSWORD "*"
/** Neither does this: the account came from elsewhere, where it had a password that can't be used
 * here. It was not invited. */
#define IMU_LOST_PASSWORD "!"
#define IMU_USERS_MAX     10000 /**< accounts that upstream's unpaged list shows */

/** What an administrator or the account itself changes; NULL and IMU_KEEP leave a field alone. */
#define IMU_KEEP (-1)
typedef struct imu_user_change {
    const char *display_name;
    const char *password_hash; /**< ends every session of the account */
    int is_admin;
    int is_active;
    int must_change_password;
    const char *email; /**< in its stored form; ends the account's open links */
} imu_user_change;

/** How it stands with an account; the numbers are those of the statements. */
typedef enum imu_user_state {
    IMU_USERS_ANY = 0,
    IMU_USERS_ACTIVE = 1,
    IMU_USERS_SUSPENDED = 2,
    IMU_USERS_INVITED = 3 /**< nobody has chosen a password yet */
} imu_user_state;

/** One page of a list. */
typedef struct imu_user_filter {
    const char *search; /**< literal text within address or name; NULL or "": all */
    int is_admin;       /**< 0, 1 or IMU_KEEP for both */
    apr_int64_t offset, limit;
    imu_user_state state;
} imu_user_filter;

/** Whether the account in row 0 waits for its first password: a link to it is an invitation. */
int imu_user_is_invited(const imu_rows *user);
/** One account by id or address; rows->count is 0 when there is none. */
imu_err *imu_user_get(imu_db *db, apr_pool_t *p, const char *user_id, imu_rows **rows);
/** The same with column password_hash. */
imu_err *imu_user_secret_by_id(imu_db *db, apr_pool_t *p, const char *user_id, imu_rows **rows);
imu_err *imu_user_secret_by_email(imu_db *db, apr_pool_t *p, const char *email, imu_rows **rows);

/** For a change that somebody was found to be entitled to some time ago. Inside the transaction
 * that makes it. @return 401 unless the account is still there with that hash */
imu_err *imu_user_hash_is(imu_db *db, apr_pool_t *p, const char *user_id, const char *hash);

/** Every account but the system's, oldest first. */
imu_err *imu_user_list(imu_db *db, apr_pool_t *p, const imu_user_filter *filter, imu_rows **rows,
                       apr_int64_t *total);
/** Active administrators, the system account not counted. */
imu_err *imu_user_count_admins(imu_db *db, apr_pool_t *p, apr_int64_t *count);

/** Whether an account may have this address. @return 400 "email_kept" for one that nobody signs in
 * with */
imu_err *imu_user_check_email(apr_pool_t *p, const char *email);
/** Adds an account. @return 400 "email_taken", or as imu_user_check_email */
imu_err *imu_user_create(imu_db *db, apr_pool_t *p, const char *email, const char *display_name,
                         const char *password_hash, int is_admin, int must_change,
                         const char **user_id);
/** Adds the first administrator. @return 400 "setup_done" when there is an active one */
imu_err *imu_user_create_first_admin(imu_db *db, apr_pool_t *p, const char *email,
                                     const char *display_name, const char *password_hash,
                                     const char **user_id);
/**
 * Changes an account and leaves its new row in *rows.
 * @return 404, 400 "system_user", 400 "email_taken" or as imu_user_check_email, 409 "left_behind",
 * or 400 "last_admin" when nobody could administer the server any more
 */
imu_err *imu_user_update(imu_db *db, apr_pool_t *p, const char *user_id,
                         const imu_user_change *change, imu_rows **rows);
/** Refuses an account that stands for one which was deleted in the installation that was imported,
 * and owns what that one left: nobody has ever had a password for it, and its address is none that
 * could be given. @return 409 "left_behind" */
imu_err *imu_user_check_somebodys(apr_pool_t *p, const imu_rows *user);
/** Whether somebody may get a link to choose a password for the account.
 * @return as imu_user_check_somebodys, 409 "account_suspended" */
imu_err *imu_user_check_link(apr_pool_t *p, const imu_rows *user);
/** Whether an account can be given what others owned. @param user  with password_hash and is_active
 * @return 400 "heir_left_behind", "heir_invited" or "heir_suspended" */
imu_err *imu_user_check_receiver(apr_pool_t *p, const imu_rows *user);
/** Whether imu_user_delete may delete an account; it looks again. @return as that */
imu_err *imu_user_check_delete(imu_db *db, apr_pool_t *p, const char *user_id, const char *heir);
/** Deletes an account with all its rows.
 * @param heir  whose its boards, pictures, workflows and style presets become; NULL: they go too
 * @return as imu_user_update; 400 "heir_unknown" unless there is such another account,
 * or as imu_user_check_receiver */
imu_err *imu_user_delete(imu_db *db, apr_pool_t *p, const char *user_id, const char *heir);

#endif
