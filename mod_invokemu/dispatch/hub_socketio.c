/* hub_socketio.c: Socket.IO protocol 5 on the default namespace: who connects, and which queues
 * they listen to. */
#include "mod_invokemu/dispatch/hub_internal.h"
#include "mod_invokemu/util/clock.h"

#include <ctype.h>
#include <stdlib.h>
#include <string.h>

#include "mod_invokemu/util/ids.h"

#define MAX_ACK 10 /* digits of an acknowledgement's number */

/* ---- answers ---- */

/* Sends prefix and JSON as one message packet. json is consumed. */
static void send_json(hub_session *s, const char *prefix, json_t *json)
{
    char *body = json ? json_dumps(json, JSON_COMPACT) : NULL, *text;
    size_t before = strlen(prefix), len;

    json_decref(json);
    if (!body)
        return;
    len = before + strlen(body);
    text = malloc(len + 1);
    if (text) {
        memcpy(text, prefix, before);
        memcpy(text + before, body, len - before + 1);
        hub_engine_send(s, text, len, 0);
    }
    free(text);
    free(body);
}

static void refuse(hub_session *s, const char *sentence, const char *code)
{
    send_json(s, "44", json_pack("{s:s, s:{s:s}}", "message", sentence, "data", "code", code));
}

void hub_socketio_disconnect(hub_session *s)
{
    if (s->connected)
        hub_engine_send(s, "41", 2, 0);
    hub_session_close(s);
}

/* ---- who it is ---- */

/* Fills the session from its token as the database sees it now. @return NULL, or why not (in
 * scratch) */
static imu_err *identify(hub_session *s, apr_pool_t *scratch)
{
    imu_identity who = {0};
    imu_err *err;
    char *user_id;

    if (!s->hub->config.multiuser)
        imu_identity_system(&who);
    else if (!s->token)
        return imu_error(scratch, 401, "not_signed_in", "Sign in first.");
    else if ((err = imu_identity_from_token(s->hub->config.db, scratch, s->token, &who)))
        return err;
    if (who.must_change_password)
        return imu_error(scratch, 403, "must_change_password", "Change your password first.");
    if (s->is_admin && !who.is_admin)
        hub_engine_forget_events(s);
    user_id = strdup(who.user_id);
    if (!user_id)
        return imu_error_internal(scratch, "no memory for a socket's user");
    free(s->user_id);
    s->user_id = user_id;
    s->is_admin = who.is_admin;
    s->expires = who.expires_at;
    return NULL;
}

static void new_socket(hub_session *s, apr_pool_t *scratch)
{
    s->connected = 1;
    s->n_queues = 0;
    send_json(s, "40", json_pack("{s:s}", "sid", imu_random_token(scratch, 15)));
    if (s->ws || s->probe)
        hub_send_known(s->ws ? s->ws : s->probe);
    /* The token may end before the next ping is due. */
    if (s->expires && !s->awaiting_pong &&
        (s->expires - imu_clock_now()) / 1000 < s->hub->ping_interval) {
        int64_t left = (s->expires - imu_clock_now()) / 1000 + 1;
        imu_timer_set(s->timer, left > 0 ? left : 0);
    }
}

/* The token in CONNECT's payload wins over the header of the handshake, as the browser cannot set
 * headers on a WebSocket. */
static int take_token(hub_session *s, const char *text, size_t len)
{
    json_t *auth = len ? json_loadb(text, len, 0, NULL) : NULL;
    const json_t *token = json_object_get(auth, "token");
    int rc = 0;

    if (len && !json_is_object(auth)) {
        rc = -1;
    } else if (json_string_length(token) > 0 && json_string_length(token) <= IMU_TOKEN_MAX) {
        char *copy = strdup(json_string_value(token));

        if (copy) {
            hub_session_drop_token(s);
            s->token = copy;
        }
    }
    json_decref(auth);
    return rc;
}

static int connect_socket(hub_session *s, const char *text, size_t len)
{
    apr_pool_t *scratch;
    imu_err *err;
    int rc = 0;

    if (s->connected || take_token(s, text, len) != 0)
        return -1;
    if (apr_pool_create(&scratch, s->hub->config.pool) != APR_SUCCESS)
        return -1;
    if ((err = identify(s, scratch))) {
        refuse(s, err->detail, err->code);
        /* Each try may cost a look at the database; clients open a new session for the next. */
        rc = ++s->refusals < HUB_MAX_REFUSALS ? 0 : -1;
    } else if (hub_person_enter(s) != 0) {
        refuse(s, "Too many of your pages are open at once. Close some of them.",
               "too_many_sockets");
        rc = -1;
    } else {
        new_socket(s, scratch);
    }
    apr_pool_destroy(scratch);
    return rc;
}

int hub_socketio_recheck(hub_session *s)
{
    apr_pool_t *scratch;
    imu_err *err;
    int gone;

    if (apr_pool_create(&scratch, s->hub->config.pool) != APR_SUCCESS)
        return 0;
    err = identify(s, scratch);
    gone = err && err->status < 500;
    if (err && !gone)
        imu_dlog(IMU_LOG_WARNING, "IMU0332: a socket's session could not be looked at: %s",
                 err->log ? err->log : err->detail);
    apr_pool_destroy(scratch);
    if (gone) {
        hub_engine_forget_events(s);
        hub_socketio_disconnect(s);
    }
    return gone;
}

/* ---- what it listens to ---- */

/* Names of queues and of rooms are different things; what could never be a queue's name is not
 * kept. */
static int queue_name_ok(const char *name)
{
    size_t len = name ? strlen(name) : 0;

    if (len == 0 || len > HUB_QUEUE_NAME)
        return 0;
    for (size_t i = 0; i < len; i++)
        if (!isalnum((unsigned char)name[i]) && name[i] != '-' && name[i] != '_')
            return 0;
    return 1;
}

static int find_queue(const hub_session *s, const char *name)
{
    for (int i = 0; i < s->n_queues; i++)
        if (strcmp(s->queues[i], name) == 0)
            return i;
    return -1;
}

static void subscribe(hub_session *s, const char *name)
{
    if (queue_name_ok(name) && find_queue(s, name) < 0 && s->n_queues < HUB_MAX_QUEUES)
        memcpy(s->queues[s->n_queues++], name, strlen(name) + 1);
}

static void unsubscribe(hub_session *s, const char *name)
{
    int at = name ? find_queue(s, name) : -1;

    if (at >= 0)
        memmove(s->queues[at], s->queues[--s->n_queues], sizeof s->queues[at]);
}

static void acknowledge(hub_session *s, const char *number, size_t len)
{
    char prefix[MAX_ACK + 3];

    if (len == 0 || len > MAX_ACK)
        return;
    snprintf(prefix, sizeof prefix, "43%.*s", (int)len, number);
    send_json(s, prefix, json_array());
}

/* Valid JSON, but no text of ours: such an event means nothing here. */
static int has_nul(const json_error_t *error)
{
    enum json_error_code code = json_error_code(error);

    return code == json_error_null_character || code == json_error_null_byte_in_key;
}

/* Events that mean nothing here are heard and forgotten. Bulk downloads are told to whoever asked
 * for one, with or without subscribe_bulk_download. */
static int take_event(hub_session *s, const char *text, size_t len)
{
    const char *number = text, *name, *queue;
    json_error_t error;
    json_t *list;
    size_t digits = 0;

    while (digits < len && isdigit((unsigned char)text[digits]))
        digits++;
    list = json_loadb(text + digits, len - digits, 0, &error);
    if (!list && has_nul(&error)) {
        acknowledge(s, number, digits);
        return 0;
    }
    name = json_string_value(json_array_get(list, 0));
    queue = json_string_value(json_object_get(json_array_get(list, 1), "queue_id"));
    if (name && strcmp(name, "subscribe_queue") == 0)
        subscribe(s, queue);
    else if (name && strcmp(name, "unsubscribe_queue") == 0)
        unsubscribe(s, queue);
    json_decref(list);
    if (!name)
        return -1;
    acknowledge(s, number, digits);
    return 0;
}

/* ---- packets ---- */

/* Other namespaces do not exist. */
static void refuse_namespace(hub_session *s, const char *name, size_t len)
{
    char prefix[80];

    if (len < sizeof prefix - 4) {
        snprintf(prefix, sizeof prefix, "44%.*s,", (int)len, name);
        send_json(s, prefix, json_pack("{s:s}", "message", "Invalid namespace"));
    }
}

int hub_socketio_packet(hub_session *s, const char *text, size_t len)
{
    char type;

    if (len == 0)
        return -1;
    type = text[0];
    text++;
    len--;
    if (len && text[0] == '/') {
        const char *end = memchr(text, ',', len);
        size_t name = end ? (size_t)(end - text) : len;

        if (name != 1) {
            if (type == '0')
                refuse_namespace(s, text, name);
            return 0;
        }
        text += end ? 2 : 1;
        len -= end ? 2 : 1;
    }
    switch (type) {
    case '0':
        return connect_socket(s, text, len);
    case '2':
        return s->connected ? take_event(s, text, len) : -1;
    case '3': /* an acknowledgement: nothing asked for one */
        return s->connected ? 0 : -1;
    default: /* disconnect; binary events, which nobody sends here */
        return -1;
    }
}
