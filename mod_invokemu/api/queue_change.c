/*
 * queue_change.c: putting jobs into the session queue, and taking them out.
 */
#include "mod_invokemu/api/handlers.h"
#include "mod_invokemu/api/audit.h"
#include "mod_invokemu/api/models.h"
#include "mod_invokemu/api/queue.h"
#include "mod_invokemu/events/publish.h"
#include "mod_invokemu/policy.h"
#include "mod_invokemu/store/queue_batch.h"
#include "mod_invokemu/validate.h"

#define MAX_DESTINATION 256
#define MAX_BATCH_ID    256

static void announce_enqueued(const imu_queue_scope *s, const imu_batch *b, const json_t *result)
{
    json_t *data = imu_queue_event_new(s->queue_id);

    json_object_set_new(data, "batch_id", json_string(b->batch_id));
    json_object_set(data, "enqueued", json_object_get(result, "enqueued"));
    json_object_set(data, "requested", json_object_get(result, "requested"));
    json_object_set(data, "priority", json_object_get(result, "priority"));
    json_object_set_new(data, "origin", b->origin ? json_string(b->origin) : json_null());
    json_object_set_new(data, "user_id", json_string(s->who->user_id));
    imu_queue_announce("batch_enqueued", s->who->user_id, data);
    imu_publish_queue_changed();
}

imu_err *imu_api_queue_enqueue_batch(imu_req *req)
{
    imu_queue_scope s;
    imu_batch batch;
    json_t *body, *result;
    imu_err *err;

    if ((err = imu_req_disk(req)) || (err = imu_body_object(req, &body)) ||
        (err = imu_batch_parse(req->p, body, &batch)) || (err = imu_queue_scope_of(req, &s)) ||
        (err = imu_models_check(req, batch.graph, batch.data)) ||
        (err = imu_batch_enqueue(&s, &batch, &result)))
        return err;
    announce_enqueued(&s, &batch, result);
    return imu_reply_json(req, 201, json_incref(result));
}

/* How many jobs stand under the names of other people: lists of them, or numbers. */
static json_int_t of_others(const json_t *by_user, const json_t *others)
{
    json_int_t n = 0;
    json_t *user_id;
    size_t i;

    json_array_foreach (others, i, user_id) {
        const json_t *one = json_object_get(by_user, json_string_value(user_id));

        n += json_is_array(one) ? (json_int_t)json_array_size(one) : json_integer_value(one);
    }
    return n;
}

/* What an administrator did to the jobs of other people. */
static void audit_jobs(imu_req *req, imu_audit_action action, const imu_queue_scope *s,
                       const json_t *by_user)
{
    json_t *others = imu_audit_others_of(req, by_user);

    if (json_array_size(others) > 0)
        imu_audit_others(
            req,
            (imu_audit_fact){.action = action,
                             .target_id = s->queue_id,
                             .detail = json_pack("{s:I}", "jobs", of_others(by_user, others))},
            others);
}

/* Cancels, and tells. */
static imu_err *cancel(imu_req *req, const imu_queue_scope *s, const imu_queue_filter *filter,
                       imu_queue_change *change)
{
    imu_err *err = imu_queue_cancel(s, filter, change);
    imu_err *untold = imu_queue_change_events(s->db, s->p, change);

    imu_queue_announce_canceled(req->p, req->who.user_id, change);
    audit_jobs(req, IMU_AUDIT_JOBS_CANCELED, s, change->item_ids_by_user);
    return err ? err : untold;
}

imu_err *imu_api_queue_item_cancel(imu_req *req)
{
    imu_queue_filter filter = {.running = 1};
    imu_queue_change change;
    imu_queue_scope s;
    const char *owner;
    json_t *item;
    imu_err *err;

    if ((err = imu_param_int(req, "item_id", &filter.item_id)) ||
        (err = imu_queue_scope_of(req, &s)) ||
        (err = imu_queue_item_get(&s, filter.item_id, &item, &owner)))
        return err;
    if (!imu_policy_queue_item(s.who, owner))
        return imu_error(
            req->p, 403, "not_yours",
            "Only the person who started this job, or an administrator, can cancel it.");
    if ((err = cancel(req, &s, &filter, &change)) ||
        (err = imu_queue_item_get(&s, filter.item_id, &item, NULL)))
        return err;
    return imu_reply_json(req, 200, json_incref(item));
}

static imu_err *cancel_many(imu_req *req, const imu_queue_scope *s, const imu_queue_filter *filter)
{
    imu_queue_change change;
    imu_err *err;

    if ((err = cancel(req, s, filter, &change)))
        return err;
    return imu_reply_json(req, 200,
                          json_pack("{s:i}", "canceled", (int)json_array_size(change.item_ids)));
}

imu_err *imu_api_queue_cancel_all_except_current(imu_req *req)
{
    imu_queue_filter filter = {0};
    imu_queue_scope s;
    imu_err *err = imu_queue_scope_of(req, &s);

    return err ? err : cancel_many(req, &s, &filter);
}

imu_err *imu_api_queue_cancel_by_batch_ids(imu_req *req)
{
    imu_queue_filter filter = {.running = 1};
    imu_check *c = imu_check_new(req->p, "body");
    imu_queue_scope s;
    json_t *body;
    imu_err *err;

    if ((err = imu_body_object(req, &body)))
        return err;
    filter.batch_ids =
        imu_check_texts(c, body, "batch_ids", IMU_REQUIRED, IMU_QUEUE_MAX_IDS, MAX_BATCH_ID);
    if ((err = imu_check_end(c)) || (err = imu_queue_scope_of(req, &s)))
        return err;
    return cancel_many(req, &s, &filter);
}

imu_err *imu_api_queue_cancel_by_destination(imu_req *req)
{
    imu_queue_filter filter = {.running = 1};
    imu_queue_scope s;
    imu_err *err;

    if ((err = imu_query_required(req, "destination", MAX_DESTINATION, &filter.destination)) ||
        (err = imu_queue_scope_of(req, &s)))
        return err;
    return cancel_many(req, &s, &filter);
}

imu_err *imu_api_queue_item_delete(imu_req *req)
{
    imu_queue_change change;
    imu_queue_scope s;
    apr_int64_t id;
    imu_err *err;

    if ((err = imu_param_int(req, "item_id", &id)) || (err = imu_queue_scope_of(req, &s)) ||
        (err = imu_queue_delete(&s, id, &change)))
        return err;
    imu_queue_announce_canceled(req->p, req->who.user_id, &change);
    audit_jobs(req, IMU_AUDIT_JOBS_DELETED, &s, change.item_ids_by_user);
    return imu_reply_json(req, 200, json_null());
}

static void audit_queue(imu_req *req, imu_audit_action action, const imu_queue_scope *s)
{
    imu_audit(req, (imu_audit_fact){.action = action, .target_id = s->queue_id});
}

/* What concerned everybody's jobs names nobody. */
static void announce_swept(const char *event, const imu_queue_scope *s, int everyones)
{
    imu_queue_announce_swept(event, s->queue_id, everyones ? NULL : s->who->user_id);
}

static imu_err *sweep(imu_req *req, imu_queue_sweep what, const char *destination)
{
    imu_queue_change change;
    imu_queue_scope s;
    int deleted;
    imu_err *err;

    if ((err = imu_queue_scope_of(req, &s)))
        return err;
    err = imu_queue_sweep_items(&s, what, destination, &deleted, &change);
    imu_queue_announce_canceled(req->p, req->who.user_id, &change);
    audit_jobs(req, IMU_AUDIT_JOBS_DELETED, &s, change.deleted_by_user);
    if (err)
        return err;
    if (what == IMU_SWEEP_ALL) {
        announce_swept("queue_cleared", &s, imu_policy_sees_all(s.who));
        if (imu_policy_sees_all(s.who))
            audit_queue(req, IMU_AUDIT_QUEUE_CLEARED, &s);
    } else if (deleted > 0 && (what == IMU_SWEEP_ENDED || what == IMU_SWEEP_OWN_ENDED)) {
        announce_swept("queue_pruned", &s, what == IMU_SWEEP_ENDED && imu_policy_sees_all(s.who));
    }
    return imu_reply_json(req, 200, json_pack("{s:i}", "deleted", deleted));
}

imu_err *imu_api_queue_clear(imu_req *req)
{
    return sweep(req, IMU_SWEEP_ALL, NULL);
}

imu_err *imu_api_queue_prune(imu_req *req)
{
    int mine;
    imu_err *err = imu_query_bool(req, "mine", 0, &mine);

    return err ? err : sweep(req, mine ? IMU_SWEEP_OWN_ENDED : IMU_SWEEP_ENDED, NULL);
}

imu_err *imu_api_queue_delete_all_except_current(imu_req *req)
{
    return sweep(req, IMU_SWEEP_PENDING, NULL);
}

imu_err *imu_api_queue_delete_by_destination(imu_req *req)
{
    return sweep(req, IMU_SWEEP_DESTINATION, imu_param(req, "destination"));
}

/* Whose job it is, and whether there is one, is for the retry itself to say. */
static imu_err *check_models_of(imu_req *req, const imu_queue_scope *s, apr_int64_t item_id)
{
    const char *owner;
    json_t *item;
    imu_err *err = imu_queue_item_get(s, item_id, &item, &owner);

    if (imu_error_is(err, "item_not_found"))
        return NULL;
    if (err || !imu_policy_queue_item(s->who, owner))
        return err;
    return imu_models_check(req, json_object_get(json_object_get(item, "session"), "graph"), NULL);
}

/* What is run again is queued anew: with models that can be used. @return 409 */
static imu_err *check_models_again(imu_req *req, const imu_queue_scope *s, const json_t *ids)
{
    imu_queue_scope each = *s;
    imu_err *err = NULL;

    /* A session may be large: one at a time. */
    if (apr_pool_create(&each.p, req->p) != APR_SUCCESS)
        return imu_error_internal(req->p, "no memory");
    for (size_t i = 0; !err && i < json_array_size(ids); i++) {
        apr_pool_clear(each.p);
        err = check_models_of(req, &each, json_integer_value(json_array_get(ids, i)));
    }
    if (err)
        err = imu_error_keep(req->p, err);
    apr_pool_destroy(each.p);
    return err;
}

imu_err *imu_api_queue_retry(imu_req *req)
{
    imu_queue_change change;
    imu_queue_scope s;
    json_t *ids, *one;
    imu_err *err;
    size_t i;

    if ((err = imu_body_json(req, &ids)))
        return err;
    if (!json_is_array(ids) || json_array_size(ids) > IMU_QUEUE_MAX_IDS)
        return imu_invalid(req->p, "body", NULL, "list_type",
                           "Input should be a list of at most 1000 job numbers");
    json_array_foreach (ids, i, one)
        if (!json_is_integer(one))
            return imu_invalid(req->p, "body", NULL, "int_type", "Input should be a valid integer");
    if ((err = imu_queue_scope_of(req, &s)) || (err = check_models_again(req, &s, ids)))
        return err;
    err = imu_queue_retry(&s, ids, &change);
    if (json_array_size(change.item_ids) > 0)
        imu_queue_announce("queue_items_retried", s.who->user_id,
                           imu_queue_change_event(req->p, "retried", &change));
    audit_jobs(req, IMU_AUDIT_JOBS_RETRIED, &s, change.item_ids_by_user);
    imu_publish_queue_changed();
    if (err)
        return err;
    return imu_reply_json(
        req, 200,
        json_pack("{s:s, s:O}", "queue_id", s.queue_id, "retried_item_ids", change.item_ids));
}

static imu_err *set_paused(imu_req *req, int paused)
{
    imu_queue_scope s;
    json_t *status;
    imu_err *err;

    if ((err = imu_queue_scope_of(req, &s)) || (err = imu_queue_set_paused(&s, paused)) ||
        (err = imu_queue_processor(&s, &status)))
        return err;
    imu_publish_queue_changed();
    audit_queue(req, paused ? IMU_AUDIT_QUEUE_PAUSED : IMU_AUDIT_QUEUE_RESUMED, &s);
    return imu_reply_json(req, 200, json_incref(status));
}

imu_err *imu_api_queue_pause(imu_req *req)
{
    return set_paused(req, 1);
}

imu_err *imu_api_queue_resume(imu_req *req)
{
    return set_paused(req, 0);
}
