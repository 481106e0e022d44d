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
/**
 * The same for anything of other people: their addresses stand in the detail as "owners".
 * @param owners  a JSON array of their ids, or NULL
 */
void imu_audit_others(imu_req *req, imu_audit_fact fact, const json_t *owners);
/** What was done to one thing, if its owner is somebody else. The detail's reference is taken. */
void imu_audit_foreign(imu_req *req, imu_audit_fact fact, const char *owner_id);
/** The keys of an object but for the one that is the asking person: the others whose things were
 * concerned. An array, owned by the request. */
json_t *imu_audit_others_of(imu_req *req, const json_t *by_user);
/** A request was refused: an entry where that is about accounts, roles, shares, models, settings or
 * the queue. */
void imu_audit_refusal(imu_req *req, const imu_err *err);
/** A link was tried that opens nothing (any more): an entry. @param account  whose it is, as far as
 * it is known: columns user_id and email */
void imu_audit_dead_link(imu_req *req, imu_audit_action action, const imu_rows *account,
                         const imu_err *err);
/** What people did to their own account. */
void imu_audit_own(imu_req *req, imu_audit_action action);

#endif
