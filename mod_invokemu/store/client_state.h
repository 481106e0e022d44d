/*
 * client_state.h: what a client remembers for its person: text by key.
 */
#ifndef IMU_CLIENT_STATE_H
#define IMU_CLIENT_STATE_H

#include "mod_invokemu/store/db.h"

/** The value, or NULL in *value. */
imu_err *imu_client_state_get(imu_db *db, apr_pool_t *p, const char *user_id, const char *key,
                              const char **value);
/** @return 413 "state_full" when the person keeps too many keys */
imu_err *imu_client_state_set(imu_db *db, apr_pool_t *p, const char *user_id, const char *key,
                              const char *value);
/** Keys that begin with prefix, byte by byte. */
imu_err *imu_client_state_keys(imu_db *db, apr_pool_t *p, const char *user_id, const char *prefix,
                               imu_rows **rows);
/** Deletes one key, or all when key is NULL. */
imu_err *imu_client_state_delete(imu_db *db, apr_pool_t *p, const char *user_id, const char *key);

#endif
