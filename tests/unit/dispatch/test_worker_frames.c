/* What a worker may say, and what it may not: every refusal of worker_frames.c. */
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include <cmocka.h>

#include "mod_invokemu/dispatch/worker_frames.h"

#define RUN "\"run_id\":\"0b9a4a40-7d5b-4b3e-9d36-3c3f4a4f5a5b\",\"item_id\":7"
#define NODE                                                                                       \
    RUN ",\"node_id\":\"p\",\"source_id\":\"s\",\"invocation\":{\"id\":\"p\",\"type\":\"l2i\"}"
#define PICTURE(name, rest)                                                                        \
    "{\"image_name\":\"" name "\",\"width\":8,\"height\":8,\"category\":\"general\"," rest "}"
#define GOOD_NAME "0b9a4a40-7d5b-4b3e-9d36-3c3f4a4f5a5b.png"
#define COMPLETED(images)                                                                          \
    "{" NODE ",\"seq\":1,\"result\":{\"type\":\"image_output\"},\"images\":[" images "]}"

static imu_worker_msg msg;

/* @return what is wrong with it, or NULL */
static const char *read_it(uint8_t type, const char *text, size_t payload_len, int n_fds)
{
    static char payload[IMU_MAX_PREVIEW + 1];
    imu_frame frame = {
        .type = type, .payload = payload, .payload_len = payload_len, .n_fds = n_fds};
    json_t *header = json_loads(text, 0, NULL);
    const char *why;

    assert_non_null(header);
    why = imu_worker_msg_read(&frame, header, &msg);
    json_decref(header);
    return why;
}

static void test_good_frames(void **state)
{
    (void)state;
    assert_null(read_it(IMU_WIRE_NODE_STARTED, "{" NODE "}", 0, 0));
    assert_int_equal(msg.run.item_id, 7);
    assert_null(read_it(IMU_WIRE_PROGRESS,
                        "{" NODE ",\"message\":\"m\",\"percentage\":null,\"image\":null}", 0, 0));
    assert_true(msg.percentage < 0);
    assert_null(read_it(
        IMU_WIRE_PROGRESS,
        "{" NODE ",\"percentage\":1,\"image\":{\"width\":1,\"height\":2,\"mime\":\"image/webp\"}}",
        9, 0));
    assert_string_equal(msg.mime, "image/webp");
    assert_null(read_it(
        IMU_WIRE_NODE_COMPLETED,
        COMPLETED(PICTURE(GOOD_NAME, "\"fd\":1,\"thumbnail_fd\":0,\"board_id\":null")), 0, 2));
    assert_int_equal(msg.n_pictures, 1);
    assert_int_equal(msg.pictures[0].fd, 1);
    assert_null(read_it(IMU_WIRE_NODE_FAILED, "{" NODE ",\"error_type\":\"E\"}", 0, 0));
    assert_null(read_it(IMU_WIRE_DONE,
                        "{" RUN ",\"seq\":2,\"status\":\"canceled\",\"session_id\":null}", 0, 0));
    assert_null(msg.session_id);
    assert_null(msg.state);
    assert_null(read_it(IMU_WIRE_DONE,
                        "{" RUN ",\"seq\":2,\"status\":\"completed\",\"session_id\":\"s\"}", 9, 0));
    assert_non_null(msg.session_id);
    assert_int_equal(msg.state_len, 9);
    assert_null(msg.loaded);
    assert_null(read_it(IMU_WIRE_DONE,
                        "{" RUN ",\"seq\":2,\"status\":\"completed\",\"loaded\":[\"k\"]}", 0, 0));
    assert_non_null(msg.loaded);
    assert_null(read_it(IMU_WIRE_MODEL_LOAD,
                        "{" RUN ",\"key\":\"k\",\"submodel\":null,\"complete\":true}", 0, 0));
}

static void test_broken_frames(void **state)
{
    static const struct {
        uint8_t type;
        const char *header;
        size_t payload_len;
        int n_fds;
    } broken[] = {
        {IMU_WIRE_DONE, "{\"item_id\":7,\"seq\":1,\"status\":\"completed\"}", 0, 0},
        {IMU_WIRE_DONE, "{\"run_id\":7,\"item_id\":7,\"seq\":1,\"status\":\"completed\"}", 0, 0},
        {IMU_WIRE_DONE,
         "{\"run_id\":\"0B9A4A40-7D5B-4B3E-9D36-3C3F4A4F5A5B\",\"item_id\":7,\"seq\":1,\"status\":"
         "\"completed\"}",
         0, 0},
        {IMU_WIRE_DONE,
         "{\"run_id\":\"0b9a4a40-7d5b-4b3e-9d36-3c3f4a4f5a5b\",\"item_id\":-1,\"seq\":1,\"status\":"
         "\"completed\"}",
         0, 0},
        {IMU_WIRE_DONE, "{" RUN ",\"seq\":0,\"status\":\"completed\"}", 0, 0},
        {IMU_WIRE_DONE, "{" RUN ",\"seq\":1.5,\"status\":\"completed\"}", 0, 0},
        {IMU_WIRE_DONE, "{" RUN ",\"seq\":1,\"status\":\"pending\"}", 0, 0},
        {IMU_WIRE_DONE, "{" RUN ",\"seq\":1,\"status\":\"failed\",\"error_type\":{}}", 0, 0},
        {IMU_WIRE_DONE, "{" RUN ",\"seq\":1,\"status\":\"failed\",\"loaded\":{}}", 0, 0},
        {IMU_WIRE_DONE, "{" RUN ",\"seq\":1,\"status\":\"failed\",\"loaded\":[1]}", 0, 0},
        {IMU_WIRE_NODE_STARTED,
         "{" RUN
         ",\"node_id\":\"\",\"source_id\":\"s\",\"invocation\":{\"id\":\"p\",\"type\":\"t\"}}",
         0, 0},
        {IMU_WIRE_NODE_STARTED,
         "{" RUN ",\"node_id\":\"p\",\"source_id\":\"s\",\"invocation\":{\"id\":\"p\"}}", 0, 0},
        {IMU_WIRE_NODE_STARTED, "{" RUN ",\"node_id\":\"p\",\"source_id\":\"s\",\"invocation\":[]}",
         0, 0},
        {IMU_WIRE_PROGRESS, "{" NODE ",\"percentage\":1.01}", 0, 0},
        {IMU_WIRE_PROGRESS, "{" NODE ",\"percentage\":\"1\"}", 0, 0},
        {IMU_WIRE_PROGRESS, "{" NODE ",\"message\":[]}", 0, 0},
        {IMU_WIRE_PROGRESS,
         "{" NODE ",\"image\":{\"width\":0,\"height\":1,\"mime\":\"image/png\"}}", 1, 0},
        {IMU_WIRE_PROGRESS,
         "{" NODE ",\"image\":{\"width\":1,\"height\":99999999999,\"mime\":\"image/png\"}}", 1, 0},
        {IMU_WIRE_PROGRESS,
         "{" NODE ",\"image\":{\"width\":1,\"height\":1,\"mime\":\"image/svg+xml\"}}", 1, 0},
        {IMU_WIRE_PROGRESS,
         "{" NODE ",\"image\":{\"width\":1,\"height\":1,\"mime\":\"image/png\"}}", 0, 0},
        {IMU_WIRE_PROGRESS,
         "{" NODE ",\"image\":{\"width\":1,\"height\":1,\"mime\":\"image/png\"}}",
         IMU_MAX_PREVIEW + 1, 0},
        {IMU_WIRE_PROGRESS, "{" NODE "}", 1, 0},
        {IMU_WIRE_NODE_COMPLETED, "{" NODE ",\"seq\":1,\"result\":{},\"images\":[]}", 0, 0},
        {IMU_WIRE_NODE_COMPLETED, "{" NODE ",\"seq\":1,\"result\":{\"type\":\"x\"},\"images\":{}}",
         0, 0},
        {IMU_WIRE_NODE_COMPLETED,
         COMPLETED(PICTURE("../../etc/passwd", "\"fd\":0,\"thumbnail_fd\":1")), 0, 2},
        {IMU_WIRE_NODE_COMPLETED,
         COMPLETED(
             PICTURE("0b9a4a40-7d5b-4b3e-9d36-3c3f4a4f5a5b.svg", "\"fd\":0,\"thumbnail_fd\":1")),
         0, 2},
        {IMU_WIRE_NODE_COMPLETED, COMPLETED(PICTURE(GOOD_NAME, "\"fd\":0,\"thumbnail_fd\":2")), 0,
         2},
        {IMU_WIRE_NODE_COMPLETED, COMPLETED(PICTURE(GOOD_NAME, "\"fd\":-1,\"thumbnail_fd\":1")), 0,
         2},
        {IMU_WIRE_NODE_COMPLETED, COMPLETED(PICTURE(GOOD_NAME, "\"fd\":0,\"thumbnail_fd\":0")), 0,
         2},
        {IMU_WIRE_NODE_COMPLETED, COMPLETED(PICTURE(GOOD_NAME, "\"fd\":0,\"thumbnail_fd\":1")), 0,
         0},
        {IMU_WIRE_NODE_COMPLETED,
         COMPLETED(PICTURE(GOOD_NAME, "\"fd\":0,\"thumbnail_fd\":1,\"metadata\":{}")), 0, 2},
        {IMU_WIRE_NODE_COMPLETED,
         COMPLETED(PICTURE(GOOD_NAME, "\"fd\":0,\"thumbnail_fd\":1") "," PICTURE(
             GOOD_NAME, "\"fd\":0,\"thumbnail_fd\":1")),
         0, 2},
        {IMU_WIRE_NODE_COMPLETED,
         COMPLETED(
             "{\"image_name\":\"" GOOD_NAME
             "\",\"width\":8,\"height\":8,\"category\":\"evil\",\"fd\":0,\"thumbnail_fd\":1}"),
         0, 2},
        {IMU_WIRE_MODEL_LOAD, "{" RUN ",\"key\":5}", 0, 0},
        {IMU_WIRE_RUN, "{" RUN "}", 0, 0},
        {IMU_WIRE_EVENT, "{" RUN "}", 0, 0},
    };

    (void)state;
    for (size_t i = 0; i < sizeof broken / sizeof broken[0]; i++)
        if (!read_it(broken[i].type, broken[i].header, broken[i].payload_len, broken[i].n_fds))
            fail_msg("accepted: type %d %s", broken[i].type, broken[i].header);
}

static void test_too_many_pictures(void **state)
{
    json_t *header = json_loads(COMPLETED(""), 0, NULL);
    imu_frame frame = {.type = IMU_WIRE_NODE_COMPLETED, .n_fds = IMU_WIRE_MAX_FDS};

    (void)state;
    for (int i = 0; i <= IMU_MAX_NODE_PICTURES; i++) {
        json_t *picture = json_loads(PICTURE(GOOD_NAME, "\"x\":1"), 0, NULL);

        json_object_set_new(picture, "fd", json_integer(2 * i));
        json_object_set_new(picture, "thumbnail_fd", json_integer(2 * i + 1));
        json_array_append_new(json_object_get(header, "images"), picture);
        if (i < IMU_MAX_NODE_PICTURES)
            assert_null(imu_worker_msg_read(&frame, header, &msg));
    }
    assert_non_null(imu_worker_msg_read(&frame, header, &msg));
    json_decref(header);
}

static const char *hello(const char *text, imu_hello *out)
{
    json_t *header = json_loads(text, 0, NULL);
    const char *why = imu_hello_read(header, out);

    json_decref(header);
    return why;
}

static void test_hello(void **state)
{
    imu_hello h;

    (void)state;
#define HELLO(rest) "{\"protocol\":1,\"name\":\"n\",\"device\":\"cpu\",\"loaded\":[\"k\"]," rest "}"
    assert_null(hello(HELLO("\"running\":null,\"held\":[]"), &h));
    assert_null(h.running.run_id);
    assert_null(hello(HELLO("\"running\":{" RUN "},\"held\":[{" RUN "}]"), &h));
    assert_int_equal(h.running.item_id, 7);
    assert_non_null(hello(HELLO("\"running\":{},\"held\":[]"), &h));
    assert_non_null(hello(HELLO("\"running\":null,\"held\":[{}]"), &h));
    assert_non_null(hello(HELLO("\"running\":null"), &h));
    assert_non_null(
        hello("{\"protocol\":2,\"name\":\"n\",\"device\":\"cpu\",\"loaded\":[],\"held\":[]}", &h));
    assert_non_null(
        hello("{\"protocol\":1,\"name\":\"n\",\"device\":\"cpu\",\"loaded\":[1],\"held\":[]}", &h));
    assert_non_null(
        hello("{\"protocol\":1,\"name\":\"\",\"device\":\"cpu\",\"loaded\":[],\"held\":[]}", &h));
}

static int memory_file(size_t size, int seals)
{
    int fd = memfd_create("test", MFD_CLOEXEC | MFD_ALLOW_SEALING);

    assert_true(fd >= 0);
    assert_int_equal(ftruncate(fd, (off_t)size), 0);
    assert_int_equal(fcntl(fd, F_ADD_SEALS, seals), 0);
    return fd;
}

static void test_memory_files(void **state)
{
    const int all = F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_WRITE;
    const struct {
        size_t size;
        int seals, ok;
    } cases[] = {{100, all, 1}, {100, all | F_SEAL_SEAL, 1},
                 {100, 0, 0},   {100, F_SEAL_SHRINK | F_SEAL_GROW, 0},
                 {0, all, 0},   {101, all, 0}};
    char name[] = "/tmp/imu-unit-XXXXXX";
    int fds[2], file = mkstemp(name);

    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        int fd = memory_file(cases[i].size, cases[i].seals);

        assert_int_equal(imu_memfd_check(fd, 100) == NULL, cases[i].ok);
        close(fd);
    }
    assert_int_equal(pipe(fds), 0);
    assert_non_null(imu_memfd_check(fds[0], 100));
    assert_int_equal(write(file, "x", 1), 1);
    assert_non_null(imu_memfd_check(file, 100));
    assert_non_null(imu_memfd_check(-1, 100));
    close(fds[0]);
    close(fds[1]);
    close(file);
    unlink(name);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_good_frames),       cmocka_unit_test(test_broken_frames),
        cmocka_unit_test(test_too_many_pictures), cmocka_unit_test(test_hello),
        cmocka_unit_test(test_memory_files),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
