/*
 * core_email.h: the address an account is known by.
 */
#ifndef IMU_CORE_EMAIL_H
#define IMU_CORE_EMAIL_H

#include <apr_pools.h>

#define IMU_EMAIL_MAX 254 /**< bytes (RFC 5321 section 4.5.3.1.3) */

/**
 * The address as it is stored: ASCII letters small. Accepts the dot-atom form of RFC 5322
 * section 3.4.1, letters beyond ASCII (RFC 6531) that can be seen, and host names of one label,
 * which home networks have.
 * @return the address in p, or NULL when it is none
 */
const char *imu_email_normal(apr_pool_t *p, const char *text);

/**
 * Addresses that nobody signs in with: accounts that stand for those which were deleted where an
 * import came from have them (cli/import_people.c), and the top level domain is kept for such
 * things (RFC 2606).
 */
#define IMU_EMAIL_NOBODYS "@deleted.invalid"
/** Whether an address in its stored form is one of them. */
int imu_email_is_nobodys(const char *email);

#endif
