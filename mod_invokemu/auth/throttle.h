/*
 * throttle.h: attempts at a password are limited over all children, in shared memory: sign-ins for
 * each account and each network, confirmations of one's own password for each session. So are
 * guesses at who has an account here, and mails. Each child hashes only a few passwords at once,
 * for those who have asked for little lately first.
 */
#ifndef IMU_THROTTLE_H
#define IMU_THROTTLE_H

#include "mod_invokemu/auth/core_session.h"
#include "mod_invokemu/request.h"

/** Makes the shared tables; called by the parent in post_config. */
apr_status_t imu_throttle_create(apr_pool_t *pconf, server_rec *s);
/** Attaches a child. */
void imu_throttle_child_init(apr_pool_t *pchild, server_rec *s);

/** An attempt to sign in. */
typedef struct imu_attempt {
    const char *account;   /**< the address as typed, whether there is such an account or not */
    imu_network_past past; /**< of the network it comes from */
    int counted;           /**< it was taken from the account's allowance for everywhere */
    int in_vain;           /**< it has to be answered as a wrong password, whatever the password */
    int by_others; /**< refused, or in vain, by a limit that others may have used up: not the
                      network's own */
} imu_attempt;

/**
 * Before a password is checked: takes one attempt from the allowances of account and network.
 *
 * From networks where somebody has signed in before, whoever that was, each name has an allowance
 * that nobody elsewhere can use up, not those beside the network either: the account's owner gets
 * in by it, and others are not told by 429 that they are not the owner, or that there is no owner.
 * Nobody else gains guesses by it: theirs are in vain while the allowance for everywhere is used
 * up.
 * @return 429 with Retry-After when an allowance is used up
 */
imu_err *imu_throttle_sign_in(imu_req *req, imu_attempt *attempt);
/** The password was right, or could not be checked: the attempt doesn't count. */
void imu_throttle_sign_in_back(imu_req *req, const imu_attempt *attempt);
/** There was no place to check the password: the attempt doesn't count for the account, and once
 * more for the network. */
void imu_throttle_sign_in_turned_away(imu_req *req, const imu_attempt *attempt);

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

/** Before a mail is sent for somebody to an address they typed: for each address, for each network
 * they come from; for strangers also for the networks beside it, and for all of them together.
 * @param stranger  not signed in, and nobody has been where they are @return 429 */
imu_err *imu_throttle_mail(imu_req *req, const char *address, int stranger);

/** Whether what was refused here is still to be written down: whoever does it over and over fills
 * the audit log no further. */
int imu_throttle_note(imu_req *req);

#define IMU_HASHING_BUSY "busy"

/** Hashes behind the child's gate, for somebody who has proved something: a session, or a link.
 * @return 503 IMU_HASHING_BUSY with Retry-After when too many wait */
imu_err *imu_hash_password(imu_req *req, const char *password, const char **hash);
/** Compares behind the child's gate. @param stranger  has proved nothing, and nobody has been where
 * they are: has to wait for all others */
imu_err *imu_check_password(imu_req *req, int stranger, const char *password, const char *hash,
                            int *right);

#endif
