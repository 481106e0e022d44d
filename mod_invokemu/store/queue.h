/*
 * queue.h: the session queue as people see and change it. The rows are the truth; the dispatcher is
 * told afterwards. What a person may not see of an item is left out here, field by field, by the
 * rule of policy.c.
 */
#ifndef IMU_QUEUE_H
#define IMU_QUEUE_H

#include "mod_invokemu/auth/identity.h"
#include "mod_invokemu/store/db.h"

/** Items of one person that may wait at a time, in all queues together: nobody fills the queue for
 * others. */
#define IMU_QUEUE_MAX_PENDING 10000
/** Ids that one request may name. */
#define IMU_QUEUE_MAX_IDS 1000

/** Who asks, and of which queue. */
typedef struct imu_queue_scope {
    imu_db *db;
    apr_pool_t *p;
    const imu_identity *who;
    const char *queue_id;
} imu_queue_scope;

/** What a bulk cancel reaches. Unset members do not narrow it. */
typedef struct imu_queue_filter {
    const json_t *batch_ids;
    const char *destination;
    apr_int64_t item_id;
    int running; /**< running items too */
} imu_queue_filter;

/** What changed, for the events and the dispatcher. Arrays are owned by the pool. */
typedef struct imu_queue_change {
    const char *queue_id;
    json_t *item_ids;         /**< every item changed */
    json_t *running;          /**< those of them that were running */
    json_t *item_ids_by_user; /**< object: user id -> array of item ids */
    json_t *deleted_by_user;  /**< object: user id -> how many items a sweep deleted */
    json_t *events; /**< payloads of queue_item_status_changed, as far as they are told one by
                       one */
} imu_queue_change;

/** The acting user as the statements take it: NULL reaches everybody's items. */
const char *imu_queue_scope_user(const imu_queue_scope *s);
/** One item, redacted for whom it is not. @return 404 */
imu_err *imu_queue_item_get(const imu_queue_scope *s, apr_int64_t item_id, json_t **item,
                            const char **owner);
/** Whether the caller sees all of the item in a row of queue_item, queue_list or
 * queue_list_by_ids. */
int imu_queue_item_visible(const imu_queue_scope *s, const imu_rows *rows, int row);
/** Such an item as clients know it. parts (imu_queue_item_parts) may be NULL: then it comes without
 * them. The caller owns it. */
json_t *imu_queue_item_json(const imu_queue_scope *s, const imu_rows *rows, int row,
                            const imu_rows *parts, int summary);
/** What is large in an item: values, errors and, but for summaries, session and workflow. */
imu_err *imu_queue_item_parts(const imu_queue_scope *s, apr_pool_t *p, apr_int64_t item_id,
                              int summary, imu_rows **parts);
/**
 * Items in queue order, narrowed to a destination when given, as the text of a JSON list. The first
 * 16 MiB of what is large in them are in it; items after that come without.
 */
imu_err *imu_queue_list(const imu_queue_scope *s, const char *destination, const char **text,
                        apr_size_t *len);
/** The same for items by id in the order asked for, unknown ones left out; summaries carry no
 * session. */
imu_err *imu_queue_list_by_ids(const imu_queue_scope *s, const json_t *ids, int summaries,
                               const char **text, apr_size_t *len);
/** What an administrator of the machine sees of anybody's jobs, latest first: their rows without
 * session, values and error texts.
 * @param user_id, status  NULL: any */
imu_err *imu_queue_latest(const imu_queue_scope *s, const char *user_id, const char *status,
                          apr_int64_t limit, imu_rows **rows);
/** The running item ("current"), or the one that the dispatcher would take next, or JSON null.
 * @param fifo  the order in force */
imu_err *imu_queue_current(const imu_queue_scope *s, json_t **item);
imu_err *imu_queue_next(const imu_queue_scope *s, int fifo, json_t **item);
/** {item_ids, total_count}
 * @param mine  only jobs of the one who asks */
imu_err *imu_queue_ids(const imu_queue_scope *s, int descending, int mine, json_t **result);
/**
 * What is running, what waits, and how many waiting jobs the dispatcher takes before each that the
 * caller may see, as things stand: {in_progress: [item id], pending: [item id], jobs_before: {item
 * id: number}}. The ids are in their own order: whose turn comes before whose does not show.
 * @param fifo  the order in force
 * @param mine  only jobs of the one who asks
 */
imu_err *imu_queue_places(const imu_queue_scope *s, int fifo, int mine, json_t **places);
/** {queue, processor}: totals of everybody, the caller's own share, and ids of the running item
 * only where they may be seen. */
imu_err *imu_queue_status(const imu_queue_scope *s, json_t **status);
/** {is_started, is_processing, workers}: the last, of ours, is how many could render just now; left
 * out while nobody has said so. */
imu_err *imu_queue_processor(const imu_queue_scope *s, json_t **status);
imu_err *imu_queue_set_paused(const imu_queue_scope *s, int paused);
/** Notes how many workers are ready. */
imu_err *imu_queue_set_workers(imu_db *db, apr_pool_t *p, int ready);
/** Counts of what the caller may see of a batch, of a destination. */
imu_err *imu_queue_batch_status(const imu_queue_scope *s, const char *batch_id, json_t **status);
imu_err *imu_queue_destination_counts(const imu_queue_scope *s, const char *destination,
                                      json_t **counts);

/** What an account may put into the queue, as it is now. */
typedef struct imu_queue_standing {
    apr_int64_t room; /**< so many more of its items may wait */
    int is_admin;
} imu_queue_standing;
/** Inside the transaction that queues: the request was let in before it. @return 401 for a caller
 * who has been suspended or deleted since */
imu_err *imu_queue_standing_of(const imu_queue_scope *s, imu_queue_standing *standing);
/** One item to be put into the queue. Texts may be NULL but for the first three. */
typedef struct imu_queue_row {
    const char *batch_id, *session_id, *session;
    const char *origin, *destination, *fields, *workflow;
    apr_int64_t priority;
    apr_int64_t retried_from; /**< or 0 */
} imu_queue_row;
/** Puts an item into the queue of that name. Inside a transaction.
 * @return 409 "owner_suspended" when the account it is for is suspended or gone */
imu_err *imu_queue_put(const imu_queue_scope *s, apr_pool_t *p, const char *queue_id,
                       const char *owner, const imu_queue_row *row, apr_int64_t *item_id);
/** Cancels what the filter reaches of the caller's items (an administrator's: of all), some at a
 * time.
 * @param change  true after an error too */
imu_err *imu_queue_cancel(const imu_queue_scope *s, const imu_queue_filter *filter,
                          imu_queue_change *change);
/**
 * Cancels all that waits or runs of a person, in every queue. Inside the transaction that takes
 * away the right to it, before the rows go.
 * @param changes  array of imu_queue_change: one for each such queue is added
 */
imu_err *imu_queue_cancel_person(imu_db *db, apr_pool_t *p, const char *user_id,
                                 apr_array_header_t *changes);
/** The same inside the transaction that deletes the account: one is added for each queue in which
 * it has any job, ended ones too. */
imu_err *imu_queue_end_person(imu_db *db, apr_pool_t *p, const char *user_id,
                              apr_array_header_t *changes);
/** Deletes the jobs of a person who has more than one transaction should delete, a slice at a time;
 * a few may be left. @param changes  as above, added to after an error too */
imu_err *imu_queue_sweep_person(imu_db *db, apr_pool_t *p, const char *user_id,
                                apr_array_header_t *changes);
/** Fills change->events for canceled items: the running ones and a few more, as a long list is told
 * of as a whole. While the rows are there. */
imu_err *imu_queue_change_events(imu_db *db, apr_pool_t *p, imu_queue_change *change);
/** Deletes one item, whatever its state; what had not ended is canceled first, and told of. */
imu_err *imu_queue_delete(const imu_queue_scope *s, apr_int64_t item_id, imu_queue_change *change);

typedef enum imu_queue_sweep {
    IMU_SWEEP_ALL,
    IMU_SWEEP_PENDING,
    IMU_SWEEP_ENDED,
    IMU_SWEEP_OWN_ENDED, /**< an administrator's own only, as everybody else's */
    IMU_SWEEP_DESTINATION
} imu_queue_sweep;
/** Deletes many of the caller's items; what runs is canceled first, and is in *change. destination
 * counts for IMU_SWEEP_DESTINATION only. */
imu_err *imu_queue_sweep_items(const imu_queue_scope *s, imu_queue_sweep what,
                               const char *destination, int *deleted, imu_queue_change *change);
/**
 * Puts new copies of ended items into the queue, for their owners: each once however often it is
 * named, and no more than there is room for.
 * @return 403 when one is not the caller's: then nothing happens
 */
imu_err *imu_queue_retry(const imu_queue_scope *s, const json_t *ids, imu_queue_change *change);

#endif
