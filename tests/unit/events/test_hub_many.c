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

static void a_person_has_so_many(void **state)
{
    imu_hub_config config = {
        .loop = loop, .pool = pool, .multiuser = 1, .timeout_ms = 60000, .max_of_person = 3};
    imu_hub *narrow = imu_hub_new(&config), *before = hub;
    json_int_t last, ws;
    const char *sid, *t;

    (void)state;
    imu_hub_child_remove(child);
    hub = narrow;
    child = imu_hub_child_add(hub, take_note, NULL);
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
    imu_hub_free(hub);
    hub = before;
    child = imu_hub_child_add(hub, take_note, NULL);
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

int main(void)
{
    const struct CMUnitTest tests[] = {
        T(one_frame_for_many),
        T(a_person_has_so_many),
        T(a_person_reads_or_loses_events),
        T(what_waits_is_taken_back),
    };

    return cmocka_run_group_tests(tests, setup_all, teardown_all);
}
