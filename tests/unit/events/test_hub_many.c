/* Tests of the hub: many sockets of one person, and what waits for them. */
#include "tests/unit/events/hub_child.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static void one_frame_for_many(void **state)
{
    json_int_t a[3], b[2];
    const char *t;

    (void)state;
    for (int i = 0; i < 3; i++)
        a[i] = listener("alice");
    for (int i = 0; i < 2; i++)
        b[i] = listener("bob");
    frames = 0;
    emit("recall_parameters_updated", "alice", "{\"queue_id\":\"default\"}");
    t = told();
    assert_int_equal(frames, 1);
    assert_int_equal(times(t, "recall"), 3);
    for (int i = 0; i < 3; i++)
        assert_true(heard(t, a[i], "recall"));
    frames = 0;
    emit("batch_enqueued", "alice", "{\"queue_id\":\"default\",\"batch_id\":\"B1\"}");
    t = told();
    assert_int_equal(frames, 2); /* one as it is, one that says less */
    assert_true(heard(t, a[0], "B1") && heard(t, b[1], "redacted") && !heard(t, b[1], "B1"));
}

static const char *polling_session(const char *token)
{
    const char *sid;

    get(NULL, token);
    sid = open_sid(told());
    post(sid, "40\x1e"
              "42[\"subscribe_queue\",{\"queue_id\":\"default\"}]");
    get(sid, NULL);
    assert_non_null(strstr(told(), ":200:40{\"sid\""));
    return sid;
}

/* Another hub in the place of the usual one. */
static int setup_as(void **state, imu_hub_config config)
{
    int rc = setup(state);

    imu_hub_free(hub);
    config.pool = pool;
    config.timeout_ms = 60000;
    config.loop = loop;
    hub = imu_hub_new(&config);
    child = imu_hub_child_add(hub, take_note, none_pending, NULL);
    return rc || !hub || !child;
}

static int setup_three(void **state)
{
    return setup_as(state, (imu_hub_config){.multiuser = 1, .max_of_person = 3});
}

static void a_person_has_so_many(void **state)
{
    json_int_t last, ws;
    const char *sid, *t;

    (void)state;
    listener("alice");
    listener("alice:phone");
    last = listener("alice");
    ws = ws_open(NULL);
    told();
    ws_text(ws, "40{\"token\":\"alice\"}");
    t = told();
    assert_non_null(strstr(t, "\"code\":\"too_many_sockets\""));
    assert_non_null(strstr(t, ":1000|"));
    get(NULL, "alice");
    sid = open_sid(told());
    post(sid, "40");
    get(sid, NULL);
    t = told();
    assert_non_null(strstr(t, "too_many_sockets"));
    assert_non_null(strstr(t, "\x1e"
                              "1|"));
    assert_int_equal(imu_hub_sessions(hub), 3);
    listener("bob");
    gone(last);
    listener("alice");
}

/* What has ended and waits to be read is the person's still, and makes room for what has not. */
static void what_lingers_counts(void **state)
{
    const char *sid;

    (void)state;
    listener("alice");
    sid = polling_session("alice");
    for (int i = 0; i < 10; i++) {
        get(NULL, "alice");
        post(open_sid(told()), "40\x1e"
                               "40/a\x1e"
                               "1");
    }
    assert_int_equal(imu_hub_sessions(hub), 3);
    listener("alice");
    assert_int_equal(imu_hub_sessions(hub), 3);
    post(sid, "6");
    assert_non_null(strstr(told(), ":200:ok|"));
}

static void a_person_reads_or_loses_events(void **state)
{
    char *big = malloc(120100);

    (void)state;
    snprintf(big, 120100, "{\"queue_id\":\"default\",\"x\":\"%0120000d\"}", 1);
    for (int i = 0; i < 10; i++)
        polling_session("alice");
    polling_session("bob");
    /* 10 of 1.2 MB each would be more than a person may let wait. */
    for (int i = 0; i < 10; i++)
        emit("recall_parameters_updated", "alice", big);
    imu_loop_turn(loop, 0);
    assert_in_range(imu_hub_sessions(hub), 2, 8);
    free(big);
}

#define ROOM (32768u * 1024) /* of a child, in bytes */

static size_t unread;

static int take_late(void *baton, uint8_t type, json_t *header, const void *payload, size_t len)
{
    (void)baton, (void)type, (void)header, (void)payload;
    unread += len;
    assert_in_range(unread, 0, ROOM);
    return 0;
}

static size_t late_pending(void *baton)
{
    (void)baton;
    return unread;
}

static const char *const everybody[] = {"alice", "bob", "carol"};

/* Lets much wait for all sessions, four of each person, and asks for it through another child. */
static void ask_late(char (*sids)[32], const char *big)
{
    imu_hub_child *reading = child, *late = imu_hub_child_add(hub, take_late, late_pending, NULL);

    for (int n = 0; n < 16; n++)
        for (int i = 0; i < 3; i++)
            emit("recall_parameters_updated", everybody[i], big);
    child = late;
    for (int i = 0; i < 12; i++)
        get(sids[i], NULL);
    child = reading;
}

/* However much is asked for at once, a child that does not read gets no more than it has room for,
 * as all its sockets would end with it: the rest comes when it has read. */
static void what_waits_waits_for_the_child(void **state)
{
    char *big = malloc(120100), sids[12][32];

    (void)state;
    unread = ROOM / 3;
    snprintf(big, 120100, "{\"queue_id\":\"default\",\"x\":\"%0120000d\"}", 1);
    for (int i = 0; i < 12; i++)
        snprintf(sids[i], sizeof sids[i], "%s", polling_session(everybody[i / 4]));
    ask_late(sids, big);
    assert_in_range(unread, ROOM / 2, ROOM);
    unread = 0;
    while (unread == 0)
        imu_loop_turn(loop, 1000);
    assert_in_range(unread, ROOM / 3, ROOM);
    assert_int_equal(imu_hub_sessions(hub), 12);
    free(big);
}

static size_t full_pending(void *baton)
{
    (void)baton;
    return unread ? 2 * ROOM : 0;
}

/* The same for what a new WebSocket is to carry; what comes meanwhile comes behind it. */
static void an_upgrade_waits_for_the_child(void **state)
{
    const char *sid, *t;
    json_int_t ws;

    (void)state;
    unread = 1;
    sid = polling_session("alice");
    child = imu_hub_child_add(hub, take_note, full_pending, NULL);
    ws = ws_open(sid);
    ws_text(ws, "2probe");
    emit("recall_parameters_updated", "alice", "{\"queue_id\":\"default\",\"n\":1}");
    told();
    ws_text(ws, "5");
    ws_text(ws, "2");
    emit("recall_parameters_updated", "alice", "{\"queue_id\":\"default\",\"n\":2}");
    assert_string_equal(told(), "");
    unread = 0;
    while (used == 0)
        imu_loop_turn(loop, 1000);
    t = told();
    assert_true(strstr(t, "\"n\":1") < strstr(t, ":3|") && strstr(t, ":3|") < strstr(t, "\"n\":2"));
    emit("recall_parameters_updated", "alice", "{\"queue_id\":\"default\",\"n\":3}");
    assert_true(heard(told(), ws, "\"n\":3"));
    gone(ws);
    assert_int_equal(imu_hub_sessions(hub), 0);
}

static void end(const char *sid)
{
    post(sid, "1");
    told();
}

/* However little waits for each of many sessions: of all together it is not more than a person may
 * let wait, and what has ended gives way first. */
static void many_that_let_little_wait(void **state)
{
    char *big = malloc(100100), sids[70][32];

    (void)state;
    snprintf(big, 100100, "{\"queue_id\":\"default\",\"x\":\"%0100000d\"}", 1);
    for (int i = 0; i < 70; i++)
        snprintf(sids[i], sizeof sids[i], "%s", polling_session("alice"));
    emit("recall_parameters_updated", "alice", big);
    for (int i = 0; i < 40; i++)
        end(sids[i]);
    emit("recall_parameters_updated", "alice", big);
    imu_loop_turn(loop, 0);
    assert_in_range(imu_hub_sessions(hub), 30, 60); /* 60 of what has ended, or twice 30 */
    for (int i = 40; i < 70; i++) {
        post(sids[i], "6");
        assert_non_null(strstr(told(), ":200:ok|"));
    }
    for (int n = 0; n < 3; n++)
        emit("recall_parameters_updated", "alice", big);
    imu_loop_turn(loop, 0);
    assert_in_range(imu_hub_sessions(hub), 10, 29);
    free(big);
}

/* Many short answers take the memory of few long ones. */
static void many_that_wait_are_short(void **state)
{
    char body[2 * 380], *at = body;

    (void)state;
    for (int i = 0; i < 380; i++, at += 2)
        memcpy(at, "2\x1e", 2);
    at[-1] = '\0';
    for (int i = 0; i < 2000; i++)
        post(polling_session("alice"), body);
    imu_loop_turn(loop, 0);
    assert_in_range(imu_hub_sessions(hub), 500, 1000);
}

static int setup_single(void **state)
{
    return setup_as(state, (imu_hub_config){.multiuser = 0});
}

#define IDLE 4096

/* Where nobody signs in there are so many that hold no connection; a page that asks again and again
 * is none of those that end. */
static void without_sign_in_there_are_so_many(void **state)
{
    char page[32], first[32], later[32];

    (void)state;
    snprintf(first, sizeof first, "%s", polling_session(NULL));
    snprintf(page, sizeof page, "%s", polling_session(NULL));
    snprintf(later, sizeof later, "%s", polling_session(NULL));
    get(later, NULL);
    for (int i = 0; i < 3 * IDLE; i++) {
        polling_session(NULL);
        if (i % 1000 == 0) {
            post(page, "2");
            get(page, NULL);
            assert_non_null(strstr(told(), ":200:3|"));
        }
    }
    assert_int_equal(imu_hub_sessions(hub), IDLE + 1);
    post(first, "6");
    assert_non_null(strstr(told(), ":400:"));
    post(later, "2");
    assert_non_null(strstr(told(), ":200:3|"));
    post(page, "6");
    assert_non_null(strstr(told(), ":200:ok|"));
}

/* Opens so many sessions for which little waits. @return ns that each took */
static int64_t open_some(int many)
{
    static const char pongs[] = "2\x1e"
                                "2\x1e"
                                "2\x1e"
                                "2";
    int64_t start = cpu_ns();

    for (int i = 0; i < many; i++)
        post(polling_session("alice"), pongs);
    return (cpu_ns() - start) / many;
}

/* Where a person's sessions let too much wait, it takes no look at all of them to find who gives
 * way: or one person would keep everybody waiting. */
static void who_gives_way_is_found_at_once(void **state)
{
    int64_t none, each;

    (void)state;
    none = open_some(2000);
    open_some(80000); /* 104 bytes each: more than 8 MiB */
    each = open_some(2000);
    assert_in_range(each, 0, 5 * none);
}

static void what_waits_is_taken_back(void **state)
{
    const char *sid, *t;
    json_int_t r;
    char forget[16];

    (void)state;
    sid = polling_session("root");
    r = listener("root");
    emit("recall_parameters_updated", "alice", "{\"queue_id\":\"default\"}");
    emit("recall_parameters_updated", "root", "{\"queue_id\":\"default\"}");
    told();
    stub_find("root")->is_admin = 0;
    imu_hub_user_changed(hub, "root");
    snprintf(forget, sizeof forget, "F%d|", (int)r);
    assert_string_equal(told(), forget);
    emit("recall_parameters_updated", "root", "{\"queue_id\":\"default\",\"n\":3}");
    told();
    get(sid, NULL);
    t = told();
    assert_int_equal(times(t, "recall"), 1);
    assert_non_null(strstr(t, "\"n\":3"));
}

/* A session that a poll has ended begins no more on the WebSocket that was to take over. */
static void expect_ended(json_int_t ws, const char *sid)
{
    char expected[32];

    post(sid, "1");
    told();
    ws_text(ws, "5");
    snprintf(expected, sizeof expected, "C%d:1000|", (int)ws);
    assert_string_equal(told(), expected);
    ws_text(ws, "40{\"token\":\"alice\"}");
    assert_string_equal(told(), "");
}

static void what_has_ended_is_not_upgraded(void **state)
{
    char sid[64];

    (void)state;
    snprintf(sid, sizeof sid, "%s", polling_session("alice"));
    expect_ended(ws_open(sid), sid);
}

static void what_has_ended_makes_no_room_for_itself(void **state)
{
    char sid[64];
    json_int_t ws;

    (void)state;
    snprintf(sid, sizeof sid, "%s", polling_session("alice"));
    ws = ws_open(sid);
    listener("alice");
    listener("alice");
    expect_ended(ws, sid);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        T(one_frame_for_many),
        cmocka_unit_test_setup_teardown(a_person_has_so_many, setup_three, teardown),
        cmocka_unit_test_setup_teardown(what_lingers_counts, setup_three, teardown),
        T(what_has_ended_is_not_upgraded),
        cmocka_unit_test_setup_teardown(what_has_ended_makes_no_room_for_itself, setup_three,
                                        teardown),
        T(a_person_reads_or_loses_events),
        T(what_waits_waits_for_the_child),
        T(an_upgrade_waits_for_the_child),
        T(many_that_let_little_wait),
        T(many_that_wait_are_short),
        cmocka_unit_test_setup_teardown(without_sign_in_there_are_so_many, setup_single, teardown),
        T(who_gives_way_is_found_at_once),
        T(what_waits_is_taken_back),
    };

    return cmocka_run_group_tests(tests, setup_all, teardown_all);
}
