/* The frame format: whole frames, portions, descriptors, limits, broken and hostile streams,
 * sockets. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>

#include "wire/wire.h"
#include "wire/wire_internal.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

struct ends {
    int a, b;
    imu_wire_reader *rd;
    imu_wire_writer *wr;
};

static int setup(void **state)
{
    struct ends *e = calloc(1, sizeof *e);
    int pair[2];
    if (!e || socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair))
        return -1;
    e->a = pair[0];
    e->b = pair[1];
    e->rd = imu_wire_reader_new(IMU_WIRE_MAX_FRAME);
    e->wr = imu_wire_writer_new(64u * 1024 * 1024);
    *state = e;
    return e->rd && e->wr ? 0 : -1;
}

static int teardown(void **state)
{
    struct ends *e = *state;
    imu_wire_reader_free(e->rd);
    imu_wire_writer_free(e->wr);
    if (e->a >= 0)
        close(e->a);
    close(e->b);
    free(e);
    return 0;
}

static imu_frame frame_of(uint8_t type, const char *header, const void *payload, size_t len)
{
    imu_frame f = {.type = type,
                   .header = header,
                   .header_len = strlen(header),
                   .payload = payload,
                   .payload_len = len};
    return f;
}

static void expect_frame(const imu_frame *f, uint8_t type, const char *header, size_t payload_len)
{
    assert_int_equal(f->type, type);
    assert_int_equal(f->header_len, strlen(header));
    assert_memory_equal(f->header, header, f->header_len);
    assert_int_equal(f->payload_len, payload_len);
}

static int count_fds(void)
{
    int n = 0;
    for (int i = 0; i < 256; i++)
        n += fcntl(i, F_GETFD) >= 0;
    return n;
}

static void test_round_trip(void **state)
{
    struct ends *e = *state;
    imu_frame f = frame_of(IMU_WIRE_PROGRESS, "{\"step\":1}", "\0\1\2", 3), got;
    assert_int_equal(imu_wire_queue(e->wr, &f), 0);
    f = frame_of(IMU_WIRE_PONG, "{}", NULL, 0);
    assert_int_equal(imu_wire_queue(e->wr, &f), 0);
    assert_int_equal(imu_wire_pending(e->wr), 9 + 10 + 3 + 9 + 2);
    assert_int_equal(imu_wire_flush(e->wr, e->a), 1);
    assert_int_equal(imu_wire_pending(e->wr), 0);
    assert_int_equal(imu_wire_read(e->rd, e->b, &got), 1);
    expect_frame(&got, IMU_WIRE_PROGRESS, "{\"step\":1}", 3);
    assert_memory_equal(got.payload, "\0\1\2", 3);
    assert_int_equal(imu_wire_read(e->rd, e->b, &got), 1);
    expect_frame(&got, IMU_WIRE_PONG, "{}", 0);
    assert_int_equal(imu_wire_read(e->rd, e->b, &got), 0);
}

static void test_byte_by_byte(void **state)
{
    struct ends *e = *state;
    const unsigned char bytes[] = {0, 0, 0, 9, 5, 0, 0, 0, 2, '{', '}', 'a', 'b'};
    imu_frame got;
    for (size_t i = 0; i < sizeof bytes; i++) {
        assert_int_equal(imu_wire_read(e->rd, e->b, &got), 0);
        assert_int_equal(write(e->a, bytes + i, 1), 1);
    }
    assert_int_equal(imu_wire_read(e->rd, e->b, &got), 1);
    expect_frame(&got, 5, "{}", 2);
}

static void *slow_reader(void *arg)
{
    struct ends *e = arg;
    imu_frame got;
    assert_int_equal(imu_wire_recv(e->rd, e->b, &got, 10000), 1);
    assert_int_equal(got.payload_len, 9u * 1024 * 1024);
    const unsigned char *p = got.payload;
    for (size_t i = 0; i < got.payload_len; i += 4099)
        assert_int_equal(p[i], (unsigned char)(i * 7));
    return NULL;
}

static void test_large_frame(void **state)
{
    struct ends *e = *state;
    size_t len = 9u * 1024 * 1024;
    unsigned char *data = malloc(len);
    assert_non_null(data);
    for (size_t i = 0; i < len; i++)
        data[i] = (unsigned char)(i * 7);
    pthread_t t;
    imu_frame f = frame_of(IMU_WIRE_RUN, "{}", data, len);
    assert_int_equal(pthread_create(&t, NULL, slow_reader, e), 0);
    assert_int_equal(imu_wire_send(e->a, &f, 10000), 0);
    pthread_join(t, NULL);
    assert_int_equal(imu_wire_queue(e->wr, &f), 0);
    assert_int_equal(pthread_create(&t, NULL, slow_reader, e), 0);
    int rc;
    while ((rc = imu_wire_flush(e->wr, e->a)) == 0) {
        struct pollfd p = {.fd = e->a, .events = POLLOUT};
        poll(&p, 1, 1000);
    }
    assert_int_equal(rc, 1);
    pthread_join(t, NULL);
    free(data);
}

static int memfd_with(const char *text)
{
    int fd = memfd_create("test", MFD_CLOEXEC);
    assert_true(fd >= 0);
    assert_int_equal(write(fd, text, strlen(text)), strlen(text));
    return fd;
}

static void expect_text(int fd, const char *text)
{
    char buf[64];
    ssize_t n = pread(fd, buf, sizeof buf, 0);
    assert_int_equal(n, strlen(text));
    assert_memory_equal(buf, text, (size_t)n);
    assert_int_equal(fcntl(fd, F_GETFD) & FD_CLOEXEC, FD_CLOEXEC);
    close(fd);
}

static void test_descriptors_keep_to_their_frames(void **state)
{
    struct ends *e = *state;
    int before = count_fds();
    imu_frame plain = frame_of(IMU_WIRE_PONG, "{}", NULL, 0), got;
    imu_frame two = frame_of(IMU_WIRE_NODE_COMPLETED, "{\"x\":{\"fds\":7},\"fds\":2}", "pay", 3);
    imu_frame one = frame_of(IMU_WIRE_NODE_COMPLETED, "{\"fds\": 1 }", NULL, 0);
    two.fds[0] = memfd_with("first");
    two.fds[1] = memfd_with("second");
    two.n_fds = 2;
    one.fds[0] = memfd_with("third");
    one.n_fds = 1;
    assert_int_equal(imu_wire_queue(e->wr, &plain), 0);
    assert_int_equal(imu_wire_queue(e->wr, &two), 0);
    assert_int_equal(imu_wire_queue(e->wr, &one), 0);
    assert_int_equal(imu_wire_queue(e->wr, &plain), 0);
    close(two.fds[0]);
    close(two.fds[1]);
    close(one.fds[0]);
    assert_int_equal(imu_wire_flush(e->wr, e->a), 1);
    assert_int_equal(imu_wire_read(e->rd, e->b, &got), 1);
    assert_int_equal(got.n_fds, 0);
    assert_int_equal(imu_wire_read(e->rd, e->b, &got), 1);
    assert_int_equal(got.n_fds, 2);
    expect_text(got.fds[0], "first");
    expect_text(got.fds[1], "second");
    assert_int_equal(imu_wire_read(e->rd, e->b, &got), 1);
    assert_int_equal(got.n_fds, 1);
    expect_text(got.fds[0], "third");
    assert_int_equal(imu_wire_read(e->rd, e->b, &got), 1);
    assert_int_equal(got.n_fds, 0);
    assert_int_equal(count_fds(), before);
}

static void test_writer_checks_fds_key(void **state)
{
    struct ends *e = *state;
    imu_frame f = frame_of(1, "{\"fds\":2}", NULL, 0);
    assert_int_equal(imu_wire_queue(e->wr, &f), -1);
    assert_int_equal(errno, EINVAL);
    f = frame_of(1, "{}", NULL, 0);
    f.n_fds = 1;
    f.fds[0] = 0;
    assert_int_equal(imu_wire_send(e->a, &f, 0), -1);
    assert_int_equal(errno, EINVAL);
}

/* Sends raw bytes with descriptors, as a hostile peer would. */
static void send_raw(int fd, const void *bytes, size_t len, const int *fds, size_t n_fds)
{
    union {
        char buf[CMSG_SPACE(64 * sizeof(int))];
        struct cmsghdr align;
    } control;
    memset(&control, 0, sizeof control);
    struct iovec iov = {.iov_base = (void *)bytes, .iov_len = len};
    struct msghdr msg = {.msg_iov = &iov, .msg_iovlen = 1};
    if (n_fds) {
        msg.msg_control = control.buf;
        msg.msg_controllen = CMSG_SPACE(n_fds * sizeof(int));
        struct cmsghdr *c = CMSG_FIRSTHDR(&msg);
        c->cmsg_level = SOL_SOCKET;
        c->cmsg_type = SCM_RIGHTS;
        c->cmsg_len = CMSG_LEN(n_fds * sizeof(int));
        memcpy(CMSG_DATA(c), fds, n_fds * sizeof(int));
    }
    assert_int_equal(sendmsg(fd, &msg, MSG_NOSIGNAL), len);
}

static void test_unclaimed_descriptors_break(void **state)
{
    struct ends *e = *state;
    int before = count_fds(), zero = 0;
    imu_frame got;
    send_raw(e->a, "\0\0\0\7\5\0\0\0\2{}", 11, &zero, 1);
    assert_int_equal(imu_wire_read(e->rd, e->b, &got), -1);
    assert_int_equal(errno, EBADMSG);
    assert_int_equal(imu_wire_read(e->rd, e->b, &got), -1);
    assert_int_equal(errno, EBADMSG);
    imu_wire_reader_free(e->rd);
    e->rd = NULL;
    assert_int_equal(count_fds(), before);
}

static void test_too_many_descriptors_break(void **state)
{
    struct ends *e = *state;
    int before = count_fds(), fds[40];
    imu_frame got;
    memset(fds, 0, sizeof fds);
    send_raw(e->a, "\0\0\0\7", 4, fds, 40);
    assert_int_equal(imu_wire_read(e->rd, e->b, &got), -1);
    assert_int_equal(errno, EBADMSG);
    imu_wire_reader_free(e->rd);
    e->rd = NULL;
    assert_int_equal(count_fds(), before);
}

static void test_missing_descriptors_break(void **state)
{
    struct ends *e = *state;
    imu_frame got;
    send_raw(e->a, "\0\0\0\x0e\5\0\0\0\x9{\"fds\":1}", 18, NULL, 0);
    assert_int_equal(imu_wire_read(e->rd, e->b, &got), -1);
    assert_int_equal(errno, EBADMSG);
}

static void test_bad_lengths_break(void **state)
{
    struct ends *e = *state;
    const struct {
        const char *bytes;
        size_t len;
    } bad[] = {
        {"\0\0\0\4", 4},           {"\xff\xff\xff\xff", 4},           {"\2\0\0\1", 4},
        {"\0\0\0\6\1\0\0\0\2", 9}, {"\1\0\0\0\1\xff\xff\xff\xff", 9},
    };
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        imu_frame got;
        int pair[2];
        imu_wire_reader *rd = imu_wire_reader_new(IMU_WIRE_MAX_FRAME);
        assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM, 0, pair), 0);
        send_raw(pair[0], bad[i].bytes, bad[i].len, NULL, 0);
        assert_int_equal(imu_wire_read(rd, pair[1], &got), -1);
        assert_int_equal(errno, EBADMSG);
        imu_wire_reader_free(rd);
        close(pair[0]);
        close(pair[1]);
    }
    (void)e;
}

static void test_peer_closes(void **state)
{
    struct ends *e = *state;
    imu_frame f = frame_of(5, "{}", NULL, 0), got;
    assert_int_equal(imu_wire_send(e->a, &f, 1000), 0);
    close(e->a);
    e->a = -1;
    assert_int_equal(imu_wire_read(e->rd, e->b, &got), 1);
    errno = EINVAL;
    assert_int_equal(imu_wire_read(e->rd, e->b, &got), -1);
    assert_int_equal(errno, 0);
    assert_int_equal(imu_wire_send(e->b, &f, 1000), -1);
    assert_int_equal(errno, EPIPE);
}

static void test_peer_closes_within_frame(void **state)
{
    struct ends *e = *state;
    imu_frame got;
    send_raw(e->a, "\0\0\0\7\5", 5, NULL, 0);
    close(e->a);
    e->a = -1;
    assert_int_equal(imu_wire_recv(e->rd, e->b, &got, 1000), -1);
    assert_int_equal(errno, ECONNRESET);
}

static void test_writer_limits(void **state)
{
    struct ends *e = *state;
    imu_wire_writer *wr = imu_wire_writer_new(30);
    imu_frame f = frame_of(1, "{}", "0123456789", 10);
    assert_int_equal(imu_wire_queue(wr, &f), 0);
    assert_int_equal(imu_wire_queue(wr, &f), -1);
    assert_int_equal(errno, ENOBUFS);
    imu_wire_writer_free(wr);
    f.payload_len = IMU_WIRE_MAX_FRAME;
    assert_int_equal(imu_wire_queue(e->wr, &f), -1);
    assert_int_equal(errno, EMSGSIZE);
}

static void test_timeouts(void **state)
{
    struct ends *e = *state;
    imu_frame got;
    assert_int_equal(imu_wire_recv(e->rd, e->b, &got, 20), 0);
    static char big[8 * 1024 * 1024];
    imu_frame f = frame_of(1, "{}", big, sizeof big);
    assert_int_equal(imu_wire_send(e->a, &f, 20), -1);
    assert_int_equal(errno, ETIMEDOUT);
}

static void test_header_fds(void **state)
{
    (void)state;
    const struct {
        const char *text;
        int want;
    } rows[] = {
        {"{}", 0},
        {"{\"fds\":3}", 3},
        {"{ \"a\" : [1,{\"fds\":4}], \"fds\" : 2 , \"b\":1}", 2},
        {"{\"a\":\"\\\"fds\\\":5\"}", 0},
        {"{\"a\":\"fds\"}", 0},
        {"{\"a\":{\"fds\":5}}", 0},
        {"{\"fds\":33}", -1},
        {"{\"fds\":-1}", -1},
        {"{\"fds\":\"1\"}", -1},
        {"{\"fds\":1.5}", -1},
        {"{\"fds\":1", -1},
        {"{\"fds\"", 0},
        {"{\"a\\", 0},
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++)
        assert_int_equal(imu_wire_header_fds(rows[i].text, strlen(rows[i].text)), rows[i].want);
}

static void test_listen_connect(void **state)
{
    (void)state;
    char dir[] = "/tmp/imu-wire-XXXXXX", path[64];
    assert_non_null(mkdtemp(dir));
    snprintf(path, sizeof path, "%s/s", dir);
    int listener = imu_wire_listen(path, 0660, 4);
    assert_true(listener >= 0);
    struct stat st;
    assert_int_equal(stat(path, &st), 0);
    assert_int_equal(st.st_mode & 07777, 0660);
    int client = imu_wire_connect(path);
    assert_true(client >= 0);
    int served = accept4(listener, NULL, NULL, SOCK_CLOEXEC);
    assert_true(served >= 0);
    assert_int_equal(imu_wire_peer_uid(served), (long)getuid());
    assert_int_equal(imu_wire_listen(path, 0660, 4), -1);
    assert_int_equal(errno, EADDRINUSE);
    close(served);
    close(client);
    close(listener);
    listener = imu_wire_listen(path, 0600, 4); /* nobody answers any more: replaced */
    assert_true(listener >= 0);
    close(listener);
    unlink(path);
    assert_int_equal(imu_wire_connect(path), -1);
    int file = open(path, O_CREAT | O_WRONLY | O_CLOEXEC, 0600);
    close(file);
    assert_int_equal(imu_wire_listen(path, 0600, 4), -1); /* never removes what is no socket */
    assert_int_equal(access(path, F_OK), 0);
    unlink(path);
    rmdir(dir);
    char longer[200];
    memset(longer, 'x', sizeof longer - 1);
    longer[sizeof longer - 1] = 0;
    assert_int_equal(imu_wire_connect(longer), -1);
    assert_int_equal(errno, ENAMETOOLONG);
}

int main(void)
{
#define EACH(t) cmocka_unit_test_setup_teardown(t, setup, teardown)
    const struct CMUnitTest tests[] = {
        EACH(test_round_trip),
        EACH(test_byte_by_byte),
        EACH(test_large_frame),
        EACH(test_descriptors_keep_to_their_frames),
        EACH(test_writer_checks_fds_key),
        EACH(test_unclaimed_descriptors_break),
        EACH(test_too_many_descriptors_break),
        EACH(test_missing_descriptors_break),
        EACH(test_bad_lengths_break),
        EACH(test_peer_closes),
        EACH(test_peer_closes_within_frame),
        EACH(test_writer_limits),
        EACH(test_timeouts),
        cmocka_unit_test(test_header_fds),
        cmocka_unit_test(test_listen_connect),
    };
    return cmocka_run_group_tests_name("wire", tests, NULL, NULL);
}
