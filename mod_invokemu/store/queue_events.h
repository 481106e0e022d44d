/*
 * queue_events.h: payloads of the queue's live events, as the owner of the item sees them. The hub
 * makes the redacted copies.
 */
#ifndef IMU_QUEUE_EVENTS_H
#define IMU_QUEUE_EVENTS_H

#include "mod_invokemu/store/queue.h"

/**
 * Payload of queue_item_status_changed for an item as it stands in the database now.
 * @return 404 when the item is gone
 */
imu_err *imu_queue_status_event(imu_db *db, apr_pool_t *p, apr_int64_t item_id, json_t **event);

#endif
