#include "tests/unit/core/tempdb.h"

#include <stdlib.h>
#include <string.h>
#include <apr_strings.h>

#include <apr_thread_proc.h>

#include "mod_invokemu/auth/core_email.h"
#include "mod_invokemu/auth/core_gate.h"
#include "mod_invokemu/auth/core_limit.h"

#define T0 apr_time_from_sec(1700000000)

static const imu_limit_rule rule = {5, apr_time_from_sec(10)};

static imu_limits *table(apr_pool_t *p, apr_uint32_t buckets)
{
    imu_limits *t = apr_palloc(p, imu_limits_size(2, buckets));

    imu_limits_init(t, 2, buckets);
    return t;
}

static void a_burst_then_a_steady_trickle(void **state)
{
    imu_limits *t = table(((tempdb *)*state)->pool, 16);
    apr_uint64_t key = imu_limit_key(t, 0, "a@example.org");

    for (int i = 0; i < 5; i++)
        assert_int_equal(imu_limit_take(t, key, &rule, 1, T0), 0);
    assert_int_equal(imu_limit_take(t, key, &rule, 1, T0), apr_time_from_sec(10));
    assert_int_equal(imu_limit_take(t, key, &rule, 1, T0 + apr_time_from_sec(4)),
                     apr_time_from_sec(6));
    /* The wait that is announced is enough, and buys one attempt. */
    assert_int_equal(imu_limit_take(t, key, &rule, 1, T0 + apr_time_from_sec(10)), 0);
    assert_true(imu_limit_take(t, key, &rule, 1, T0 + apr_time_from_sec(10)) > 0);
    for (int i = 0; i < 5; i++)
        assert_int_equal(imu_limit_take(t, key, &rule, 1, T0 + apr_time_from_sec(1000)), 0);
    assert_true(imu_limit_take(t, key, &rule, 1, T0 + apr_time_from_sec(1000)) > 0);
}

static void good_attempts_do_not_count(void **state)
{
    imu_limits *t = table(((tempdb *)*state)->pool, 16);
    apr_uint64_t key = imu_limit_key(t, 0, "a@example.org");

    for (int i = 0; i < 50; i++) {
        assert_int_equal(imu_limit_take(t, key, &rule, 1, T0), 0);
        imu_limit_give_back(t, key, &rule, T0);
    }
    for (int i = 0; i < 5; i++)
        assert_int_equal(imu_limit_take(t, key, &rule, 1, T0), 0);
    assert_true(imu_limit_take(t, key, &rule, 1, T0) > 0);
}

static void keys_do_not_meet(void **state)
{
    imu_limits *t = table(((tempdb *)*state)->pool, 16);

    assert_true(imu_limit_key(t, 0, "10.0.0.1") != imu_limit_key(t, 1, "10.0.0.1"));
    assert_true(imu_limit_key(t, 0, "a") != imu_limit_key(t, 0, "b"));
    assert_true(imu_limit_key(t, 0, "a") == imu_limit_key(t, 0, "a"));
}

/* Keys of a kind, as many as are wanted. */
static apr_uint64_t other(imu_limits *t, unsigned kind, int i)
{
    char text[16];

    snprintf(text, sizeof text, "%d", i);
    return imu_limit_key(t, kind, text);
}

static void a_full_table_forgets_who_is_nearly_free(void **state)
{
    imu_limits *t = table(((tempdb *)*state)->pool, 1);
    apr_uint64_t guessed = imu_limit_key(t, 0, "guessed@example.org");

    for (int i = 0; i < 5; i++)
        assert_int_equal(imu_limit_take(t, guessed, &rule, 1, T0), 0);
    for (int i = 0; i < 1000; i++)
        assert_int_equal(imu_limit_take(t, other(t, 0, i), &rule, 1, T0), 0);
    assert_true(imu_limit_take(t, guessed, &rule, 1, T0) > 0);
}

static void what_is_cheap_pushes_out_nothing_of_another_kind(void **state)
{
    static const imu_limit_rule slow = {4, apr_time_from_sec(600)};
    imu_limits *t = table(((tempdb *)*state)->pool, 1);
    apr_uint64_t guessed = imu_limit_key(t, 0, "guessed@example.org");

    for (int i = 0; i < 5; i++)
        assert_int_equal(imu_limit_take(t, guessed, &rule, 1, T0), 0);
    for (int i = 0; i < 1000; i++)
        assert_int_equal(imu_limit_take(t, other(t, 1, i), &slow, 1, T0), 0);
    assert_true(imu_limit_take(t, guessed, &rule, 1, T0) > 0);
}

static void what_is_charged_is_owed_up_to_the_whole(void **state)
{
    imu_limits *t = table(((tempdb *)*state)->pool, 16);
    apr_uint64_t key = imu_limit_key(t, 1, "10.0.0.1");

    assert_int_equal(imu_limit_owed(t, key, T0), 0);
    imu_limit_charge(t, key, &rule, T0);
    assert_int_equal(imu_limit_owed(t, key, T0), apr_time_from_sec(10));
    assert_int_equal(imu_limit_owed(t, key, T0 + apr_time_from_sec(7)), apr_time_from_sec(3));
    for (int i = 0; i < 100; i++)
        imu_limit_charge(t, key, &rule, T0);
    assert_int_equal(imu_limit_owed(t, key, T0), apr_time_from_sec(50));
    assert_true(imu_limit_take(t, key, &rule, 1, T0) > 0);
    assert_int_equal(imu_limit_owed(t, key, T0 + apr_time_from_sec(50)), 0);
    assert_int_equal(imu_limit_take(t, key, &rule, 1, T0 + apr_time_from_sec(50)), 0);
}

/* Bytes, say: all of them or none. */
static void many_units_at_once(void **state)
{
    static const imu_limit_rule bytes = {1000, 10};
    imu_limits *t = table(((tempdb *)*state)->pool, 16);
    apr_uint64_t key = imu_limit_key(t, 0, "192.0.2.0/24");

    assert_int_equal(imu_limit_take(t, key, &bytes, 1001, T0), 10);
    assert_int_equal(imu_limit_take(t, key, &bytes, 600, T0), 0);
    assert_int_equal(imu_limit_take(t, key, &bytes, 600, T0), 2000);
    assert_int_equal(imu_limit_take(t, key, &bytes, 400, T0), 0);
    assert_int_equal(imu_limit_take(t, key, &bytes, 1, T0 + 9), 1);
    assert_int_equal(imu_limit_take(t, key, &bytes, 600, T0 + 6000), 0);
}

/* ---- the gate ---- */

typedef struct visitor {
    imu_gate *gate;
    imu_gate_guest guest;
    apr_thread_t *thread;
} visitor;

static void *APR_THREAD_FUNC visit(apr_thread_t *thread, void *data)
{
    visitor *v = data;

    (void)thread;
    imu_gate_enter(v->gate, &v->guest, apr_time_from_sec(60));
    return NULL;
}

static int in_line(imu_gate *gate)
{
    int n = 0;

    apr_thread_mutex_lock(gate->lock);
    for (imu_gate_guest *g = gate->waiting; g; g = g->next)
        n++;
    apr_thread_mutex_unlock(gate->lock);
    return n;
}

/* Comes, and waits. */
static void come(apr_pool_t *p, imu_gate *gate, visitor *v, int rank, int stranger)
{
    int before = in_line(gate);

    *v = (visitor){.gate = gate, .guest = {.rank = rank, .stranger = stranger}};
    assert_int_equal(apr_thread_create(&v->thread, NULL, visit, v, p), APR_SUCCESS);
    while (in_line(gate) == before)
        apr_sleep(1000);
}

static imu_gate_state outcome(visitor *v)
{
    apr_status_t rv;

    apr_thread_join(&rv, v->thread);
    return v->guest.state;
}

static void the_lowest_rank_is_next(void **state)
{
    apr_pool_t *p = ((tempdb *)*state)->pool;
    imu_gate_guest first = {.rank = 9}, late = {.rank = 0};
    imu_gate *gate;
    visitor far, near, also_near;

    assert_int_equal(imu_gate_create(p, 1, &gate), APR_SUCCESS);
    assert_int_equal(imu_gate_enter(gate, &first, 0), IMU_GATE_IN);
    assert_int_equal(imu_gate_enter(gate, &late, apr_time_from_msec(5)), IMU_GATE_LATE);
    come(p, gate, &far, 5, 0);
    come(p, gate, &near, 1, 0);
    come(p, gate, &also_near, 1, 0);
    imu_gate_leave(gate, &first);
    assert_int_equal(outcome(&near), IMU_GATE_IN);
    imu_gate_leave(gate, &near.guest);
    assert_int_equal(outcome(&also_near), IMU_GATE_IN);
    assert_int_equal(in_line(gate), 1);
    imu_gate_leave(gate, &also_near.guest);
    assert_int_equal(outcome(&far), IMU_GATE_IN);
    imu_gate_leave(gate, &far.guest);
    assert_int_equal(imu_gate_enter(gate, &late, 0), IMU_GATE_IN);
    imu_gate_leave(gate, &late);
}

static void who_has_a_higher_rank_makes_room(void **state)
{
    apr_pool_t *p = ((tempdb *)*state)->pool;
    imu_gate_guest first = {.rank = 0};
    imu_gate *gate;
    visitor near, far, as_far;

    assert_int_equal(imu_gate_create(p, 1, &gate), APR_SUCCESS);
    assert_int_equal(imu_gate_enter(gate, &first, 0), IMU_GATE_IN);
    assert_false(imu_gate_displace(gate, -1));
    come(p, gate, &near, 2, 0);
    come(p, gate, &far, 7, 0);
    come(p, gate, &as_far, 7, 0);
    assert_false(imu_gate_displace(gate, 7));
    assert_true(imu_gate_displace(gate, 3));
    assert_int_equal(outcome(&as_far), IMU_GATE_DISPLACED);
    assert_true(imu_gate_displace(gate, 3));
    assert_int_equal(outcome(&far), IMU_GATE_DISPLACED);
    assert_false(imu_gate_displace(gate, 3));
    imu_gate_leave(gate, &first);
    assert_int_equal(outcome(&near), IMU_GATE_IN);
    imu_gate_leave(gate, &near.guest);
}

static void strangers_leave_a_place_inside(void **state)
{
    apr_pool_t *p = ((tempdb *)*state)->pool;
    imu_gate_guest stranger = {.stranger = 1}, known = {.rank = 99};
    imu_gate *gate;
    visitor another;

    assert_int_equal(imu_gate_create(p, 2, &gate), APR_SUCCESS);
    assert_int_equal(imu_gate_enter(gate, &stranger, 0), IMU_GATE_IN);
    come(p, gate, &another, 0, 1);
    assert_int_equal(imu_gate_enter(gate, &known, 0), IMU_GATE_IN);
    imu_gate_leave(gate, &known);
    assert_int_equal(in_line(gate), 1);
    imu_gate_leave(gate, &stranger);
    assert_int_equal(outcome(&another), IMU_GATE_IN);
    imu_gate_leave(gate, &another.guest);
}

static void strangers_are_left_a_place_inside(void **state)
{
    apr_pool_t *p = ((tempdb *)*state)->pool;
    imu_gate_guest a = {0}, b = {0}, unlucky = {0};
    imu_gate *gate;
    visitor stranger, known;

    assert_int_equal(imu_gate_create(p, 2, &gate), APR_SUCCESS);
    assert_int_equal(imu_gate_enter(gate, &a, 0), IMU_GATE_IN);
    assert_int_equal(imu_gate_enter(gate, &b, 0), IMU_GATE_IN);
    come(p, gate, &known, 0, 0);
    come(p, gate, &stranger, 99, 1);
    imu_gate_leave(gate, &a);
    assert_int_equal(outcome(&stranger), IMU_GATE_IN);
    assert_int_equal(imu_gate_enter(gate, &unlucky, 0), IMU_GATE_LATE);
    imu_gate_leave(gate, &b);
    assert_int_equal(outcome(&known), IMU_GATE_IN);
    imu_gate_leave(gate, &stranger.guest);
    imu_gate_leave(gate, &known.guest);
}

static void addresses(void **state)
{
    static const char *const good[] = {"a@b.c", "First.Last+tag@Sub.Example.org", "root@localhost",
                                       "x_y-z!@1.example",
                                       "j\xC3\xBCrgen@b\xC3\xBC"
                                       "cher.example"};
    static const char *const bad[] = {
        "",        "a",        "@b.c",      "a@",        "a@@b.c",  "a b@c.d",     ".a@b.c",
        "a.@b.c",  "a..b@c.d", "a@.b",      "a@b.",      "a@b..c",  "a@-b.c",      "a@b-.c",
        "a\n@b.c", "a@b c.d",  "a@b.c\x7f", "\"a\"@b.c", "<a@b.c>", "a@b.c,d@e.f", "a@b_c.d"};
    apr_pool_t *p = ((tempdb *)*state)->pool;
    char longest[400];

    for (unsigned i = 0; i < sizeof good / sizeof good[0]; i++) {
        if (!imu_email_normal(p, good[i]))
            fail_msg("%s is refused", good[i]);
    }
    for (unsigned i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        if (imu_email_normal(p, bad[i]))
            fail_msg("\"%s\" is accepted", bad[i]);
    }
    assert_string_equal(imu_email_normal(p, "Ann@Example.ORG"), "ann@example.org");
    memset(longest, 'a', sizeof longest);
    memcpy(longest + 65, "@b.c", 5);
    assert_null(imu_email_normal(p, longest));
    assert_non_null(imu_email_normal(p, longest + 1));
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, tempdb_setup, tempdb_teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(a_burst_then_a_steady_trickle),
        TEST(good_attempts_do_not_count),
        TEST(keys_do_not_meet),
        TEST(a_full_table_forgets_who_is_nearly_free),
        TEST(what_is_cheap_pushes_out_nothing_of_another_kind),
        TEST(what_is_charged_is_owed_up_to_the_whole),
        TEST(many_units_at_once),
        TEST(the_lowest_rank_is_next),
        TEST(who_has_a_higher_rank_makes_room),
        TEST(strangers_leave_a_place_inside),
        TEST(strangers_are_left_a_place_inside),
        TEST(addresses),
    };

    return cmocka_run_group_tests_name("limit", tests, NULL, NULL);
}
