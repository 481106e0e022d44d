#include "mod_invokemu/dispatch/hub_internal.h"

#include <stdlib.h>
#include <string.h>

#include <apr_strings.h>

#include "mod_invokemu/util/ids.h"

#define SID_BYTES  18 /* 144 bits, 24 characters */
#define TRIM_BYTES (4096u * 1024)
#define TRIM_TIME  2000 /* ms */

unsigned hub_bucket(const char *text)
{
    unsigned h = 2166136261u;

    for (; *text; text++)
        h = (h ^ (unsigned char)*text) * 16777619u;
    return h & (HUB_BUCKETS - 1);
}

static hub_conn **bucket_of_conn(imu_hub_child *child, uint64_t id)
{
    return &child->conns[(id ^ (id >> 16)) & (HUB_BUCKETS - 1)];
}

/* ---- memory ---- */

/* Looks again while sessions still come and go: what was theirs is asked for again at once. */
static void on_trim(void *baton)
{
    imu_hub *hub = baton;

    hub->trimming = hub->released >= TRIM_BYTES;
    hub->released = 0;
    if (hub->trimming)
        imu_timer_set(hub->trim, TRIM_TIME);
    else if (hub->config.trim)
        hub->config.trim();
}

void hub_released(imu_hub *hub, size_t bytes)
{
    hub->released += bytes;
    if (hub->trimming || hub->released < TRIM_BYTES)
        return;
    hub->trimming = 1;
    hub->released = 0;
    imu_timer_set(hub->trim, TRIM_TIME);
}

imu_hub *imu_hub_new(const imu_hub_config *config)
{
    imu_hub *hub = calloc(1, sizeof *hub);

    if (!hub)
        return NULL;
    hub->config = *config;
    APR_RING_INIT(&hub->strangers, hub_session, of_strangers);
    APR_RING_INIT(&hub->idle, hub_session, of_idle);
    hub->crowded.before = hub_network_before;
    hub->trim = imu_timer_add(config->loop, -1, on_trim, hub);
    hub->again = imu_timer_add(config->loop, -1, hub_engine_again, hub);
    if (!hub->trim || !hub->again) {
        imu_timer_remove(hub->trim);
        imu_timer_remove(hub->again);
        free(hub);
        return NULL;
    }
    /* httpd closes a parked connection that is silent for a Timeout: three pings fit into it. */
    hub->ping_interval = config->timeout_ms > 0 && config->timeout_ms / 3 < HUB_LONGEST_PING
                             ? config->timeout_ms / 3
                             : HUB_LONGEST_PING;
    if (hub->ping_interval < HUB_SHORTEST_PING)
        hub->ping_interval = HUB_SHORTEST_PING;
    return hub;
}

void imu_hub_free(imu_hub *hub)
{
    if (!hub)
        return;
    while (hub->sessions)
        hub_session_free(hub->sessions);
    while (hub->children)
        imu_hub_child_remove(hub->children);
    imu_heap_clear(&hub->crowded);
    imu_timer_remove(hub->trim);
    imu_timer_remove(hub->again);
    free(hub);
}

int hub_may_tell(const imu_hub *hub, int64_t *told)
{
    int64_t now = imu_loop_now(hub->config.loop);

    if (*told && now - *told < HUB_TELL_TIME)
        return 0;
    *told = now;
    return 1;
}

int imu_hub_sessions(const imu_hub *hub)
{
    return hub->n_sessions;
}

/* ---- children ---- */

imu_hub_child *imu_hub_child_add(imu_hub *hub, imu_hub_send_fn *send, imu_hub_pending_fn *pending,
                                 void *baton)
{
    imu_hub_child *child = calloc(1, sizeof *child);

    if (!child)
        return NULL;
    child->hub = hub;
    child->send = send;
    child->pending = pending;
    child->baton = baton;
    child->next = hub->children;
    hub->children = child;
    return child;
}

static int send_nowhere(void *baton, uint8_t type, json_t *header, const void *payload,
                        size_t payload_len)
{
    (void)baton;
    (void)type;
    (void)header;
    (void)payload;
    (void)payload_len;
    return -1;
}

static size_t none_pending(void *baton)
{
    (void)baton;
    return 0;
}

/* What happens to a session when what a child held for it is gone. */
static void conn_lost(hub_conn *conn)
{
    hub_session *s = conn->session;
    int was_ws = conn->kind == CONN_WS || (s->upgrading && s->probe == conn);

    hub_conn_free(conn);
    if (was_ws)
        hub_session_free(s);
}

void imu_hub_child_remove(imu_hub_child *child)
{
    imu_hub_child **link;

    if (!child)
        return;
    child->send = send_nowhere;
    child->pending = none_pending;
    for (unsigned i = 0; i < HUB_BUCKETS; i++)
        while (child->conns[i])
            conn_lost(child->conns[i]);
    for (link = &child->hub->children; *link != child; link = &(*link)->next)
        ;
    *link = child->next;
    free(child);
}

/* ---- connections ---- */

hub_conn *hub_conn_new(imu_hub_child *child, uint64_t id, hub_conn_kind kind, hub_session *s)
{
    hub_conn *conn = calloc(1, sizeof *conn), **bucket = bucket_of_conn(child, id);

    if (!conn)
        return NULL;
    conn->child = child;
    conn->id = id;
    conn->kind = kind;
    conn->session = s;
    conn->next = *bucket;
    *bucket = conn;
    *(kind == CONN_POLL ? &s->poll : kind == CONN_PROBE ? &s->probe : &s->ws) = conn;
    hub_idle_leave(s);
    return conn;
}

hub_conn *hub_conn_find(imu_hub_child *child, uint64_t id)
{
    hub_conn *conn = *bucket_of_conn(child, id);

    while (conn && conn->id != id)
        conn = conn->next;
    return conn;
}

void hub_conn_free(hub_conn *conn)
{
    hub_session *s = conn->session;
    hub_conn **link = bucket_of_conn(conn->child, conn->id);

    while (*link != conn)
        link = &(*link)->next;
    *link = conn->next;
    if (s->poll == conn)
        s->poll = NULL;
    if (s->probe == conn) {
        s->probe = NULL;
        s->upgrading = 0;
    }
    if (s->ws == conn)
        s->ws = NULL;
    free(conn);
    hub_idle_enter(s);
}

/* header is consumed. */
static void send_frame(imu_hub_child *child, uint8_t type, json_t *header, const char *payload,
                       size_t len)
{
    if (!header)
        return;
    /* A child that takes no more is dropped by whoever owns its connection; its sockets end then.
     */
    if (child->send(child->baton, type, header, payload, len) != 0 && child->send != send_nowhere)
        imu_dlog(IMU_LOG_WARNING, "IMU0330: a child does not take its event frames");
    json_decref(header);
}

void hub_send_reply(imu_hub_child *child, uint64_t conn, int status, const char *type,
                    const char *body, size_t len)
{
    send_frame(
        child, IMU_WIRE_EIO_REPLY,
        json_pack("{s:I, s:i, s:s}", "conn", (json_int_t)conn, "status", status, "type", type),
        body, len);
}

void hub_send_text(hub_conn *conn, const char *text, size_t len, int preview)
{
    json_t *header = json_pack("{s:I}", "conn", (json_int_t)conn->id);

    if (header && preview)
        json_object_set_new(header, "preview", json_true());
    send_frame(conn->child, IMU_WIRE_EIO_SEND, header, text, len);
}

void hub_send_texts(imu_hub_child *child, json_t *conns, const char *text, size_t len, int preview)
{
    send_frame(child, IMU_WIRE_EIO_SEND,
               json_pack("{s:o, s:b}", "conns", conns, "preview", preview), text, len);
}

void hub_send_forget(const hub_conn *conn)
{
    send_frame(conn->child, IMU_WIRE_EIO_FORGET, json_pack("{s:I}", "conn", (json_int_t)conn->id),
               NULL, 0);
}

void hub_send_known(const hub_conn *conn)
{
    send_frame(
        conn->child, IMU_WIRE_EIO_KNOWN,
        json_pack("{s:I, s:s}", "conn", (json_int_t)conn->id, "user_id", conn->session->user_id),
        NULL, 0);
}

void hub_send_close(imu_hub_child *child, uint64_t conn, int code)
{
    send_frame(child, IMU_WIRE_EIO_CLOSE,
               json_pack("{s:I, s:i}", "conn", (json_int_t)conn, "code", code), NULL, 0);
}

/* ---- sessions ---- */

static void new_sid(imu_hub *hub, char *sid, size_t room)
{
    apr_pool_t *scratch;

    sid[0] = '\0';
    if (apr_pool_create(&scratch, hub->config.pool) != APR_SUCCESS)
        return;
    apr_cpystrn(sid, imu_random_token(scratch, SID_BYTES), room);
    apr_pool_destroy(scratch);
}

/* Whoever comes may say anything: what can be no token of ours is not kept. */
static const char *worth_keeping(const imu_hub *hub, const char *token)
{
    return token && hub->config.multiuser && strlen(token) <= IMU_TOKEN_MAX ? token : NULL;
}

hub_session *hub_session_new(imu_hub *hub, const char *token)
{
    hub_session *s = calloc(1, sizeof *s), **bucket;

    if (!s)
        return NULL;
    s->hub = hub;
    s->last = &s->first;
    s->opened = s->rate_start = imu_loop_now(hub->config.loop);
    new_sid(hub, s->sid, sizeof s->sid);
    s->timer = imu_timer_add(hub->config.loop, hub->ping_interval, hub_engine_timer, s);
    token = worth_keeping(hub, token);
    s->token = token ? strdup(token) : NULL;
    if (!s->sid[0] || !s->timer || (token && !s->token)) {
        imu_timer_remove(s->timer);
        free(s->token);
        free(s);
        return NULL;
    }
    bucket = &hub->by_sid[hub_bucket(s->sid)];
    s->next_hash = *bucket;
    *bucket = s;
    s->next = hub->sessions;
    s->prev_link = &hub->sessions;
    if (s->next)
        s->next->prev_link = &s->next;
    hub->sessions = s;
    hub->n_sessions++;
    return s;
}

hub_session *hub_session_find(imu_hub *hub, const char *sid)
{
    hub_session *s = hub->by_sid[hub_bucket(sid)];

    while (s && strcmp(s->sid, sid) != 0)
        s = s->next_hash;
    return s;
}

static void end_conns(hub_session *s)
{
    if (s->poll) {
        hub_send_reply(s->poll->child, s->poll->id, 200, "text/plain; charset=UTF-8", "1", 1);
        hub_conn_free(s->poll);
    }
    for (int i = 0; i < 2; i++) {
        hub_conn *conn = i ? s->ws : s->probe;

        if (conn) {
            hub_send_close(conn->child, conn->id, 1000);
            hub_conn_free(conn);
        }
    }
}

void hub_session_drop_token(hub_session *s)
{
    if (s->token)
        hub_released(s->hub, strlen(s->token));
    free(s->token);
    s->token = NULL;
}

void hub_session_free(hub_session *s)
{
    hub_session **link = &s->hub->by_sid[hub_bucket(s->sid)];

    hub_stranger_leave(s);
    hub_owner_take(s);
    end_conns(s);
    hub_idle_leave(s);
    while (*link != s)
        link = &(*link)->next_hash;
    *link = s->next_hash;
    *s->prev_link = s->next;
    if (s->next)
        s->next->prev_link = s->prev_link;
    s->hub->n_sessions--;
    imu_timer_remove(s->timer);
    while (s->first)
        free(hub_queue_take(s));
    hub_session_drop_token(s);
    hub_released(s->hub, sizeof *s);
    free(s->user_id);
    free(s);
}

void hub_session_close(hub_session *s)
{
    if (s->ws) {
        hub_session_free(s);
        return;
    }
    hub_engine_send(s, "1", 1, 0);
    s->closing = 1;
    hub_owner_waits(s, 0);
    s->connected = 0;
    hub_session_drop_token(s);
    if (s->poll || !s->first) {
        hub_engine_flush(s);
        hub_session_free(s);
        return;
    }
    imu_timer_set(s->timer, HUB_LINGER);
}

/* ---- frames ---- */

static int take_event(imu_hub *hub, const json_t *header, const imu_frame *frame)
{
    const char *name = json_string_value(json_object_get(header, "name"));
    const char *owner = json_string_value(json_object_get(header, "owner"));
    json_t *data = name ? json_loadb(frame->payload, frame->payload_len, 0, NULL) : NULL;

    if (!json_is_object(data)) {
        json_decref(data);
        return -1;
    }
    imu_hub_emit(hub, name, owner, data);
    json_decref(data);
    return 1;
}

static int take_user_changed(imu_hub *hub, const json_t *header)
{
    const char *user_id = json_string_value(json_object_get(header, "user_id"));

    if (!user_id)
        return -1;
    imu_hub_user_changed(hub, user_id);
    return 1;
}

static int take_engine(imu_hub_child *child, const json_t *header, const imu_frame *frame)
{
    const json_t *id = json_object_get(header, "conn");
    hub_conn *conn;

    if (!json_is_integer(id))
        return -1;
    conn = hub_conn_find(child, (uint64_t)json_integer_value(id));
    switch (frame->type) {
    case IMU_WIRE_EIO_REQUEST:
        return conn ? -1 : hub_engine_request(child, header, frame->payload, frame->payload_len);
    case IMU_WIRE_EIO_WS_OPEN:
        return conn ? -1 : hub_engine_ws_open(child, header);
    case IMU_WIRE_EIO_WS_MESSAGE:
        /* Without a connection: it was closed here while the message was under way. */
        if (conn && conn->kind != CONN_POLL)
            hub_engine_ws_message(conn, frame->payload, frame->payload_len);
        return 1;
    default:
        /* A child that ends asks for the answer to a poll before it goes. */
        if (conn && conn->kind == CONN_POLL && json_is_true(json_object_get(header, "release")))
            hub_engine_release(conn->session);
        else if (conn)
            conn_lost(conn);
        return 1;
    }
}

int imu_hub_frame(imu_hub_child *child, const imu_frame *frame, const json_t *header)
{
    if (frame->type == IMU_WIRE_EVENT)
        return take_event(child->hub, header, frame);
    if (frame->type == IMU_WIRE_USER_CHANGED)
        return take_user_changed(child->hub, header);
    if (frame->type >= IMU_WIRE_EIO_REQUEST && frame->type <= IMU_WIRE_EIO_GONE)
        return take_engine(child, header, frame);
    return 0;
}
