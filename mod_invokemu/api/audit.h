/*
 * api/audit.h: what goes into the audit log, and under which name. No secret does.
 */
#ifndef IMU_API_AUDIT_H
#define IMU_API_AUDIT_H

#include "mod_invokemu/request.h"

typedef enum imu_audit_action {
    /* InvokeMUAuditSignIns */
    IMU_AUDIT_SIGN_IN,
    IMU_AUDIT_SIGN_OUT,
    IMU_AUDIT_SESSIONS_ENDED,
    IMU_AUDIT_PASSWORD_CHANGED,
    IMU_AUDIT_LINK_REDEEMED,
    IMU_AUDIT_RESET_ASKED,
    IMU_AUDIT_EMAIL_ASKED,
    /* InvokeMUAuditChanges */
    IMU_AUDIT_SET_UP,
    IMU_AUDIT_ACCOUNT_CREATED,
    IMU_AUDIT_ACCOUNT_CHANGED,
    IMU_AUDIT_EMAIL_CHANGED,
    IMU_AUDIT_ROLE_CHANGED,
    IMU_AUDIT_SUSPENDED,
    IMU_AUDIT_RESTORED,
    IMU_AUDIT_ACCOUNT_DELETED,
    IMU_AUDIT_INVITED,
    IMU_AUDIT_RESET_LINK,
    IMU_AUDIT_LINK_ENDED,
    IMU_AUDIT_BOARD_SHARED,
    IMU_AUDIT_BOARD_UNSHARED,
    IMU_AUDIT_BOARD_VISIBILITY,
    IMU_AUDIT_MODEL_CHANGED,
    IMU_AUDIT_MODEL_DELETED,
    IMU_AUDIT_MODEL_INSTALLED,
    IMU_AUDIT_QUEUE_PAUSED,
    IMU_AUDIT_QUEUE_RESUMED,
    IMU_AUDIT_QUEUE_CLEARED,
    IMU_AUDIT_ACTIONS /* how many there are */
} imu_audit_action;

/** What happened. Left out (NULL) is what is not known; who and from where come from the request.
 */
typedef struct imu_audit_fact {
    imu_audit_action action;
    int refused;
    const char *user_id, *user_email; /**< who, where the request does not say it */
    const char *target_id, *target_name;
    json_t *detail; /**< an object; the reference is taken */
} imu_audit_fact;

/** Adds an entry, if the configuration wants such ones, and a line to the error log (IMU0202). What
 * was done stays done when that fails. */
void imu_audit(imu_req *req, imu_audit_fact fact);
/** What people did to their own account. */
void imu_audit_own(imu_req *req, imu_audit_action action);

#endif
