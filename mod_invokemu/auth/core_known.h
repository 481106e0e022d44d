/*
 * core_known.h: sessions whose token was found to be good, for as long as nothing at all changes in
 * the database. Spares most requests the signature and the look at session and account; what ends
 * with time has to be looked at all the same.
 */
#ifndef IMU_CORE_KNOWN_H
#define IMU_CORE_KNOWN_H

#include "mod_invokemu/auth/identity.h"

typedef struct imu_known_session {
    imu_identity who;
    apr_time_t ends_at;       /**< of the session, on record */
    apr_time_t last_activity; /**< on record */
} imu_known_session;

/** Fills *known when that token was good on this version of the database. @return whether it was */
int imu_known_recall(imu_db *db, apr_pool_t *p, const char *token, imu_known_session *known);
/** Remembers a good token by what was read after imu_known_recall was asked for it in vain. */
void imu_known_remember(imu_db *db, apr_pool_t *p, const char *token,
                        const imu_known_session *known);

#endif
