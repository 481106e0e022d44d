/*
 * news.h: what browsers and the dispatcher are told of changes that requests and the command line
 * both make. Free of httpd: how it gets to the dispatcher is publish.h's, which each of the two
 * programs does in its own way. Call once it is true.
 */
#ifndef IMU_NEWS_H
#define IMU_NEWS_H

#include "mod_invokemu/store/queue.h"

/** {timestamp, queue_id}: where every event of the queue begins. New reference. */
json_t *imu_queue_event_new(const char *queue_id);
/** Publishes an event and gives the payload back. */
void imu_queue_announce(const char *name, const char *owner, json_t *data);
/** {<ids>_item_ids, user_ids, <ids>_item_ids_by_user}; ids is "canceled" or "retried". New
 * reference. */
json_t *imu_queue_change_event(apr_pool_t *p, const char *ids, const imu_queue_change *change);
/** After a cancel, or a deletion of what had not ended: stops what runs, tells of single items and
 * of the whole change. @param by  user id of whoever did it */
void imu_queue_announce_canceled(apr_pool_t *p, const char *by, const imu_queue_change *change);
/** Items were deleted. @param event  "queue_cleared" or "queue_pruned" @param owner  whose, or NULL
 * when it concerned everybody's */
void imu_queue_announce_swept(const char *event, const char *queue_id, const char *owner);
/**
 * A workflow was made, changed or deleted.
 * @param event  "workflow_created", "workflow_updated" or "workflow_deleted"
 * @param owner  whose it is
 */
void imu_workflow_announce(const char *event, const char *workflow_id, const char *owner,
                           int was_public, int is_public);
/** Everybody who is signed in hears that a look at the list of models is worth while: an event of
 * ours, "models_changed"; upstream has none, and its clients pass over it. */
void imu_models_tell(void);

#endif
