#include "mod_invokemu/store/queue_run.h"
#include "mod_invokemu/util/clock.h"

#include <string.h>

#include <apr_strings.h>

#include "mod_invokemu/util/ids.h"

/* Far longer than a batch takes to be stored. */
#define HIDDEN_SECONDS 600

static const char *lease_end(apr_pool_t *p)
{
    return imu_time_text(p, imu_clock_now() + apr_time_from_sec(IMU_LEASE_SECONDS));
}

static imu_err *next_of(imu_db *db, apr_pool_t *p, int fifo, const char *queue_id,
                        apr_int64_t *item_id)
{
    int any = queue_id != NULL;
    imu_rows *rows;
    imu_err *err;

    *item_id = 0;
    if ((err = imu_db_select(db, p, &rows, fifo ? "run_first_person" : "run_next_person", "bss",
                             any, queue_id, queue_id)) ||
        rows->count == 0)
        return err;
    err = imu_db_select(db, p, &rows, "run_next_of_person", "sbss", imu_text(rows, 0, "user_id"),
                        any, queue_id, queue_id);
    if (!err && rows->count > 0)
        *item_id = imu_int(rows, 0, "item_id");
    return err;
}

imu_err *imu_run_next(imu_db *db, apr_pool_t *p, int fifo, apr_int64_t *item_id)
{
    return next_of(db, p, fifo, NULL, item_id);
}

imu_err *imu_run_next_of_queue(imu_db *db, apr_pool_t *p, int fifo, const char *queue_id,
                               apr_int64_t *item_id)
{
    return next_of(db, p, fifo, queue_id, item_id);
}

imu_err *imu_run_places(imu_db *db, apr_pool_t *p, int fifo, const char *queue_id,
                        const char *user_id, imu_rows **places)
{
    return imu_db_select(db, p, places, fifo ? "run_places_by_arrival" : "run_places_by_turns",
                         "sss", queue_id, user_id, user_id);
}

imu_err *imu_run_job(imu_db *db, apr_pool_t *p, apr_int64_t item_id, imu_job **out)
{
    imu_rows *rows;
    imu_err *err = imu_db_select(db, p, &rows, "run_job", "i", item_id);
    imu_job *job;

    *out = NULL;
    if (err || rows->count == 0)
        return err;
    job = apr_pcalloc(p, sizeof *job);
    job->item_id = item_id;
    job->queue_id = imu_text(rows, 0, "queue_id");
    job->batch_id = imu_text(rows, 0, "batch_id");
    job->session_id = imu_text(rows, 0, "session_id");
    job->user_id = imu_text(rows, 0, "user_id");
    job->origin = imu_text(rows, 0, "origin");
    job->destination = imu_text(rows, 0, "destination");
    job->session = imu_text(rows, 0, "session");
    job->workflow = imu_text(rows, 0, "workflow");
    job->run_id = imu_text(rows, 0, "run_id");
    job->attempts = (int)imu_int(rows, 0, "attempts");
    *out = job;
    return NULL;
}

static imu_err *claim_row(imu_db *db, apr_pool_t *p, const char *dispatcher_id, apr_int64_t item_id,
                          const char *device, imu_job **job)
{
    const char *now = imu_now(p);
    int changed = 0;
    imu_err *err = imu_db_exec(db, p, &changed, "run_claim", "ssssssi", imu_uuid4(p), dispatcher_id,
                               lease_end(p), device, now, now, item_id);

    if (err || changed == 0)
        return err;
    if ((err = imu_run_job(db, p, item_id, job)) || !*job)
        return err;
    return imu_db_exec(db, p, NULL, "run_turn", "ss", (*job)->user_id, now);
}

imu_err *imu_run_claim(imu_db *db, apr_pool_t *p, const char *dispatcher_id, apr_int64_t item_id,
                       const char *device, imu_job **job)
{
    imu_err *err = imu_db_begin(db);

    *job = NULL;
    if (err)
        return err;
    err = imu_db_end(db, claim_row(db, p, dispatcher_id, item_id, device, job));
    if (err)
        *job = NULL;
    return err;
}

imu_err *imu_run_hold(imu_db *db, apr_pool_t *p, apr_int64_t item_id, const char *model_key,
                      int *done)
{
    *done = 0;
    return imu_db_exec(db, p, done, "run_hold", "ssi", model_key, imu_now(p), item_id);
}

imu_err *imu_run_held_for(imu_db *db, apr_pool_t *p, imu_rows **models)
{
    return imu_db_select(db, p, models, "run_held_for", "");
}

imu_err *imu_run_unhold(imu_db *db, apr_pool_t *p, const char *model_key)
{
    return imu_db_exec(db, p, NULL, "run_unhold", "ss", imu_now(p), model_key);
}

imu_err *imu_run_renew(imu_db *db, apr_pool_t *p, apr_int64_t item_id, const char *run_id,
                       int *still)
{
    *still = 0;
    return imu_db_exec(db, p, still, "run_renew", "sis", lease_end(p), item_id, run_id);
}

imu_err *imu_run_still(imu_db *db, apr_pool_t *p, apr_int64_t item_id, const char *run_id,
                       int *still)
{
    imu_rows *rows;
    imu_err *err = imu_db_select(db, p, &rows, "run_still", "is", item_id, run_id);

    *still = !err && rows->count > 0;
    return err;
}

static imu_err *end_row(imu_db *db, apr_pool_t *p, apr_int64_t item_id, const char *run_id,
                        const imu_outcome *outcome, int *done)
{
    const char *now = imu_now(p);
    imu_err *err = imu_db_exec(db, p, done, "run_finish", "sssssssis", outcome->status,
                               outcome->session, outcome->error_type, outcome->error_message,
                               outcome->error_traceback, now, now, item_id, run_id);

    if (err || !*done)
        return err;
    /* An attempt that failed may have made less than the one before it: then all stays. */
    if (strcmp(outcome->status, "completed") == 0 &&
        (err = imu_db_exec(db, p, NULL, "run_drop_replaced", "i", item_id)))
        return err;
    return imu_db_exec(db, p, NULL, "run_forget_replaced", "i", item_id);
}

imu_err *imu_run_end(imu_db *db, apr_pool_t *p, apr_int64_t item_id, const char *run_id,
                     const imu_outcome *outcome, int *done)
{
    imu_err *err = imu_db_begin(db);

    *done = 0;
    if (err)
        return err;
    err = imu_db_end(db, end_row(db, p, item_id, run_id, outcome, done));
    if (err)
        *done = 0;
    return err;
}

imu_err *imu_run_release(imu_db *db, apr_pool_t *p, apr_int64_t item_id, const char *run_id,
                         int refund, int *done)
{
    imu_err *err = imu_db_begin(db);

    *done = 0;
    if (err)
        return err;
    err = imu_db_exec(db, p, done, "run_release", "bsis", refund, imu_now(p), item_id, run_id);
    if (!err && *done)
        err = imu_db_exec(db, p, NULL, "run_note_pictures", "i", item_id);
    err = imu_db_end(db, err);
    if (err)
        *done = 0;
    return err;
}

imu_err *imu_run_leave(imu_db *db, apr_pool_t *p, apr_int64_t item_id, const char *run_id)
{
    return imu_db_exec(db, p, NULL, "run_leave", "is", item_id, run_id);
}

static imu_err *take_over_row(imu_db *db, apr_pool_t *p, const char *dispatcher_id,
                              const imu_rows *rows, int row, apr_array_header_t *jobs)
{
    apr_int64_t item_id = imu_int(rows, row, "item_id");
    imu_job *job = NULL;
    int changed = 0;
    imu_err *err = imu_db_exec(db, p, &changed, "run_take_over", "sssiss", dispatcher_id,
                               lease_end(p), imu_uuid4(p), item_id, dispatcher_id, imu_now(p));

    if (err || changed == 0)
        return err;
    err = imu_run_job(db, p, item_id, &job);
    if (!err && job) {
        job->left = !imu_text(rows, row, "lease_expires_at");
        APR_ARRAY_PUSH(jobs, imu_job *) = job;
    }
    return err;
}

imu_err *imu_run_take_over(imu_db *db, apr_pool_t *p, const char *dispatcher_id,
                           apr_array_header_t **jobs)
{
    imu_rows *rows;
    imu_err *err = imu_db_select(db, p, &rows, "run_left_over", "ss", dispatcher_id, imu_now(p));

    *jobs = apr_array_make(p, 8, sizeof(imu_job *));
    for (int i = 0; !err && i < rows->count; i++)
        err = take_over_row(db, p, dispatcher_id, rows, i, *jobs);
    return err;
}

imu_err *imu_run_prune_history(imu_db *db, apr_pool_t *p, int keep, int *deleted)
{
    int hidden = 0;
    imu_err *err;

    *deleted = 0;
    err = imu_db_exec(db, p, &hidden, "run_sweep_hidden", "s",
                      imu_time_text(p, imu_clock_now() - apr_time_from_sec(HIDDEN_SECONDS)));
    if (!err)
        err = imu_db_exec(db, p, deleted, "run_prune", "i", (apr_int64_t)keep);
    *deleted += hidden;
    return err;
}

imu_err *imu_run_model(imu_db *db, apr_pool_t *p, const char *key, const char **path,
                       json_t **record)
{
    imu_rows *rows;
    imu_err *err = imu_db_select(db, p, &rows, "run_model", "s", key);

    *path = NULL;
    *record = NULL;
    if (err || rows->count == 0)
        return err;
    *path = imu_text(rows, 0, "path");
    *record = imu_json_own(p, imu_json_parsed(rows, 0, "record"));
    return NULL;
}

static imu_err *append_keys(imu_db *db, apr_pool_t *p, const char *statement, const char *value,
                            json_t *keys)
{
    imu_rows *rows;
    imu_err *err = imu_db_select(db, p, &rows, statement, "s", value);

    for (int i = 0; !err && i < rows->count; i++)
        json_array_append_new(keys, json_string(imu_text(rows, i, "key")));
    return err;
}

imu_err *imu_run_inversions(imu_db *db, apr_pool_t *p, const char *name, json_t *keys)
{
    return append_keys(db, p, "run_inversions", name, keys);
}

imu_err *imu_run_models_of_type(imu_db *db, apr_pool_t *p, const char *type, json_t *keys)
{
    return append_keys(db, p, "run_models_of_type", type, keys);
}

imu_err *imu_run_owner(imu_db *db, apr_pool_t *p, const char *user_id, int *is_admin, int *known)
{
    imu_rows *rows;
    imu_err *err = imu_db_select(db, p, &rows, "run_owner", "s", user_id);

    *known = !err && rows->count > 0;
    *is_admin = *known && imu_bool(rows, 0, "is_admin");
    return err;
}
