/*
 * root_admin.h: the administrator that the configuration names (specification 4.2): how a server is
 * entered again whose administrators have lost their passwords.
 */
#ifndef IMU_STORE_ROOT_ADMIN_H
#define IMU_STORE_ROOT_ADMIN_H

#include "mod_invokemu/store/db.h"

/**
 * Brings the account to what the configuration says: it is there, an active administrator, and has
 * that password; sessions and links of before end. Done when the configuration says something else
 * than the last time, or when nobody can administer the server: a password that is changed in the
 * browser stays.
 * @param email, hash  in normal form
 * @param applied  whether anything was done
 */
imu_err *imu_root_admin_apply(imu_db *db, apr_pool_t *p, const char *email, const char *hash,
                              int *applied);

#endif
