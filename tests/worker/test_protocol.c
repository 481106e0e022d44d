/* The worker protocol spoken with a real worker process: runs, pictures, cancel, reconnects,
 * hostile frames. */
#include "tests/worker/helper.h"
#include "worker/image/picture.h"

#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define RUN_ID               "22222222-2222-4222-8222-22222222222"
#define NODE(id, type, rest) "'" id "':{'id':'" id "','type':'" type "'" rest "}"
#define EDGE(from, out, to, in)                                                                    \
    "{'source':{'node_id':'" from "','field':'" out "'},'destination':{'node_id':'" to             \
    "','field':'" in "'}}"
#define MODEL_FOLDER "tests/fixtures/diffusion/tiny-sd15"

static struct process worker;
static struct got g;

static int setup(void **state)
{
    (void)state;
    start_process(&worker, "--name", "tester", "--cache-mb", "64", "--gpu-mb", "64", "--threads",
                  "1", (char *)NULL);
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    clear_got(&g);
    stop_process(&worker);
    return 0;
}

static void greet(struct peer *c)
{
    connect_peer(c, worker.socket);
    assert_true(next_frame(c, &g));
    assert_int_equal(g.type, IMU_WIRE_HELLO);
}

static void ack(struct peer *c)
{
    send_json(c, IMU_WIRE_ACK,
              json_pack("{s:O,s:O}", "run_id", json_object_get(g.h, "run_id"), "seq",
                        json_object_get(g.h, "seq")),
              NULL, 0);
}

static void expect_done(struct peer *c, const char *status)
{
    do {
        assert_true(next_frame(c, &g));
        if (g.type == IMU_WIRE_NODE_COMPLETED || g.type == IMU_WIRE_DONE)
            ack(c);
    } while (g.type != IMU_WIRE_DONE);
    if (strcmp(imu_json_str(g.h, "status"), status))
        fail_msg("%s (%s), expected %s", imu_json_str(g.h, "status"),
                 imu_json_str(g.h, "error_message"), status);
}

/* A PING answered means that everything sent before has been worked on. */
static void sync_with(struct peer *c)
{
    send_json(c, IMU_WIRE_PING, json_pack("{s:s}", "token", "sync"), NULL, 0);
    expect_type(c, &g, IMU_WIRE_PONG);
    assert_string_equal(imu_json_str(g.h, "token"), "sync");
}

static void test_hello(void **state)
{
    (void)state;
    struct peer c;
    greet(&c);
    assert_int_equal(json_integer_value(json_object_get(g.h, "protocol")), IMU_WIRE_PROTOCOL);
    assert_string_equal(imu_json_str(g.h, "name"), "tester");
    assert_string_equal(imu_json_str(g.h, "device"), "cpu");
    assert_true(json_is_null(json_object_get(g.h, "running")));
    assert_int_equal(json_array_size(json_object_get(g.h, "held")), 0);
    assert_non_null(json_object_get(json_object_get(g.h, "nodes"), "denoise_latents"));
    assert_non_null(json_object_get(json_object_get(g.h, "outputs"), "ImageOutput"));
    sync_with(&c);
    close_peer(&c);
}

static void test_string_graph(void **state)
{
    (void)state;
    struct peer c;
    greet(&c);
    send_json(
        &c, IMU_WIRE_RUN,
        make_run(RUN_ID "1", "{'id':'gr','nodes':{" NODE("s", "string", ",'value':'hello'") "}}"),
        NULL, 0);
    assert_true(next_frame(&c, &g));
    assert_int_equal(g.type, IMU_WIRE_NODE_STARTED);
    assert_string_equal(imu_json_str(g.h, "source_id"), "s");
    char prepared[64];
    snprintf(prepared, sizeof prepared, "%s", imu_json_str(g.h, "node_id"));
    assert_string_equal(imu_json_str(json_object_get(g.h, "invocation"), "id"), prepared);
    assert_string_equal(imu_json_str(json_object_get(g.h, "invocation"), "type"), "string");
    assert_true(next_frame(&c, &g));
    assert_int_equal(g.type, IMU_WIRE_NODE_COMPLETED);
    assert_int_equal(json_integer_value(json_object_get(g.h, "seq")), 1);
    assert_string_equal(imu_json_str(json_object_get(g.h, "result"), "type"), "string_output");
    ack(&c);
    assert_true(next_frame(&c, &g));
    assert_int_equal(g.type, IMU_WIRE_DONE);
    assert_string_equal(imu_json_str(g.h, "status"), "completed");
    const json_t *session = json_object_get(g.h, "session");
    const json_t *result = json_object_get(json_object_get(session, "results"), prepared);
    assert_string_equal(imu_json_str(result, "value"), "hello");
    ack(&c);
    sync_with(&c);
    close_peer(&c);
    assert_true(log_has(&worker, "run " RUN_ID "1 item 7: completed, 1 nodes"));
}

static imu_picture *picture_of(int fd, imu_texts *texts)
{
    static const imu_decode_limits limits = {
        .max_pixels = 1 << 24, .max_side = 4096, .max_text = 1 << 20};
    struct stat st;
    imu_error err = {.text = ""};
    assert_int_equal(fstat(fd, &st), 0);
    uint8_t *data = malloc((size_t)st.st_size);
    assert_int_equal(read(fd, data, (size_t)st.st_size), st.st_size);
    assert_int_equal(write(fd, "x", 1), -1); /* sealed */
    imu_picture *p = imu_decode(data, (size_t)st.st_size, &limits, texts, &err);
    if (!p)
        fail_msg("%s", err.text);
    free(data);
    return p;
}

static void test_picture(void **state)
{
    (void)state;
    struct peer c;
    imu_texts texts = {.text = {NULL}};
    greet(&c);
    json_t *run = make_run(RUN_ID "2", "{'id':'gr','nodes':{" NODE(
                                           "b", "blank_image",
                                           ",'width':600,'height':300,'color':{'r':9,'g':8,'b'"
                                           ":7,'a':255},"
                                           "'is_intermediate':true,'board':{'board_id':'board-"
                                           "1'}") "," NODE("m", "core_metadata",
                                                           ",'seed':5,'x':'ü'") "},'edges':"
                                                                                "[" EDGE("m",
                                                                                         "meta"
                                                                                         "dat"
                                                                                         "a",
                                                                                         "b",
                                                                                         "meta"
                                                                                         "dat"
                                                                                         "a") "]}");
    json_object_set_new(run, "workflow", json_string("{\"name\":\"flow\"}"));
    json_object_set_new(run, "metadata_extra", json_pack("{s:s}", "invokemu", "yes"));
    send_json(&c, IMU_WIRE_RUN, run, NULL, 0);
    do
        expect_type(&c, &g, IMU_WIRE_NODE_COMPLETED);
    while (strcmp(imu_json_str(g.h, "source_id"), "b"));
    assert_int_equal(g.n_fds, 2);
    const json_t *image = json_array_get(json_object_get(g.h, "images"), 0);
    assert_int_equal(strlen(imu_json_str(image, "image_name")), 40);
    assert_string_equal(imu_json_str(image, "board_id"), "board-1");
    assert_string_equal(imu_json_str(image, "category"), "general");
    assert_true(json_is_true(json_object_get(image, "is_intermediate")));
    assert_true(json_is_true(json_object_get(image, "has_workflow")));
    assert_string_equal(imu_json_str(image, "metadata"),
                        "{\"seed\":5,\"x\":\"ü\",\"app_version\":\"6.12.0\",\"invokemu\":\"yes\"}");
    assert_string_equal(
        imu_json_str(json_object_get(json_object_get(g.h, "result"), "image"), "image_name"),
        imu_json_str(image, "image_name"));
    imu_picture *p = picture_of(g.fds[json_integer_value(json_object_get(image, "fd"))], &texts);
    assert_int_equal(p->width, 600);
    assert_int_equal(p->height, 300);
    assert_memory_equal(p->data, "\x09\x08\x07", 3);
    assert_string_equal(texts.text[IMU_TEXT_METADATA], imu_json_str(image, "metadata"));
    assert_string_equal(texts.text[IMU_TEXT_WORKFLOW], "{\"name\":\"flow\"}");
    assert_non_null(strstr(texts.text[IMU_TEXT_GRAPH], "blank_image"));
    imu_picture_free(p);
    imu_texts_free(&texts);
    p = picture_of(g.fds[json_integer_value(json_object_get(image, "thumbnail_fd"))], NULL);
    assert_int_equal(p->width, 256);
    assert_int_equal(p->height, 128);
    imu_picture_free(p);
    expect_done(&c, "completed");
    close_peer(&c);
    greet(&c); /* the first two results were not acknowledged: they come again */
    assert_int_equal(json_array_size(json_object_get(g.h, "held")), 1);
    for (int i = 1; i <= 2; i++) {
        assert_true(next_frame(&c, &g));
        assert_int_equal(g.type, IMU_WIRE_NODE_COMPLETED);
        assert_int_equal(json_integer_value(json_object_get(g.h, "seq")), i);
        ack(&c);
    }
    assert_int_equal(g.n_fds, 2);
    sync_with(&c);
    close_peer(&c);
    greet(&c);
    assert_int_equal(json_array_size(json_object_get(g.h, "held")), 0);
    close_peer(&c);
}

static void test_input_picture(void **state)
{
    (void)state;
    struct peer c;
    imu_error err;
    imu_bytes png;
    imu_picture *p = imu_picture_new(40, 20, 4);
    assert_int_equal(imu_png_encode(p, NULL, &png, &err), 0);
    imu_picture_free(p);
    int fd = imu_memfd_of("in", png.data, png.len);
    free(png.data);
    greet(&c);
    json_t *run = make_run(
        RUN_ID "3", "{'nodes':{" NODE("i", "image", ",'image':{'image_name':'in.png'}") "," NODE(
                        "r", "img_scale",
                        ",'scale_factor':0.5") "},'edges':[" EDGE("i", "image", "r", "image") "]}");
    json_array_append_new(json_object_get(run, "images"),
                          json_pack("{s:s,s:i}", "image_name", "in.png", "fd", 0));
    send_json(&c, IMU_WIRE_RUN, run, &fd, 1);
    close(fd);
    do
        expect_type(&c, &g, IMU_WIRE_NODE_COMPLETED);
    while (strcmp(imu_json_str(g.h, "source_id"), "r"));
    assert_int_equal(json_integer_value(json_object_get(json_object_get(g.h, "result"), "width")),
                     20);
    ack(&c);
    expect_done(&c, "completed");
    send_json(&c, IMU_WIRE_RUN,
              make_run(RUN_ID "4",
                       "{'nodes':{" NODE("i", "image", ",'image':{'image_name':'in.png'}") "}}"),
              NULL, 0);
    expect_done(&c, "failed"); /* pictures of one run are not those of the next */
    assert_string_equal(imu_json_str(g.h, "error_type"), "ImageFileNotFoundException");
    close_peer(&c);
}

static void test_failures_are_told(void **state)
{
    (void)state;
    struct peer c;
    greet(&c);
    send_json(&c, IMU_WIRE_RUN, make_run(RUN_ID "5", "{'nodes':{" NODE("d", "div", ",'a':1") "}}"),
              NULL, 0);
    expect_type(&c, &g, IMU_WIRE_NODE_FAILED);
    assert_string_equal(imu_json_str(g.h, "source_id"), "d");
    assert_string_equal(imu_json_str(g.h, "error_type"), "ZeroDivisionError");
    expect_done(&c, "failed");
    assert_int_equal(json_object_size(json_object_get(json_object_get(g.h, "session"), "errors")),
                     1);
    send_json(&c, IMU_WIRE_RUN, make_run(RUN_ID "6", "{'nodes':{" NODE("d", "nonsense", "") "}}"),
              NULL, 0);
    expect_done(&c, "failed");
    assert_string_equal(imu_json_str(g.h, "error_type"), "UnknownNode");
    assert_true(json_is_object(
        json_object_get(json_object_get(g.h, "session"), "source_prepared_mapping")));
    close_peer(&c);
}

/* The graph that the web client posts for Stable Diffusion 1.x, on the tiny model. */
static json_t *denoise_run(const char *run_id, int side, int steps)
{
    json_t *run =
        make_run(
            run_id,
            "{'id':'sd','nodes':{" NODE("seed", "integer", ",'value':42") "," NODE("prompt", "string", ",'value':'a fox (red)1.2'") "," NODE(
                "loader", "main_model_loader",
                ",'model':{'key':'tiny','hash':'h','"
                "name':'n','base':'sd-1','type':'"
                "main'}") "," NODE("skip", "clip_skip",
                                   ",'skipped_layers'"
                                   ":0") "," NODE("po"
                                                  "s",
                                                  "co"
                                                  "mp"
                                                  "e"
                                                  "l",
                                                  "") "," NODE("posc", "collect", "") "," NODE("ne"
                                                                                               "g",
                                                                                               "com"
                                                                                               "pe"
                                                                                               "l",
                                                                                               ",'"
                                                                                               "pro"
                                                                                               "mpt"
                                                                                               "':'"
                                                                                               "blu"
                                                                                               "rry"
                                                                                               "'") "," NODE("negc", "collect", "") "," NODE("noise", "noise", ",'use_cpu':true") "," NODE("den",
                                                                                                                                                                                           "denoise_latents", ",'cfg_scale':7.5,'scheduler':'dpmpp_3m_k','denoising_start':0,'denoising_end':1") "," NODE("out", "l2i", ",'fp32':true,'is_intermediate':false") "},'edges':[" EDGE("loader",
                                                                                                                                                                                                                                                                                                                                                                                   "unet",
                                                                                                                                                                                                                                                                                                                                                                                   "den", "unet") "," EDGE("loader", "clip", "skip", "clip") "," EDGE("skip",
                                                                                                                                                                                                                                                                                                                                                                                                                                                      "clip",
                                                                                                                                                                                                                                                                                                                                                                                                                                                      "pos",
                                                                                                                                                                                                                                                                                                                                                                                                                                                      "clip") "," EDGE("skip",
                                                                                                                                                                                                                                                                                                                                                                                                                                                                       "clip", "neg", "clip") "," EDGE("prompt",
                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                       "value", "pos", "prompt") "," EDGE("pos", "conditioning", "posc",
                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                          "item") "," EDGE("posc",
                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                           "collection",
                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                           "den",
                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                           "positive_conditioning") "," EDGE("neg",
                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                             "conditioning",
                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                             "negc", "item") "," EDGE("negc", "collection", "den", "negative_conditioning") "," EDGE("seed",
                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                     "value", "noise", "seed") "," EDGE("noise",
                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                        "noise", "den",
                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                        "noise") "," EDGE("den", "latents", "out", "latents") "," EDGE("loader",
                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                       "vae", "out",
                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                                       "vae") "]}");
    json_t *nodes =
        json_object_get(json_object_get(json_object_get(run, "session"), "graph"), "nodes");
    json_object_set_new(json_object_get(nodes, "noise"), "width", json_integer(side));
    json_object_set_new(json_object_get(nodes, "noise"), "height", json_integer(side));
    json_object_set_new(json_object_get(nodes, "den"), "steps", json_integer(steps));
    char *path = realpath(MODEL_FOLDER, NULL);
    assert_non_null(path);
    json_array_append_new(json_object_get(run, "models"),
                          json_pack("{s:s,s:s,s:{s:s,s:s,s:s,s:s}}", "key", "tiny", "path", path,
                                    "record", "hash", "h", "name", "n", "base", "sd-1", "type",
                                    "main"));
    free(path);
    return run;
}

static void test_denoise(void **state)
{
    (void)state;
    struct peer c;
    greet(&c);
    send_json(&c, IMU_WIRE_RUN, denoise_run(RUN_ID "7", 64, 4), NULL, 0);
    int loads = 0, previews = 0, loading = 0;
    double last = -1;
    do {
        assert_true(next_frame(&c, &g));
        if (g.type == IMU_WIRE_MODEL_LOAD)
            loads += json_is_true(json_object_get(g.h, "complete")) ? -1 : 1;
        if (g.type == IMU_WIRE_PROGRESS &&
            !strcmp(imu_json_str(g.h, "message"), "Loading the model")) {
            assert_true(json_number_value(json_object_get(g.h, "percentage")) < 1);
            assert_true(last < 0); /* before the first step alone */
            loading++;
        } else if (g.type == IMU_WIRE_PROGRESS) {
            double share = json_number_value(json_object_get(g.h, "percentage"));
            assert_true(share > last);
            last = share;
            assert_string_equal(imu_json_str(g.h, "message"), "Denoising");
            assert_string_equal(imu_json_str(json_object_get(g.h, "invocation"), "type"),
                                "denoise_latents");
            if (g.payload_len) {
                assert_int_equal(imu_format_of(g.payload, g.payload_len), IMU_FORMAT_JPEG);
                assert_int_equal(
                    json_integer_value(json_object_get(json_object_get(g.h, "image"), "width")),
                    64);
                previews++;
            }
        }
        if (g.type == IMU_WIRE_NODE_FAILED)
            fail_msg("%s", imu_json_str(g.h, "error_message"));
        if (g.type == IMU_WIRE_NODE_COMPLETED)
            ack(&c);
    } while (g.type != IMU_WIRE_NODE_COMPLETED || strcmp(imu_json_str(g.h, "source_id"), "out"));
    assert_int_equal(loads, 0);
    assert_true(last == 1 && previews >= 1 && loading >= 2); /* text encoder, UNet */
    assert_int_equal(g.n_fds, 2);
    imu_picture *p = picture_of(g.fds[0], NULL);
    assert_int_equal(p->width, 64);
    int seen[256] = {0}, distinct = 0;
    for (int i = 0; i < 64 * 64 * 3; i++)
        distinct += seen[p->data[i]]++ == 0;
    assert_true(distinct > 20); /* something was drawn */
    imu_picture_free(p);
    expect_done(&c, "completed");
    close_peer(&c);
    greet(&c);
    assert_int_equal(json_array_size(json_object_get(g.h, "loaded")), 1);
    send_json(&c, IMU_WIRE_UNLOAD, json_pack("{s:n}", "key"), NULL, 0);
    close_peer(&c);
    for (int64_t end = imu_clock_ms() + WAIT_MS;
         json_array_size(json_object_get(g.h, "loaded")) > 0;) {
        greet(&c);
        close_peer(&c);
        assert_true(imu_clock_ms() < end);
    }
}

static void test_missing_model(void **state)
{
    (void)state;
    struct peer c;
    greet(&c);
    json_t *run = denoise_run(RUN_ID "8", 64, 2);
    json_array_clear(json_object_get(run, "models"));
    send_json(&c, IMU_WIRE_RUN, run, NULL, 0);
    expect_done(&c, "failed");
    assert_non_null(strstr(imu_json_str(g.h, "error_message"), "not installed"));
    run = denoise_run(RUN_ID "9", 64, 2);
    json_object_set_new(json_array_get(json_object_get(run, "models"), 0), "path",
                        json_string("/tmp"));
    send_json(&c, IMU_WIRE_RUN, run, NULL, 0);
    expect_done(&c, "failed");
    assert_null(strstr(imu_json_str(g.h, "error_message"), "/tmp")); /* people are shown no paths */
    close_peer(&c);
}

/* Reads on until a step is reported, acknowledging results. @return its number */
static int next_step(struct peer *c)
{
    do {
        assert_true(next_frame(c, &g));
        if (g.type == IMU_WIRE_NODE_COMPLETED)
            ack(c);
    } while (g.type != IMU_WIRE_PROGRESS || !json_integer_value(json_object_get(g.h, "step")));
    return (int)json_integer_value(json_object_get(g.h, "step"));
}

static void cancel(struct peer *c, const char *run_id)
{
    send_json(c, IMU_WIRE_CANCEL, json_pack("{s:s}", "run_id", run_id), NULL, 0);
}

/* Pixels: enough for a step that takes its time. */
#ifdef __SANITIZE_ADDRESS__
#define LONG_STEP 256
#else
#define LONG_STEP 512
#endif

/* The cancel comes right after the second step, while the third is under way, which takes as long
 * as the second did: the run ends before that, and no third step is ever told of. */
static void test_cancel_within_a_step(void **state)
{
    (void)state;
    struct peer c;
    greet(&c);
    send_json(&c, IMU_WIRE_RUN, denoise_run(RUN_ID "a", LONG_STEP, 1000), NULL, 0);
    assert_int_equal(next_step(&c), 1);
    int64_t begin = imu_clock_ms();
    assert_int_equal(next_step(&c), 2);
    int64_t asked = imu_clock_ms(), step = asked - begin;
    cancel(&c, RUN_ID "a");
    do {
        assert_true(next_frame(&c, &g));
        assert_int_not_equal(g.type, IMU_WIRE_PROGRESS);
        assert_int_not_equal(g.type, IMU_WIRE_NODE_FAILED); /* a cancel is no failure */
    } while (g.type != IMU_WIRE_DONE);
    int64_t took = imu_clock_ms() - asked;
    assert_string_equal(imu_json_str(g.h, "status"), "canceled");
    if (took > step / 2)
        fail_msg("the end came %lld ms after the cancel; a step takes %lld ms", (long long)took,
                 (long long)step);
    const json_t *session = json_object_get(g.h, "session");
    assert_true(json_object_size(json_object_get(session, "results")) >=
                8); /* what was done before is in it */
    ack(&c);
    sync_with(&c);
    close_peer(&c);
}

/* A cancel is for the run that it names, and another run does not start beside it. */
static void test_one_run(void **state)
{
    (void)state;
    struct peer c;
    greet(&c);
    send_json(&c, IMU_WIRE_RUN, denoise_run(RUN_ID "a", 64, 1000), NULL, 0);
    next_step(&c);
    cancel(&c, RUN_ID "b");
    send_json(&c, IMU_WIRE_RUN, denoise_run(RUN_ID "c", 64, 1), NULL, 0);
    expect_type(&c, &g, IMU_WIRE_DONE);
    assert_string_equal(imu_json_str(g.h, "error_type"), "WorkerBusy");
    assert_string_equal(imu_json_str(g.h, "run_id"), RUN_ID "c");
    next_step(&c);
    cancel(&c, RUN_ID "a");
    expect_type(&c, &g, IMU_WIRE_DONE);
    assert_string_equal(imu_json_str(g.h, "run_id"), RUN_ID "a");
    assert_string_equal(imu_json_str(g.h, "status"), "canceled");
    const json_t *loaded = json_object_get(g.h, "loaded");
    assert_int_equal(json_array_size(loaded), 1);
    assert_string_equal(json_string_value(json_array_get(loaded, 0)), "tiny");
    ack(&c);
    sync_with(&c);
    close_peer(&c);
}

static void test_reconnect_in_the_middle(void **state)
{
    (void)state;
    struct peer c;
    greet(&c);
    send_json(&c, IMU_WIRE_RUN, denoise_run(RUN_ID "d", 64, 8), NULL, 0);
    expect_type(&c, &g, IMU_WIRE_PROGRESS);
    close_peer(&c);
    greet(&c);
    assert_string_equal(imu_json_str(json_object_get(g.h, "running"), "run_id"), RUN_ID "d");
    assert_int_equal(
        json_integer_value(json_object_get(json_object_get(g.h, "running"), "item_id")), 7);
    int next = 1;
    do { /* every result from the first on, in order, without a gap */
        assert_true(next_frame(&c, &g));
        if (g.type == IMU_WIRE_NODE_COMPLETED || g.type == IMU_WIRE_DONE) {
            assert_int_equal(json_integer_value(json_object_get(g.h, "seq")), next++);
            ack(&c);
        }
    } while (g.type != IMU_WIRE_DONE);
    assert_string_equal(imu_json_str(g.h, "status"), "completed");
    sync_with(&c);
    close_peer(&c);
}

static void test_results_wait_for_their_ack(void **state)
{
    (void)state;
    struct peer c;
    greet(&c);
    send_json(&c, IMU_WIRE_RUN, make_run(RUN_ID "e", "{'nodes':{" NODE("s", "string", "") "}}"),
              NULL, 0);
    expect_type(&c, &g, IMU_WIRE_DONE);
    close_peer(&c);
    for (int round = 0; round < 2; round++) {
        greet(&c);
        assert_true(json_is_null(json_object_get(g.h, "running")));
        assert_string_equal(imu_json_str(json_array_get(json_object_get(g.h, "held"), 0), "run_id"),
                            RUN_ID "e");
        expect_type(&c, &g, IMU_WIRE_NODE_COMPLETED);
        expect_type(&c, &g, IMU_WIRE_DONE);
        if (round == 0)
            close_peer(&c);
    }
    for (int seq = 1; seq <= 2; seq++)
        send_json(&c, IMU_WIRE_ACK, json_pack("{s:s,s:i}", "run_id", RUN_ID "e", "seq", seq), NULL,
                  0);
    sync_with(&c);
    close_peer(&c);
    greet(&c);
    assert_int_equal(json_array_size(json_object_get(g.h, "held")), 0);
    close_peer(&c);
}

/* Megabytes of results that nobody acknowledged all come again, in order. */
static void test_large_backlog(void **state)
{
    (void)state;
    struct peer c;
    char *text = malloc(60001);
    memset(text, 'x', 60000);
    text[60000] = 0;
    json_t *run = make_run(RUN_ID "1", "{'nodes':{}}");
    json_t *nodes =
        json_object_get(json_object_get(json_object_get(run, "session"), "graph"), "nodes");
    for (int i = 0; i < 25; i++) {
        char id[8];
        snprintf(id, sizeof id, "n%d", i);
        json_object_set_new(nodes, id, json_pack("{s:s,s:s}", "type", "string", "value", text));
    }
    free(text);
    greet(&c);
    send_json(&c, IMU_WIRE_RUN, run, NULL, 0);
    expect_type(&c, &g, IMU_WIRE_DONE);
    assert_string_equal(imu_json_str(g.h, "status"), "completed");
    close_peer(&c);
    greet(&c);
    for (int seq = 1; seq <= 26; seq++) {
        assert_true(next_frame(&c, &g));
        assert_int_equal(json_integer_value(json_object_get(g.h, "seq")), seq);
        assert_int_equal(g.type, seq == 26 ? IMU_WIRE_DONE : IMU_WIRE_NODE_COMPLETED);
        ack(&c);
    }
    sync_with(&c);
    close_peer(&c);
}

static void test_one_dispatcher(void **state)
{
    (void)state;
    struct peer a, b;
    greet(&a);
    connect_peer(&b, worker.socket);
    assert_false(next_frame(&b, &g));
    close_peer(&b);
    sync_with(&a);
    close_peer(&a);
}

static void test_hostile_frames(void **state)
{
    (void)state;
    static const struct {
        uint8_t type;
        const char *header;
    } bad[] = {
        {IMU_WIRE_RUN, "{}"},
        {IMU_WIRE_RUN, "[]"},
        {IMU_WIRE_RUN, "{"},
        {IMU_WIRE_RUN, ""},
        {99, "{}"},
        {IMU_WIRE_HELLO, "{}"},
        {IMU_WIRE_RUN, "{\"run_id\":\"x\",\"item_id\":1,\"session\":{\"graph\":{}}}"},
        {IMU_WIRE_RUN, "{\"run_id\":\"" RUN_ID "f\",\"item_id\":\"1\",\"session\":{\"graph\":{}}}"},
        {IMU_WIRE_RUN, "{\"run_id\":\"" RUN_ID "f\",\"item_id\":1,\"session\":7}"},
        {IMU_WIRE_PING, "{\"token\":1,\"token\":2}"},
        {IMU_WIRE_ACK, "\xff\xfe"}};
    struct peer c;
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        greet(&c);
        imu_frame f = {
            .type = bad[i].type, .header = bad[i].header, .header_len = strlen(bad[i].header)};
        assert_int_equal(imu_wire_send(c.fd, &f, WAIT_MS), 0);
        assert_false(next_frame(&c, &g)); /* the connection ends, the worker does not */
        close_peer(&c);
    }
    greet(&c);
    assert_int_equal(write(c.fd, "\xff\xff\xff\xff garbage", 12), 12);
    assert_false(next_frame(&c, &g));
    close_peer(&c);
    greet(&c);
    send_json(&c, IMU_WIRE_CANCEL, json_object(), NULL, 0);
    send_json(&c, IMU_WIRE_ACK, parse("{'run_id':5,'seq':'x'}"), NULL, 0);
    send_json(&c, IMU_WIRE_UNLOAD, json_object(), NULL, 0);
    json_t *run = make_run(RUN_ID "f", "{'nodes':{}}");
    json_object_set_new(run, "images", parse("[{'image_name':'a.png','fd':3}]"));
    send_json(&c, IMU_WIRE_RUN, run, NULL, 0);
    expect_done(&c, "failed");
    send_json(&c, IMU_WIRE_RUN, make_run(RUN_ID "0", "{'nodes':{}}"), NULL, 0);
    expect_done(&c, "completed");
    close_peer(&c);
}

/* Stopping in the middle of a run is told, and does not call the job canceled. */
static void test_stop_in_the_middle(void **state)
{
    (void)state;
    struct process p;
    struct peer c;
    start_process(&p, "--threads", "1", (char *)NULL);
    connect_peer(&c, p.socket);
    expect_type(&c, &g, IMU_WIRE_HELLO);
    send_json(&c, IMU_WIRE_RUN, denoise_run(RUN_ID "1", 64, 1000), NULL, 0);
    expect_type(&c, &g, IMU_WIRE_PROGRESS);
    kill(p.pid, SIGTERM);
    do {
        assert_true(next_frame(&c, &g));
        assert_int_not_equal(g.type, IMU_WIRE_DONE);
    } while (g.type != IMU_WIRE_GOODBYE);
    close_peer(&c);
    stop_process(&p);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_hello),
        cmocka_unit_test(test_string_graph),
        cmocka_unit_test(test_picture),
        cmocka_unit_test(test_input_picture),
        cmocka_unit_test(test_failures_are_told),
        cmocka_unit_test(test_denoise),
        cmocka_unit_test(test_missing_model),
        cmocka_unit_test(test_cancel_within_a_step),
        cmocka_unit_test(test_one_run),
        cmocka_unit_test(test_reconnect_in_the_middle),
        cmocka_unit_test(test_results_wait_for_their_ack),
        cmocka_unit_test(test_large_backlog),
        cmocka_unit_test(test_one_dispatcher),
        cmocka_unit_test(test_hostile_frames),
        cmocka_unit_test(test_stop_in_the_middle),
    };
    return cmocka_run_group_tests_name("worker protocol", tests, setup, teardown);
}
