/* What happens to one socket whose browser does not read. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include <httpd.h>
#include <http_config.h>
#include <http_protocol.h>

#include "mod_invokemu/events/child_hub.h"
#include "mod_invokemu/events/socket_internal.h"

#define MOST (2048u * 1024) /* bytes that may wait */

module invokemu_module;

static conn_rec connection;
static imu_socket *only;

/* ---- of httpd and of the child, what a socket calls: nothing of it is written ---- */

apr_status_t ap_get_brigade(ap_filter_t *f, apr_bucket_brigade *bb, ap_input_mode_t mode,
                            apr_read_type_e block, apr_off_t bytes)
{
    (void)f, (void)bb, (void)mode, (void)block, (void)bytes;
    return APR_EAGAIN;
}

apr_status_t ap_pass_brigade(ap_filter_t *f, apr_bucket_brigade *bb)
{
    (void)f, (void)bb;
    return APR_SUCCESS;
}

apr_socket_t *ap_get_conn_socket(conn_rec *c)
{
    (void)c;
    return NULL;
}

const char *ap_get_status_line(int status)
{
    (void)status;
    return "200 OK";
}

int imu_child_hub_send(uint8_t type, json_t *header, const void *payload, size_t len)
{
    (void)type, (void)payload, (void)len;
    json_decref(header);
    return 0;
}

size_t imu_child_hub_pending(void)
{
    return 0;
}

int imu_child_hub_want_write(int fd, uint64_t conn)
{
    (void)fd, (void)conn;
    return 0;
}

void imu_child_hub_forget(int fd)
{
    (void)fd;
}

imu_socket *imu_socket_find(uint64_t id)
{
    (void)id;
    return only;
}

void imu_socket_release(imu_socket *s)
{
    (void)s;
}

void imu_socket_forget(imu_socket *s)
{
    (void)s;
}

void imu_socket_part(imu_socket *s)
{
    (void)s;
}

void imu_socket_each(void (*fn)(imu_socket *s, int code), int code)
{
    fn(only, code);
}

/* ---- tests ---- */

static void send_bytes(size_t len)
{
    imu_message *message = imu_message_new(len);

    assert_non_null(message);
    memset(message->data, 'x', len);
    imu_sockets_send(1, message, 0);
    imu_message_release(message);
}

/* Lets so many bytes wait that there is room for no message any more. */
static void fill(imu_socket *s)
{
    size_t cost;

    send_bytes(0);
    cost = s->queued;
    assert_in_range(cost, 1, 1000);
    send_bytes(MOST - 2 * cost);
    assert_int_equal(s->queued, MOST);
}

static void is_told_to_close(void **state)
{
    imu_socket s = {.c = &connection, .fd = -1, .is_ws = 1, .state = IMU_SOCKET_HANDED};

    (void)state;
    only = &s;
    s.last = &s.first;
    pthread_mutex_init(&s.lock, NULL);
    send_bytes(10);
    imu_sockets_close(1, 1000);
    assert_true(s.ending && !s.abort);
    imu_socket_drop_queue(&s);
}

/* There is no room for a farewell: it ends all the same, and nothing waits for it. */
static void with_no_room_for_a_farewell_it_ends(void **state)
{
    imu_socket s = {.c = &connection, .fd = -1, .is_ws = 1, .state = IMU_SOCKET_HANDED};

    (void)state;
    only = &s;
    s.last = &s.first;
    pthread_mutex_init(&s.lock, NULL);
    fill(&s);
    imu_sockets_close(1, 1000);
    assert_true(s.ending && s.abort);
    assert_null(s.first);
    imu_socket_drop_queue(&s);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(is_told_to_close),
        cmocka_unit_test(with_no_room_for_a_farewell_it_ends),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
