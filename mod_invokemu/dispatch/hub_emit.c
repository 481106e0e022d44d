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

/* ---- copies: what reads the same goes to each child once, and the child fans it out ---- */

typedef struct copies {
    imu_hub *hub;
    const imu_event_route *route;
    text of[HUB_VIEWS];
} copies;

static void send_out(copies *all, imu_view view)
{
    text *t = &all->of[view];

    for (imu_hub_child *child = all->hub->children; child; child = child->next)
        if (child->together[view]) {
            hub_send_texts(child, child->together[view], t->chars, t->len, all->route->preview);
            child->together[view] = NULL;
        }
    free(t->chars);
    *t = (text){NULL, 0};
}

/* Polls are answered one by one: each has a queue of its own. */
static void add(copies *all, imu_view view, hub_session *s)
{
    const text *t = &all->of[view];
    json_t **together = s->ws ? &s->ws->child->together[view] : NULL;

    if (!together) {
        hub_engine_send(s, t->chars, t->len, all->route->preview);
        return;
    }
    if (s->closing)
        return;
    if (!*together)
        *together = json_array();
    if (json_array_append_new(*together, json_integer((json_int_t)s->ws->id)) != 0)
        hub_engine_send(s, t->chars, t->len, all->route->preview);
}

static void add_full(copies *all, hub_session *s, const char *name, const json_t *data)
{
    text *t = &all->of[IMU_VIEW_FULL];

    if (!t->chars)
        *t = event_text(name, data);
    /* NOLINTNEXTLINE(clang-analyzer-unix.Malloc): send_out frees the texts of other views */
    if (t->chars)
        add(all, IMU_VIEW_FULL, s);
}

static void add_changed(copies *all, imu_view view, hub_session *s, const char *name,
                        const json_t *data)
{
    imu_redact_fn *change = view == IMU_VIEW_ADMIN ? all->route->admins : all->route->redact;
    json_t *copy = change ? change(data, s->user_id, &name) : NULL;
    text t = copy ? event_text(name, copy) : (text){NULL, 0}, *last = &all->of[view];

    json_decref(copy);
    if (!t.chars)
        return;
    if (last->chars && last->len == t.len && memcmp(last->chars, t.chars, t.len) == 0) {
        free(t.chars);
    } else {
        send_out(all, view);
        *last = t;
    }
    add(all, view, s);
}

void imu_hub_emit(imu_hub *hub, const char *name, const char *owner, const json_t *data)
{
    copies all = {.hub = hub, .route = imu_event_route_find(name)};
    const char *queue = json_string_value(json_object_get(data, "queue_id"));

    if (!all.route) {
        imu_dlog(IMU_LOG_WARNING, "IMU0331: nobody is to hear of an event named %s", name);
        return;
    }
    /* What ends a session here ends it later. */
    for (hub_session *s = hub->sessions; s; s = s->next) {
        imu_listener who = {s->user_id, s->is_admin};
        imu_view view;

        if (!s->connected || (all.route->on_queue && !on_queue(s, queue)))
            continue;
        view = imu_event_view(all.route, owner, &who);
        if (view == IMU_VIEW_FULL)
            add_full(&all, s, name, data);
        else if (view != IMU_VIEW_NONE)
            add_changed(&all, view, s, name, data);
    }
    for (int view = IMU_VIEW_FULL; view < HUB_VIEWS; view++)
        send_out(&all, (imu_view)view);
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
