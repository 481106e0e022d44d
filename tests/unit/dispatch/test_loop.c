/* The event loop: order of timers, removal from inside callbacks, and connections on top of it. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cmocka.h>

#include "mod_invokemu/dispatch/conn.h"

static int setup(void **state)
{
    *state = imu_loop_new();
    return *state ? 0 : -1;
}

static int teardown(void **state)
{
    imu_loop_free(*state);
    return 0;
}

struct note {
    imu_loop *loop;
    imu_timer *timer;
    char letter;
};
static char notes[64];

static void note(void *baton)
{
    strncat(notes, &((struct note *)baton)->letter, 1);
}

static void test_timers_in_order(void **state)
{
    struct note n[5];
    static const int delays[] = {40, 0, 20, 10, 30};

    notes[0] = 0;
    for (int i = 0; i < 5; i++) {
        n[i] = (struct note){.loop = *state, .letter = (char)('a' + i)};
        n[i].timer = imu_timer_add(*state, delays[i], note, &n[i]);
        assert_non_null(n[i].timer);
    }
    imu_timer_set(n[2].timer, -1);
    while (strlen(notes) < 4)
        assert_int_equal(imu_loop_turn(*state, -1), 0);
    assert_string_equal(notes, "bdea");
    assert_int_equal(imu_loop_turn(*state, 0), 0);
    assert_string_equal(notes, "bdea");
}

static void test_many_timers(void **state)
{
    static struct note n[500];
    imu_timer *timers[500];
    unsigned seed = 7;

    notes[0] = 0;
    for (int i = 0; i < 500; i++) {
        n[i] = (struct note){.letter = 'x'};
        seed = seed * 1103515245u + 12345u;
        timers[i] = imu_timer_add(*state, 1000000 + (seed >> 16) % 1000, note, &n[i]);
        assert_non_null(timers[i]);
    }
    for (int i = 0; i < 500; i += 2)
        imu_timer_remove(timers[i]);
    for (int i = 1; i < 500; i += 2)
        imu_timer_set(timers[i], i < 20 ? 0 : -1);
    assert_int_equal(imu_loop_turn(*state, 0), 0);
    assert_int_equal(imu_loop_turn(*state, 0), 0);
    assert_int_equal(strlen(notes), 10);
}

static void repeat(void *baton)
{
    struct note *n = baton;

    note(n);
    if (strlen(notes) < 3)
        imu_timer_set(n->timer, 0);
    else
        imu_timer_remove(n->timer);
}

static void test_timer_repeats_and_removes_itself(void **state)
{
    struct note n = {.letter = 'r'};

    notes[0] = 0;
    n.timer = imu_timer_add(*state, 0, repeat, &n);
    for (int i = 0; i < 6; i++)
        assert_int_equal(imu_loop_turn(*state, 0), 0);
    assert_string_equal(notes, "rrr");
}

struct pair {
    imu_watch *a, *b;
    int called;
};

static void remove_both(void *baton, unsigned events)
{
    struct pair *p = baton;

    assert_true(events & IMU_LOOP_READ);
    p->called++;
    imu_watch_remove(p->a);
    imu_watch_remove(p->b);
}

/* Two descriptors are ready in one turn; the first callback takes the second's watch away. */
static void test_removed_watch_is_not_called(void **state)
{
    int x[2], y[2];
    struct pair p = {0};

    assert_int_equal(pipe(x), 0);
    assert_int_equal(pipe(y), 0);
    assert_int_equal(write(x[1], "1", 1), 1);
    assert_int_equal(write(y[1], "1", 1), 1);
    p.a = imu_watch_add(*state, x[0], IMU_LOOP_READ, remove_both, &p);
    p.b = imu_watch_add(*state, y[0], IMU_LOOP_READ, remove_both, &p);
    assert_int_equal(imu_loop_turn(*state, 1000), 0);
    assert_int_equal(imu_loop_turn(*state, 0), 0);
    assert_int_equal(p.called, 1);
    for (int i = 0; i < 2; i++) {
        close(x[i]);
        close(y[i]);
    }
}

/* ---- connections ---- */

struct peer {
    imu_conn *conn;
    int frames, closed;
    int stop_after; /* closes itself in the callback after so many frames */
    int refuse;
    const char *why;
};

static int on_frame(void *baton, imu_conn *conn, imu_frame *frame, const char **why)
{
    struct peer *p = baton;

    p->frames++;
    if (p->refuse) {
        *why = "refused";
        return -1;
    }
    if (p->stop_after && p->frames == p->stop_after)
        imu_conn_close(conn);
    assert_int_equal(frame->type, IMU_WIRE_EVENT);
    return 0;
}

static void on_close(void *baton, imu_conn *conn, const char *why)
{
    struct peer *p = baton;

    (void)conn;
    p->closed++;
    p->why = why;
}

static const imu_conn_handler handler = {on_frame, on_close};

static void connected(imu_loop *loop, struct peer *a, struct peer *b, size_t max_queued)
{
    int sv[2];

    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, sv), 0);
    a->conn = imu_conn_new(loop, sv[0], IMU_WIRE_MAX_FRAME, max_queued, &handler, a);
    b->conn = imu_conn_new(loop, sv[1], IMU_WIRE_MAX_FRAME, max_queued, &handler, b);
    assert_non_null(a->conn);
    assert_non_null(b->conn);
}

static int send_event(imu_conn *conn, const char *payload, size_t len)
{
    json_t *header = json_pack("{s:s}", "name", "x");
    int rc = imu_conn_send(conn, IMU_WIRE_EVENT, header, payload, len, NULL, 0);

    json_decref(header);
    return rc;
}

static void turns(imu_loop *loop, int n)
{
    for (int i = 0; i < n; i++)
        assert_int_equal(imu_loop_turn(loop, 0), 0);
}

static void test_conn_carries_many_frames(void **state)
{
    struct peer a = {0}, b = {0};

    connected(*state, &a, &b, 1 << 24);
    for (int i = 0; i < 300; i++)
        assert_int_equal(send_event(a.conn, "hello", 5), 0);
    turns(*state, 20);
    assert_int_equal(b.frames, 300);
    imu_conn_close(a.conn);
    turns(*state, 2);
    assert_int_equal(b.closed, 1);
    assert_int_equal(a.closed, 0);
}

static void test_conn_carries_what_the_socket_does_not_take_at_once(void **state)
{
    struct peer a = {0}, b = {0};
    size_t len = 4u << 20;
    char *big = calloc(1, len);

    assert_non_null(big);
    connected(*state, &a, &b, 1 << 24);
    assert_int_equal(send_event(a.conn, big, len), 0);
    assert_true(imu_conn_pending(a.conn) > 0);
    for (int i = 0; i < 1000 && b.frames == 0; i++)
        turns(*state, 1);
    assert_int_equal(b.frames, 1);
    assert_int_equal(imu_conn_pending(a.conn), 0);
    imu_conn_close(a.conn);
    imu_conn_close(b.conn);
    free(big);
}

static void test_conn_refuses_more_than_its_queue(void **state)
{
    struct peer a = {0}, b = {0};
    static char chunk[100000];
    int rc = 0;

    connected(*state, &a, &b, 1 << 20);
    for (int i = 0; i < 100 && rc == 0; i++)
        rc = send_event(a.conn, chunk, sizeof chunk);
    assert_int_equal(rc, -1);
    assert_int_equal(errno, ENOBUFS);
    imu_conn_close(a.conn);
    imu_conn_close(b.conn);
}

static void test_conn_may_be_closed_by_its_callback(void **state)
{
    struct peer a = {0}, b = {.stop_after = 2};

    connected(*state, &a, &b, 1 << 20);
    for (int i = 0; i < 5; i++)
        assert_int_equal(send_event(a.conn, "x", 1), 0);
    turns(*state, 3);
    assert_int_equal(b.frames, 2);
    assert_int_equal(b.closed, 0);
    assert_int_equal(a.closed, 1);
}

static void test_conn_ends_when_its_owner_refuses(void **state)
{
    struct peer a = {0}, b = {.refuse = 1};

    connected(*state, &a, &b, 1 << 20);
    assert_int_equal(send_event(a.conn, "x", 1), 0);
    assert_int_equal(send_event(a.conn, "x", 1), 0);
    turns(*state, 3);
    assert_int_equal(b.frames, 1);
    assert_int_equal(b.closed, 1);
    assert_string_equal(b.why, "refused");
    assert_int_equal(a.closed, 1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_timers_in_order, setup, teardown),
        cmocka_unit_test_setup_teardown(test_many_timers, setup, teardown),
        cmocka_unit_test_setup_teardown(test_timer_repeats_and_removes_itself, setup, teardown),
        cmocka_unit_test_setup_teardown(test_removed_watch_is_not_called, setup, teardown),
        cmocka_unit_test_setup_teardown(test_conn_carries_many_frames, setup, teardown),
        cmocka_unit_test_setup_teardown(test_conn_carries_what_the_socket_does_not_take_at_once,
                                        setup, teardown),
        cmocka_unit_test_setup_teardown(test_conn_refuses_more_than_its_queue, setup, teardown),
        cmocka_unit_test_setup_teardown(test_conn_may_be_closed_by_its_callback, setup, teardown),
        cmocka_unit_test_setup_teardown(test_conn_ends_when_its_owner_refuses, setup, teardown),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
