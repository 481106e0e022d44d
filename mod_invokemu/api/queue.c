/*
 * queue.c: reading the session queue.
 */
#include "mod_invokemu/api/queue.h"

#include "mod_invokemu/api/handlers.h"
#include "mod_invokemu/validate.h"

#define MAX_QUEUE_ID    64
#define MAX_DESTINATION 256

imu_err *imu_queue_scope_of(imu_req *req, imu_queue_scope *s)
{
    s->p = req->p;
    s->who = &req->who;
    s->queue_id = imu_param(req, "queue_id");
    if (strlen(s->queue_id) > MAX_QUEUE_ID)
        return imu_invalid(req->p, "path", "queue_id", "string_too_long",
                           "The queue's name is too long");
    return imu_req_db(req, &s->db);
}

imu_err *imu_api_queue_list_all(imu_req *req)
{
    imu_queue_scope s;
    const char *destination, *text;
    apr_size_t len;
    imu_err *err;

    if ((err = imu_queue_scope_of(req, &s)) ||
        (err = imu_query_text(req, "destination", MAX_DESTINATION, NULL, &destination)) ||
        (err = imu_queue_list(&s, destination, &text, &len)))
        return err;
    return imu_reply_bytes(req, 200, "application/json", text, len);
}

imu_err *imu_api_queue_item_ids(imu_req *req)
{
    static const char *const directions[] = {"ASC", "DESC", NULL};
    imu_queue_scope s;
    const char *direction;
    json_t *result, *found;
    int mine, places;
    imu_err *err;

    if ((err = imu_queue_scope_of(req, &s)) ||
        (err = imu_query_choice(req, "order_dir", directions, "DESC", &direction)) ||
        (err = imu_query_bool(req, "mine", 0, &mine)) ||
        (err = imu_query_bool(req, "places", 0, &places)) ||
        (err = imu_queue_ids(&s, strcmp(direction, "DESC") == 0, mine, &result)))
        return err;
    if (places) {
        if ((err = imu_queue_places(&s, req->inst->queue_mode == IMU_QUEUE_FIFO, mine, &found)))
            return err;
        json_object_update(result, found);
    }
    return imu_reply_json(req, 200, json_incref(result));
}

static imu_err *by_ids(imu_req *req, int summaries)
{
    imu_queue_scope s;
    json_t *body, *ids, *one;
    const char *text;
    apr_size_t len;
    imu_check *c = imu_check_new(req->p, "body");
    imu_err *err;
    size_t i;

    if ((err = imu_body_object(req, &body)))
        return err;
    ids = imu_check_array(c, body, "item_ids", IMU_REQUIRED, IMU_QUEUE_MAX_IDS);
    json_array_foreach (ids, i, one)
        if (!json_is_integer(one))
            imu_check_fault(c, "item_ids", "int_type", "Input should be a valid integer", one);
    if ((err = imu_check_end(c)) || (err = imu_queue_scope_of(req, &s)) ||
        (err = imu_queue_list_by_ids(&s, ids, summaries, &text, &len)))
        return err;
    return imu_reply_bytes(req, 200, "application/json", text, len);
}

imu_err *imu_api_queue_items_by_ids(imu_req *req)
{
    return by_ids(req, 0);
}

imu_err *imu_api_queue_summaries_by_ids(imu_req *req)
{
    return by_ids(req, 1);
}

imu_err *imu_api_queue_item(imu_req *req)
{
    imu_queue_scope s;
    apr_int64_t id;
    json_t *item;
    imu_err *err;

    if ((err = imu_param_int(req, "item_id", &id)) || (err = imu_queue_scope_of(req, &s)) ||
        (err = imu_queue_item_get(&s, id, &item, NULL)))
        return err;
    return imu_reply_json(req, 200, json_incref(item));
}

typedef imu_err *reader(const imu_queue_scope *s, json_t **result);

static imu_err *reply_with(imu_req *req, reader *read)
{
    imu_queue_scope s;
    json_t *result;
    imu_err *err;

    if ((err = imu_queue_scope_of(req, &s)) || (err = read(&s, &result)))
        return err;
    return imu_reply_json(req, 200, json_incref(result));
}

imu_err *imu_api_queue_current(imu_req *req)
{
    return reply_with(req, imu_queue_current);
}

imu_err *imu_api_queue_next(imu_req *req)
{
    imu_queue_scope s;
    json_t *item;
    imu_err *err;

    if ((err = imu_queue_scope_of(req, &s)) ||
        (err = imu_queue_next(&s, req->inst->queue_mode == IMU_QUEUE_FIFO, &item)))
        return err;
    return imu_reply_json(req, 200, json_incref(item));
}

imu_err *imu_api_queue_status(imu_req *req)
{
    return reply_with(req, imu_queue_status);
}

imu_err *imu_api_queue_batch_status(imu_req *req)
{
    imu_queue_scope s;
    json_t *status;
    imu_err *err;

    if ((err = imu_queue_scope_of(req, &s)) ||
        (err = imu_queue_batch_status(&s, imu_param(req, "batch_id"), &status)))
        return err;
    return imu_reply_json(req, 200, json_incref(status));
}

imu_err *imu_api_queue_counts_by_destination(imu_req *req)
{
    imu_queue_scope s;
    const char *destination;
    json_t *counts;
    imu_err *err;

    if ((err = imu_query_required(req, "destination", MAX_DESTINATION, &destination)) ||
        (err = imu_queue_scope_of(req, &s)) ||
        (err = imu_queue_destination_counts(&s, destination, &counts)))
        return err;
    return imu_reply_json(req, 200, json_incref(counts));
}
