/*
 * core_password.h: the rules a password has to follow, and its bcrypt hash. Free of httpd.
 *
 * Hashing takes a quarter of a second on purpose: never inside a transaction, and in httpd only
 * behind the gate of core_gate.h.
 */
#ifndef IMU_CORE_PASSWORD_H
#define IMU_CORE_PASSWORD_H

#include "mod_invokemu/util/err.h"

#define IMU_PASSWORD_MIN       8  /**< characters (specification 4.3) */
#define IMU_PASSWORD_MAX       72 /**< bytes: bcrypt reads no more, so nobody can choose more */
#define IMU_PASSWORD_GENERATED 16 /**< characters of a suggested password */

/**
 * Checks a new password. Strict: eight characters (or more, see imu_password_length_set), capital
 * and small letter, digit, and neither a well-known password nor close to one or to the account's
 * own name and address (zxcvbn's lists and estimate). Otherwise: not empty. Both: at most 72 bytes,
 * no control characters.
 * @param email, name  the account's, may be NULL
 * @return NULL or a 400 "password_weak" whose detail says which rule is broken
 */
imu_err *imu_password_check(apr_pool_t *p, const char *password, int strict, const char *email,
                            const char *name);

/** Sets how many characters a strong password has at least, for this process and those it starts:
 * IMU_PASSWORD_MIN unless this was called. */
void imu_password_length_set(int characters);

/** A bcrypt hash that another program made, as ours are written. @return NULL for anything else, or
 * for a cost below 10 or above 16 */
const char *imu_password_hash_normal(apr_pool_t *p, const char *hash);
/** The same written as one of another program, to be kept with an account: $2y$, the other name of
 * the same function, which ours never have. */
const char *imu_password_hash_foreign(apr_pool_t *p, const char *hash);

/** bcrypt hash ($2b$, cost 12, fresh salt). @return 500 when the system offers no bcrypt */
imu_err *imu_password_hash(apr_pool_t *p, const char *password, const char **hash);

/** True when the password has that hash. Takes as long for a hash that can match nothing (NULL,
 * "*"). A longer password than can be chosen here matches none of our hashes; of a foreign one's,
 * the first 72 bytes count, without a character that is cut there, as InvokeAI makes them. */
int imu_password_verify(const char *password, const char *hash);

/** A random password with capital, small letter, digit and special character, as the rules want it.
 */
const char *imu_password_generate(apr_pool_t *p);

#endif
