#include "mod_invokemu/events/news.h"

#include <string.h>

#include <apr_strings.h>

#include "mod_invokemu/events/publish.h"

json_t *imu_queue_event_new(const char *queue_id)
{
    return json_pack("{s:I, s:s}", "timestamp", (json_int_t)apr_time_sec(apr_time_now()),
                     "queue_id", queue_id);
}

void imu_queue_announce(const char *name, const char *owner, json_t *data)
{
    imu_publish(name, owner, data);
    json_decref(data);
}

json_t *imu_queue_change_event(apr_pool_t *p, const char *ids, const imu_queue_change *change)
{
    json_t *data = imu_queue_event_new(change->queue_id), *users = json_array(), *list;
    const char *user;

    json_object_foreach (change->item_ids_by_user, user, list)
        json_array_append_new(users, json_string(user));
    json_object_set(data, apr_pstrcat(p, ids, "_item_ids", NULL), change->item_ids);
    json_object_set_new(data, "user_ids", users);
    json_object_set(data, apr_pstrcat(p, ids, "_item_ids_by_user", NULL), change->item_ids_by_user);
    return data;
}

void imu_queue_announce_canceled(apr_pool_t *p, const char *by, const imu_queue_change *change)
{
    json_t *event;
    size_t i;

    imu_publish_cancel_items(change->running);
    json_array_foreach (change->events, i, event)
        imu_publish("queue_item_status_changed",
                    json_string_value(json_object_get(event, "user_id")), event);
    if (json_array_size(change->item_ids) > 0)
        imu_queue_announce("queue_items_canceled", by,
                           imu_queue_change_event(p, "canceled", change));
    imu_publish_queue_changed();
}

void imu_queue_announce_swept(const char *event, const char *queue_id, const char *owner)
{
    json_t *data = imu_queue_event_new(queue_id);

    json_object_set_new(data, "user_id", owner ? json_string(owner) : json_null());
    imu_queue_announce(event, owner, data);
}

void imu_workflow_announce(const char *event, const char *workflow_id, const char *owner,
                           int was_public, int is_public)
{
    json_t *data =
        json_pack("{s:I, s:s, s:s}", "timestamp", (json_int_t)apr_time_sec(apr_time_now()),
                  "workflow_id", workflow_id, "user_id", owner);

    if (strcmp(event, "workflow_updated") == 0) {
        json_object_set_new(data, "old_is_public", json_boolean(was_public));
        json_object_set_new(data, "new_is_public", json_boolean(is_public));
    } else {
        json_object_set_new(data, "is_public", json_boolean(is_public));
    }
    imu_publish(event, owner, data);
    json_decref(data);
}

void imu_models_tell(void)
{
    json_t *news = json_pack("{s:I}", "timestamp", (json_int_t)apr_time_sec(apr_time_now()));

    imu_publish("models_changed", NULL, news);
    json_decref(news);
}
