/*
 * store/mail.h: the queue of mails, and new addresses that wait for their confirmation.
 */
#ifndef IMU_STORE_MAIL_H
#define IMU_STORE_MAIL_H

#include "mod_invokemu/store/db.h"

#define IMU_MAIL_INVITATION    "invitation"
#define IMU_MAIL_RESET         "reset"
#define IMU_MAIL_FORGOT        "forgot"
#define IMU_MAIL_EMAIL_CHANGE  "email_change"
#define IMU_MAIL_EMAIL_CHANGED "email_changed" /* to the address of before; without a link */

/* Pages that links lead to; the token follows. */
#define IMU_INVITE_PAGE "/invite?token="
#define IMU_RESET_PAGE  "/reset?token="
#define IMU_EMAIL_PAGE  "/confirm-email?token="

#define IMU_INVITATION_HOURS   (7 * 24)
#define IMU_RESET_HOURS        24
#define IMU_EMAIL_CHANGE_HOURS 24

/**
 * Adds a mail. Subject and text are made when it is sent, from the template of its kind.
 * @param name  may be NULL
 * @param link  NULL for IMU_MAIL_FORGOT, whose link is made along with the mail, and for
 * IMU_MAIL_EMAIL_CHANGED
 * @return 503 "mail_queue_full"
 */
imu_err *imu_mail_add(imu_db *db, apr_pool_t *p, const char *kind, const char *to, const char *name,
                      const char *link);
/** A mail with the link to the account in *user: an invitation while it has no password, else for a
 * new one. @param invited_by  name of who invites, or NULL */
imu_err *imu_mail_add_link(imu_db *db, apr_pool_t *p, const imu_rows *user, const char *link,
                           const char *invited_by);
/** The mail that has been due for longest; rows->count is 0 when none is. */
imu_err *imu_mail_due(imu_db *db, apr_pool_t *p, imu_rows **mail);
/**
 * Makes the link of a mail that somebody asked for themselves: to a new password, or to the first
 * one. A mail to nobody's address, or to somebody who is suspended, is forgotten.
 * @param base  what stands before the pages of links
 */
imu_err *imu_mail_resolve(imu_db *db, apr_pool_t *p, const imu_rows *mail, const char *base);
/** Counts an attempt before it is made. @param next  when another may be, if nobody tells how this
 * one went. @param claimed  0 when somebody else was faster */
imu_err *imu_mail_claim(imu_db *db, apr_pool_t *p, const imu_rows *mail, apr_time_t next,
                        int *claimed);
/** It will be tried again at that time. */
imu_err *imu_mail_note(imu_db *db, apr_pool_t *p, apr_int64_t mail_id, const char *error,
                       apr_time_t next);
/** It was sent (error is NULL) or given up; its link goes. */
imu_err *imu_mail_end(imu_db *db, apr_pool_t *p, apr_int64_t mail_id, const char *error);
/** Removes what was ended before that time. */
imu_err *imu_mail_purge(imu_db *db, apr_pool_t *p, apr_time_t before);
/** How many wait, were sent and failed; and the latest that wait or failed, without their links. */
imu_err *imu_mail_overview(imu_db *db, apr_pool_t *p, imu_rows **counts, imu_rows **list);

/**
 * Puts a mail that was given up into the queue again, with a link of its own: its old one is not
 * kept anywhere. One that waits is due at once.
 * @param by_user_id  who asks for it
 * @param base  what stands before the pages of links
 * @param mail  columns mail_id, kind, to_address, state (as it was)
 * @return 404 "mail_not_found", 409 "mail_pointless" when the account or the change that it was
 * about is not there any more
 */
imu_err *imu_mail_again(imu_db *db, apr_pool_t *p, apr_int64_t mail_id, const char *by_user_id,
                        const char *base, imu_rows **mail);

/** Notes the new address of an account, in place of an earlier one. @param token  to confirm it by
 */
imu_err *imu_email_change_ask(imu_db *db, apr_pool_t *p, const char *user_id, const char *email,
                              const char **token);
/**
 * The change that a link is for; nothing is changed. Columns as below.
 * @return 404, 410 for a link that doesn't work
 */
imu_err *imu_email_change_find(imu_db *db, apr_pool_t *p, const char *token, imu_rows **change);
/**
 * Puts the new address in force. *change: columns user_id, email (the old one), display_name,
 * last_login_at, new_email.
 * @return 404, 410 for a link that doesn't work; 400 "email_taken"
 */
imu_err *imu_email_change_confirm(imu_db *db, apr_pool_t *p, const char *token, imu_rows **change);

#endif
