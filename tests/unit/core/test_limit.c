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
    imu_limits *t = apr_palloc(p, imu_limits_size(buckets));

    imu_limits_init(t, buckets);
    return t;
}

static void a_burst_then_a_steady_trickle(void **state)
{
    imu_limits *t = table(((tempdb *)*state)->pool, 16);
    apr_uint64_t key = imu_limit_key(t, 'u', "a@example.org");

    for (int i = 0; i < 5; i++)
        assert_int_equal(imu_limit_take(t, key, &rule, T0), 0);
    assert_int_equal(imu_limit_take(t, key, &rule, T0), apr_time_from_sec(10));
    assert_int_equal(imu_limit_take(t, key, &rule, T0 + apr_time_from_sec(4)),
                     apr_time_from_sec(6));
    /* The wait that is announced is enough, and buys one attempt. */
    assert_int_equal(imu_limit_take(t, key, &rule, T0 + apr_time_from_sec(10)), 0);
    assert_true(imu_limit_take(t, key, &rule, T0 + apr_time_from_sec(10)) > 0);
    for (int i = 0; i < 5; i++)
        assert_int_equal(imu_limit_take(t, key, &rule, T0 + apr_time_from_sec(1000)), 0);
    assert_true(imu_limit_take(t, key, &rule, T0 + apr_time_from_sec(1000)) > 0);
}

static void good_attempts_do_not_count(void **state)
{
    imu_limits *t = table(((tempdb *)*state)->pool, 16);
    apr_uint64_t key = imu_limit_key(t, 'u', "a@example.org");

    for (int i = 0; i < 50; i++) {
        assert_int_equal(imu_limit_take(t, key, &rule, T0), 0);
        imu_limit_give_back(t, key, &rule, T0);
    }
    for (int i = 0; i < 5; i++)
        assert_int_equal(imu_limit_take(t, key, &rule, T0), 0);
    assert_true(imu_limit_take(t, key, &rule, T0) > 0);
}

static void keys_do_not_meet(void **state)
{
    imu_limits *t = table(((tempdb *)*state)->pool, 16);

    assert_true(imu_limit_key(t, 'u', "10.0.0.1") != imu_limit_key(t, 'a', "10.0.0.1"));
    assert_true(imu_limit_key(t, 'u', "a") != imu_limit_key(t, 'u', "b"));
    assert_true(imu_limit_key(t, 'u', "a") == imu_limit_key(t, 'u', "a"));
}

static void a_full_table_forgets_who_is_nearly_free(void **state)
{
    imu_limits *t = table(((tempdb *)*state)->pool, 1);
    apr_uint64_t guessed = imu_limit_key(t, 'u', "guessed@example.org");

    for (int i = 0; i < 5; i++)
        assert_int_equal(imu_limit_take(t, guessed, &rule, T0), 0);
    for (int i = 0; i < 1000; i++)
        assert_int_equal(imu_limit_take(t, (apr_uint64_t)i + 1000, &rule, T0), 0);
    assert_true(imu_limit_take(t, guessed, &rule, T0) > 0);
}

typedef struct guest {
    imu_gate *gate;
    int entered;
} guest;

static void *APR_THREAD_FUNC visit(apr_thread_t *thread, void *data)
{
    guest *g = data;

    (void)thread;
    g->entered = imu_gate_enter(g->gate, apr_time_from_sec(20));
    if (g->entered)
        imu_gate_leave(g->gate);
    return NULL;
}

static void a_gate_lets_few_in_and_few_wait(void **state)
{
    apr_pool_t *p = ((tempdb *)*state)->pool;
    imu_gate *gate;
    apr_thread_t *thread;
    apr_status_t rv;
    guest g;
    int waiting;

    assert_int_equal(imu_gate_create(p, 1, 1, &gate), APR_SUCCESS);
    assert_true(imu_gate_enter(gate, 0));
    assert_false(imu_gate_enter(gate, apr_time_from_msec(5)));
    g = (guest){gate, 0};
    assert_int_equal(apr_thread_create(&thread, NULL, visit, &g, p), APR_SUCCESS);
    do {
        apr_thread_mutex_lock(gate->lock);
        waiting = gate->waiting;
        apr_thread_mutex_unlock(gate->lock);
    } while (!waiting);
    /* Somebody waits: the queue is full, and the answer comes at once. */
    assert_false(imu_gate_enter(gate, apr_time_from_sec(20)));
    imu_gate_leave(gate);
    apr_thread_join(&rv, thread);
    assert_true(g.entered);
    assert_true(imu_gate_enter(gate, 0));
    imu_gate_leave(gate);
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
        TEST(a_gate_lets_few_in_and_few_wait),
        TEST(addresses),
    };

    return cmocka_run_group_tests_name("limit", tests, NULL, NULL);
}
