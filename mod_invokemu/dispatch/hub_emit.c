/* hub_emit.c: sends an event to the sockets that may hear it, each at most once. */
#include "mod_invokemu/dispatch/hub_internal.h"

#include <stdlib.h>
#include <string.h>

#include "mod_invokemu/dispatch/hub_routes.h"

typedef struct text {
    char *chars;
    size_t len;
} text;

/* "42" and the JSON list of name and payload: an EVENT of the default namespace in a message
 * packet. */
static text event_text(const char *name, const json_t *data)
{
    json_t *list = json_pack("[s, O]", name, (json_t *)data);
    char *json = list ? json_dumps(list, JSON_COMPACT) : NULL;
    text out = {NULL, 0};

    json_decref(list);
    if (json) {
        out.len = strlen(json) + 2;
        out.chars = malloc(out.len + 1);
        if (out.chars) {
            memcpy(out.chars, "42", 2);
            memcpy(out.chars + 2, json, out.len - 1);
        }
        free(json);
    }
    return out;
}

static int on_queue(const hub_session *s, const char *queue)
{
    for (int i = 0; queue && i < s->n_queues; i++)
        if (strcmp(s->queues[i], queue) == 0)
            return 1;
    return 0;
}

static void send_changed(hub_session *s, const imu_event_route *route, imu_redact_fn *change,
                         const char *name, const json_t *data)
{
    json_t *copy = change ? change(data, s->user_id, &name) : NULL;

    if (copy) {
        text t = event_text(name, copy);

        if (t.chars)
            hub_engine_send(s, t.chars, t.len, route->preview);
        free(t.chars);
    }
    json_decref(copy);
}

void imu_hub_emit(imu_hub *hub, const char *name, const char *owner, const json_t *data)
{
    const imu_event_route *route = imu_event_route_find(name);
    const char *queue = json_string_value(json_object_get(data, "queue_id"));
    text full = {NULL, 0};
    hub_session *s, *next;

    if (!route) {
        imu_dlog(IMU_LOG_WARNING, "IMU0331: nobody is to hear of an event named %s", name);
        return;
    }
    for (s = hub->sessions; s; s = next) {
        imu_listener who = {s->user_id, s->is_admin};

        /* A full queue ends the session. */
        next = s->next;
        if (!s->connected || (route->on_queue && !on_queue(s, queue)))
            continue;
        switch (imu_event_view(route, owner, &who)) {
        case IMU_VIEW_FULL:
            if (!full.chars)
                full = event_text(name, data);
            if (full.chars)
                hub_engine_send(s, full.chars, full.len, route->preview);
            break;
        case IMU_VIEW_ADMIN:
            send_changed(s, route, route->admins, name, data);
            break;
        case IMU_VIEW_REDACTED:
            send_changed(s, route, route->redact, name, data);
            break;
        case IMU_VIEW_NONE:
            break;
        }
    }
    free(full.chars);
}

void imu_hub_user_changed(imu_hub *hub, const char *user_id)
{
    hub_session *s, *next;

    for (s = hub->sessions; s; s = next) {
        next = s->next;
        if (s->connected && s->user_id && strcmp(s->user_id, user_id) == 0)
            hub_socketio_recheck(s);
    }
}
