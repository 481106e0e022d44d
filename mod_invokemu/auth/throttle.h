/*
 * throttle.h: attempts at a password are limited over all children, in shared memory: sign-ins for
 * each account and each address, confirmations of one's own password for each session. So are
 * guesses at who has an account here. Each child hashes only a few passwords at once.
 */
#ifndef IMU_THROTTLE_H
#define IMU_THROTTLE_H

#include "mod_invokemu/request.h"

/** Makes the shared table; called by the parent in post_config. */
apr_status_t imu_throttle_create(apr_pool_t *pconf, server_rec *s);
/** Attaches a child. */
void imu_throttle_child_init(apr_pool_t *pchild, server_rec *s);

/**
 * Before a password is checked: takes one attempt from the allowance of account and address.
 * @param account  the address as typed, whether there is such an account or not
 * @param known    the account was signed in to from there before: an allowance that nobody else can
 *                 use up
 * @return 429 with Retry-After when either is used up
 */
imu_err *imu_throttle_sign_in(imu_req *req, const char *account, int known);
/** The password was right, or was not checked: the attempt doesn't count. */
void imu_throttle_sign_in_back(imu_req *req, const char *account, int known);

/**
 * The same before somebody who is signed in confirms their password. Each session has an allowance
 * of its own: strangers who try to sign in can't use it up.
 */
imu_err *imu_throttle_confirm(imu_req *req);
void imu_throttle_confirm_back(imu_req *req);

/**
 * The same before somebody names a person by their address, as for sharing: who tries one address
 * after another learns little of who has an account here.
 */
imu_err *imu_throttle_search(imu_req *req);
/** There is such a person. */
void imu_throttle_search_back(imu_req *req);

/** Before a mail is sent for somebody to an address they typed: for each address, and for each
 * network they come from. @return 429 */
imu_err *imu_throttle_mail(imu_req *req, const char *address);

/** Whether what was refused here is still to be written down: whoever does it over and over fills
 * the audit log no further. */
int imu_throttle_note(imu_req *req);

/** Hashes and compares behind the child's gate. @return 503 with Retry-After when too many wait */
imu_err *imu_hash_password(imu_req *req, const char *password, const char **hash);
imu_err *imu_check_password(imu_req *req, const char *password, const char *hash, int *right);

#endif
