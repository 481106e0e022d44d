/* The engine through its public header: errors, cancelling, threads, precisions, memory. The
 * numbers themselves are check-engine's matter. */
#include "worker/diffusion/pipeline.h"
#include "worker/diffusion/prompt.h"
#include "worker/diffusion/safetensors.h"
#include "worker/tensor/threads.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include <cmocka.h>

#define MODEL "tests/fixtures/diffusion/tiny-sd15"

static imu_engine *engine_of(int threads, imu_precision precision)
{
    imu_engine *e;
    imu_fault fault = {0};
    assert_int_equal(
        imu_engine_open(&(imu_engine_options){.threads = threads, .precision = precision}, &e,
                        &fault),
        IMU_ENGINE_OK);
    return e;
}

static imu_model *model_of(imu_engine *e, const char *folder)
{
    imu_model *m;
    imu_fault fault = {0};
    assert_int_equal(imu_model_open(e, folder, &m, &fault), IMU_ENGINE_OK);
    return m;
}

static imu_conditioning *prompt_of(imu_model *m, const char *text)
{
    imu_conditioning *c;
    imu_fault fault = {0};
    assert_int_equal(imu_model_encode_prompt(m, &(imu_prompt_args){.prompt = text}, &c, &fault),
                     IMU_ENGINE_OK);
    return c;
}

/* A short run of the tiny model. */
static imu_engine_status run_short(imu_model *m, imu_denoise_args *a, imu_array **out,
                                   imu_fault *fault)
{
    imu_conditioning *positive = prompt_of(m, "a cat"), *negative = prompt_of(m, "");
    imu_array *noise = imu_noise(5, 4, 128, 64, 8);
    assert_non_null(noise);
    a->positive = positive;
    a->negative = negative;
    a->noise = noise;
    a->steps = 3;
    imu_engine_status s = imu_model_denoise(m, a, out, fault);
    imu_conditioning_free(positive);
    imu_conditioning_free(negative);
    imu_array_free(noise);
    return s;
}

static void test_info(void **state)
{
    (void)state;
    imu_engine *e = engine_of(1, IMU_PRECISION_F32);
    imu_model *m = model_of(e, MODEL);
    const imu_model_info *info = imu_model_get_info(m);
    assert_string_equal(info->base, "sd-1");
    assert_string_equal(info->prediction, "epsilon");
    assert_int_equal(info->parts, IMU_PART_ALL);
    assert_int_equal(info->vae_scale, 8);
    assert_int_equal(info->sample_size, 64);
    assert_true(info->weight_bytes[1] > 1000000);
    assert_string_equal(imu_engine_device(e), "cpu, 1 thread, f32");
    imu_model_close(m);
    imu_engine_close(e);
}

/* Who looked for a GPU is told why there is none. */
static void test_device(void **state)
{
    static const char *const devices[] = {"auto", "cpu"};
    (void)state;
    for (int i = 0; i < 2; i++) {
        imu_engine *e = NULL;
        imu_engine_options o = {.threads = 1, .device = devices[i]};
        assert_int_equal(imu_engine_open(&o, &e, NULL), IMU_ENGINE_OK);
        bool told = imu_engine_no_gpu(e) && *imu_engine_no_gpu(e);
        assert_true(told == (i == 0 && !strcmp(imu_engine_device_kind(e), "cpu")));
        imu_engine_close(e);
    }
}

static void test_memory(void **state)
{
    (void)state;
    imu_engine *e = engine_of(1, IMU_PRECISION_F32);
    imu_model *m = model_of(e, MODEL);
    imu_fault fault = {0};
    assert_int_equal(imu_model_memory(m, IMU_PART_ALL), 0);
    assert_int_equal(imu_model_load(m, IMU_PART_TEXT, &fault), IMU_ENGINE_OK);
    imu_conditioning_free(prompt_of(m, "a cat"));
    uint64_t used = imu_model_memory(m, IMU_PART_TEXT);
    assert_true(used > 50000);
    assert_int_equal(imu_model_memory(m, IMU_PART_UNET), 0);
    imu_model_unload(m, IMU_PART_ALL);
    assert_int_equal(imu_model_memory(m, IMU_PART_ALL), 0);
    imu_conditioning_free(prompt_of(m, "a cat"));
    assert_int_equal(imu_model_memory(m, IMU_PART_TEXT), used);
    imu_model_close(m);
    imu_engine_close(e);
}

static int cancel_at_two(void *user, const imu_progress *p)
{
    *(int *)user = p->step;
    assert_int_equal(p->total, 3);
    assert_non_null(p->predicted_original);
    return p->step == 2;
}

/* Counts how often it is asked, says stop at the `stop`th time (0: never), and measures the
 * processor time between two questions: what somebody who cancels would wait. */
typedef struct questions {
    int asked, stop;
    double last, longest;
} questions;

static double cpu_seconds(void)
{
    struct timespec t;
    assert_int_equal(clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t), 0);
    return (double)t.tv_sec + (double)t.tv_nsec * 1e-9;
}

static void note_gap(questions *q)
{
    double now = cpu_seconds();
    q->longest = fmax(q->longest, now - q->last);
    q->last = now;
}

static int ask(void *user)
{
    questions *q = user;
    note_gap(q);
    return ++q->asked == q->stop;
}

/* One piece of work of the engine on one thread, which leaves nothing behind. */
typedef imu_engine_status (*piece)(imu_model *m, questions *q, imu_fault *fault);

static imu_engine_status read_prompt(imu_model *m, questions *q, imu_fault *fault)
{
    imu_conditioning *c = NULL;
    imu_engine_status s = imu_model_encode_prompt(
        m, &(imu_prompt_args){.prompt = "a (red)1.5 cat", .cancelled = ask, .user = q}, &c, fault);
    assert_true(!s == (c != NULL));
    imu_conditioning_free(c);
    return s;
}

static imu_engine_status make_one_step(imu_model *m, questions *q, imu_fault *fault)
{
    imu_conditioning *c = prompt_of(m, "a cat");
    imu_array *noise = imu_noise(5, 4, 256, 256, 8), *out = NULL;
    imu_denoise_args a;
    imu_denoise_defaults(&a);
    a.positive = a.negative = c;
    a.noise = noise;
    a.steps = 1;
    a.scheduler = "euler";
    a.cancelled = ask;
    a.user = q;
    q->last = cpu_seconds();
    imu_engine_status s = imu_model_denoise(m, &a, &out, fault);
    assert_true(!s == (out != NULL));
    imu_conditioning_free(c);
    imu_array_free(noise);
    imu_array_free(out);
    return s;
}

static imu_engine_status decode_picture(imu_model *m, questions *q, imu_fault *fault)
{
    imu_array *latents = imu_noise(5, 4, 256, 256, 8);
    imu_image *image = NULL;
    imu_engine_status s =
        imu_model_decode(m, latents, &(imu_vae_args){.cancelled = ask, .user = q}, &image, fault);
    assert_true(!s == (image != NULL));
    imu_array_free(latents);
    imu_image_free(image);
    return s;
}

static imu_engine_status encode_picture(imu_model *m, questions *q, imu_fault *fault)
{
    imu_image *image = imu_image_new(256, 256);
    imu_array *latents = NULL;
    imu_engine_status s = imu_model_encode_image(
        m, image, &(imu_vae_args){.cancelled = ask, .user = q}, &latents, fault);
    assert_true(!s == (latents != NULL));
    imu_image_free(image);
    imu_array_free(latents);
    return s;
}

/* Does the work to its end. *share: the longest time without a question, of the whole. */
static questions ask_throughout(imu_model *m, piece work, double *share)
{
    imu_fault fault = {0};
    questions whole = {.last = cpu_seconds()};
    double begin = whole.last;
    assert_int_equal(work(m, &whole, &fault), IMU_ENGINE_OK);
    note_gap(&whole);
    *share = whole.longest / (whole.last - begin);
    return whole;
}

/* Stopped at any question, a piece of work ends there and asks no more; and nothing between two
 * questions takes most of it. A busy machine may spoil one measurement, not all of them. */
static void expect_cancellable(imu_model *m, piece work, int least)
{
    imu_fault fault = {0};
    double share;
    questions whole = ask_throughout(m, work, &share); /* the weights are there now */
    for (int i = 0; i < 10 && (i == 0 || share >= 0.5); i++)
        whole = ask_throughout(m, work, &share);
    assert_true(whole.asked >= least);
    assert_true(share < 0.5);
    int n = whole.asked, stops[] = {1, 2, n / 4, n / 2, n - 1, n};
    for (size_t i = 0; i < sizeof stops / sizeof stops[0]; i++) {
        questions q = {.stop = stops[i], .last = cpu_seconds()};
        fault.status = IMU_ENGINE_OK;
        assert_int_equal(work(m, &q, &fault), IMU_ENGINE_CANCELLED);
        assert_int_equal(fault.status, IMU_ENGINE_CANCELLED);
        assert_int_equal(q.asked, stops[i]);
    }
}

static void test_cancel_between_steps(void **state)
{
    (void)state;
    imu_engine *e = engine_of(1, IMU_PRECISION_F32);
    imu_model *m = model_of(e, MODEL);
    imu_denoise_args a;
    imu_array *out = NULL;
    imu_fault fault = {0};
    int seen = 0;
    imu_denoise_defaults(&a);
    a.progress = cancel_at_two;
    a.user = &seen;
    assert_int_equal(run_short(m, &a, &out, &fault), IMU_ENGINE_CANCELLED);
    assert_int_equal(fault.status, IMU_ENGINE_CANCELLED);
    assert_int_equal(seen, 2);
    assert_null(out);
    imu_model_close(m);
    imu_engine_close(e);
}

static void test_cancel_within(void **state)
{
    (void)state;
    imu_engine *e = engine_of(1, IMU_PRECISION_F32);
    imu_model *m = model_of(e, MODEL);
    expect_cancellable(m, read_prompt, 20);
    expect_cancellable(m, make_one_step, 1000);
    expect_cancellable(m, decode_picture, 20);
    expect_cancellable(m, encode_picture, 20);
    imu_model_close(m);
    imu_engine_close(e);
}

/* The largest difference, as a share of the largest value of `a`. */
static double distance(const imu_array *a, const imu_array *b)
{
    double worst = 0, largest = 0;
    assert_int_equal(imu_array_count(a), imu_array_count(b));
    for (int64_t i = 0; i < imu_array_count(a); i++) {
        assert_true(isfinite((double)b->data[i]));
        worst = fmax(worst, fabs((double)a->data[i] - (double)b->data[i]));
        largest = fmax(largest, fabs((double)a->data[i]));
    }
    return worst / largest;
}

static imu_array *result_of(int threads, imu_precision precision, const char *scheduler)
{
    imu_engine *e = engine_of(threads, precision);
    imu_model *m = model_of(e, MODEL);
    imu_denoise_args a;
    imu_array *out = NULL;
    imu_fault fault = {0};
    imu_denoise_defaults(&a);
    a.scheduler = scheduler;
    if (run_short(m, &a, &out, &fault))
        fail_msg("%s", fault.text);
    imu_model_close(m);
    imu_engine_close(e);
    return out;
}

static void test_threads_agree(void **state)
{
    (void)state;
    imu_array *one = result_of(1, IMU_PRECISION_F32, "dpmpp_2m_k"),
              *two = result_of(2, IMU_PRECISION_F32, "dpmpp_2m_k");
    assert_true(distance(one, two) < 1e-3);
    imu_array_free(one);
    imu_array_free(two);
}

static imu_image *picture_of(imu_precision precision)
{
    imu_engine *e = engine_of(1, precision);
    imu_model *m = model_of(e, MODEL);
    imu_array *noise = imu_noise(3, 4, 128, 128, 8);
    imu_image *image = NULL;
    imu_fault fault = {0};
    assert_int_equal(imu_model_decode(m, noise, NULL, &image, &fault), IMU_ENGINE_OK);
    imu_array_free(noise);
    imu_model_close(m);
    imu_engine_close(e);
    return image;
}

static void test_bf16_is_close(void **state)
{
    (void)state;
    imu_image *exact = picture_of(IMU_PRECISION_F32), *rough = picture_of(IMU_PRECISION_BF16);
    double sum = 0;
    for (int i = 0; i < 3 * 128 * 128; i++)
        sum += abs((int)exact->rgb[i] - (int)rough->rgb[i]);
    assert_true(sum / (3 * 128 * 128) < 3);
    imu_image_free(exact);
    imu_image_free(rough);
    /* A run: the tiny random UNet multiplies rounding errors, so only that it gives numbers. */
    imu_array *run = result_of(1, IMU_PRECISION_BF16, "ddim");
    assert_true(distance(run, run) == 0);
    imu_array_free(run);
}

static void test_bad_arguments(void **state)
{
    (void)state;
    imu_engine *e = engine_of(1, IMU_PRECISION_F32);
    imu_model *m = model_of(e, MODEL);
    imu_denoise_args a;
    imu_array *out = NULL;
    imu_fault fault = {0};
    imu_denoise_defaults(&a);
    a.scheduler = "no such";
    assert_int_equal(run_short(m, &a, &out, &fault), IMU_ENGINE_BAD_INPUT);
    assert_non_null(strstr(fault.text, "no such"));
    imu_denoise_defaults(&a);
    a.denoising_start = 0.8;
    a.denoising_end = 0.2;
    assert_int_equal(run_short(m, &a, &out, &fault), IMU_ENGINE_BAD_INPUT);
    imu_denoise_defaults(&a);
    double nan_scale = NAN;
    a.cfg_scale = &nan_scale;
    assert_int_equal(run_short(m, &a, &out, &fault), IMU_ENGINE_BAD_INPUT);
    imu_denoise_defaults(&a);
    imu_array *small = imu_array_new(4, (int64_t[]){1, 4, 3, 3});
    a.latents = small;
    assert_int_equal(run_short(m, &a, &out, &fault), IMU_ENGINE_BAD_INPUT);
    imu_image *image = NULL;
    imu_array *flat = imu_array_new(2, (int64_t[]){4, 4});
    assert_int_equal(imu_model_decode(m, flat, NULL, &image, &fault), IMU_ENGINE_BAD_INPUT);
    imu_conditioning *c = NULL;
    assert_int_equal(imu_model_encode_prompt(
                         m, &(imu_prompt_args){.prompt = "x", .clip_skip = {99}}, &c, &fault),
                     IMU_ENGINE_BAD_INPUT);
    assert_null(imu_noise(1, 4, 65, 64, 8));
    assert_null(imu_noise(1, 0, 64, 64, 8));
    imu_array_free(small);
    imu_array_free(flat);
    imu_model_close(m);
    imu_engine_close(e);
}

static void test_pictures(void **state)
{
    (void)state;
    imu_engine *e = engine_of(1, IMU_PRECISION_F32);
    imu_model *m = model_of(e, MODEL);
    imu_fault fault = {0};
    imu_array *noise = imu_noise(3, 4, 64, 32, 8), *back = NULL;
    imu_image *image = NULL, *small = imu_latents_preview(noise, &imu_model_get_info(m)->colours);
    assert_int_equal(imu_model_decode(m, noise, NULL, &image, &fault), IMU_ENGINE_OK);
    assert_int_equal(image->width, 64);
    assert_int_equal(image->height, 32);
    assert_int_equal(imu_model_encode_image(m, image, NULL, &back, &fault), IMU_ENGINE_OK);
    assert_int_equal(back->dim[2], 4);
    assert_int_equal(back->dim[3], 8);
    assert_int_equal(small->width, 8);
    assert_int_equal(small->height, 4);
    imu_image_free(image);
    imu_image_free(small);
    imu_array_free(noise);
    imu_array_free(back);
    imu_model_close(m);
    imu_engine_close(e);
}

/* Copies `size` bytes (all with 0) of a file of the tiny model into a folder made for the test. */
static void copy_part(const char *folder, const char *file, long size)
{
    char from[512], to[512];
    snprintf(from, sizeof from, MODEL "/unet/%s", file);
    snprintf(to, sizeof to, "%s/unet/%s", folder, file);
    FILE *in = fopen(from, "rb"), *out = fopen(to, "wb");
    assert_non_null(in);
    assert_non_null(out);
    for (int c; (c = fgetc(in)) != EOF && (!size || ftell(out) < size);)
        assert_int_equal(fputc(c, out), c);
    fclose(in);
    assert_int_equal(fclose(out), 0);
}

static void write_config(const char *folder, const char *text)
{
    char path[512];
    snprintf(path, sizeof path, "%s/unet/config.json", folder);
    FILE *f = fopen(path, "wb");
    assert_non_null(f);
    fputs(text, f);
    assert_int_equal(fclose(f), 0);
}

static imu_engine_status load_from(imu_engine *e, const char *folder, imu_fault *fault)
{
    imu_model *m = NULL;
    imu_engine_status s = imu_model_open(e, folder, &m, fault);
    if (!s)
        s = imu_model_load(m, IMU_PART_UNET, fault);
    imu_model_close(m);
    return s;
}

static void test_bad_models(void **state)
{
    (void)state;
    static const char weights[] = "diffusion_pytorch_model.fp16.safetensors";
    char folder[] = "/tmp/test_engine-XXXXXX", path[600];
    imu_engine *e = engine_of(1, IMU_PRECISION_F32);
    imu_fault fault = {0};
    imu_model *m = NULL;
    assert_int_equal(imu_model_open(e, "/nowhere", &m, &fault), IMU_ENGINE_BAD_MODEL);
    assert_non_null(mkdtemp(folder));
    snprintf(path, sizeof path, "%s/unet", folder);
    assert_int_equal(mkdir(path, 0700), 0);
    copy_part(folder, weights, 100000);
    copy_part(folder, "config.json", 0);
    assert_int_equal(load_from(e, folder, &fault), IMU_ENGINE_BAD_MODEL);
    copy_part(folder, weights, 0);
    assert_int_equal(load_from(e, folder, &fault), IMU_ENGINE_OK);
    write_config(folder, "{\"block_out_channels\": [64, 64, 64, 64]}");
    assert_int_equal(load_from(e, folder, &fault), IMU_ENGINE_BAD_MODEL);
    write_config(folder, "{\"block_out_channels\": [1000000000]}");
    assert_int_equal(load_from(e, folder, &fault), IMU_ENGINE_BAD_MODEL);
    write_config(folder, "{\"act_fn\": \"tanh\", \"block_out_channels\": [32]}");
    assert_int_equal(load_from(e, folder, &fault), IMU_ENGINE_UNSUPPORTED);
    write_config(folder, "not json");
    assert_int_equal(load_from(e, folder, &fault), IMU_ENGINE_BAD_MODEL);
    snprintf(path, sizeof path, "%s/unet/%s", folder, weights);
    assert_int_equal(unlink(path), 0);
    snprintf(path, sizeof path, "%s/unet/config.json", folder);
    assert_int_equal(unlink(path), 0);
    snprintf(path, sizeof path, "%s/unet", folder);
    assert_int_equal(rmdir(path), 0);
    assert_int_equal(rmdir(folder), 0);
    imu_engine_close(e);
}

static void expect_fragments(const char *text, int count, const char *const *texts,
                             const double *weights)
{
    imu_prompt p;
    assert_int_equal(imu_prompt_parse(text, &p, NULL), IMU_ENGINE_OK);
    assert_int_equal(p.count, 1);
    assert_int_equal(p.phrase[0].count, count);
    for (int i = 0; i < count; i++) {
        assert_string_equal(p.phrase[0].fragments[i].text, texts[i]);
        assert_true(fabs(p.phrase[0].fragments[i].weight - weights[i]) < 1e-9);
    }
    imu_prompt_free(&p);
}

static void test_prompt_syntax(void **state)
{
    (void)state;
    expect_fragments("", 0, NULL, NULL);
    expect_fragments("plain words", 1, (const char *[]){"plain words"}, (double[]){1});
    expect_fragments("a (red hat)1.5 cat--", 3, (const char *[]){"a", "red hat", "cat"},
                     (double[]){1, 1.5, 0.81});
}

/* What compel 2.1.1 makes of text that is nearly its syntax. */
static void test_nearly_prompt_syntax(void **state)
{
    (void)state;
    static const char *const cases[][2] = {
        {"a \\\\(b\\\\)", "a (b)"},
        {"x \\\\\\( y", "x ( y"},
        {"a withLora(x, 1.5) b", "a b"},
        {"a withLora(.) b", "a withLora(.) b"},
        {"a useLora(x y) b", "a useLora(x y) b"},
        {"cat.swap(dog, s_start=0.1) b", "cat b"},
        {"cat.swap(dog.b) c", "cat.swap(dog.b) c"},
        {"cat.swap(dog c", "cat.swap(dog c"},
        {"cat.swap(dog, 0.1 0.2) c", "cat.swap(dog, 0.1 0.2) c"},
        {"a,,.b", "a, ,.b"},
        {"\"a\\\" b", "a\\ b"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++)
        expect_fragments(cases[i][0], 1, &cases[i][1], (double[]){1});
}

/* Swaps that are none, one in the other: each could be read twice as often as the one around it. */
static void test_swaps_without_end(void **state)
{
    (void)state;
    char text[15 * 1000 + 1] = "";
    for (size_t i = 0; i + 8 < sizeof text; i += 8)
        memcpy(text + i, "(a.swap(", 9);
    imu_prompt p;
    assert_int_equal(imu_prompt_parse(text, &p, NULL), IMU_ENGINE_OK);
    assert_string_equal(p.phrase[0].fragments[0].text, text);
    imu_prompt_free(&p);
}

static void test_more_prompt_syntax(void **state)
{
    (void)state;
    expect_fragments("(a (b)2 c)0.5", 3, (const char *[]){"a", "b", "c"}, (double[]){0.5, 1, 0.5});
    expect_fragments("ice-cream C++", 2, (const char *[]){"ice-cream", "C"}, (double[]){1, 1.21});
    expect_fragments("(unclosed", 1, (const char *[]){"(unclosed"}, (double[]){1});
    expect_fragments("\\(smile\\)", 1, (const char *[]){"(smile)"}, (double[]){1});
    imu_prompt p;
    assert_int_equal(imu_prompt_parse("(\"a b\", c).blend(3, 1)", &p, NULL), IMU_ENGINE_OK);
    assert_int_equal(p.count, 2);
    assert_true(p.blend && p.normalise);
    assert_true(p.phrase[0].weight == 3 && p.phrase[1].weight == 1);
    imu_prompt_free(&p);
    char *huge = malloc(20000);
    memset(huge, 'x', 19999);
    huge[19999] = 0;
    assert_int_equal(imu_prompt_parse(huge, &p, NULL), IMU_ENGINE_BAD_INPUT);
    free(huge);
}

int main(int argc, char **argv)
{
    (void)argc;
    imu_threads_settle(argv);
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_info),
        cmocka_unit_test(test_device),
        cmocka_unit_test(test_memory),
        cmocka_unit_test(test_cancel_between_steps),
        cmocka_unit_test(test_cancel_within),
        cmocka_unit_test(test_threads_agree),
        cmocka_unit_test(test_bf16_is_close),
        cmocka_unit_test(test_bad_arguments),
        cmocka_unit_test(test_pictures),
        cmocka_unit_test(test_bad_models),
        cmocka_unit_test(test_prompt_syntax),
        cmocka_unit_test(test_more_prompt_syntax),
        cmocka_unit_test(test_nearly_prompt_syntax),
        cmocka_unit_test(test_swaps_without_end),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
