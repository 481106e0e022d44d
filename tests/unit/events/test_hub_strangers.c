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

/* What has ended and waits to be read makes room. */
static void lingering_strangers_make_room(void **state)
{
    (void)state;
    for (int i = 0; i < 150; i++) {
        open_from("192.0.2.1", IMU_WIRE_EIO_REQUEST);
        post(open_sid(told()), "1");
    }
    assert_int_equal(imu_hub_sessions(hub), 100);
}

#define ALL 4096
#define SID 32

/* One of a network and its 256 addresses. @param sid  filled in (SID bytes), or NULL */
static void open_in(int network, int i, char *sid)
{
    char address[64], around[32];

    snprintf(around, sizeof around, "10.%d.%d", network / 256, network % 256);
    snprintf(address, sizeof address, "%s.%d", around, i % 256);
    next_conn++;
    told();
    frame(IMU_WIRE_EIO_REQUEST,
          json_pack("{s:I, s:s, s:s, s:s}", "conn", next_conn, "method", "GET", "address", address,
                    "network", around),
          NULL, 0);
    if (sid)
        snprintf(sid, SID, "%s", open_sid(told()));
}

static int is_there(const char *sid)
{
    post(sid, "6");
    return times(told(), ":200:ok|");
}

/* All networks together have so many; the oldest one of the network with most makes room. */
static void strangers_of_all_addresses(void **state)
{
    char few[SID], first[SID], second[SID];

    (void)state;
    open_in(1, 0, few);
    for (int i = 1; i < 8; i++)
        open_in(1, i, NULL);
    open_in(2, 0, first);
    open_in(2, 1, second);
    for (int i = 0; i < ALL; i++)
        open_in(3 + i % 9, i, NULL);
    open_in(2, 2, NULL);
    assert_int_equal(imu_hub_sessions(hub), ALL);
    assert_true(is_there(few) && is_there(first) && is_there(second));
    post(few, "40{\"token\":\"alice\"}");
    for (int i = 0; i < 1000; i++)
        open_in(2, i, NULL);
    assert_int_equal(imu_hub_sessions(hub), ALL + 1);
    assert_true(!is_there(first) && !is_there(second) && is_there(few));
}

/* Where no network has many, those are the oldest that have had most time. */
static void strangers_of_many_networks(void **state)
{
    char first[SID], second[SID];

    (void)state;
    open_in(0, 0, first);
    open_in(0, 1, second);
    for (int i = 0; i < ALL - 1; i++)
        open_in(1 + i, 0, NULL);
    assert_false(is_there(first));
    assert_true(is_there(second));
    assert_int_equal(imu_hub_sessions(hub), ALL);
}

/* @param networks  that they come from. @return ns that each of them took */
static int64_t newcomers(int networks)
{
    int64_t start = cpu_ns();

    for (int i = 0; i < ALL; i++)
        open_in(i % networks, i, NULL);
    return (cpu_ns() - start) / ALL;
}

/* It takes no look at all of them to find who leaves, also where the network that has most has come
 * last. */
static void who_leaves_is_found_at_once(void **state)
{
    int64_t spread, crowded;

    (void)state;
    newcomers(ALL);
    spread = newcomers(ALL);
    for (int i = 0; i < 9; i++)
        open_in(ALL, i, NULL);
    crowded = newcomers(1);
    assert_in_range(crowded, 0, 2 * spread);
}

/* A token of ours is not so long, so nobody has it kept. */
static void tokens_that_are_none(void **state)
{
    char token[3001], text[3100];
    json_int_t ws;

    (void)state;
    memset(token, 'x', 3000);
    memcpy(token, "alice:", 6);
    token[3000] = '\0';
    get(NULL, token);
    post(open_sid(told()), "40");
    ws = ws_open(NULL);
    told();
    snprintf(text, sizeof text, "40{\"token\":\"%s\"}", token);
    ws_text(ws, text);
    assert_non_null(strstr(told(), "not_signed_in"));
    assert_int_equal(imu_hub_sessions(hub), 2);
    emit("models_changed", NULL, "{}");
    assert_string_equal(told(), "");
    token[2000] = '\0';
    snprintf(text, sizeof text, "40{\"token\":\"%s\"}", token);
    ws_text(ws, text);
    assert_non_null(strstr(told(), ":40{\"sid\""));
}

/* What very many sessions took goes back to the system once they are gone, in one go. */
static void memory_goes_back(void **state)
{
    apr_time_t last;

    (void)state;
    stub_trims = 0;
    for (int i = 0; i < 3 * ALL; i++)
        open_in(i % 50, i, NULL);
    assert_int_equal(stub_trims, 0);
    /* Where all is slow, sessions end meanwhile, and it waits for the rest of them. */
    last = apr_time_now() + apr_time_from_sec(60);
    while (stub_trims == 0 && apr_time_now() < last)
        imu_loop_turn(loop, 1000);
    assert_int_equal(stub_trims, 1);
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
        T(lingering_strangers_make_room),
        T(strangers_of_all_addresses),
        T(strangers_of_many_networks),
        T(who_leaves_is_found_at_once),
        T(tokens_that_are_none),
        T(memory_goes_back),
        T(who_is_known),
        T(refused_again),
        T(packets_before_sign_in),
    };

    return cmocka_run_group_tests(tests, setup_all, teardown_all);
}
