#include "mod_invokemu/dispatch/hub_routes.h"

#include <string.h>

#define REDACTED "redacted"

/* Copies the named members; what is not named does not get out. */
static json_t *pick(const json_t *data, const char *const *names)
{
    json_t *out = json_object();

    for (; out && *names; names++) {
        json_t *value = json_object_get(data, *names);

        if (value)
            json_object_set(out, *names, value);
    }
    return out;
}

static void set_all(json_t *object, const char *const *names, json_t *value)
{
    for (; *names; names++)
        json_object_set(object, *names, value);
    json_decref(value);
}

static json_t *redact_batch(const json_t *data, const char *for_user, const char **name)
{
    static const char *const keep[] = {"timestamp", "queue_id", "enqueued",
                                       "requested", "priority", NULL};
    static const char *const hide[] = {"batch_id", "user_id", NULL};
    json_t *out = pick(data, keep);

    (void)for_user;
    (void)name;
    set_all(out, hide, json_string(REDACTED));
    json_object_set_new(out, "origin", json_null());
    return out;
}

static json_t *redact_batch_status(const json_t *status)
{
    static const char *const keep[] = {"queue_id", NULL};
    static const char *const none[] = {"origin", "destination", NULL};
    static const char *const zero[] = {"pending", "waiting",  "in_progress", "completed",
                                       "failed",  "canceled", "total",       NULL};
    json_t *out = pick(status, keep);

    json_object_set_new(out, "batch_id", json_string(REDACTED));
    set_all(out, none, json_null());
    set_all(out, zero, json_integer(0));
    return out;
}

/* The counts of the whole queue are everybody's; whose item is running is not. */
static json_t *redact_queue_status(const json_t *status)
{
    static const char *const keep[] = {"queue_id",    "pending",   "waiting",
                                       "in_progress", "completed", "failed",
                                       "canceled",    "total",     NULL};
    static const char *const none[] = {"item_id",      "batch_id",         "session_id",
                                       "user_pending", "user_in_progress", NULL};
    json_t *out = pick(status, keep);

    set_all(out, none, json_null());
    return out;
}

static json_t *redact_item(const json_t *data, const char *for_user, const char **name)
{
    static const char *const keep[] = {"timestamp",       "queue_id",   "item_id",    "status",
                                       "status_sequence", "created_at", "updated_at", "started_at",
                                       "completed_at",    NULL};
    static const char *const hide[] = {"batch_id", "session_id", "user_id", NULL};
    static const char *const none[] = {"origin",        "destination",     "error_type",
                                       "error_message", "error_traceback", NULL};
    json_t *out = pick(data, keep);

    (void)for_user;
    (void)name;
    set_all(out, hide, json_string(REDACTED));
    set_all(out, none, json_null());
    json_object_set_new(out, "batch_status",
                        redact_batch_status(json_object_get(data, "batch_status")));
    json_object_set_new(out, "queue_status",
                        redact_queue_status(json_object_get(data, "queue_status")));
    return out;
}

/* What the status says of its owner's own jobs would be taken for the reader's. */
static json_t *without_own_counts(const json_t *data, const char *for_user, const char **name)
{
    json_t *out = json_copy((json_t *)data);
    json_t *status = json_copy(json_object_get(data, "queue_status"));

    (void)for_user;
    (void)name;
    if (status) {
        json_object_set_new(status, "user_pending", json_null());
        json_object_set_new(status, "user_in_progress", json_null());
        json_object_set_new(out, "queue_status", status);
    }
    return out;
}

/* A list of ids over several people: each gets their own, most get none. */
static json_t *own_ids(const json_t *data, const char *for_user, const char *ids,
                       const char *by_user)
{
    static const char *const keep[] = {"timestamp", "queue_id", NULL};
    json_t *mine = for_user ? json_object_get(json_object_get(data, by_user), for_user) : NULL;
    json_t *out = pick(data, keep);

    json_object_set_new(out, ids, mine ? json_incref(mine) : json_array());
    json_object_set_new(out, "user_ids", mine ? json_pack("[s]", for_user) : json_array());
    json_object_set_new(out, by_user, mine ? json_pack("{s:O}", for_user, mine) : json_object());
    return out;
}

static json_t *own_canceled(const json_t *data, const char *for_user, const char **name)
{
    (void)name;
    return own_ids(data, for_user, "canceled_item_ids", "canceled_item_ids_by_user");
}

static json_t *own_retried(const json_t *data, const char *for_user, const char **name)
{
    (void)name;
    return own_ids(data, for_user, "retried_item_ids", "retried_item_ids_by_user");
}

static json_t *redact_cleared(const json_t *data, const char *for_user, const char **name)
{
    static const char *const keep[] = {"timestamp", "queue_id", NULL};
    json_t *out = pick(data, keep);

    (void)for_user;
    (void)name;
    /* An administrator's clearing concerns everybody and names nobody. */
    json_object_set_new(out, "user_id",
                        json_is_string(json_object_get(data, "user_id")) ? json_string(REDACTED)
                                                                         : json_null());
    return out;
}

/* Others hear of it when it concerned their jobs too. */
static json_t *if_of_everyone(const json_t *data, const char *for_user, const char **name)
{
    static const char *const keep[] = {"timestamp", "queue_id", "user_id", NULL};

    (void)for_user;
    (void)name;
    return json_is_null(json_object_get(data, "user_id")) ? pick(data, keep) : NULL;
}

static json_t *if_public(const json_t *data, const char *for_user, const char **name)
{
    (void)for_user;
    (void)name;
    return json_is_true(json_object_get(data, "is_public")) ? json_deep_copy(data) : NULL;
}

/* To those who can no longer see it, it is gone. */
static json_t *if_now_public(const json_t *data, const char *for_user, const char **name)
{
    static const char *const keep[] = {"timestamp", "workflow_id", "user_id", NULL};

    (void)for_user;
    if (json_is_true(json_object_get(data, "new_is_public")))
        return json_deep_copy(data);
    if (!json_is_true(json_object_get(data, "old_is_public")))
        return NULL;
    *name = "workflow_access_revoked";
    return pick(data, keep);
}

/* Others hear that a look at the boards is worth while, and not of which board. */
static json_t *if_seen_by_everyone(const json_t *data, const char *for_user, const char **name)
{
    static const char *const keep[] = {"timestamp", NULL};

    (void)for_user;
    (void)name;
    return json_is_true(json_object_get(data, "seen_by_everyone")) ? pick(data, keep) : NULL;
}

/* That something has changed is everybody's to know. */
static json_t *time_alone(const json_t *data, const char *for_user, const char **name)
{
    static const char *const keep[] = {"timestamp", NULL};

    (void)for_user;
    (void)name;
    return pick(data, keep);
}

static const imu_event_route routes[] = {
    /* name                       audience            queue preview redaction administrators */
    {"batch_enqueued", IMU_TO_QUEUE, 1, 0, redact_batch, NULL},
    {"queue_item_status_changed", IMU_TO_QUEUE, 1, 0, redact_item, without_own_counts},
    {"queue_items_canceled", IMU_TO_QUEUE, 1, 0, own_canceled, NULL},
    {"queue_items_retried", IMU_TO_QUEUE, 1, 0, own_retried, NULL},
    {"queue_cleared", IMU_TO_QUEUE, 1, 0, redact_cleared, NULL},
    {"queue_pruned", IMU_TO_QUEUE, 1, 0, if_of_everyone, NULL},
    {"recall_parameters_updated", IMU_TO_OWNER_ADMINS, 1, 0, NULL, NULL},
    {"invocation_progress", IMU_TO_OWNER, 1, 1, NULL, NULL},
    {"invocation_started", IMU_TO_OWNER_ADMINS, 1, 0, NULL, NULL},
    {"invocation_complete", IMU_TO_OWNER_ADMINS, 1, 0, NULL, NULL},
    {"invocation_error", IMU_TO_OWNER_ADMINS, 1, 0, NULL, NULL},
    {"bulk_download_*", IMU_TO_OWNER_ADMINS, 0, 0, NULL, NULL},
    {"model_load_*", IMU_TO_OWNER, 0, 0, NULL, NULL},
    {"model_install_*", IMU_TO_ADMINS, 0, 0, NULL, NULL},
    {"download_*", IMU_TO_ADMINS, 0, 0, NULL, NULL},
    {"workers_changed", IMU_TO_SHARED, 0, 0, time_alone, NULL},
    {"models_changed", IMU_TO_SHARED, 0, 0, time_alone, NULL},
    {"workflow_created", IMU_TO_SHARED, 0, 0, if_public, NULL},
    {"workflow_deleted", IMU_TO_SHARED, 0, 0, if_public, NULL},
    {"workflow_updated", IMU_TO_SHARED, 0, 0, if_now_public, NULL},
    {"boards_changed", IMU_TO_SHARED, 0, 0, if_seen_by_everyone, NULL},
};

const imu_event_route *imu_event_route_find(const char *name)
{
    for (size_t i = 0; i < sizeof routes / sizeof routes[0]; i++) {
        size_t len = strlen(routes[i].name);

        if (routes[i].name[len - 1] == '*' ? strncmp(name, routes[i].name, len - 1) == 0
                                           : strcmp(name, routes[i].name) == 0)
            return &routes[i];
    }
    return NULL;
}

imu_view imu_event_view(const imu_event_route *route, const char *owner, const imu_listener *who)
{
    int is_owner = owner && who->user_id && strcmp(owner, who->user_id) == 0;
    imu_view for_admin = route->admins ? IMU_VIEW_ADMIN : IMU_VIEW_FULL;

    switch (route->audience) {
    case IMU_TO_OWNER:
        return is_owner ? IMU_VIEW_FULL : IMU_VIEW_NONE;
    case IMU_TO_OWNER_ADMINS:
        return is_owner ? IMU_VIEW_FULL : who->is_admin ? for_admin : IMU_VIEW_NONE;
    case IMU_TO_ADMINS:
        return who->is_admin ? IMU_VIEW_FULL : IMU_VIEW_NONE;
    case IMU_TO_QUEUE:
    case IMU_TO_SHARED:
        return is_owner ? IMU_VIEW_FULL : who->is_admin ? for_admin : IMU_VIEW_REDACTED;
    }
    return IMU_VIEW_NONE;
}
