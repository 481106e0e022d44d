/* Tests of the hub: who has not signed in, and when it knows that somebody has. */
#include "tests/unit/events/hub_child.h"

#include <stdio.h>
#include <string.h>

static void open_from(const char *address, uint8_t type)
{
    next_conn++;
    frame(type,
          json_pack("{s:I, s:s, s:s}", "conn", next_conn, "method", "GET", "address", address),
          NULL, 0);
}

static void strangers_of_one_address(void **state)
{
    const char *sid = NULL;
    char last[16];

    (void)state;
    for (int i = 0; i < 100; i++) {
        open_from("192.0.2.1", i % 2 ? IMU_WIRE_EIO_REQUEST : IMU_WIRE_EIO_WS_OPEN);
        sid = open_sid(told());
    }
    open_from("192.0.2.1", IMU_WIRE_EIO_REQUEST);
    assert_non_null(strstr(told(), ":429:{\"code\":3,\"message\":\"Too many"));
    open_from("192.0.2.1", IMU_WIRE_EIO_WS_OPEN);
    snprintf(last, sizeof last, "C%d:1013|", (int)next_conn);
    assert_string_equal(told(), last);
    assert_int_equal(imu_hub_sessions(hub), 100);
    open_from("192.0.2.2", IMU_WIRE_EIO_REQUEST);
    open_sid(told());
    /* Who signs in is none of them any longer; nor is who leaves. */
    post(sid, "40{\"token\":\"alice\"}");
    told();
    open_from("192.0.2.1", IMU_WIRE_EIO_REQUEST);
    sid = open_sid(told());
    post(sid, "1");
    told();
    get(sid, NULL);
    told();
    open_from("192.0.2.1", IMU_WIRE_EIO_REQUEST);
    open_sid(told());
    open_from("192.0.2.1", IMU_WIRE_EIO_REQUEST);
    assert_non_null(strstr(told(), ":429:"));
}

static int knows(json_int_t conn)
{
    char known[24];

    snprintf(known, sizeof known, "K%d:alice|", (int)conn);
    return times(told(), known);
}

/* The child is told of each connection that it holds on which somebody has signed in. */
static void who_is_known(void **state)
{
    json_int_t ws = ws_open(NULL), conn;
    const char *sid;

    (void)state;
    ws_text(ws, "40{\"token\":\"nobody\"}");
    assert_int_equal(knows(ws), 0);
    ws_text(ws, "40{\"token\":\"alice\"}");
    assert_int_equal(knows(ws), 1);
    get(NULL, NULL);
    sid = open_sid(told());
    conn = get(sid, NULL);
    assert_int_equal(knows(conn), 0);
    post(sid, "40{\"token\":\"alice\"}"); /* which the poll tells of, and so ends */
    assert_int_equal(knows(conn), 0);
    conn = get(sid, NULL);
    assert_int_equal(knows(conn), 1);
    conn = ws_open(sid);
    assert_int_equal(knows(conn), 1);
}

/* Each refusal says why; who goes on trying loses the session with the last of them. */
static void refused_again(void **state)
{
    json_int_t ws = ws_open(NULL);
    const char *sid, *text;
    char end[16];

    (void)state;
    told();
    for (int i = 1; i <= 2; i++) {
        ws_text(ws, "40{\"token\":\"nobody\"}");
        text = told();
        assert_non_null(strstr(text, "44{"));
        assert_null(strstr(text, "|C"));
    }
    ws_text(ws, "40{\"token\":\"nobody\"}");
    snprintf(end, sizeof end, "|C%d:1000|", (int)ws);
    text = told();
    assert_non_null(strstr(text, "44{"));
    assert_non_null(strstr(text, end));
    assert_int_equal(imu_hub_sessions(hub), 0);
    get(NULL, NULL);
    sid = open_sid(told());
    post(sid, "40{\"token\":\"nobody\"}\x1e"
              "40{\"token\":\"nobody\"}\x1e"
              "40{\"token\":\"nobody\"}\x1e"
              "40{\"token\":\"alice\"}");
    told();
    get(sid, NULL);
    text = told();
    assert_int_equal(times(text, "44{"), 3);
    assert_null(strstr(text, "40{"));
    assert_int_equal(imu_hub_sessions(hub), 0);
}

static void packets_before_sign_in(void **state)
{
    json_int_t ws = ws_open(NULL);

    (void)state;
    for (int i = 0; i < 20; i++)
        ws_text(ws, "2");
    assert_int_equal(imu_hub_sessions(hub), 1);
    ws_text(ws, "2");
    assert_int_equal(imu_hub_sessions(hub), 0);
    told();
    ws = listener("alice");
    for (int i = 0; i < 300; i++)
        ws_text(ws, "2");
    assert_int_equal(imu_hub_sessions(hub), 1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        T(strangers_of_one_address),
        T(who_is_known),
        T(refused_again),
        T(packets_before_sign_in),
    };

    return cmocka_run_group_tests(tests, setup_all, teardown_all);
}
