/*
 * queue.h: what the handlers of the session queue share.
 */
#ifndef IMU_API_QUEUE_H
#define IMU_API_QUEUE_H

#include "mod_invokemu/request.h"
#include "mod_invokemu/store/queue.h"

/** Who asks, and of which queue: from the request. @return 422 for an impossible queue id */
imu_err *imu_queue_scope_of(imu_req *req, imu_queue_scope *scope);

/** {timestamp, queue_id}: where every event of the queue begins. New reference. */
json_t *imu_queue_event_new(const char *queue_id);
/** Publishes an event and gives the payload back. */
void imu_queue_announce(const char *name, const char *owner, json_t *data);
/** {<ids>_item_ids, user_ids, <ids>_item_ids_by_user}; ids is "canceled" or "retried". New
 * reference. */
json_t *imu_queue_change_event(apr_pool_t *p, const char *ids, const imu_queue_change *change);
/** After a cancel, or a deletion of what had not ended: stops what runs, tells of single items and
 * of the whole change. */
void imu_queue_announce_canceled(imu_req *req, const imu_queue_change *change);

#endif
