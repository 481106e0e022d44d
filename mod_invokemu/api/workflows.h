/*
 * workflows.h: what the handlers of the workflow library share.
 */
#ifndef IMU_API_WORKFLOWS_H
#define IMU_API_WORKFLOWS_H

#include "mod_invokemu/api/audit.h"
#include "mod_invokemu/request.h"
#include "mod_invokemu/store/workflows.h"

typedef int imu_workflow_rule(const imu_identity *who, const imu_workflow_facts *workflow);

/** A workflow by its id. @return 404, or 403 when rule refuses the caller */
imu_err *imu_workflow_may(imu_req *req, const char *id, imu_workflow_rule *rule, imu_workflow **w);
/** The record with the whole workflow. New reference. */
json_t *imu_workflow_json(imu_req *req, const imu_workflow *w);
/** Its form in lists. New reference. */
json_t *imu_workflow_item_json(imu_req *req, const imu_workflow *w);
/** Notes what somebody did to a workflow that is not theirs. @param detail  or NULL; the reference
 * is taken */
void imu_workflow_audit(imu_req *req, imu_audit_action action, const imu_workflow *w,
                        json_t *detail);
/** Removes the file of a workflow's picture, if there is one. */
void imu_workflow_thumbnail_remove(imu_req *req, const char *id);
/** A tag between two commas, cut to size in place: without the spaces around it. */
char *imu_workflow_tag(char *text);

#endif
