#include "tests/unit/events/hub_child.h"

#include <stdio.h>
#include <string.h>
#include <time.h>

#define NOTES 65536

apr_pool_t *pool;
imu_loop *loop;
imu_hub *hub;
imu_hub_child *child;
/* What the child was told: "R7:200:body|", "S7:text|", "P7:preview|", "C7:1000|", "F7|",
 * "K7:alice|" with the connection's number. */
static char notes[NOTES];
size_t used;
json_int_t next_conn;

int frames;

static int note(uint8_t type, const json_t *header, int conn, const void *payload, size_t len)
{
    int n;

    if (type == IMU_WIRE_EIO_REPLY)
        n = snprintf(notes + used, NOTES - used, "R%d:%d:%.*s|", conn,
                     (int)json_integer_value(json_object_get(header, "status")), (int)len,
                     (const char *)payload);
    else if (type == IMU_WIRE_EIO_SEND)
        n = snprintf(notes + used, NOTES - used, "%c%d:%.*s|",
                     json_is_true(json_object_get(header, "preview")) ? 'P' : 'S', conn, (int)len,
                     (const char *)payload);
    else if (type == IMU_WIRE_EIO_FORGET)
        n = snprintf(notes + used, NOTES - used, "F%d|", conn);
    else if (type == IMU_WIRE_EIO_KNOWN)
        n = snprintf(notes + used, NOTES - used, "K%d:%s|", conn,
                     json_string_value(json_object_get(header, "user_id")));
    else
        n = snprintf(notes + used, NOTES - used, "C%d:%d|", conn,
                     (int)json_integer_value(json_object_get(header, "code")));
    used += (size_t)n;
    assert_true(used < NOTES);
    return 0;
}

int take_note(void *baton, uint8_t type, json_t *header, const void *payload, size_t len)
{
    const json_t *conns = json_object_get(header, "conns"), *conn;
    size_t i;

    (void)baton;
    frames++;
    if (!conns)
        return note(type, header, (int)json_integer_value(json_object_get(header, "conn")), payload,
                    len);
    json_array_foreach (conns, i, conn)
        note(type, header, (int)json_integer_value(conn), payload, len);
    return 0;
}

size_t none_pending(void *baton)
{
    (void)baton;
    return 0;
}

const char *told(void)
{
    static char copy[NOTES];

    memcpy(copy, notes, used + 1);
    used = 0;
    notes[0] = '\0';
    return copy;
}

int frame(uint8_t type, json_t *header, const char *payload, size_t len)
{
    imu_frame f = {.type = type, .payload = payload, .payload_len = len};
    int rc = imu_hub_frame(child, &f, header);

    json_decref(header);
    return rc;
}

json_int_t get(const char *sid, const char *token)
{
    next_conn++;
    assert_int_equal(frame(IMU_WIRE_EIO_REQUEST,
                           json_pack("{s:I, s:s, s:s?, s:s?}", "conn", next_conn, "method", "GET",
                                     "sid", sid, "token", token),
                           NULL, 0),
                     1);
    return next_conn;
}

json_int_t post_bytes(const char *sid, const char *body, size_t len)
{
    next_conn++;
    assert_int_equal(
        frame(IMU_WIRE_EIO_REQUEST,
              json_pack("{s:I, s:s, s:s}", "conn", next_conn, "method", "POST", "sid", sid), body,
              len),
        1);
    return next_conn;
}

json_int_t post(const char *sid, const char *body)
{
    return post_bytes(sid, body, strlen(body));
}

json_int_t ws_open(const char *sid)
{
    next_conn++;
    assert_int_equal(frame(IMU_WIRE_EIO_WS_OPEN,
                           json_pack("{s:I, s:s?}", "conn", next_conn, "sid", sid), NULL, 0),
                     1);
    return next_conn;
}

void ws_text(json_int_t conn, const char *text)
{
    assert_int_equal(
        frame(IMU_WIRE_EIO_WS_MESSAGE, json_pack("{s:I}", "conn", conn), text, strlen(text)), 1);
}

void gone(json_int_t conn)
{
    assert_int_equal(frame(IMU_WIRE_EIO_GONE, json_pack("{s:I}", "conn", conn), NULL, 0), 1);
}

/* The sid of the open packet in what was told last. */
const char *open_sid(const char *text)
{
    static char sids[16][64];
    static int n;
    char *sid = sids[n++ % 16];
    const char *at = strstr(text, "\"sid\":\"");

    assert_non_null(at);
    snprintf(sid, 64, "%.*s", (int)strcspn(at + 7, "\""), at + 7);
    assert_int_equal(strlen(sid), 24);
    return sid;
}

/* Opens a WebSocket, connects with that token and listens to the queue. @return its number */
json_int_t listener(const char *token)
{
    json_int_t conn = ws_open(NULL);
    char text[200];

    snprintf(text, sizeof text, "40{\"token\":\"%s\"}", token);
    ws_text(conn, text);
    ws_text(conn, "42[\"subscribe_queue\",{\"queue_id\":\"default\"}]");
    assert_non_null(strstr(told(), ":40{\"sid\""));
    return conn;
}

void emit(const char *name, const char *owner, const char *data)
{
    json_t *json = json_loads(data, 0, NULL);

    assert_non_null(json);
    imu_hub_emit(hub, name, owner, json);
    json_decref(json);
}

int64_t cpu_ns(void)
{
    struct timespec t;

    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t);
    return (int64_t)t.tv_sec * 1000000000 + t.tv_nsec;
}

int setup_all(void **state)
{
    (void)state;
    return apr_initialize() != APR_SUCCESS || apr_pool_create(&pool, NULL) != APR_SUCCESS;
}

int teardown_all(void **state)
{
    (void)state;
    apr_terminate();
    return 0;
}

int setup(void **state)
{
    imu_hub_config config;

    (void)state;
    stub_reset();
    loop = imu_loop_new();
    config = (imu_hub_config){
        .loop = loop, .pool = pool, .multiuser = 1, .timeout_ms = 60000, .trim = stub_trim};
    hub = imu_hub_new(&config);
    child = imu_hub_child_add(hub, take_note, none_pending, NULL);
    told();
    return !loop || !hub || !child;
}

int teardown(void **state)
{
    (void)state;
    imu_hub_free(hub);
    imu_loop_free(loop);
    return 0;
}

int heard(const char *text, json_int_t conn, const char *what)
{
    char start[32];
    const char *at = text;

    snprintf(start, sizeof start, "%d:42[", (int)conn);
    while ((at = strstr(at, start))) {
        if (at > text && (at[-1] == 'S' || at[-1] == 'P') && (at - 1 == text || at[-2] == '|') &&
            memmem(at, strcspn(at, "|"), what, strlen(what)))
            return 1;
        at++;
    }
    return 0;
}

int times(const char *text, const char *what)
{
    int n = 0;

    for (const char *at = text; (at = strstr(at, what)); at++)
        n++;
    return n;
}
