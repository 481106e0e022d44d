/*
 * client_state.c: /api/v1/client_state/{queue_id}/…: text by key for each person. The queue's name
 * in the path tells nothing.
 */
#include "mod_invokemu/api/handlers.h"

#include <string.h>

#include "mod_invokemu/store/client_state.h"
#include "mod_invokemu/util/ids.h"
#include "mod_invokemu/validate.h"

#define KEY_MAX 512

/** GET get_by_key: the text as a JSON string, or null. */
imu_err *imu_api_client_state_get(imu_req *req)
{
    const char *key, *value;
    imu_db *db;
    imu_err *err;

    if ((err = imu_query_required(req, "key", KEY_MAX, &key)) || (err = imu_req_db(req, &db)) ||
        (err = imu_client_state_get(db, req->p, req->who.user_id, key, &value)))
        return err;
    return imu_reply_json(req, 200, value ? json_string(value) : json_null());
}

/** InvokeAI's client posts the bare text as text/plain; programs post a JSON string. */
static imu_err *read_value(imu_req *req, const char **value)
{
    const char *type = apr_table_get(req->r->headers_in, "Content-Type");
    apr_size_t len;
    json_t *body;
    imu_err *err;

    if (type && strncasecmp(type, "text/plain", 10) == 0) {
        if ((err = imu_body_read(req, req->conf->max_body, value, &len)))
            return err;
        if (strlen(*value) != len || !imu_is_clean_text(*value))
            return imu_invalid(req->p, "body", NULL, "string_unicode",
                               "Input should be a valid string");
        return NULL;
    }
    if ((err = imu_body_json(req, &body)))
        return err;
    *value = json_string_value(body);
    if (!*value || strlen(*value) != json_string_length(body))
        return imu_invalid(req->p, "body", NULL, "string_type", "Input should be a valid string");
    return NULL;
}

/** POST set_by_key: answers the stored text. */
imu_err *imu_api_client_state_set(imu_req *req)
{
    const char *key, *value;
    imu_db *db;
    imu_err *err;

    if ((err = imu_query_required(req, "key", KEY_MAX, &key)) || (err = imu_req_disk(req)) ||
        (err = read_value(req, &value)) || (err = imu_req_db(req, &db)) ||
        (err = imu_client_state_set(db, req->p, req->who.user_id, key, value)))
        return err;
    return imu_reply_json(req, 200, json_string(value));
}

/** GET get_keys_by_prefix. */
imu_err *imu_api_client_state_keys(imu_req *req)
{
    const char *prefix;
    imu_rows *rows;
    json_t *list;
    int i;
    imu_db *db;
    imu_err *err;

    if ((err = imu_query_required(req, "prefix", KEY_MAX, &prefix)) ||
        (err = imu_req_db(req, &db)) ||
        (err = imu_client_state_keys(db, req->p, req->who.user_id, prefix, &rows)))
        return err;
    list = json_array();
    for (i = 0; i < rows->count; i++)
        json_array_append_new(list, imu_json_text(rows, i, "key"));
    return imu_reply_json(req, 200, list);
}

static imu_err *forget(imu_req *req, const char *key)
{
    imu_db *db;
    imu_err *err = imu_req_db(req, &db);

    if (err || (err = imu_client_state_delete(db, req->p, req->who.user_id, key)))
        return err;
    return imu_reply_empty(req, 204);
}

/** POST delete_by_key. */
imu_err *imu_api_client_state_delete_key(imu_req *req)
{
    const char *key;
    imu_err *err = imu_query_required(req, "key", KEY_MAX, &key);

    return err ? err : forget(req, key);
}

/** POST delete: everything of the caller. */
imu_err *imu_api_client_state_delete(imu_req *req)
{
    return forget(req, NULL);
}
