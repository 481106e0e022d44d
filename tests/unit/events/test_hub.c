/* Tests of the hub: Engine.IO sessions, Socket.IO connections and who hears what, with a child that
 * only takes notes. */
#include "tests/unit/events/hub_child.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* ---- Engine.IO ---- */

static void handshake(void **state)
{
    const char *text;

    (void)state;
    get(NULL, NULL);
    text = told();
    assert_non_null(strstr(text, "R"));
    assert_non_null(strstr(text, ":200:0{\"sid\":\""));
    assert_non_null(strstr(text, "\"upgrades\":[\"websocket\"],\"pingInterval\":20000,"
                                 "\"pingTimeout\":20000,\"maxPayload\":65536}"));
    assert_int_equal(imu_hub_sessions(hub), 1);
    ws_open(NULL);
    assert_non_null(strstr(told(), "\"upgrades\":[],"));
}

static void bad_requests(void **state)
{
    (void)state;
    get("unknown", NULL);
    assert_non_null(strstr(told(), ":400:{\"code\":1,"));
    post("unknown", "3");
    assert_non_null(strstr(told(), ":400:{\"code\":1,"));
    next_conn++;
    frame(IMU_WIRE_EIO_REQUEST, json_pack("{s:I, s:s}", "conn", next_conn, "method", "POST"), "",
          0);
    assert_non_null(strstr(told(), ":400:{\"code\":2,"));
    assert_int_equal(frame(IMU_WIRE_EIO_REQUEST, json_object(), NULL, 0), -1);
    assert_int_equal(frame(IMU_WIRE_EIO_REQUEST, json_pack("{s:i}", "conn", 1), NULL, 0), -1);
    assert_int_equal(frame(IMU_WIRE_EVENT, json_pack("{s:s}", "name", "x"), "no json", 7), -1);
    assert_int_equal(frame(IMU_WIRE_USER_CHANGED, json_object(), NULL, 0), -1);
    assert_int_equal(frame(IMU_WIRE_RUN, json_object(), NULL, 0), 0);
    ws_open("unknown");
    assert_non_null(strstr(told(), ":1008|"));
    assert_int_equal(imu_hub_sessions(hub), 0);
}

static void polling(void **state)
{
    const char *sid, *text;
    char known[24];

    (void)state;
    get(NULL, NULL);
    sid = open_sid(told());
    post(sid, "40{\"token\":\"alice\"}\x1e"
              "42[\"subscribe_queue\",{\"queue_id\":\"default\"}]");
    assert_non_null(strstr(told(), ":200:ok|"));
    get(sid, NULL);
    assert_non_null(strstr(told(), ":200:40{\"sid\":"));
    emit("invocation_started", "alice", "{\"queue_id\":\"default\",\"n\":1}");
    emit("invocation_complete", "alice", "{\"queue_id\":\"default\",\"n\":2}");
    get(sid, NULL);
    text = told();
    assert_non_null(strstr(text,
                           ":200:42[\"invocation_started\",{\"queue_id\":\"default\",\"n\":1}]\x1e"
                           "42[\"invocation_complete\""));
    /* It waits; the child only hears that somebody has signed in there. */
    snprintf(known, sizeof known, "K%d:alice|", (int)get(sid, NULL));
    assert_string_equal(told(), known);
    emit("invocation_error", "alice", "{\"queue_id\":\"default\"}");
    assert_non_null(strstr(told(), ":200:42[\"invocation_error\""));
}

static void a_child_that_ends_gets_its_polls_back(void **state)
{
    const char *sid;
    json_int_t waiting;

    (void)state;
    get(NULL, "alice");
    sid = open_sid(told());
    waiting = get(sid, NULL);
    frame(IMU_WIRE_EIO_GONE, json_pack("{s:I, s:b}", "conn", waiting, "release", 1), NULL, 0);
    assert_non_null(strstr(told(), ":200:6|"));
    frame(IMU_WIRE_EIO_GONE, json_pack("{s:I, s:b}", "conn", waiting, "release", 1), NULL, 0);
    assert_string_equal(told(), "");
    get(sid, NULL);
    assert_string_equal(told(), "");
    assert_int_equal(imu_hub_sessions(hub), 1);
}

static void previews_do_not_pile_up(void **state)
{
    const char *sid, *text;

    (void)state;
    get(NULL, "alice");
    sid = open_sid(told());
    post(sid, "40\x1e"
              "42[\"subscribe_queue\",{\"queue_id\":\"default\"}]");
    emit("invocation_progress", "alice", "{\"queue_id\":\"default\",\"step\":1}");
    emit("invocation_started", "alice", "{\"queue_id\":\"default\"}");
    emit("invocation_progress", "alice", "{\"queue_id\":\"default\",\"step\":2}");
    told();
    get(sid, NULL);
    text = told();
    assert_null(strstr(text, "\"step\":1"));
    assert_non_null(strstr(text, "\"step\":2"));
    assert_non_null(strstr(text, "invocation_started"));
}

static void a_reader_that_never_polls(void **state)
{
    const char *sid;
    char *big = malloc(300000);

    (void)state;
    memset(big, 'x', 300000);
    memcpy(big, "{\"queue_id\":\"default\",\"t\":\"", 27);
    memcpy(big + 299990, "\"}", 3);
    get(NULL, "alice");
    sid = open_sid(told());
    post(sid, "40\x1e"
              "42[\"subscribe_queue\",{\"queue_id\":\"default\"}]");
    /* Five wait for it, as five pictures done in the same moment would; more than it can be meant
     * to read do not. */
    for (int i = 0; i < 5; i++)
        emit("invocation_complete", "alice", big);
    imu_loop_turn(loop, 100);
    assert_int_equal(imu_hub_sessions(hub), 1);
    for (int i = 0; i < 3; i++)
        emit("invocation_complete", "alice", big);
    free(big);
    imu_loop_turn(loop, 100);
    assert_int_equal(imu_hub_sessions(hub), 0);
    told();
    get(sid, NULL);
    assert_non_null(strstr(told(), ":400:{\"code\":1,"));
}

static void two_polls_at_once(void **state)
{
    const char *sid;

    (void)state;
    get(NULL, NULL);
    sid = open_sid(told());
    get(sid, NULL);
    get(sid, NULL);
    assert_non_null(strstr(told(), ":400:{\"code\":3,"));
    assert_int_equal(imu_hub_sessions(hub), 0);
}

static void upgrade(void **state)
{
    const char *sid, *text;
    json_int_t ws;
    char expected[64];

    (void)state;
    get(NULL, "alice");
    sid = open_sid(told());
    post(sid, "40\x1e"
              "42[\"subscribe_queue\",{\"queue_id\":\"default\"}]");
    get(sid, NULL);
    told();
    get(sid, NULL);
    ws = ws_open(sid);
    ws_text(ws, "2probe");
    text = told();
    snprintf(expected, sizeof expected, "S%d:3probe|", (int)ws);
    assert_non_null(strstr(text, expected));
    assert_non_null(strstr(text, ":200:6|")); /* the waiting poll is let go */
    emit("invocation_started", "alice", "{\"queue_id\":\"default\"}");
    assert_string_equal(told(), ""); /* not before the upgrade is complete */
    ws_text(ws, "5");
    snprintf(expected, sizeof expected, "S%d:42[\"invocation_started\"", (int)ws);
    assert_non_null(strstr(told(), expected));
    get(sid, NULL);
    assert_non_null(strstr(told(), ":400:{\"code\":3,"));
    gone(ws);
    assert_int_equal(imu_hub_sessions(hub), 0);
}

static void a_failed_probe_leaves_polling(void **state)
{
    const char *sid;
    json_int_t ws;

    (void)state;
    get(NULL, "alice");
    sid = open_sid(told());
    ws = ws_open(sid);
    ws_text(ws, "4nonsense");
    assert_non_null(strstr(told(), ":1008|"));
    ws_text(ws, "5");
    ws = ws_open(sid);
    gone(ws);
    get(sid, NULL);
    post(sid, "40");
    assert_non_null(strstr(told(), ":200:40{\"sid\":"));
}

static void heartbeat(void **state)
{
    imu_hub_config config = {.loop = loop, .pool = pool, .multiuser = 1, .timeout_ms = 900};
    imu_hub *quick = imu_hub_new(&config), *before = hub;
    json_int_t ws;

    (void)state;
    imu_hub_child_remove(child);
    hub = quick;
    child = imu_hub_child_add(hub, take_note, none_pending, NULL);
    ws = listener("alice");
    for (int i = 0; i < 3; i++) {
        while (used == 0)
            imu_loop_turn(loop, 1000);
        assert_non_null(strstr(told(), ":2|"));
        ws_text(ws, "3");
    }
    assert_int_equal(imu_hub_sessions(hub), 1);
    imu_hub_free(hub);
    hub = before;
    child = imu_hub_child_add(hub, take_note, none_pending, NULL);
}

static void floods_end(void **state)
{
    json_int_t ws = listener("alice");

    (void)state;
    for (int i = 0; i < 1000; i++)
        ws_text(ws, "6");
    assert_int_equal(imu_hub_sessions(hub), 0);
}

static void nonsense_ends(void **state)
{
    static const char *const bad[] = {"",     "0",          "1",      "5",   "bAAAA", "9",
                                      "4",    "45-[\"x\"]", "46-[1]", "49",  "42",    "42{}",
                                      "42[]", "42[1]",      "40[]",   "40x", "41"};

    (void)state;
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        json_int_t ws = listener("alice");

        ws_text(ws, bad[i]);
        assert_int_equal(imu_hub_sessions(hub), 0);
    }
}

static void a_child_dies(void **state)
{
    const char *sid;

    (void)state;
    get(NULL, "alice");
    sid = open_sid(told());
    get(sid, NULL);
    listener("bob");
    assert_int_equal(imu_hub_sessions(hub), 2);
    imu_hub_child_remove(child);
    child = imu_hub_child_add(hub, take_note, none_pending, NULL);
    assert_int_equal(imu_hub_sessions(hub), 1); /* polling goes on through another child */
    get(sid, NULL);
    post(sid, "40");
    assert_non_null(strstr(told(), ":200:40{\"sid\":"));
}

/* ---- Socket.IO ---- */

static void who_may_connect(void **state)
{
    json_int_t ws = ws_open(NULL);

    (void)state;
    told();
    ws_text(ws, "40");
    assert_non_null(strstr(
        told(), ":44{\"message\":\"Sign in first.\",\"data\":{\"code\":\"not_signed_in\"}}|"));
    ws_text(ws, "40{\"token\":\"mallory\"}");
    assert_non_null(strstr(told(), ":44{\"message\":\"Your session has ended.\""));
    gone(ws); /* a third would be one too many */
    ws = ws_open(NULL);
    stub_find("bob")->must_change_password = 1;
    ws_text(ws, "40{\"token\":\"bob\"}");
    assert_non_null(strstr(told(), "must_change_password"));
    ws_text(ws, "40/admin,{\"token\":\"root\"}");
    assert_non_null(strstr(told(), ":44/admin,{\"message\":\"Invalid namespace\"}|"));
    ws_text(ws, "40/,{\"token\":\"alice\"}");
    assert_non_null(strstr(told(), ":40{\"sid\":"));
    ws_text(ws, "4217[\"anything\",{}]");
    assert_non_null(strstr(told(), ":4317[]|"));
    ws_text(ws, "4317[]");
    assert_int_equal(imu_hub_sessions(hub), 1);
    ws_text(ws, "40{\"token\":\"alice\"}"); /* twice */
    assert_int_equal(imu_hub_sessions(hub), 0);
}

static void events_before_connect_end(void **state)
{
    json_int_t ws = ws_open(NULL);

    (void)state;
    ws_text(ws, "42[\"subscribe_queue\",{\"queue_id\":\"default\"}]");
    assert_int_equal(imu_hub_sessions(hub), 0);
}

static void audiences(void **state)
{
    json_int_t a = listener("alice"), b = listener("bob"), r = listener("root");
    const char *t;

    (void)state;
    emit("batch_enqueued", "alice",
         "{\"queue_id\":\"default\",\"batch_id\":\"B1\",\"user_id\":\"alice\",\"origin\":"
         "\"secret\",\"enqueued\":2}");
    t = told();
    assert_true(heard(t, a, "\"B1\"") && heard(t, r, "\"B1\"") &&
                heard(t, b, "\"batch_id\":\"redacted\""));
    assert_false(heard(t, b, "secret") || heard(t, b, "alice") || heard(t, b, "B1"));
    assert_int_equal(times(t, "batch_enqueued"), 3);
    emit("invocation_progress", "alice", "{\"queue_id\":\"default\",\"image\":\"x\"}");
    t = told();
    assert_true(heard(t, a, "invocation_progress"));
    assert_int_equal(t[0], 'P');
    assert_int_equal(times(t, "invocation_progress"), 1);
    emit("recall_parameters_updated", "alice", "{\"queue_id\":\"default\"}");
    t = told();
    assert_true(heard(t, a, "recall") && heard(t, r, "recall") && !heard(t, b, "recall"));
    emit("model_install_complete", NULL, "{}");
    t = told();
    assert_true(heard(t, r, "model_install") && times(t, "model_install") == 1);
    emit("model_load_started", "bob", "{}");
    t = told();
    assert_true(heard(t, b, "model_load") && times(t, "model_load") == 1);
    emit("download_progress", NULL, "{}");
    assert_int_equal(times(told(), "download_progress"), 1);
    emit("an_event_nobody_knows", "alice", "{\"queue_id\":\"default\"}");
    assert_string_equal(told(), "");
    emit("invocation_started", "root", "{\"queue_id\":\"default\"}");
    assert_int_equal(times(told(), "invocation_started"),
                     1); /* once, though owner and administrator */
}

static void item_redaction(void **state)
{
    json_int_t a = listener("alice"), b = listener("bob");
    const char *t;

    (void)state;
    emit("queue_item_status_changed", "alice",
         "{\"queue_id\":\"default\",\"item_id\":7,\"status\":\"failed\",\"batch_id\":\"SECRET\","
         "\"session_id\":\"SECRET\",\"user_id\":\"SECRET\","
         "\"origin\":\"SECRET\",\"destination\":\"SECRET\",\"error_type\":\"SECRET\",\"error_"
         "message\":\"SECRET\",\"error_traceback\":\"SECRET\","
         "\"something_new\":\"SECRET\",\"batch_status\":{\"queue_id\":\"default\",\"batch_id\":"
         "\"SECRET\",\"origin\":\"SECRET\",\"total\":99},"
         "\"queue_status\":{\"item_id\":99,\"batch_id\":\"SECRET\",\"session_id\":\"SECRET\","
         "\"pending\":5,\"user_pending\":99}}");
    t = told();
    assert_true(heard(t, a, "SECRET"));
    assert_false(heard(t, b, "SECRET") || heard(t, b, "99"));
    assert_true(heard(t, b, "\"item_id\":7") && heard(t, b, "\"status\":\"failed\"") &&
                heard(t, b, "\"pending\":5"));
    assert_true(heard(t, b, "\"user_pending\":null") && heard(t, b, "\"batch_id\":\"redacted\"") &&
                heard(t, b, "\"session_id\":\"redacted\""));
}

static void own_ids_only(void **state)
{
    json_int_t a = listener("alice"), b = listener("bob"), c = listener("carol"),
               r = listener("root");
    const char *t;

    (void)state;
    emit("queue_items_canceled", NULL,
         "{\"queue_id\":\"default\",\"canceled_item_ids\":[1,2,3],\"user_ids\":[\"alice\",\"bob\"],"
         "\"canceled_item_ids_by_user\":{\"alice\":[1,2],\"bob\":[3]}}");
    t = told();
    assert_true(heard(t, r, "\"canceled_item_ids\":[1,2,3]") &&
                heard(t, a, "\"canceled_item_ids\":[1,2],") &&
                heard(t, b, "\"canceled_item_ids\":[3],"));
    assert_false(heard(t, a, "bob") || heard(t, b, "alice"));
    assert_true(
        heard(t, c, "\"canceled_item_ids\":[],\"user_ids\":[],\"canceled_item_ids_by_user\":{}"));
    emit("queue_cleared", "alice", "{\"queue_id\":\"default\",\"user_id\":\"alice\"}");
    t = told();
    assert_true(heard(t, a, "\"user_id\":\"alice\"") && heard(t, b, "\"user_id\":\"redacted\""));
    emit("queue_cleared", NULL, "{\"queue_id\":\"default\",\"user_id\":null}");
    t = told();
    assert_true(heard(t, b, "\"user_id\":null"));
    emit("queue_pruned", "alice", "{\"queue_id\":\"default\",\"user_id\":\"alice\"}");
    t = told();
    assert_true(heard(t, a, "queue_pruned") && heard(t, r, "alice") && !heard(t, b, "pruned"));
    emit("queue_pruned", NULL, "{\"queue_id\":\"default\",\"user_id\":null}");
    t = told();
    assert_true(heard(t, a, "queue_pruned") && heard(t, b, "\"user_id\":null"));
}

static void workflows(void **state)
{
    json_int_t a = listener("alice"), b = listener("bob");
    const char *t;

    (void)state;
    emit("workflow_created", "alice", "{\"workflow_id\":\"W\",\"is_public\":false}");
    t = told();
    assert_true(heard(t, a, "\"W\"") && !heard(t, b, "\"W\""));
    emit("workflow_updated", "alice",
         "{\"workflow_id\":\"W\",\"old_is_public\":false,\"new_is_public\":true}");
    assert_true(heard(told(), b, "\"workflow_updated\""));
    emit("workflow_updated", "alice",
         "{\"workflow_id\":\"W\",\"user_id\":\"alice\",\"old_is_public\":true,\"new_is_public\":"
         "false}");
    t = told();
    assert_true(heard(t, a, "\"workflow_updated\"") && heard(t, b, "\"workflow_access_revoked\"") &&
                !heard(t, b, "new_is_public"));
    emit("workflow_updated", "alice",
         "{\"workflow_id\":\"W\",\"old_is_public\":false,\"new_is_public\":false}");
    assert_false(heard(told(), b, "\"W\""));
}

static void rooms_are_not_queues(void **state)
{
    json_int_t b = listener("bob");
    static const char *const names[] = {
        "\"admin\"", "\"user:alice\"", "\"workflows:shared\"", "\"\"", "7", "null",
        "[]",        "\"a b\""};
    char text[200];

    (void)state;
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
        snprintf(text, sizeof text, "42[\"subscribe_queue\",{\"queue_id\":%s}]", names[i]);
        ws_text(b, text);
    }
    ws_text(b, "42[\"subscribe_queue\"]");
    ws_text(b, "42[\"subscribe_bulk_download\",{\"bulk_download_id\":\"admin\"}]");
    told();
    emit("recall_parameters_updated", "alice", "{\"queue_id\":\"default\"}");
    emit("model_install_started", NULL, "{\"queue_id\":\"admin\"}");
    emit("bulk_download_complete", "alice", "{}");
    assert_string_equal(told(), "");
    ws_text(b, "42[\"unsubscribe_queue\",{\"queue_id\":\"default\"}]");
    emit("batch_enqueued", "bob", "{\"queue_id\":\"default\"}");
    assert_string_equal(told(), "");
    for (int i = 0; i < 50; i++) { /* more than there is room for */
        snprintf(text, sizeof text, "42[\"subscribe_queue\",{\"queue_id\":\"q%d\"}]", i);
        ws_text(b, text);
    }
    assert_int_equal(imu_hub_sessions(hub), 1);
}

static void changed_people(void **state)
{
    json_int_t a = listener("alice"), r = listener("root");
    const char *t;

    (void)state;
    stub_find("root")->is_admin = 0;
    frame(IMU_WIRE_USER_CHANGED, json_pack("{s:s}", "user_id", "root"), NULL, 0);
    emit("recall_parameters_updated", "alice", "{\"queue_id\":\"default\"}");
    t = told();
    assert_true(heard(t, a, "recall") && !heard(t, r, "recall"));
    stub_find("root")->is_admin = 1;
    imu_hub_user_changed(hub, "root");
    emit("recall_parameters_updated", "alice", "{\"queue_id\":\"default\"}");
    assert_true(heard(told(), r, "recall"));
    stub_find("alice")->active = 0;
    imu_hub_user_changed(hub, "bob");
    assert_string_equal(told(), "");
    imu_hub_user_changed(hub, "alice");
    t = told();
    assert_non_null(strstr(t, ":41|"));
    assert_non_null(strstr(t, ":1000|"));
    assert_int_equal(imu_hub_sessions(hub), 1);
}

static void last_words_wait_for_a_poll(void **state)
{
    const char *sid;

    (void)state;
    get(NULL, "alice");
    sid = open_sid(told());
    post(sid, "40");
    get(sid, NULL);
    told();
    stub_find("alice")->active = 0;
    imu_hub_user_changed(hub, "alice");
    assert_string_equal(told(), "");
    get(sid, NULL);
    assert_non_null(strstr(told(), ":200:41\x1e"
                                   "1|"));
    assert_int_equal(imu_hub_sessions(hub), 0);
}

static void expiry(void **state)
{
    (void)state;
    stub_find("alice")->expires = apr_time_now() + 300000;
    listener("alice");
    for (int i = 0; i < 50 && imu_hub_sessions(hub) > 0; i++)
        imu_loop_turn(loop, 100);
    assert_non_null(strstr(told(), ":41|"));
    assert_int_equal(imu_hub_sessions(hub), 0);
}

static void single_user(void **state)
{
    imu_hub_config config = {.loop = loop, .pool = pool, .multiuser = 0, .timeout_ms = 60000};
    imu_hub *single = imu_hub_new(&config), *before = hub;
    json_int_t ws;

    (void)state;
    imu_hub_child_remove(child);
    hub = single;
    child = imu_hub_child_add(hub, take_note, none_pending, NULL);
    ws = ws_open(NULL);
    ws_text(ws, "40");
    ws_text(ws, "42[\"subscribe_queue\",{\"queue_id\":\"default\"}]");
    told();
    emit("invocation_progress", "system", "{\"queue_id\":\"default\"}");
    emit("model_install_started", NULL, "{}");
    assert_int_equal(times(told(), ":42["), 2);
    imu_hub_free(hub);
    hub = before;
    child = imu_hub_child_add(hub, take_note, none_pending, NULL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        T(handshake),
        T(bad_requests),
        T(polling),
        T(a_child_that_ends_gets_its_polls_back),
        T(previews_do_not_pile_up),
        T(a_reader_that_never_polls),
        T(two_polls_at_once),
        T(upgrade),
        T(a_failed_probe_leaves_polling),
        T(heartbeat),
        T(floods_end),
        T(nonsense_ends),
        T(a_child_dies),
        T(who_may_connect),
        T(events_before_connect_end),
        T(audiences),
        T(item_redaction),
        T(own_ids_only),
        T(workflows),
        T(rooms_are_not_queues),
        T(changed_people),
        T(last_words_wait_for_a_poll),
        T(expiry),
        T(single_user),
    };

    return cmocka_run_group_tests(tests, setup_all, teardown_all);
}
