/* How much a browser may send over a WebSocket, and somebody over all of theirs, by which clock. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <time.h>

#include <cmocka.h>
#include <apr_general.h>

#include "mod_invokemu/events/allowance.h"
#include "mod_invokemu/events/child_hub.h"
#include "mod_invokemu/events/socket_internal.h"

#define SECONDS(n) apr_time_from_sec(n)
#define MANY       (256u * 1024)

static apr_time_t steady, set; /* the clocks: one goes on, one is set */

apr_time_t apr_time_now(void)
{
    return set;
}

int clock_gettime(clockid_t which, struct timespec *t)
{
    apr_time_t now = which == CLOCK_MONOTONIC ? steady : set;

    *t = (struct timespec){apr_time_sec(now), apr_time_usec(now) * 1000};
    return 0;
}

int imu_child_hub_send(uint8_t type, json_t *header, const void *payload, size_t len)
{
    (void)type;
    (void)header;
    (void)payload;
    (void)len;
    return 0;
}

size_t imu_child_hub_pending(void)
{
    return 0;
}

static void pass(apr_time_t time)
{
    steady += time;
    set += time;
}

static int setup(void **state)
{
    static apr_pool_t *pool;

    (void)state;
    steady = SECONDS(1000);
    set = SECONDS(1700000000);
    if (!pool && (apr_initialize() != APR_SUCCESS || apr_pool_create(&pool, NULL) != APR_SUCCESS))
        return -1;
    imu_allowance_child_init(pool);
    return 0;
}

static void messages_of_a_socket(void **state)
{
    imu_socket s = {.known = 1, .network = "192.0.2"};

    (void)state;
    for (int i = 0; i < 800; i++)
        assert_int_equal(imu_socket_too_fast(&s, 0, 1), 0);
    assert_int_equal(imu_socket_too_fast(&s, 0, 1), 1);
    set -= SECONDS(3600);
    pass(SECONDS(10));
    assert_int_equal(imu_socket_too_fast(&s, 0, 1), 0);
}

/* @return how many bytes they could send over new sockets */
static size_t sent_by(char *account)
{
    size_t sent = 0;
    imu_socket s = {.known = 1, .network = "192.0.2", .account = account};

    while (!imu_socket_too_fast(&s, MANY, 0)) {
        s = (imu_socket){.known = 1, .network = "192.0.2", .account = account};
        sent += MANY;
    }
    return sent;
}

static void bytes_of_an_account(void **state)
{
    (void)state;
    assert_int_equal(sent_by("alice"), 8 * MANY);
    assert_int_equal(sent_by("bob"), 8 * MANY);
    set -= SECONDS(3600);
    assert_int_equal(sent_by("alice"), 0);
    pass(SECONDS(11));
    assert_int_equal(sent_by("alice"), 8 * MANY);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(messages_of_a_socket, setup),
        cmocka_unit_test_setup(bytes_of_an_account, setup),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
