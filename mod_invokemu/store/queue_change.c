/*
 * queue_change.c: canceling, deleting and retrying queue items.
 */
#include "mod_invokemu/store/queue.h"

#include <string.h>

#include <apr_strings.h>

#include "mod_invokemu/policy.h"
#include "mod_invokemu/store/queue_batch.h"
#include "mod_invokemu/util/ids.h"
#include "mod_invokemu/util/jsons.h"

/* What is canceled or deleted at a time; others can write in between. */
#define SLICE_ITEMS 500
#define SLICE_PAUSE apr_time_from_msec(2)
/* A person who goes on queueing while their jobs are deleted: after so many times the rest goes as
 * it is. */
#define SWEEP_ROUNDS 8
/* Between two jobs that are run again. */
#define RETRY_PAUSE 200 /* us */

static void change_init(const imu_queue_scope *s, imu_queue_change *c)
{
    c->queue_id = s->queue_id;
    c->events = imu_json_own(s->p, json_array());
    c->item_ids = imu_json_own(s->p, json_array());
    c->running = imu_json_own(s->p, json_array());
    c->item_ids_by_user = imu_json_own(s->p, json_object());
    c->deleted_by_user = imu_json_own(s->p, json_object());
}

static void change_add(imu_queue_change *c, apr_int64_t item_id, const char *user_id, int running)
{
    json_t *of_user = json_object_get(c->item_ids_by_user, user_id);

    if (!of_user) {
        of_user = json_array();
        json_object_set_new(c->item_ids_by_user, user_id, of_user);
    }
    json_array_append_new(of_user, json_integer(item_id));
    json_array_append_new(c->item_ids, json_integer(item_id));
    if (running)
        json_array_append_new(c->running, json_integer(item_id));
}

imu_err *imu_queue_standing_of(const imu_queue_scope *s, imu_queue_standing *standing)
{
    imu_rows *rows;
    imu_err *err = imu_db_select(s->db, s->p, &rows, "queue_standing", "s", s->who->user_id);

    if (err)
        return err;
    if (rows->count == 0 || !imu_bool(rows, 0, "is_active"))
        return imu_error(s->p, 401, "session_ended",
                         "Your account was suspended or deleted. An administrator can tell more.");
    standing->room = IMU_QUEUE_MAX_PENDING - imu_int(rows, 0, "n");
    standing->is_admin = imu_bool(rows, 0, "is_admin");
    return NULL;
}

imu_err *imu_queue_put(const imu_queue_scope *s, apr_pool_t *p, const char *queue_id,
                       const char *owner, const imu_queue_row *row, apr_int64_t *item_id)
{
    const char *now = imu_now(p);
    imu_rows *rows;
    imu_err *err =
        imu_db_select(s->db, p, &rows, "queue_insert", "sssisssssisss", queue_id, row->batch_id,
                      row->session_id, row->priority, row->origin, row->destination, row->fields,
                      row->session, row->workflow, row->retried_from, now, now, owner);

    if (err)
        return err;
    if (rows->count == 0)
        return imu_error(p, 409, "owner_suspended",
                         "The account that this job would run for is suspended.");
    *item_id = imu_int(rows, 0, "item_id");
    return NULL;
}

/* Cancels up to `limit` items with larger numbers than `after`. Inside a transaction. */
static imu_err *cancel_some(const imu_queue_scope *s, const imu_queue_filter *f, apr_int64_t limit,
                            apr_int64_t after, imu_rows **rows)
{
    const char *user = imu_queue_scope_user(s), *now = imu_now(s->p);
    const char *batches = imu_json_compact(s->p, f->batch_ids);

    /* NULL would reach every batch. */
    if (f->batch_ids && !batches)
        return imu_error_internal(s->p, "no memory for a list of batch ids");
    return imu_db_select(s->db, s->p, rows, "queue_cancel", "ssisssbssssiii", now, now, after,
                         s->queue_id, user, user, f->running, batches, batches, f->destination,
                         f->destination, f->item_id, f->item_id, limit);
}

/* @return the largest number among them, or `after` */
static apr_int64_t furthest(const imu_rows *rows, apr_int64_t after)
{
    for (int i = 0; i < rows->count; i++)
        if (imu_int(rows, i, "item_id") > after)
            after = imu_int(rows, i, "item_id");
    return after;
}

static void note_canceled(imu_queue_change *change, const imu_rows *rows)
{
    for (int i = 0; i < rows->count; i++)
        change_add(change, imu_int(rows, i, "item_id"), imu_text(rows, i, "user_id"),
                   imu_text(rows, i, "started_at") != NULL);
}

/* All that the filter reaches. Inside a transaction. */
static imu_err *cancel_rows(const imu_queue_scope *s, const imu_queue_filter *f,
                            imu_queue_change *change)
{
    imu_rows *rows = NULL;
    imu_err *err = cancel_some(s, f, APR_INT32_MAX, 0, &rows);

    if (!err)
        note_canceled(change, rows);
    return err;
}

imu_err *imu_queue_cancel(const imu_queue_scope *s, const imu_queue_filter *f,
                          imu_queue_change *change)
{
    apr_int64_t after = 0;
    imu_rows *rows = NULL;
    imu_err *err;

    change_init(s, change);
    for (;;) {
        if ((err = imu_db_begin(s->db)) ||
            (err = imu_db_end(s->db, cancel_some(s, f, SLICE_ITEMS, after, &rows))))
            return err;
        if (!rows)
            return NULL;
        note_canceled(change, rows);
        after = furthest(rows, after);
        if (rows->count < SLICE_ITEMS)
            return NULL;
        apr_sleep(SLICE_PAUSE);
    }
}

static imu_err *cancel_queue_of(const imu_queue_scope *s, imu_queue_change *change)
{
    imu_queue_filter all = {.running = 1};
    imu_err *err;

    change_init(s, change);
    err = cancel_rows(s, &all, change);
    return err ? err : imu_queue_change_events(s->db, s->p, change);
}

/* Does something to each queue that a query names for a person, and adds what that changed. */
static imu_err *each_queue_of(imu_db *db, apr_pool_t *p, const char *user_id, const char *query,
                              imu_err *(*act)(const imu_queue_scope *, imu_queue_change *),
                              apr_array_header_t *changes)
{
    imu_identity *who = apr_pcalloc(p, sizeof *who);
    imu_queue_scope s = {.db = db, .p = p, .who = who};
    imu_rows *rows;
    imu_err *err = imu_db_select(db, p, &rows, query, "s", user_id);

    who->via = IMU_VIA_BEARER;
    who->user_id = user_id;
    for (int i = 0; !err && i < rows->count; i++) {
        s.queue_id = imu_text(rows, i, "queue_id");
        err = act(&s, apr_array_push(changes));
    }
    return err;
}

imu_err *imu_queue_cancel_person(imu_db *db, apr_pool_t *p, const char *user_id,
                                 apr_array_header_t *changes)
{
    return each_queue_of(db, p, user_id, "queue_names_of_person", cancel_queue_of, changes);
}

imu_err *imu_queue_end_person(imu_db *db, apr_pool_t *p, const char *user_id,
                              apr_array_header_t *changes)
{
    return each_queue_of(db, p, user_id, "queue_names_of_person_ever", cancel_queue_of, changes);
}

/* Cancels what is running, up to the item `last`, before it is deleted, so that it is stopped and
 * told of. */
static imu_err *cancel_running(const imu_queue_scope *s, const char *destination, apr_int64_t last,
                               imu_queue_change *change)
{
    imu_queue_filter one = {.running = 1};
    const char *user = imu_queue_scope_user(s);
    imu_rows *rows;
    imu_err *err = imu_db_select(s->db, s->p, &rows, "queue_running", "isssss", last, s->queue_id,
                                 user, user, destination, destination);

    for (int i = 0; !err && i < rows->count; i++) {
        one.item_id = imu_int(rows, i, "item_id");
        err = cancel_rows(s, &one, change);
    }
    return err ? err : imu_queue_change_events(s->db, s->p, change);
}

/* What a sweep reaches: a JSON list of statuses, or NULL for all of them. */
static const char *statuses_of(imu_queue_sweep what)
{
    return what == IMU_SWEEP_PENDING ? "[\"pending\"]"
           : what == IMU_SWEEP_ENDED || what == IMU_SWEEP_OWN_ENDED
               ? "[\"completed\", \"failed\", \"canceled\"]"
               : NULL;
}

/* Deletes a slice of the items with numbers above `after`, up to `last`. Inside a transaction: what
 * a worker took up since the slice before is stopped too. */
static imu_err *sweep_some(const imu_queue_scope *s, imu_queue_sweep what, const char *destination,
                           apr_int64_t after, apr_int64_t last, imu_queue_change *change,
                           imu_rows **rows)
{
    const char *user = what == IMU_SWEEP_OWN_ENDED ? s->who->user_id : imu_queue_scope_user(s);
    const char *statuses = statuses_of(what);
    imu_err *err = statuses ? NULL : cancel_running(s, destination, last, change);

    return err ? err
               : imu_db_select(s->db, s->p, rows, "queue_delete_some", "iisssssssi", after, last,
                               s->queue_id, user, user, destination, destination, statuses,
                               statuses, (apr_int64_t)SLICE_ITEMS);
}

static void note_deleted(imu_queue_change *change, const imu_rows *rows)
{
    for (int i = 0; i < rows->count; i++) {
        const char *user_id = imu_text(rows, i, "user_id");
        json_int_t before = json_integer_value(json_object_get(change->deleted_by_user, user_id));

        json_object_set_new(change->deleted_by_user, user_id, json_integer(before + 1));
    }
}

imu_err *imu_queue_sweep_items(const imu_queue_scope *s, imu_queue_sweep what,
                               const char *destination, int *deleted, imu_queue_change *change)
{
    apr_int64_t after = 0, last;
    imu_rows *rows = NULL;
    imu_err *err = imu_db_select(s->db, s->p, &rows, "queue_last_id", "");

    change_init(s, change);
    *deleted = 0;
    last = err ? 0 : imu_int(rows, 0, "item_id");
    while (!err && rows) {
        if ((err = imu_db_begin(s->db)) ||
            (err = imu_db_end(s->db, sweep_some(s, what, destination, after, last, change, &rows))))
            return err;
        *deleted += rows->count;
        note_deleted(change, rows);
        after = furthest(rows, after);
        if (rows->count < SLICE_ITEMS)
            return NULL;
        apr_sleep(SLICE_PAUSE);
    }
    return err;
}

/* Adds what a sweep changed to what was canceled before it. */
static void change_join(imu_queue_change *change, const imu_queue_change *swept)
{
    const char *user;
    json_t *ids;

    json_array_extend(change->events, swept->events);
    json_array_extend(change->item_ids, swept->item_ids);
    json_array_extend(change->running, swept->running);
    json_object_foreach (swept->item_ids_by_user, user, ids) {
        json_t *of_user = json_object_get(change->item_ids_by_user, user);

        if (of_user)
            json_array_extend(of_user, ids);
        else
            json_object_set(change->item_ids_by_user, user, ids);
    }
    json_object_update(change->deleted_by_user, swept->deleted_by_user);
}

/* Canceled before they go, so that everybody is told what became of each; what was queued and taken
 * up since then is stopped by the sweep. */
static imu_err *clear_queue_of(const imu_queue_scope *s, imu_queue_change *change)
{
    const imu_queue_filter all = {.running = 1};
    imu_queue_change swept;
    int deleted;
    imu_err *err = imu_queue_cancel(s, &all, change);

    if (!err)
        err = imu_queue_change_events(s->db, s->p, change);
    if (err)
        return err;
    err = imu_queue_sweep_items(s, IMU_SWEEP_ALL, NULL, &deleted, &swept);
    change_join(change, &swept);
    return err;
}

static imu_err *has_many(imu_db *db, apr_pool_t *p, const char *user_id, int *many)
{
    imu_rows *rows;
    imu_err *err = imu_db_select(db, p, &rows, "queue_count_of_person", "si", user_id,
                                 (apr_int64_t)SLICE_ITEMS + 1);

    *many = !err && imu_int(rows, 0, "n") > SLICE_ITEMS;
    return err;
}

imu_err *imu_queue_sweep_person(imu_db *db, apr_pool_t *p, const char *user_id,
                                apr_array_header_t *changes)
{
    int many;
    imu_err *err = has_many(db, p, user_id, &many);

    for (int round = 0; !err && many && round < SWEEP_ROUNDS; round++) {
        err = each_queue_of(db, p, user_id, "queue_names_of_person_ever", clear_queue_of, changes);
        if (!err)
            err = has_many(db, p, user_id, &many);
    }
    return err;
}

imu_err *imu_queue_delete(const imu_queue_scope *s, apr_int64_t item_id, imu_queue_change *change)
{
    imu_err *err;
    json_t *item;
    const char *owner = NULL;

    change_init(s, change);
    if ((err = imu_db_begin(s->db)))
        return err;
    err = imu_queue_item_get(s, item_id, &item, &owner);
    if (!err && !imu_policy_queue_item(s->who, owner))
        err =
            imu_error(s->p, 403, "not_yours",
                      "Only the person who started this job, or an administrator, can delete it.");
    if (!err) {
        imu_queue_filter one = {.item_id = item_id, .running = 1};

        err = cancel_rows(s, &one, change);
        if (!err)
            err = imu_queue_change_events(s->db, s->p, change);
        if (!err && json_array_size(change->item_ids) == 0)
            change_add(change, item_id, owner, 0);
    }
    if (!err) {
        err = imu_db_exec(s->db, s->p, NULL, "queue_delete_item", "si", s->queue_id, item_id);
    }
    return imu_db_end(s->db, err);
}

static const char *text_of(const json_t *item, const char *key)
{
    return json_string_value(json_object_get(item, key));
}

/* As the database keeps it: nothing for null. */
static const char *dumped(apr_pool_t *p, const json_t *v)
{
    return json_is_null(v) ? NULL : imu_json_compact(p, v);
}

static imu_err *retry_one(const imu_queue_scope *s, const json_t *item, const char *owner)
{
    json_t *from = json_object_get(item, "retried_from_item_id");
    apr_int64_t origin_id =
        json_integer_value(json_is_integer(from) ? from : json_object_get(item, "item_id"));
    const char *session_id;
    json_t *session = imu_json_own(
        s->p, imu_session_new(s->p, json_object_get(json_object_get(item, "session"), "graph"),
                              &session_id));
    imu_queue_row row = {
        .batch_id = text_of(item, "batch_id"),
        .session_id = session_id,
        .session = dumped(s->p, session),
        .origin = text_of(item, "origin"),
        .destination = text_of(item, "destination"),
        .fields = dumped(s->p, json_object_get(item, "field_values")),
        .workflow = dumped(s->p, json_object_get(item, "workflow")),
        .priority = (apr_int64_t)json_integer_value(json_object_get(item, "priority")),
        .retried_from = origin_id,
    };
    apr_int64_t new_id;

    return imu_queue_put(s, s->p, s->queue_id, owner, &row, &new_id);
}

static imu_err *not_yours(apr_pool_t *p)
{
    return imu_error(p, 403, "not_yours",
                     "Only the person who started a job, or an administrator, can run it again.");
}

/* Whether the caller may have each of them run again; sets those apart that are there, each once.
 */
static imu_err *check_owners(const imu_queue_scope *s, const json_t *ids, json_t *mine)
{
    json_t *id, *seen = imu_json_own(s->p, json_object());
    size_t i;

    json_array_foreach (ids, i, id) {
        const char *name =
            apr_psprintf(s->p, "%" APR_INT64_T_FMT, (apr_int64_t)json_integer_value(id));
        imu_rows *row;
        imu_err *err;

        if (json_object_get(seen, name))
            continue;
        json_object_set_new(seen, name, json_true());
        if ((err = imu_db_select(s->db, s->p, &row, "queue_owner", "si", s->queue_id,
                                 (apr_int64_t)json_integer_value(id))))
            return err;
        if (row->count == 0)
            continue;
        if (!imu_policy_queue_item(s->who, imu_text(row, 0, "user_id")))
            return not_yours(s->p);
        json_array_append(mine, id);
    }
    return NULL;
}

/* One job, which may be large. Inside a transaction. *owner: whose it is, when it was run again. */
static imu_err *retry_ended(const imu_queue_scope *s, apr_int64_t item_id, const char **owner)
{
    imu_identity by_now = *s->who;
    imu_queue_standing standing;
    const char *status, *whose;
    json_t *item;
    imu_err *err = imu_queue_standing_of(s, &standing);

    *owner = NULL;
    if (!err)
        err = imu_queue_item_get(s, item_id, &item, &whose);
    if (err)
        return imu_error_is(err, "item_not_found") ? NULL : err;
    by_now.is_admin = by_now.is_admin && standing.is_admin;
    if (!imu_policy_queue_item(&by_now, whose))
        return not_yours(s->p);
    status = text_of(item, "status");
    if ((strcmp(status, "failed") != 0 && strcmp(status, "canceled") != 0) || standing.room <= 0)
        return NULL;
    if ((err = retry_one(s, item, whose)))
        return err;
    *owner = whose;
    return NULL;
}

imu_err *imu_queue_retry(const imu_queue_scope *s, const json_t *ids, imu_queue_change *change)
{
    json_t *id, *mine = imu_json_own(s->p, json_array());
    imu_queue_scope each = *s;
    imu_err *err;
    size_t i;

    change_init(s, change);
    if ((err = check_owners(s, ids, mine)))
        return err;
    if (apr_pool_create(&each.p, s->p) != APR_SUCCESS)
        return imu_error_internal(s->p, "no memory");
    json_array_foreach (mine, i, id) {
        const char *owner = NULL;

        apr_pool_clear(each.p);
        if (!(err = imu_db_begin(s->db)))
            err = imu_db_end(s->db, retry_ended(&each, json_integer_value(id), &owner));
        if (err)
            break;
        if (owner)
            change_add(change, json_integer_value(id), owner, 0);
        apr_sleep(RETRY_PAUSE);
    }
    if (err)
        err = imu_error_keep(s->p, err);
    apr_pool_destroy(each.p);
    return err;
}
