/* The scheduler with a worker of the test's own: pictures by descriptor, repetitions, previews,
 * models. */
#include <fcntl.h>
#include <ftw.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cmocka.h>
#include <apr_file_io.h>
#include <apr_strings.h>

#include "mod_invokemu/auth/identity.h"
#include "mod_invokemu/dispatch/scheduler.h"
#include "mod_invokemu/store/picture_files.h"
#include "tests/unit/core/tempdb.h"
#include "tests/unit/dispatch/fake_hub.h"

#define NAME      "0b9a4a40-7d5b-4b3e-9d36-3c3f4a4f5a5b.png"
#define ALL_SEALS (F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_WRITE)

static const char SESSION[] =
    "{\"id\":\"s1\",\"graph\":{\"id\":\"g\",\"nodes\":{\"n\":{\"id\":\"n\",\"type\":\"l2i\","
    "\"model\":{\"key\":\"k1\",\"name\":\"m\"}}},\"edges\":[]}}";

struct world {
    tempdb *t;
    imu_dispatch d;
    imu_dispatch_conf conf;
    const char *sockets[1];
    int listener, sock;
    imu_wire_reader *reader;
    char run_id[37];
    json_t *run;
};

static void sql(struct world *w, const char *statement)
{
    int n;

    assert_int_equal(apr_dbd_query(w->t->db->driver, w->t->db->handle, &n, statement), 0);
}

static int count(struct world *w, const char *query, const char *arg)
{
    imu_rows *rows;

    assert_no_error(imu_db_select(w->t->db, w->t->pool, &rows, query, "ss", IMU_SYSTEM_USER, arg));
    return rows->count;
}

/* nftw's callback: removes what lies below the temporary folder. */
static int remove_one(const char *path, const struct stat *st, int type, struct FTW *at)
{
    (void)st;
    (void)type;
    return at->level == 0 ? 0 : remove(path);
}

static int setup(void **state)
{
    struct world *w = calloc(1, sizeof *w);
    void *t = NULL;

    if (!w || tempdb_setup(&t) != 0)
        return -1;
    w->t = t;
    w->sockets[0] = apr_pstrcat(w->t->pool, w->t->dir, "/worker.sock", NULL);
    w->conf = (imu_dispatch_conf){.root = w->t->dir,
                                  .database = w->t->path,
                                  .run_dir = w->t->dir,
                                  .n_workers = 1,
                                  .workers = w->sockets};
    assert_no_error(imu_picture_folders(w->t->pool, w->t->dir, (uid_t)-1, (gid_t)-1));
    w->d = (imu_dispatch){
        .conf = &w->conf, .pool = w->t->pool, .loop = imu_loop_new(), .db = w->t->db};
    w->listener = imu_wire_listen(w->sockets[0], 0600, 4);
    w->sock = -1;
    fake_hub_reset();
    sql(w, "INSERT INTO models (key, hash, base, type, name, path, record, created_at, updated_at) "
           "VALUES ('k1', 'h', 'sd-1', 'main', 'm',"
           " '/models/m', '{\"key\":\"k1\",\"base\":\"sd-1\",\"type\":\"main\",\"name\":\"m\"}', "
           "'', '')");
    sql(w, apr_psprintf(w->t->pool,
                        "INSERT INTO session_queue (item_id, queue_id, batch_id, session_id, "
                        "user_id, status, session, workflow, created_at,"
                        " updated_at) VALUES (1, 'default', 'b', 's1', 'system', 'pending', '%s', "
                        "'{\"w\":1}', '', '')",
                        SESSION));
    *state = w;
    w->d.scheduler = imu_scheduler_new(&w->d, "me");
    return w->listener >= 0 && w->d.scheduler ? 0 : -1;
}

static int teardown(void **state)
{
    struct world *w = *state;
    void *t = w->t;

    imu_scheduler_free(w->d.scheduler);
    imu_loop_free(w->d.loop);
    imu_wire_reader_free(w->reader);
    json_decref(w->run);
    close(w->sock);
    close(w->listener);
    json_decref(fake_hub_events);
    fake_hub_events = NULL;
    if (nftw(w->t->dir, remove_one, 8, FTW_DEPTH | FTW_PHYS) != 0)
        return -1;
    free(w);
    return tempdb_teardown(&t);
}

static void turns(struct world *w, int n)
{
    for (int i = 0; i < n; i++)
        assert_int_equal(imu_loop_turn(w->d.loop, 5), 0);
}

static void say(struct world *w, uint8_t type, json_t *header, const void *payload, size_t len,
                const int *fds, int n_fds)
{
    char *text;
    imu_frame frame = {.type = type, .payload = payload, .payload_len = len, .n_fds = n_fds};

    if (n_fds)
        json_object_set_new(header, "fds", json_integer(n_fds));
    text = json_dumps(header, 0);
    assert_non_null(text);
    frame.header = text;
    frame.header_len = strlen(text);
    for (int i = 0; i < n_fds; i++)
        frame.fds[i] = fds[i];
    assert_int_equal(imu_wire_send(w->sock, &frame, 1000), 0);
    free(text);
    json_decref(header);
    turns(w, 3);
}

/* The next frame of that type; new reference. */
static json_t *hear(struct world *w, uint8_t type)
{
    for (int i = 0; i < 200; i++) {
        imu_frame frame;

        turns(w, 1);
        while (imu_wire_recv(w->reader, w->sock, &frame, 0) == 1) {
            for (int k = 0; k < frame.n_fds; k++)
                close(frame.fds[k]);
            if (frame.type == type)
                return json_loadb(frame.header, frame.header_len, 0, NULL);
        }
    }
    fail_msg("no frame of type %d came", type);
    return NULL;
}

/* Accepts the dispatcher's connection and says HELLO. */
static void greet(struct world *w, json_t *running, json_t *held)
{
    if (w->sock >= 0)
        close(w->sock);
    imu_wire_reader_free(w->reader);
    w->reader = imu_wire_reader_new(IMU_WIRE_MAX_FRAME);
    for (int i = 0; i < 200 && (i == 0 || w->sock < 0); i++) {
        turns(w, 1);
        w->sock = accept4(w->listener, NULL, NULL, SOCK_CLOEXEC);
    }
    assert_true(w->sock >= 0);
    say(w, IMU_WIRE_HELLO,
        json_pack("{s:i, s:s, s:s, s:[], s:o, s:o}", "protocol", 1, "name", "w", "device", "cuda:0",
                  "loaded", "running", running, "held", held),
        NULL, 0, NULL, 0);
}

static void take_job(struct world *w)
{
    greet(w, json_null(), json_array());
    w->run = hear(w, IMU_WIRE_RUN);
    snprintf(w->run_id, sizeof w->run_id, "%s",
             json_string_value(json_object_get(w->run, "run_id")));
}

static json_t *about(struct world *w, int seq)
{
    json_t *header = json_pack("{s:s, s:i, s:s, s:s, s:{s:s, s:s, s:i}}", "run_id", w->run_id,
                               "item_id", 1, "node_id", "p", "source_id", "n", "invocation", "id",
                               "p", "type", "l2i", "extra", 5);

    if (seq)
        json_object_set_new(header, "seq", json_integer(seq));
    return header;
}

static int file_of(const char *bytes, size_t len, int seals)
{
    int fd = memfd_create("picture", MFD_CLOEXEC | MFD_ALLOW_SEALING);

    assert_true(fd >= 0);
    assert_int_equal(write(fd, bytes, len), (ssize_t)len);
    assert_int_equal(fcntl(fd, F_ADD_SEALS, seals), 0);
    return fd;
}

static void say_picture(struct world *w, int seq, int seals)
{
    static const char png[] = "\x89PNG\r\n\x1a\n and so on",
                      webp[] = "RIFF\x10\0\0\0WEBPVP8 and so on";
    int fds[2] = {file_of(png, sizeof png, seals), file_of(webp, sizeof webp, seals)};
    json_t *header = about(w, seq);

    json_object_set_new(
        header, "result",
        json_pack("{s:s, s:{s:s}}", "type", "image_output", "image", "image_name", NAME));
    json_object_set_new(header, "images",
                        json_pack("[{s:s, s:i, s:i, s:s, s:b, s:n, s:s, s:b, s:i, s:i}]",
                                  "image_name", NAME, "width", 8, "height", 8, "category",
                                  "general", "is_intermediate", 0, "board_id", "metadata",
                                  "{\"seed\":1}", "has_workflow", 1, "fd", 0, "thumbnail_fd", 1));
    say(w, IMU_WIRE_NODE_COMPLETED, header, NULL, 0, fds, 2);
    close(fds[0]);
    close(fds[1]);
}

static void say_done(struct world *w, int seq, const char *status)
{
    json_t *header = about(w, seq);

    json_object_set_new(header, "status", json_string(status));
    json_object_set_new(header, "session_id", json_string("s1"));
    say(w, IMU_WIRE_DONE, header, SESSION, strlen(SESSION), NULL, 0);
}

static void expect_ack(struct world *w, int seq)
{
    json_t *ack = hear(w, IMU_WIRE_ACK);

    assert_string_equal(json_string_value(json_object_get(ack, "run_id")), w->run_id);
    assert_int_equal(json_integer_value(json_object_get(ack, "seq")), seq);
    json_decref(ack);
}

static void expect_row(struct world *w, const char *status, const char *error_type)
{
    imu_rows *rows;

    assert_no_error(
        imu_db_select(w->t->db, w->t->pool, &rows, "queue_event_item", "i", (apr_int64_t)1));
    assert_string_equal(imu_text(rows, 0, "status"), status);
    if (error_type)
        assert_string_equal(imu_text(rows, 0, "error_type"), error_type);
    else
        assert_null(imu_text(rows, 0, "error_type"));
}

static void test_run_carries_what_the_job_needs(void **state)
{
    struct world *w = *state;
    json_t *model;

    take_job(w);
    model = json_array_get(json_object_get(w->run, "models"), 0);
    assert_string_equal(json_string_value(json_object_get(model, "path")), "/models/m");
    assert_string_equal(
        json_string_value(json_object_get(json_object_get(model, "record"), "base")), "sd-1");
    assert_string_equal(json_string_value(json_object_get(w->run, "workflow")), "{\"w\":1}");
    assert_string_equal(
        json_string_value(json_object_get(json_object_get(w->run, "session"), "id")), "s1");
    assert_int_equal(fake_hub_count("queue_item_status_changed"), 1);
    expect_row(w, "in_progress", NULL);
}

static void test_picture_is_stored_before_it_is_told(void **state)
{
    struct world *w = *state;
    json_t *event;

    take_job(w);
    say_picture(w, 1, ALL_SEALS);
    expect_ack(w, 1);
    assert_int_equal(count(w, "image_get", NAME), 1);
    assert_int_equal(access(imu_picture_path(w->t->pool, w->t->dir, NAME), R_OK), 0);
    assert_int_equal(access(imu_thumbnail_path(w->t->pool, w->t->dir, NAME), R_OK), 0);
    event = fake_hub_last("invocation_complete");
    assert_string_equal(json_string_value(json_object_get(event, "invocation_source_id")), "n");
    assert_string_equal(json_string_value(json_object_get(event, "user_id")), "system");
    assert_string_equal(
        json_string_value(json_object_get(json_object_get(event, "result"), "type")),
        "image_output");
    say_done(w, 2, "completed");
    expect_ack(w, 2);
    expect_row(w, "completed", NULL);
    assert_string_equal(
        json_string_value(json_object_get(fake_hub_last("queue_item_status_changed"), "status")),
        "completed");
}

static void test_repetition_is_acknowledged_and_not_told_again(void **state)
{
    struct world *w = *state;

    take_job(w);
    say_picture(w, 1, ALL_SEALS);
    expect_ack(w, 1);
    close(w->sock);
    w->sock = -1;
    greet(w, json_pack("{s:s, s:i}", "run_id", w->run_id, "item_id", 1), json_array());
    say_picture(w, 1, ALL_SEALS);
    expect_ack(w, 1);
    assert_int_equal(fake_hub_count("invocation_complete"), 1);
    say_done(w, 2, "completed");
    expect_ack(w, 2);
    expect_row(w, "completed", NULL);
}

static void test_picture_that_could_change_is_refused(void **state)
{
    struct world *w = *state;
    json_t *cancel;

    take_job(w);
    say_picture(w, 1, 0);
    cancel = hear(w, IMU_WIRE_CANCEL);
    json_decref(cancel);
    expect_row(w, "failed", "WorkerError");
    assert_int_equal(count(w, "image_get", NAME), 0);
    assert_int_equal(fake_hub_count("invocation_complete"), 0);
    say_done(w, 2, "canceled");
    expect_row(w, "failed", "WorkerError");
}

static void end_without_results(struct world *w, const char *session_id, const void *state,
                                size_t len)
{
    json_t *header;

    take_job(w);
    header = about(w, 1);
    json_object_set_new(header, "status", json_string("completed"));
    json_object_set_new(header, "session_id", json_string(session_id));
    say(w, IMU_WIRE_DONE, header, state, len, NULL, 0);
    expect_ack(w, 1);
    expect_row(w, "failed", "WorkerError");
}

static void test_with_a_full_disk_jobs_wait(void **state)
{
    struct world *w = *state;
    imu_rows *rows;

    w->conf.min_free = INT64_MAX;
    greet(w, json_null(), json_array());
    imu_scheduler_wake(w->d.scheduler);
    turns(w, 5);
    assert_no_error(
        imu_db_select(w->t->db, w->t->pool, &rows, "queue_event_item", "i", (apr_int64_t)1));
    assert_string_equal(imu_text(rows, 0, "status"), "pending");
    w->conf.min_free = 0;
    imu_scheduler_wake(w->d.scheduler);
    json_decref(hear(w, IMU_WIRE_RUN));
}

static void test_end_of_another_session_fails(void **state)
{
    end_without_results(*state, "somebody else's", SESSION, strlen(SESSION));
}

static void test_end_without_results_fails(void **state)
{
    end_without_results(*state, "s1", NULL, 0);
}

static void test_end_with_no_text_fails(void **state)
{
    end_without_results(*state, "s1", "{\"id\":\"s1\"\0}", 12);
}

static void test_end_with_broken_text_fails(void **state)
{
    end_without_results(*state, "s1", "{\"id\":\"\xff\"}", 10);
}

static void test_progress_shows_node_and_preview(void **state)
{
    struct world *w = *state;
    json_t *header, *event;

    take_job(w);
    say(w, IMU_WIRE_NODE_STARTED, about(w, 0), NULL, 0, NULL, 0);
    header = about(w, 0);
    json_object_del(json_object_get(header, "invocation"), "extra");
    json_object_set_new(header, "percentage", json_real(0.25));
    json_object_set_new(header, "message", json_string("Denoising"));
    json_object_set_new(
        header, "image",
        json_pack("{s:i, s:i, s:s}", "width", 8, "height", 4, "mime", "image/jpeg"));
    say(w, IMU_WIRE_PROGRESS, header, "abc", 3, NULL, 0);
    event = fake_hub_last("invocation_progress");
    assert_non_null(event);
    assert_string_equal(
        json_string_value(json_object_get(json_object_get(event, "image"), "dataURL")),
        "data:image/jpeg;base64,YWJj");
    assert_int_equal(
        json_integer_value(json_object_get(json_object_get(event, "invocation"), "extra")), 5);
    assert_string_equal(json_string_value(json_object_get(event, "device")), "cuda:0");
}

static void say_load(struct world *w, int complete)
{
    json_t *header = about(w, 0);

    json_object_set_new(header, "key", json_string("k1"));
    json_object_set_new(header, "submodel", json_string("unet"));
    json_object_set_new(header, "complete", json_boolean(complete));
    say(w, IMU_WIRE_MODEL_LOAD, header, NULL, 0, NULL, 0);
}

/* Clients count starts and ends: each start is ended once, even when the job ends in between. */
static void test_model_loads_are_balanced(void **state)
{
    struct world *w = *state;
    json_t *event;

    take_job(w);
    say_load(w, 0);
    event = fake_hub_last("model_load_started");
    assert_string_equal(
        json_string_value(json_object_get(json_object_get(event, "config"), "name")), "m");
    assert_string_equal(json_string_value(json_object_get(event, "submodel_type")), "unet");
    assert_int_equal(fake_hub_count("model_load_complete"), 0);
    say_load(w, 1);
    assert_int_equal(fake_hub_count("model_load_complete"), 1);
    say_load(w, 1);
    assert_int_equal(fake_hub_count("model_load_complete"), 1);
    say_load(w, 0);
    say_done(w, 1, "failed");
    assert_int_equal(fake_hub_count("model_load_started"), 2);
    assert_int_equal(fake_hub_count("model_load_complete"), 2);
}

static void test_cancel_silences_a_run(void **state)
{
    struct world *w = *state;
    json_t *cancel;

    take_job(w);
    sql(w, "UPDATE session_queue SET status = 'canceled' WHERE item_id = 1");
    imu_scheduler_cancel(w->d.scheduler, 1);
    cancel = hear(w, IMU_WIRE_CANCEL);
    assert_string_equal(json_string_value(json_object_get(cancel, "run_id")), w->run_id);
    json_decref(cancel);
    say_picture(w, 1, ALL_SEALS);
    expect_ack(w, 1);
    assert_int_equal(count(w, "image_get", NAME), 0);
    assert_int_equal(fake_hub_count("invocation_complete"), 0);
    say_done(w, 2, "canceled");
    expect_ack(w, 2);
    expect_row(w, "canceled", NULL);
    assert_int_equal(fake_hub_count("queue_item_status_changed"), 1);
}

int main(void)
{
#define TEST(f) cmocka_unit_test_setup_teardown(f, setup, teardown)
    const struct CMUnitTest tests[] = {
        TEST(test_run_carries_what_the_job_needs),
        TEST(test_picture_is_stored_before_it_is_told),
        TEST(test_repetition_is_acknowledged_and_not_told_again),
        TEST(test_picture_that_could_change_is_refused),
        TEST(test_end_without_results_fails),
        TEST(test_with_a_full_disk_jobs_wait),
        TEST(test_end_of_another_session_fails),
        TEST(test_end_with_no_text_fails),
        TEST(test_end_with_broken_text_fails),
        TEST(test_progress_shows_node_and_preview),
        TEST(test_cancel_silences_a_run),
        TEST(test_model_loads_are_balanced),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
