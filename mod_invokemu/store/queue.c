#include "mod_invokemu/store/queue.h"

#include <string.h>

#include <apr_strings.h>

#include "mod_invokemu/policy.h"
#include "mod_invokemu/store/queue_run.h"
#include "mod_invokemu/util/ids.h"
#include "mod_invokemu/util/jsons.h"

#define REDACTED "redacted"
/* There is one processor for all queues, and this is where its pause stands: another queue's name
 * is no way around it. */
#define PROCESSOR "default"
/* The setting that says how many workers are ready. */
#define WORKERS "workers_ready"

const char *imu_queue_scope_user(const imu_queue_scope *s)
{
    return imu_policy_sees_all(s->who) ? NULL : s->who->user_id;
}

static void set_int_or_null(json_t *o, const char *key, const imu_rows *rows, int row,
                            const char *column)
{
    json_object_set_new(o, key,
                        imu_text(rows, row, column) ? json_integer(imu_int(rows, row, column))
                                                    : json_null());
}

/* What stands in an item whoever looks at it. */
static json_t *item_frame(const imu_rows *rows, int row)
{
    json_t *o = json_object();

    json_object_set_new(o, "item_id", json_integer(imu_int(rows, row, "item_id")));
    json_object_set_new(o, "queue_id", imu_json_text(rows, row, "queue_id"));
    json_object_set_new(o, "status", imu_json_text(rows, row, "status"));
    json_object_set_new(o, "status_sequence", json_integer(imu_int(rows, row, "status_sequence")));
    json_object_set_new(o, "device", imu_json_text(rows, row, "device"));
    json_object_set_new(o, "created_at", imu_json_text(rows, row, "created_at"));
    json_object_set_new(o, "updated_at", imu_json_text(rows, row, "updated_at"));
    json_object_set_new(o, "started_at", imu_json_text(rows, row, "started_at"));
    json_object_set_new(o, "completed_at", imu_json_text(rows, row, "completed_at"));
    json_object_set_new(o, "parent_item_id", json_null());
    return o;
}

static const char *const nullable_texts[] = {"user_display_name", "user_email", "origin",
                                             "destination"};
static const char *const error_texts[] = {"error_type", "error_message", "error_traceback"};
#define N_TEXTS(list) (sizeof(list) / sizeof(list)[0])

/* The model that the job waits for, while it waits. */
static json_t *held_for(const imu_rows *rows, int row)
{
    return strcmp(imu_text(rows, row, "status"), "pending") == 0
               ? imu_json_text(rows, row, "held_for")
               : json_null();
}

static void fill_full(json_t *o, const imu_rows *rows, int row)
{
    json_object_set_new(o, "user_id", imu_json_text(rows, row, "user_id"));
    json_object_set_new(o, "batch_id", imu_json_text(rows, row, "batch_id"));
    json_object_set_new(o, "session_id", imu_json_text(rows, row, "session_id"));
    json_object_set_new(o, "priority", json_integer(imu_int(rows, row, "priority")));
    set_int_or_null(o, "retried_from_item_id", rows, row, "retried_from_item_id");
    json_object_set_new(o, "held_for", held_for(rows, row));
    for (unsigned i = 0; i < N_TEXTS(nullable_texts); i++)
        json_object_set_new(o, nullable_texts[i], imu_json_text(rows, row, nullable_texts[i]));
}

static void fill_redacted(json_t *o)
{
    json_object_set_new(o, "user_id", json_string(REDACTED));
    json_object_set_new(o, "batch_id", json_string(REDACTED));
    json_object_set_new(o, "session_id", json_string(REDACTED));
    json_object_set_new(o, "priority", json_integer(0));
    json_object_set_new(o, "retried_from_item_id", json_null());
    json_object_set_new(o, "held_for", json_null());
    for (unsigned i = 0; i < N_TEXTS(nullable_texts); i++)
        json_object_set_new(o, nullable_texts[i], json_null());
}

/* A session with nothing in it, in the shape that clients expect. */
static json_t *empty_session(const char *id)
{
    return json_pack("{s:s, s:{s:s, s:{}, s:[]}, s:{s:s, s:{}, s:[]}, s:[], s:[], s:{}, s:{}, "
                     "s:[], s:[], s:{}, s:{}}",
                     "id", id, "graph", "id", id, "nodes", "edges", "execution_graph", "id", id,
                     "nodes", "edges", "executed", "executed_history", "results", "errors",
                     "workflow_call_stack", "workflow_call_history", "prepared_source_mapping",
                     "source_prepared_mapping");
}

static void fill_parts(json_t *o, const imu_rows *parts, int summary)
{
    for (unsigned i = 0; i < N_TEXTS(error_texts); i++)
        json_object_set_new(o, error_texts[i], imu_json_text(parts, 0, error_texts[i]));
    json_object_set_new(o, "field_values", imu_json_parsed(parts, 0, "field_values"));
    if (summary)
        return;
    json_object_set_new(o, "session", imu_json_parsed(parts, 0, "session"));
    json_object_set_new(o, "workflow", imu_json_parsed(parts, 0, "workflow"));
}

/* session_id: what may be said of it */
static void fill_no_parts(json_t *o, const char *session_id, int summary)
{
    for (unsigned i = 0; i < N_TEXTS(error_texts); i++)
        json_object_set_new(o, error_texts[i], json_null());
    json_object_set_new(o, "field_values", json_null());
    if (summary)
        return;
    json_object_set_new(o, "session", empty_session(session_id));
    json_object_set_new(o, "workflow", json_null());
}

int imu_queue_item_visible(const imu_queue_scope *s, const imu_rows *rows, int row)
{
    return imu_policy_queue_item(s->who, imu_text(rows, row, "user_id"));
}

json_t *imu_queue_item_json(const imu_queue_scope *s, const imu_rows *rows, int row,
                            const imu_rows *parts, int summary)
{
    json_t *o = item_frame(rows, row);

    if (imu_queue_item_visible(s, rows, row))
        fill_full(o, rows, row);
    else
        fill_redacted(o);
    if (imu_queue_item_visible(s, rows, row) && parts && parts->count > 0)
        fill_parts(o, parts, summary);
    else
        fill_no_parts(o, json_string_value(json_object_get(o, "session_id")), summary);
    return o;
}

imu_err *imu_queue_item_parts(const imu_queue_scope *s, apr_pool_t *p, apr_int64_t item_id,
                              int summary, imu_rows **parts)
{
    return imu_db_select(s->db, p, parts, "queue_item_parts", "bbi", !summary, !summary, item_id);
}

imu_err *imu_queue_item_get(const imu_queue_scope *s, apr_int64_t item_id, json_t **item,
                            const char **owner)
{
    imu_rows *rows, *parts;
    imu_err *err = imu_db_select(s->db, s->p, &rows, "queue_item", "si", s->queue_id, item_id);

    if (err)
        return err;
    if (rows->count == 0)
        return imu_error(s->p, 404, "item_not_found",
                         "There is no job %" APR_INT64_T_FMT " in this queue.", item_id);
    if ((err = imu_queue_item_parts(s, s->p, item_id, 0, &parts)))
        return err;
    *item = imu_json_own(s->p, imu_queue_item_json(s, rows, 0, parts, 0));
    if (owner)
        *owner = imu_text(rows, 0, "user_id");
    return NULL;
}

static imu_err *item_or_null(const imu_queue_scope *s, apr_int64_t item_id, json_t **item)
{
    imu_err *err;

    *item = imu_json_own(s->p, json_null());
    if (item_id == 0)
        return NULL;
    err = imu_queue_item_get(s, item_id, item, NULL);
    /* Ended and swept away between the two statements: then there is none. */
    return imu_error_is(err, "item_not_found") ? NULL : err;
}

imu_err *imu_queue_current(const imu_queue_scope *s, json_t **item)
{
    imu_rows *rows;
    imu_err *err =
        imu_db_select(s->db, s->p, &rows, "queue_current", "ss", s->queue_id, s->who->user_id);

    return err ? err : item_or_null(s, imu_int(rows, 0, "item_id"), item);
}

imu_err *imu_queue_next(const imu_queue_scope *s, int fifo, json_t **item)
{
    apr_int64_t item_id;
    imu_err *err = imu_run_next_of_queue(s->db, s->p, fifo, s->queue_id, &item_id);

    return err ? err : item_or_null(s, item_id, item);
}

static json_t *id_list(const imu_rows *rows)
{
    json_t *ids = json_array();

    for (int i = 0; i < rows->count; i++)
        json_array_append_new(ids, json_integer(imu_int(rows, i, "item_id")));
    return ids;
}

imu_err *imu_queue_ids(const imu_queue_scope *s, int descending, int mine, json_t **result)
{
    imu_rows *rows;
    const char *whose = mine ? s->who->user_id : NULL;
    imu_err *err =
        imu_db_select(s->db, s->p, &rows, descending ? "queue_ids_desc" : "queue_ids_asc", "sss",
                      s->queue_id, whose, whose);

    if (err)
        return err;
    *result = imu_json_own(
        s->p, json_pack("{s:o, s:i}", "item_ids", id_list(rows), "total_count", rows->count));
    return NULL;
}

imu_err *imu_queue_places(const imu_queue_scope *s, int fifo, int mine, json_t **places)
{
    const char *whose = mine ? s->who->user_id : NULL;
    imu_rows *waiting, *running;
    json_t *before;
    imu_err *err;

    if ((err = imu_run_places(s->db, s->p, fifo, s->queue_id, whose, &waiting)) ||
        (err = imu_db_select(s->db, s->p, &running, "queue_ids_running", "sss", s->queue_id, whose,
                             whose)))
        return err;
    before = json_object();
    for (int i = 0; i < waiting->count; i++)
        if (imu_text(waiting, i, "jobs_before") && imu_queue_item_visible(s, waiting, i))
            json_object_set_new(before, imu_text(waiting, i, "item_id"),
                                json_integer(imu_int(waiting, i, "jobs_before")));
    *places = imu_json_own(s->p, json_pack("{s:o, s:o, s:o}", "in_progress", id_list(running),
                                           "pending", id_list(waiting), "jobs_before", before));
    return NULL;
}

static const char *const statuses[] = {"pending",   "in_progress", "waiting",
                                       "completed", "failed",      "canceled"};
#define N_STATUSES (sizeof statuses / sizeof statuses[0])

/* Adds a counter for each status and their total. */
static void add_counts(json_t *o, const imu_rows *rows)
{
    json_int_t total = 0;

    for (unsigned k = 0; k < N_STATUSES; k++) {
        json_int_t n = 0;

        for (int i = 0; i < rows->count; i++)
            if (strcmp(imu_text(rows, i, "status"), statuses[k]) == 0)
                n = imu_int(rows, i, "n");
        json_object_set_new(o, statuses[k], json_integer(n));
        total += n;
    }
    json_object_set_new(o, "total", json_integer(total));
}

static json_int_t own_count(const imu_rows *rows, const char *status)
{
    for (int i = 0; i < rows->count; i++)
        if (strcmp(imu_text(rows, i, "status"), status) == 0)
            return imu_int(rows, i, "own");
    return 0;
}

imu_err *imu_queue_processor(const imu_queue_scope *s, json_t **status)
{
    imu_rows *paused, *running, *workers;
    imu_err *err;

    if ((err = imu_db_select(s->db, s->p, &workers, "setting_get", "s", WORKERS)) ||
        (err = imu_db_select(s->db, s->p, &paused, "queue_paused", "s", PROCESSOR)) ||
        (err = imu_db_select(s->db, s->p, &running, "queue_current", "ss", s->queue_id,
                             s->who->user_id)))
        return err;
    *status = imu_json_own(s->p, json_pack("{s:b, s:b}", "is_started",
                                           paused->count == 0 || !imu_bool(paused, 0, "is_paused"),
                                           "is_processing", running->count > 0));
    if (workers->count)
        json_object_set_new(*status, "workers", json_integer(imu_int(workers, 0, "value")));
    return NULL;
}

imu_err *imu_queue_set_workers(imu_db *db, apr_pool_t *p, int ready)
{
    return imu_db_exec(db, p, NULL, "setting_put", "sss", WORKERS, apr_itoa(p, ready), imu_now(p));
}

imu_err *imu_queue_status(const imu_queue_scope *s, json_t **status)
{
    json_t *counts, *current, *processor;
    imu_rows *rows;
    imu_err *err;
    int visible;

    if ((err = imu_db_select(s->db, s->p, &rows, "queue_counts", "ss", s->who->user_id,
                             s->queue_id)) ||
        (err = imu_queue_current(s, &current)) || (err = imu_queue_processor(s, &processor)))
        return err;
    counts = json_pack("{s:s}", "queue_id", s->queue_id);
    visible = json_is_object(current) &&
              strcmp(json_string_value(json_object_get(current, "user_id")), REDACTED) != 0;
    json_object_set_new(counts, "item_id",
                        visible ? json_incref(json_object_get(current, "item_id")) : json_null());
    json_object_set_new(counts, "batch_id",
                        visible ? json_incref(json_object_get(current, "batch_id")) : json_null());
    json_object_set_new(counts, "session_id",
                        visible ? json_incref(json_object_get(current, "session_id"))
                                : json_null());
    add_counts(counts, rows);
    json_object_set_new(counts, "user_pending", json_integer(own_count(rows, "pending")));
    json_object_set_new(counts, "user_in_progress", json_integer(own_count(rows, "in_progress")));
    *status = imu_json_own(s->p, json_pack("{s:o, s:O}", "queue", counts, "processor", processor));
    return NULL;
}

imu_err *imu_queue_set_paused(const imu_queue_scope *s, int paused)
{
    return imu_db_exec(s->db, s->p, NULL, "queue_set_paused", "sbs", PROCESSOR, paused,
                       imu_now(s->p));
}

imu_err *imu_queue_batch_status(const imu_queue_scope *s, const char *batch_id, json_t **status)
{
    const char *user = imu_queue_scope_user(s);
    imu_rows *rows;
    imu_err *err = imu_db_select(s->db, s->p, &rows, "queue_batch_counts", "ssss", s->queue_id,
                                 batch_id, user, user);

    if (err)
        return err;
    *status =
        imu_json_own(s->p, json_pack("{s:s, s:s}", "queue_id", s->queue_id, "batch_id", batch_id));
    json_object_set_new(*status, "origin", imu_json_text(rows, 0, "origin"));
    json_object_set_new(*status, "destination", imu_json_text(rows, 0, "destination"));
    add_counts(*status, rows);
    return NULL;
}

imu_err *imu_queue_destination_counts(const imu_queue_scope *s, const char *destination,
                                      json_t **counts)
{
    const char *user = imu_queue_scope_user(s);
    imu_rows *rows;
    imu_err *err = imu_db_select(s->db, s->p, &rows, "queue_destination_counts", "ssss",
                                 s->queue_id, destination, user, user);

    if (err)
        return err;
    *counts = imu_json_own(
        s->p, json_pack("{s:s, s:s}", "queue_id", s->queue_id, "destination", destination));
    add_counts(*counts, rows);
    return NULL;
}
