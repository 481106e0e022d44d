/* Memory that is short: whose weights leave, that streamed weights make the same pictures, and that
 * what doesn't fit ends the job and nothing else. On the processor, and on the CUDA backend with a
 * device that is the processor and has as much memory as a test says. */
#include "tests/engine/device_host.h"
#include "worker/diffusion/pipeline.h"
#include "worker/tensor/cuda/cuda.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#define FIXTURES "tests/fixtures/diffusion/"

enum { EDGE = 64, STEPS = 2, SCRATCH = 20000 };

typedef struct bench {
    imu_backend *backend;
    imu_engine *engine;
    imu_model *model;
    imu_conditioning *prompt;
} bench;

static imu_model *model_of(imu_engine *engine)
{
    imu_model *m;
    assert_int_equal(imu_model_open(engine, FIXTURES "tiny-sd15", &m, NULL), IMU_ENGINE_OK);
    return m;
}

static imu_conditioning *prompt_of(imu_model *m)
{
    imu_conditioning *c;
    imu_prompt_args p = {.prompt = "a cat"};
    assert_int_equal(imu_model_encode_prompt(m, &p, &c, NULL), IMU_ENGINE_OK);
    return c;
}

static bench bench_on(imu_backend *b)
{
    bench t = {.backend = b};
    assert_non_null(b);
    assert_int_equal(imu_engine_on(b, &t.engine, NULL), IMU_ENGINE_OK);
    t.model = model_of(t.engine);
    t.prompt = prompt_of(t.model);
    return t;
}

/* A device with `limit` bytes, of which the backend may use `budget`; what is in use at the most
 * counts from here on. */
static bench device_of(uint64_t limit, uint64_t budget, bool bf16)
{
    char why[200];
    imu_host_memory = (struct imu_host_memory){.limit = limit};
    imu_backend *b = imu_cuda_open(0, bf16, why, sizeof why);
    assert_non_null(b);
    b->budget = budget;
    ((imu_cuda *)b)->scratch = SCRATCH;
    return bench_on(b);
}

static void close_bench(bench *t)
{
    imu_conditioning_free(t->prompt);
    imu_model_close(t->model);
    imu_engine_close(t->engine);
    assert_int_equal(imu_host_memory.held, 0);
}

static imu_engine_status denoise(const bench *t, imu_model *m, imu_control *control, int edge,
                                 imu_array **out, imu_fault *fault)
{
    double weight = 1;
    float *picture = calloc((size_t)3 * (size_t)edge * (size_t)edge, sizeof *picture);
    imu_control_use use = {.control = control, .picture = picture, .when = {&weight, 1, 0, 1}};
    imu_array *noise = imu_noise(5, 4, edge, edge, 8);
    imu_denoise_args a;
    imu_denoise_defaults(&a);
    a.positive = t->prompt;
    a.noise = noise;
    a.steps = STEPS;
    a.scheduler = "euler";
    a.controls = &use;
    a.control_count = control ? 1 : 0;
    imu_engine_status s = imu_model_denoise(m, &a, out, fault);
    imu_array_free(noise);
    free(picture);
    return s;
}

static imu_array *latents_of(const bench *t, imu_model *m, imu_control *control)
{
    imu_fault fault = {.text = ""};
    imu_array *out;
    if (denoise(t, m, control, EDGE, &out, &fault))
        fail_msg("%s", fault.text);
    return out;
}

static void expect_same(imu_array *a, imu_array *b)
{
    assert_int_equal(imu_array_count(a), imu_array_count(b));
    assert_memory_equal(a->data, b->data, (size_t)imu_array_count(a) * sizeof *a->data);
    imu_array_free(b);
}

/* ---- a model that does not fit ---- */

/* What a run with enough memory makes, and takes. */
typedef struct ample {
    imu_array *latents;
    uint64_t unet, most, uploaded; /* its weights; all at the most; in a run with all in place */
} ample;

static ample with_enough(bool bf16)
{
    bench t = device_of(UINT64_MAX, UINT64_MAX, bf16);
    ample a = {.latents = latents_of(&t, t.model, NULL)};
    a.unet = imu_model_memory(t.model, IMU_PART_UNET);
    a.most = imu_host_memory.most;
    imu_host_memory.uploaded = 0;
    expect_same(a.latents, latents_of(&t, t.model, NULL));
    a.uploaded = imu_host_memory.uploaded;
    close_bench(&t);
    return a;
}

/* The same picture three times with the UNet partly in memory. What stays there is settled in the
 * second run: the first one still has to learn how much work memory it takes (arena.h). */
static void expect_streams(const ample *a, bench t, uint64_t allowed)
{
    for (int i = 0; i < 2; i++)
        expect_same(a->latents, latents_of(&t, t.model, NULL));
    uint64_t kept = imu_model_memory(t.model, IMU_PART_UNET);
    assert_in_range(kept, 1, a->unet - 1);
    imu_host_memory.uploaded = 0;
    expect_same(a->latents, latents_of(&t, t.model, NULL));
    assert_in_range(imu_host_memory.most, allowed / 2, allowed);
    /* In float32 an upload is as large as what then lies there, so that bytes can be counted: in
     * each step those of the weights that don't stay, and no others. */
    if (t.backend->compute == IMU_F32)
        assert_int_equal(imu_host_memory.uploaded, a->uploaded + STEPS * (a->unet - kept));
    close_bench(&t);
}

static void test_streamed(void **state)
{
    (void)state;
    for (int bf16 = 0; bf16 < 2; bf16++) {
        ample a = with_enough(bf16);
        for (uint64_t part = 1; part < 4; part++) {
            uint64_t some = a.most - a.unet * part / 4;
            expect_streams(&a, device_of(UINT64_MAX, some, bf16), some);
            /* A device that has less than it seemed. */
            expect_streams(&a, device_of(some, UINT64_MAX, bf16), some);
        }
        imu_array_free(a.latents);
    }
}

/* Of a GPU that others use too, what is free at the start counts, and not all of that. */
static void test_default_budget(void **state)
{
    (void)state;
    static const struct {
        uint64_t left, budget;
    } known[] = {{(uint64_t)16 << 30, (uint64_t)15 << 30},
                 {(uint64_t)2 << 30, (uint64_t)7 << 28},
                 {(uint64_t)256 << 20, (uint64_t)128 << 20}};
    char why[200];
    for (size_t i = 0; i < sizeof known / sizeof known[0]; i++) {
        imu_host_memory = (struct imu_host_memory){.limit = known[i].left};
        imu_backend *b = imu_cuda_open(0, false, why, sizeof why);
        assert_int_equal(b->budget, known[i].budget);
        b->close(b);
    }
}

/* ---- whose weights leave ---- */

/* The memory that has been enough so far. */
static uint64_t enough(const bench *t)
{
    return strcmp(t->backend->name, "cpu") ? imu_host_memory.most : t->backend->residency.bytes;
}

/* Another model has the first one's weights leave, and that one these again. */
static void expect_turns(bench *t)
{
    imu_array *first = latents_of(t, t->model, NULL);
    uint64_t unet = imu_model_memory(t->model, IMU_PART_UNET);
    imu_model *other = model_of(t->engine);
    t->backend->budget = enough(t);
    expect_same(first, latents_of(t, other, NULL));
    assert_int_equal(imu_model_memory(other, IMU_PART_UNET), unet);
    assert_int_equal(imu_model_memory(t->model, IMU_PART_TEXT), 0);
    assert_in_range(imu_model_memory(t->model, IMU_PART_UNET), 0, unet / 4);
    expect_same(first, latents_of(t, t->model, NULL));
    assert_int_equal(imu_model_memory(t->model, IMU_PART_UNET), unet);
    assert_in_range(imu_model_memory(other, IMU_PART_UNET), 0, unet / 4);
    imu_model_close(other);
    imu_array_free(first);
}

static imu_array *steered(bench *t)
{
    imu_control *c;
    assert_int_equal(imu_control_open(t->engine, FIXTURES "tiny-control", &c, NULL), 0);
    imu_array *made = latents_of(t, t->model, c);
    imu_control_close(c);
    return made;
}

static imu_image *enlarged(bench *t)
{
    imu_upscaler *u;
    imu_image *small = imu_image_new(8, 8), *large;
    assert_int_equal(
        imu_upscaler_open(t->engine, "tests/fixtures/upscalers/new.safetensors", &u, NULL), 0);
    assert_int_equal(imu_upscale(u, small, &(imu_vae_args){.tiled = false}, &large, NULL), 0);
    imu_upscaler_close(u);
    imu_image_free(small);
    return large;
}

/* What is opened for one node and not kept has weights leave as well, those used longest ago. */
static void expect_guests(bench *t)
{
    imu_model *other = model_of(t->engine);
    t->backend->budget = UINT64_MAX;
    imu_array *expected = steered(t);
    imu_image *large = enlarged(t);
    t->backend->trim(t->backend);
    imu_host_memory.most = imu_host_memory.held;
    imu_array_free(latents_of(t, other, NULL));
    imu_array_free(latents_of(t, t->model, NULL));
    uint64_t unet = imu_model_memory(other, IMU_PART_UNET);
    t->backend->budget = enough(t);
    expect_same(expected, steered(t));
    assert_in_range(imu_model_memory(other, IMU_PART_UNET), 0, unet - 1);
    assert_int_equal(imu_model_memory(t->model, IMU_PART_UNET), unet);
    imu_model_close(other);

    uint64_t before = t->backend->residency.bytes;
    imu_host_memory.most = imu_host_memory.held;
    t->backend->budget = enough(t); /* all that there is, taken by the model */
    imu_image *again = enlarged(t);
    assert_memory_equal(again->rgb, large->rgb, (size_t)(3 * large->width * large->height));
    assert_in_range(t->backend->residency.bytes, 1, before - 1);
    imu_image_free(again);
    imu_image_free(large);
    imu_array_free(expected);
}

static void test_room(void **state)
{
    (void)state;
    bench t = bench_on(imu_backend_cpu(1, false));
    expect_turns(&t);
    expect_guests(&t);
    close_bench(&t);
}

static void test_room_on_device(void **state)
{
    (void)state;
    bench t = device_of(UINT64_MAX, UINT64_MAX, false);
    expect_turns(&t);
    expect_guests(&t);
    close_bench(&t);
}

/* ---- what does not fit at all ---- */

static void test_too_large(void **state)
{
    (void)state;
    enum { LARGE = 8 * EDGE };
    ample a = with_enough(false);
    bench t = device_of(a.most - a.unet / 2, UINT64_MAX, false);
    imu_array *out;
    imu_fault fault;
    expect_same(a.latents, latents_of(&t, t.model, NULL));
    assert_int_equal(denoise(&t, t.model, NULL, LARGE, &out, &fault), IMU_ENGINE_NO_MEMORY);
    assert_non_null(strstr(fault.text, "Try a smaller picture"));
    /* Before that, all other weights have left, and the next job goes on as if nothing were. */
    assert_in_range(t.backend->residency.bytes, 0, a.unet / 4);
    expect_same(a.latents, latents_of(&t, t.model, NULL));
    close_bench(&t);
    imu_array_free(a.latents);
}

/* ---- how far a first use has come ---- */

struct growth {
    const imu_model *model;
    double last;
    int rises, falls;
};

static int watch_growth(void *user)
{
    struct growth *g = user;
    double now = imu_model_loaded(g->model, IMU_PART_UNET);
    g->rises += now > g->last;
    g->falls += now < g->last;
    g->last = now;
    return 0;
}

/* The share of what is in memory rises with the layers, is all in the end, and stays all. */
static void expect_growth(bench t)
{
    imu_model *m = model_of(t.engine);
    assert_true(imu_model_loaded(m, IMU_PART_UNET) <= 0);
    assert_int_equal(imu_model_load(m, IMU_PART_UNET, NULL), IMU_ENGINE_OK);
    assert_true(imu_model_loaded(m, IMU_PART_UNET) <= 0);
    for (int round = 0; round < 2; round++) {
        struct growth g = {.model = m, .last = imu_model_loaded(m, IMU_PART_UNET)};
        imu_array *out, *noise = imu_noise(5, 4, EDGE, EDGE, 8);
        imu_denoise_args a;
        imu_denoise_defaults(&a);
        a.positive = t.prompt;
        a.noise = noise;
        a.steps = 1;
        a.scheduler = "euler";
        a.cancelled = watch_growth;
        a.user = &g;
        assert_int_equal(imu_model_denoise(m, &a, &out, NULL), IMU_ENGINE_OK);
        assert_int_equal(g.falls, 0);
        assert_true(round ? g.rises == 0 : g.rises > 20);
        assert_true(imu_model_loaded(m, IMU_PART_UNET) >= 1);
        imu_array_free(noise);
        imu_array_free(out);
    }
    imu_model_close(m);
    close_bench(&t);
}

static void test_growth(void **state)
{
    (void)state;
    expect_growth(bench_on(imu_backend_cpu(1, false)));
    expect_growth(device_of(UINT64_MAX, UINT64_MAX, true));
}

/* ---- a device that is lost ---- */

/* Everything that a job does with the device. */
static imu_engine_status job(imu_engine *engine, imu_fault *fault)
{
    bench t = {.engine = engine};
    imu_prompt_args p = {.prompt = "a cat"};
    imu_array *latents = NULL;
    imu_image *picture = NULL;
    imu_engine_status s = imu_model_open(engine, FIXTURES "tiny-sd15", &t.model, fault);
    if (!s)
        s = imu_model_encode_prompt(t.model, &p, &t.prompt, fault);
    if (!s)
        s = denoise(&t, t.model, NULL, EDGE, &latents, fault);
    if (!s)
        s = imu_model_decode(t.model, latents, NULL, &picture, fault);
    imu_image_free(picture);
    imu_array_free(latents);
    imu_conditioning_free(t.prompt);
    imu_model_close(t.model);
    return s;
}

/* A job during which the device is lost at its call number `at`. */
static imu_engine_status losing_job(uint64_t at)
{
    imu_fault fault = {.text = ""};
    char why[200];
    imu_engine *engine;
    imu_host_memory = (struct imu_host_memory){.limit = UINT64_MAX};
    imu_host_loss = (struct imu_host_loss){.at = at};
    assert_int_equal(imu_engine_on(imu_cuda_open(0, true, why, sizeof why), &engine, NULL), 0);
    assert_null(imu_engine_lost(engine));
    imu_engine_status s = job(engine, &fault);
    if (s) {
        assert_non_null(strstr(fault.text, "stopped answering"));
        assert_non_null(strstr(imu_engine_lost(engine), "lost on purpose"));
    }
    imu_engine_close(engine);
    assert_int_equal(imu_host_memory.held, 0);
    return s;
}

/* Whatever is under way, it is told from memory that is short and from a call that was refused. */
static void test_lost(void **state)
{
    (void)state;
    assert_int_equal(losing_job(0), IMU_ENGINE_OK);
    uint64_t calls = imu_host_loss.calls;
    assert_true(calls > 1000);
    for (uint64_t at = 1; at <= calls; at += at < 10 ? 1 : calls / 40)
        assert_int_equal(losing_job(at), IMU_ENGINE_LOST);
    imu_host_loss = (struct imu_host_loss){.at = 0};
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_streamed),       cmocka_unit_test(test_too_large),
        cmocka_unit_test(test_default_budget), cmocka_unit_test(test_room),
        cmocka_unit_test(test_room_on_device), cmocka_unit_test(test_lost),
        cmocka_unit_test(test_growth),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
