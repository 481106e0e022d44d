/*
 * queue_batch.h: a batch (graph, data, runs) checked and expanded into queue items.
 */
#ifndef IMU_QUEUE_BATCH_H
#define IMU_QUEUE_BATCH_H

#include "mod_invokemu/store/queue.h"

/** A batch as it was sent, checked. Borrows from the request's JSON. */
typedef struct imu_batch {
    const char *batch_id;
    const char *origin;
    const char *destination;
    json_t *data; /**< array of arrays of {node_path, field_name, items}, or NULL */
    json_t *graph;
    json_t *workflow; /**< or NULL */
    apr_int64_t runs;
    int prepend;
    apr_int64_t requested; /**< sessions it makes */
} imu_batch;

/** Checks the body of enqueue_batch. @return 422 with every fault found */
imu_err *imu_batch_parse(apr_pool_t *p, json_t *body, imu_batch *batch);
/**
 * Inserts the items, as many as the queue has room for: all or none. Large batches are stored in
 * slices under the name of a hidden queue, which begins with a slash, and appear with the last one.
 * @param result  {queue_id, enqueued, requested, batch, priority, item_ids}
 */
imu_err *imu_batch_enqueue(const imu_queue_scope *s, const imu_batch *batch, json_t **result);
/** A session that has not begun: state of a graph with nothing executed. New reference. */
json_t *imu_session_new(apr_pool_t *p, json_t *graph, const char **session_id);

#endif
