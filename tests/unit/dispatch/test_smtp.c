/* A mail server whose name cannot be looked up: whoever stops the mailer does not wait for that. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdatomic.h>
#include <netdb.h>
#include <poll.h>
#include <time.h>
#include <unistd.h>

#include <cmocka.h>

#include "mod_invokemu/dispatch/smtp.h"
#include "tests/unit/pool.h"

#define LONG_MS 20000

static int release[2];
static atomic_int asked;

/* In place of the C library's, also for libcurl: a resolver that does not answer. */
int getaddrinfo(const char *node, const char *service, const struct addrinfo *hints,
                struct addrinfo **list)
{
    struct pollfd fd = {.fd = release[0], .events = POLLIN};

    (void)node, (void)service, (void)hints;
    *list = NULL;
    atomic_store(&asked, 1);
    poll(&fd, 1, LONG_MS);
    return EAI_FAIL;
}

static int stopped(void *baton)
{
    (void)baton;
    return atomic_load(&asked);
}

static long now_ms(void)
{
    struct timespec t;

    clock_gettime(CLOCK_MONOTONIC, &t);
    return t.tv_sec * 1000 + t.tv_nsec / 1000000;
}

static void test_stop_while_a_name_is_looked_up(void **state)
{
    imu_mail_conf conf = {.server = "smtp://mail.example.org:587", .from_address = "a@example.org"};
    long begun = now_ms();
    const char *why;

    (void)state;
    assert_int_equal(pipe(release), 0);
    assert_true(imu_smtp_init());
    assert_int_equal(imu_smtp_send(&conf, pool, "b@example.org", "x", LONG_MS, stopped, NULL, &why),
                     IMU_MAIL_LATER);
    assert_true(atomic_load(&asked));
    assert_true(now_ms() - begun < LONG_MS / 2);
    close(release[1]);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_stop_while_a_name_is_looked_up),
    };

    return cmocka_run_group_tests(tests, pool_setup, pool_teardown);
}
