/*
 * api/audit.h: what goes into the audit log, and under which name. No secret does.
 */
#ifndef IMU_API_AUDIT_H
#define IMU_API_AUDIT_H

#include "mod_invokemu/request.h"
#include "mod_invokemu/store/audit.h"

/** Adds an entry, if the configuration wants such ones, and a line to the error log (IMU0202). What
 * was done stays done when that fails. */
void imu_audit(imu_req *req, imu_audit_fact fact);
/**
 * What was done to a board, which the entry names as it is called now, with the addresses of people
 * concerned ("people" in the detail).
 * @param people  a JSON array of their ids, or NULL  @param detail  the reference is taken
 */
void imu_audit_board(imu_req *req, imu_audit_action action, const char *board_id,
                     const json_t *people, json_t *detail);
/** What people did to their own account. */
void imu_audit_own(imu_req *req, imu_audit_action action);

#endif
