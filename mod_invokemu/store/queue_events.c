#include "mod_invokemu/store/queue_events.h"

static const char *const texts[] = {"queue_id",      "batch_id",        "session_id",  "user_id",
                                    "status",        "origin",          "destination", "error_type",
                                    "error_message", "error_traceback", "created_at",  "updated_at",
                                    "started_at",    "completed_at"};

imu_err *imu_queue_status_event(imu_db *db, apr_pool_t *p, apr_int64_t item_id, json_t **event)
{
    json_t *o, *batch, *queue;
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
        (err = imu_queue_status(&s, &queue)))
        return err;
    o = imu_json_own(p, json_pack("{s:I, s:I, s:I}", "timestamp",
                                  (json_int_t)apr_time_sec(apr_time_now()), "item_id",
                                  (json_int_t)item_id, "status_sequence",
                                  (json_int_t)imu_int(rows, 0, "status_sequence")));
    for (unsigned i = 0; i < sizeof texts / sizeof texts[0]; i++)
        json_object_set_new(o, texts[i], imu_json_text(rows, 0, texts[i]));
    json_object_set(o, "batch_status", batch);
    json_object_set(o, "queue_status", json_object_get(queue, "queue"));
    *event = o;
    return NULL;
}
