/* hub_engine.c: Engine.IO protocol 4: sessions over long polling and WebSockets, the upgrade from
 * one to the other, heartbeat. */
#include "mod_invokemu/dispatch/hub_internal.h"
#include "mod_invokemu/util/clock.h"

#include <stdlib.h>
#include <string.h>

#define TEXT_TYPE "text/plain; charset=UTF-8"
#define JSON_TYPE "application/json"
#define SEPARATOR 0x1e
#define EXPIRY_SLACK                                                                               \
    apr_time_from_msec(200) /* timers count from the start of a turn, and may be early */

/* Errors as Engine.IO numbers them. */
static void refuse(imu_hub_child *child, uint64_t conn, int code)
{
    static const char *const words[] = {"Transport unknown", "Session ID unknown",
                                        "Bad handshake method", "Bad request"};
    char body[64];
    int len = snprintf(body, sizeof body, "{\"code\":%d,\"message\":\"%s\"}", code, words[code]);

    hub_send_reply(child, conn, 400, JSON_TYPE, body, (size_t)len);
}

/* ---- from server to browser ---- */

void hub_engine_forget_events(hub_session *s)
{
    hub_queue_drop_events(s);
    if (s->ws)
        hub_send_forget(s->ws);
}

void hub_engine_send(hub_session *s, const char *text, size_t len, int preview)
{
    if (s->closing)
        return;
    if (s->ws) {
        hub_send_text(s->ws, text, len, preview);
        return;
    }
    hub_queue_put(s, text, len, preview);
    hub_engine_flush(s);
}

/* What waits may be much, and is asked for all at once: a child that has not read what was sent
 * gets it later, since all sockets of it would end with the frame for which there is no room. */
static int takes_much(const hub_conn *conn)
{
    imu_hub *hub = conn->child->hub;

    if (conn->child->pending(conn->child->baton) < HUB_MAX_CHILD)
        return 1;
    if (!hub->held)
        imu_timer_set(hub->again, HUB_AGAIN_TIME);
    hub->held = 1;
    return 0;
}

static void answer_poll(hub_session *s)
{
    size_t used = 0;
    char *body;

    body = malloc(s->queued); /* each packet counts for more than its text and a separator */
    if (!body) {
        hub_queue_give_up(s);
        return;
    }
    while (s->first) {
        hub_packet *packet = hub_queue_take(s);

        if (used)
            body[used++] = SEPARATOR;
        memcpy(body + used, packet->text, packet->len);
        used += packet->len;
        free(packet);
    }
    hub_send_reply(s->poll->child, s->poll->id, 200, TEXT_TYPE, body, used);
    hub_conn_free(s->poll);
    free(body);
}

/* The browser has seen its polls end: from now on the WebSocket carries everything. */
static void upgrade(hub_conn *conn)
{
    hub_session *s = conn->session;

    s->upgrading = 0;
    s->probe = NULL;
    s->ws = conn;
    conn->kind = CONN_WS;
    while (s->first) {
        hub_packet *packet = hub_queue_take(s);

        hub_send_text(conn, packet->text, packet->len, packet->preview);
        free(packet);
    }
}

void hub_engine_flush(hub_session *s)
{
    if (s->upgrading && takes_much(s->probe))
        upgrade(s->probe);
    else if (s->poll && s->first && takes_much(s->poll))
        answer_poll(s);
}

void hub_engine_again(void *baton)
{
    imu_hub *hub = baton;

    hub->held = 0;
    for (hub_session *s = hub->sessions; s; s = s->next)
        hub_engine_flush(s);
}

void hub_engine_release(hub_session *s)
{
    if (!s->poll)
        return;
    hub_send_reply(s->poll->child, s->poll->id, 200, TEXT_TYPE, "6", 1);
    hub_conn_free(s->poll);
}

static void send_open(hub_session *s, int upgradable)
{
    json_t *open = json_pack("{s:s, s:[], s:i, s:i, s:i}", "sid", s->sid, "upgrades",
                             "pingInterval", s->hub->ping_interval, "pingTimeout", HUB_PING_TIMEOUT,
                             "maxPayload", IMU_WIRE_MAX_MESSAGE);
    char *json, *packet;
    size_t len;

    if (open && upgradable)
        json_array_append_new(json_object_get(open, "upgrades"), json_string("websocket"));
    json = open ? json_dumps(open, JSON_COMPACT) : NULL;
    json_decref(open);
    if (!json)
        return;
    len = strlen(json);
    packet = malloc(len + 1);
    if (packet) {
        packet[0] = '0';
        memcpy(packet + 1, json, len);
        hub_engine_send(s, packet, len + 1, 0);
    }
    free(packet);
    free(json);
}

/* ---- heartbeat ---- */

static void arm_ping(hub_session *s)
{
    int64_t delay = s->hub->ping_interval;

    if (s->expires) {
        int64_t left = (s->expires - imu_clock_now()) / 1000 + 1;

        if (left < delay)
            delay = left > 0 ? left : 0;
    }
    imu_timer_set(s->timer, delay);
}

void hub_engine_timer(void *baton)
{
    hub_session *s = baton;
    int64_t now = imu_loop_now(s->hub->config.loop);

    if (s->closing || s->awaiting_pong) {
        hub_session_free(s);
    } else if (s->connected && s->expires && imu_clock_now() + EXPIRY_SLACK >= s->expires) {
        hub_socketio_disconnect(s);
    } else if (!s->connected && now - s->opened >= HUB_CONNECT_TIME) {
        hub_session_close(s);
    } else if (!s->connected || !hub_socketio_recheck(s)) {
        /* Who changes accounts on the command line tells nobody: each ping looks again. */
        s->awaiting_pong = 1;
        imu_timer_set(s->timer, HUB_PING_TIMEOUT);
        hub_engine_send(s, "2", 1, 0);
    }
}

/* ---- from browser to server ---- */

/* A browser that floods ends its session. */
static int too_fast(hub_session *s)
{
    int64_t now = imu_loop_now(s->hub->config.loop);

    if (now - s->rate_start >= HUB_RATE_TIME) {
        s->rate_start = now;
        s->rate = 0;
    }
    return ++s->rate > (s->connected ? HUB_RATE_PACKETS : HUB_RATE_STRANGER);
}

/* @return 0, or -1 when the session has to end */
static int take(hub_session *s, const char *text, size_t len)
{
    if (len == 0 || too_fast(s))
        return -1;
    switch (text[0]) {
    case '2': /* protocol 3 clients ping; answering is harmless */
        hub_engine_send(s, "3", 1, 0);
        return 0;
    case '3':
        s->awaiting_pong = 0;
        arm_ping(s);
        return 0;
    case '4':
        return hub_socketio_packet(s, text + 1, len - 1);
    case '6':
        return 0;
    default: /* close; open and upgrade where they don't belong; binary, which nobody sends here */
        return -1;
    }
}

static int take_payload(hub_session *s, const char *body, size_t len)
{
    while (!s->closing) {
        const char *end = memchr(body, SEPARATOR, len);
        size_t one = end ? (size_t)(end - body) : len;

        if (take(s, body, one) != 0)
            return -1;
        if (!end)
            return 0;
        body += one + 1;
        len -= one + 1;
    }
    return 0;
}

static hub_session *session_of(imu_hub *hub, const json_t *header, const char **sid)
{
    *sid = json_string_value(json_object_get(header, "sid"));
    return *sid ? hub_session_find(hub, *sid) : NULL;
}

static int room_for(imu_hub_child *child, const json_t *header)
{
    const char *address = json_string_value(json_object_get(header, "address"));

    return !address || hub_stranger_room(child->hub, address);
}

static hub_session *session_for(imu_hub_child *child, const json_t *header)
{
    const char *address = json_string_value(json_object_get(header, "address"));
    const char *network = json_string_value(json_object_get(header, "network"));
    hub_session *s =
        hub_session_new(child->hub, json_string_value(json_object_get(header, "token")));

    if (s && address && hub_stranger_enter(s, address, network ? network : address) != 0) {
        hub_session_free(s);
        return NULL;
    }
    return s;
}

/* A poll waits for something to say. A second one beside it is a fault of the browser. */
static int poll(imu_hub_child *child, hub_session *s, uint64_t id)
{
    if (s->ws || s->poll) {
        refuse(child, id, 3);
        if (!s->ws)
            hub_session_close(s);
        return 1;
    }
    if (!hub_conn_new(child, id, CONN_POLL, s))
        return -1;
    hub_engine_flush(s);
    if (s->closing)
        hub_session_free(s);
    else if (s->probe)
        hub_engine_release(s);
    else if (s->poll && s->connected)
        hub_send_known(s->poll);
    return 1;
}

static int handshake(imu_hub_child *child, const json_t *header, uint64_t id)
{
    static const char full[] =
        "{\"code\":3,\"message\":\"Too many connections from your address have not signed in. Try "
        "again in a moment.\"}";
    hub_session *s;

    if (!room_for(child, header)) {
        hub_send_reply(child, id, 429, JSON_TYPE, full, sizeof full - 1);
        return 1;
    }
    s = session_for(child, header);
    if (!s || !hub_conn_new(child, id, CONN_POLL, s))
        return -1;
    send_open(s, 1);
    return 1;
}

int hub_engine_request(imu_hub_child *child, const json_t *header, const char *body, size_t len)
{
    const char *method = json_string_value(json_object_get(header, "method")), *sid;
    uint64_t id = (uint64_t)json_integer_value(json_object_get(header, "conn"));
    hub_session *s = session_of(child->hub, header, &sid);
    int is_post;

    if (!method)
        return -1;
    is_post = strcmp(method, "POST") == 0;
    if (!s) {
        if (sid || is_post)
            refuse(child, id, sid ? 1 : 2);
        else
            return handshake(child, header, id);
    } else if (!is_post) {
        return poll(child, s, id);
    } else if (s->ws || s->closing || len > IMU_WIRE_MAX_MESSAGE) {
        refuse(child, id, 3);
    } else {
        int rc = take_payload(s, body, len);

        hub_send_reply(child, id, 200, "text/html", "ok", 2);
        if (rc != 0 && !s->closing)
            hub_session_close(s);
    }
    return 1;
}

int hub_engine_ws_open(imu_hub_child *child, const json_t *header)
{
    uint64_t id = (uint64_t)json_integer_value(json_object_get(header, "conn"));
    const char *sid;
    hub_session *s = session_of(child->hub, header, &sid);

    if (sid) {
        if (!s || s->ws || s->probe || s->closing)
            hub_send_close(child, id, 1008);
        else if (!hub_conn_new(child, id, CONN_PROBE, s))
            return -1;
        else if (s->connected)
            hub_send_known(s->probe);
        return 1;
    }
    if (!room_for(child, header)) {
        hub_send_close(child, id, 1013);
        return 1;
    }
    s = session_for(child, header);
    if (!s || !hub_conn_new(child, id, CONN_WS, s))
        return -1;
    send_open(s, 0);
    return 1;
}

void hub_engine_ws_message(hub_conn *conn, const char *text, size_t len)
{
    hub_session *s = conn->session;

    /* Ended by a poll, while this one was to take over: nothing may begin on it again. */
    if (s->closing) {
        hub_send_close(conn->child, conn->id, 1000);
        hub_conn_free(conn);
    } else if (conn->kind == CONN_WS || s->upgrading) {
        if (len > IMU_WIRE_MAX_MESSAGE || take(s, text, len) != 0)
            hub_session_close(s);
    } else if (len == 6 && memcmp(text, "2probe", 6) == 0) {
        hub_send_text(conn, "3probe", 6, 0);
        hub_engine_release(s);
    } else if (len == 1 && text[0] == '5') {
        hub_engine_release(s);
        s->upgrading = 1;
        hub_engine_flush(s);
    } else {
        hub_send_close(conn->child, conn->id, 1008);
        hub_conn_free(conn);
    }
}
