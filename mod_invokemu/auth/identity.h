/*
 * identity.h: who is asking. Read from the database for every request; a token or cookie only
 * proves which session it is.
 */
#ifndef IMU_IDENTITY_H
#define IMU_IDENTITY_H

#include <apr_time.h>

#include "mod_invokemu/store/db.h"

#define IMU_SYSTEM_USER  "system"
#define IMU_SYSTEM_EMAIL "system@system.invokeai"

typedef enum imu_via {
    IMU_VIA_NONE = 0, /**< anonymous */
    IMU_VIA_BEARER,   /**< Authorization: Bearer */
    IMU_VIA_COOKIE,   /**< session cookie or media cookie */
    IMU_VIA_SYSTEM    /**< single-user mode: everything runs as the system administrator */
} imu_via;

typedef struct imu_identity {
    imu_via via;
    const char *user_id;
    const char *email;
    const char *display_name;
    int is_admin;
    int must_change_password;
    const char *session_id; /**< row of user_sessions; NULL for the system user */
    apr_time_t issued_at;   /**< of the token */
    apr_time_t expires_at;  /**< of the token */
    int remember;           /**< signed in with "remember me" */
} imu_identity;

/** Fills *who for single-user mode. */
void imu_identity_system(imu_identity *who);

/**
 * Checks a token and the session and account behind it, as they are now in the database.
 * Also used by the dispatcher for sockets.
 * @return NULL with *who filled, or a 401 whose detail is a sentence for the person
 */
imu_err *imu_identity_from_token(imu_db *db, apr_pool_t *p, const char *token, imu_identity *who);

#endif
