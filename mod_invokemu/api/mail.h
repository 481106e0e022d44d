/*
 * api/mail.h: links to pages of ours, and the mails that bring them.
 */
#ifndef IMU_API_MAIL_H
#define IMU_API_MAIL_H

#include "mod_invokemu/request.h"
#include "mod_invokemu/store/mail.h"

/** The address of a page of ours with a token: below InvokeMUPublicURL, or as whoever asks calls
 * this server. @param page  such as IMU_INVITE_PAGE */
const char *imu_page_link(imu_req *req, const char *page, const char *token);
/** Puts a mail with that link into the queue. @return 1 when it waits there; 0 when mail is off, or
 * it failed and the log says why */
int imu_mail_link(imu_req *req, imu_db *db, const char *kind, const imu_rows *user,
                  const char *link);

/** The same for the link to an account: an invitation while that has no password, from whoever
 * asks, else for a new one. */
int imu_mail_account_link(imu_req *req, imu_db *db, const imu_rows *user, const char *link);

/** Tells the address of before, where mail is on, that the account has another one now.
 * @param before  the account as it was */
void imu_mail_changed_address(imu_req *req, imu_db *db, const imu_rows *before);

#endif
