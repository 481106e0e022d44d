#include "mod_invokemu/store/queue_events.h"

static const char *const texts[] = {"queue_id",      "batch_id",        "session_id",  "user_id",
                                    "status",        "origin",          "destination", "error_type",
                                    "error_message", "error_traceback", "created_at",  "updated_at",
                                    "started_at",    "completed_at"};

/* A long list is told of as a whole; clients ask again after that. */
#define TOLD_ONE_BY_ONE 20

/* *queue: the owner's status of the queue; read when it is NULL, as it is the same for many items.
 */
static imu_err *status_event(imu_db *db, apr_pool_t *p, apr_int64_t item_id, json_t **queue,
                             json_t **event)
{
    json_t *o, *batch;
    imu_identity owner = {.via = IMU_VIA_BEARER};
    imu_queue_scope s = {.db = db, .p = p, .who = &owner};
    imu_rows *rows;
    imu_err *err = imu_db_select(db, p, &rows, "queue_event_item", "i", item_id);

    if (err)
        return err;
    if (rows->count == 0)
        return imu_error(p, 404, "item_not_found", "There is no job %" APR_INT64_T_FMT ".",
                         item_id);
    owner.user_id = imu_text(rows, 0, "user_id");
    s.queue_id = imu_text(rows, 0, "queue_id");
    if ((err = imu_queue_batch_status(&s, imu_text(rows, 0, "batch_id"), &batch)) ||
        (!*queue && (err = imu_queue_status(&s, queue))))
        return err;
    o = imu_json_own(p, json_pack("{s:I, s:I, s:I}", "timestamp",
                                  (json_int_t)apr_time_sec(apr_time_now()), "item_id",
                                  (json_int_t)item_id, "status_sequence",
                                  (json_int_t)imu_int(rows, 0, "status_sequence")));
    for (unsigned i = 0; i < sizeof texts / sizeof texts[0]; i++)
        json_object_set_new(o, texts[i], imu_json_text(rows, 0, texts[i]));
    json_object_set(o, "batch_status", batch);
    json_object_set(o, "queue_status", json_object_get(*queue, "queue"));
    *event = o;
    return NULL;
}

imu_err *imu_queue_status_event(imu_db *db, apr_pool_t *p, apr_int64_t item_id, json_t **event)
{
    json_t *queue = NULL;

    return status_event(db, p, item_id, &queue, event);
}

static int is_among(const json_t *ids, const json_t *id)
{
    json_t *one;
    size_t i;

    json_array_foreach (ids, i, one)
        if (json_integer_value(one) == json_integer_value(id))
            return 1;
    return 0;
}

imu_err *imu_queue_change_events(imu_db *db, apr_pool_t *p, imu_queue_change *change)
{
    const char *user;
    json_t *list, *id, *event;
    int whole = json_array_size(change->item_ids) > TOLD_ONE_BY_ONE;
    imu_err *err;
    size_t i;

    json_object_foreach (change->item_ids_by_user, user, list) {
        json_t *queue = NULL;

        json_array_foreach (list, i, id) {
            /* Some clients know of this event alone: they hear of one at least. */
            if (whole && json_array_size(change->events) > 0 && !is_among(change->running, id))
                continue;
            err = status_event(db, p, json_integer_value(id), &queue, &event);
            /* Deleted in the meantime: whoever did it has told. */
            if (imu_error_is(err, "item_not_found"))
                continue;
            if (err)
                return err;
            json_array_append(change->events, event);
        }
    }
    return NULL;
}
