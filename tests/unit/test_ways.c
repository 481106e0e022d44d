/* Ways to run the networks that golden tensors don't cover, each held against what must follow from
 * it: pictures that tile are the same wherever one begins to look at them. */
#include "tests/unit/st_write.h"
#include "worker/diffusion/pipeline.h"
#include "worker/diffusion/tokenizer.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#define MODEL "tests/fixtures/diffusion/tiny-sd15"

enum { EDGE = 16, CELLS = 8, WIDTH = 32 }; /* of latents; pixels a cell is wide; of the text */

static imu_engine *engine;
static imu_model *model;

static int set_up(void **state)
{
    (void)state;
    return imu_engine_open(&(imu_engine_options){.threads = 1, .precision = IMU_PRECISION_F32},
                           &engine, NULL) ||
           imu_model_open(engine, MODEL, &model, NULL);
}

static int tear_down(void **state)
{
    (void)state;
    imu_model_close(model);
    imu_engine_close(engine);
    return 0;
}

/* The array moved down by `dy` and right by `dx`; what leaves comes in at the other side. */
static imu_array *rolled(const imu_array *a, int dy, int dx)
{
    imu_array *out = imu_array_new(a->ndim, a->dim);
    int64_t h = a->dim[2], w = a->dim[3];
    assert_non_null(out);
    for (int64_t c = 0; c < a->dim[0] * a->dim[1]; c++)
        for (int64_t y = 0; y < h; y++)
            for (int64_t x = 0; x < w; x++)
                out->data[(c * h + (y + dy) % h) * w + (x + dx) % w] = a->data[(c * h + y) * w + x];
    return out;
}

/* Largest difference as a share of the largest value of `a`. */
static double distance(const imu_array *a, const imu_array *b)
{
    double most = 0, largest = 0;
    for (int64_t i = 0; i < imu_array_count(a); i++) {
        most = fmax(most, fabs((double)a->data[i] - (double)b->data[i]));
        largest = fmax(largest, fabs((double)a->data[i]));
    }
    return most / largest;
}

static imu_array *denoised(const imu_array *noise, bool x, bool y)
{
    imu_denoise_args a;
    imu_conditioning *c;
    imu_array *out;
    imu_fault fault = {.text = ""};
    assert_int_equal(
        imu_model_encode_prompt(model, &(imu_prompt_args){.prompt = "a wall"}, &c, &fault),
        IMU_ENGINE_OK);
    imu_denoise_defaults(&a);
    a.positive = c;
    a.noise = noise;
    a.steps = 1;
    a.scheduler = "euler";
    a.seamless_x = x;
    a.seamless_y = y;
    if (imu_model_denoise(model, &a, &out, &fault))
        fail_msg("%s", fault.text);
    imu_conditioning_free(c);
    return out;
}

/* How far the step of rolled noise is from the rolled step. */
static double denoise_roll(bool x, bool y, int dy, int dx)
{
    imu_array *noise = imu_noise(3, 4, EDGE * CELLS, EDGE * CELLS, CELLS);
    imu_array *moved = rolled(noise, dy, dx), *first = denoised(noise, x, y),
              *second = denoised(moved, x, y), *expected = rolled(first, dy, dx);
    double d = distance(expected, second);
    imu_array_free(noise);
    imu_array_free(moved);
    imu_array_free(first);
    imu_array_free(second);
    imu_array_free(expected);
    return d;
}

/* The UNet halves its input three times: what is moved by a multiple of 8 meets the same strides.
 */
static void test_seamless_unet(void **state)
{
    (void)state;
    assert_true(denoise_roll(true, true, 8, 8) < 2e-3);
    assert_true(denoise_roll(true, false, 0, 8) < 2e-3);
    assert_true(denoise_roll(false, true, 8, 0) < 2e-3);
    assert_true(denoise_roll(true, false, 8, 0) > 2e-2);
    assert_true(denoise_roll(false, true, 0, 8) > 2e-2);
    assert_true(denoise_roll(false, false, 0, 8) > 2e-2);
}

/* ---- guidance ---- */

static imu_array *guided(imu_engine *on, int steps)
{
    imu_model *m;
    imu_conditioning *c, *empty;
    imu_array *out, *noise = imu_noise(3, 4, EDGE * CELLS, EDGE * CELLS, CELLS);
    imu_denoise_args a;
    assert_int_equal(imu_model_open(on, MODEL, &m, NULL), IMU_ENGINE_OK);
    assert_int_equal(imu_model_encode_prompt(m, &(imu_prompt_args){.prompt = "a wall"}, &c, NULL),
                     0);
    assert_int_equal(imu_model_encode_prompt(m, &(imu_prompt_args){.prompt = ""}, &empty, NULL), 0);
    imu_denoise_defaults(&a);
    a.positive = c;
    a.negative = empty;
    a.noise = noise;
    a.steps = steps;
    a.scheduler = "euler";
    assert_int_equal(imu_model_denoise(m, &a, &out, NULL), IMU_ENGINE_OK);
    imu_array_free(noise);
    imu_conditioning_free(c);
    imu_conditioning_free(empty);
    imu_model_close(m);
    return out;
}

/* Both halves in one call, and one after the other: the same latents, but for how sums are grouped.
 */
static void test_sequential(void **state)
{
    (void)state;
    static const double most[] = {[IMU_PRECISION_F32] = 1e-4, [IMU_PRECISION_BF16] = 5e-2};
    for (int precision = IMU_PRECISION_F32; precision <= IMU_PRECISION_BF16; precision++) {
        imu_array *made[2];
        for (int i = 0; i < 2; i++) {
            imu_engine *on;
            imu_engine_options o = {
                .threads = 1, .precision = (imu_precision)precision, .sequential = i};
            assert_int_equal(imu_engine_open(&o, &on, NULL), IMU_ENGINE_OK);
            made[i] = guided(on, 2);
            imu_engine_close(on);
        }
        assert_true(distance(made[0], made[1]) < most[precision]);
        imu_array_free(made[0]);
        imu_array_free(made[1]);
    }
}

static imu_image *decoded(const imu_array *latents, const imu_vae_args *args)
{
    imu_image *image;
    imu_fault fault = {.text = ""};
    if (imu_model_decode(model, latents, args, &image, &fault))
        fail_msg("%s", fault.text);
    return image;
}

/* Largest difference between the picture of rolled latents and the rolled picture. */
static int decode_roll(bool x, bool y, int dy, int dx)
{
    imu_vae_args args = {.seamless_x = x, .seamless_y = y};
    imu_array *latents = imu_noise(4, 4, EDGE * CELLS, EDGE * CELLS, CELLS);
    imu_array *moved = rolled(latents, dy, dx);
    imu_image *first = decoded(latents, &args), *second = decoded(moved, &args);
    int most = 0, w = first->width, h = first->height;
    for (int i = 0; i < h; i++)
        for (int k = 0; k < 3 * w; k++) {
            int to = (i + dy * CELLS) % h * 3 * w + (k + 3 * dx * CELLS) % (3 * w);
            int d = abs(first->rgb[i * 3 * w + k] - second->rgb[to]);
            most = d > most ? d : most;
        }
    imu_array_free(latents);
    imu_array_free(moved);
    imu_image_free(first);
    imu_image_free(second);
    return most;
}

static void test_seamless_vae(void **state)
{
    (void)state;
    assert_in_range(decode_roll(true, true, 3, 5), 0, 1);
    assert_in_range(decode_roll(true, false, 0, 5), 0, 1);
    assert_in_range(decode_roll(false, true, 3, 0), 0, 1);
    assert_in_range(decode_roll(true, false, 3, 0), 8, 255);
    assert_in_range(decode_roll(false, true, 0, 5), 8, 255);
}

/* ---- textual inversion ---- */

/* The rows that the text encoder has for the words, and how many. */
static float *rows_of(const char *words, int64_t *count)
{
    imu_tokenizer *t;
    imu_safetensors *st;
    int *ids;
    size_t n;
    assert_int_equal(imu_tokenizer_open(MODEL "/tokenizer", NULL, &t, NULL), IMU_ENGINE_OK);
    assert_int_equal(imu_tokenize(t, words, &ids, &n, NULL), IMU_ENGINE_OK);
    assert_int_equal(imu_st_open(MODEL "/text_encoder/model.fp16.safetensors", &st, NULL),
                     IMU_ENGINE_OK);
    const imu_st_entry *e = imu_st_find(st, "text_model.embeddings.token_embedding.weight");
    assert_non_null(e);
    float *all = malloc(e->count * sizeof *all), *rows = malloc(n * WIDTH * sizeof *rows);
    assert_int_equal(imu_st_read_f32(st, e, all, NULL), IMU_ENGINE_OK);
    for (size_t i = 0; i < n; i++)
        memcpy(rows + i * WIDTH, all + ids[i] * WIDTH, WIDTH * sizeof *rows);
    free(all);
    free(ids);
    imu_st_close(st);
    imu_tokenizer_close(t);
    *count = (int64_t)n;
    return rows;
}

static imu_conditioning *encoded(const char *prompt, const imu_inversion_use *uses, int count)
{
    imu_conditioning *c;
    imu_fault fault = {.text = ""};
    imu_prompt_args a = {.prompt = prompt, .inversions = uses, .inversion_count = count};
    if (imu_model_encode_prompt(model, &a, &c, &fault))
        fail_msg("%s", fault.text);
    return c;
}

/* Vectors that are those of words mean the words, weights and all. */
static void expect_same(const imu_inversion_use *use, const char *with, const char *words)
{
    imu_conditioning *a = encoded(with, use, 1), *b = encoded(words, NULL, 0);
    if (imu_array_count(a->embeds) != imu_array_count(b->embeds) ||
        distance(a->embeds, b->embeds) > 1e-6)
        fail_msg("%s is not %s", with, words);
    imu_conditioning_free(a);
    imu_conditioning_free(b);
}

static void test_inversion(void **state)
{
    (void)state;
    char path[64];
    int64_t count;
    imu_inversion *v;
    imu_conditioning *a, *b;
    snprintf(path, sizeof path, "/tmp/test_ways-%d.safetensors", (int)getpid());
    float *rows = rows_of("red cat", &count);
    assert_true(count > 1);
    st_item item = {"emb_params", IMU_F32, 2, {count, WIDTH}, rows};
    assert_int_equal(st_write(path, &item, 1), 0);
    assert_int_equal(imu_inversion_open(path, &v, NULL), IMU_ENGINE_OK);
    imu_inversion_use use = {"<old-style, 2>", v};
    expect_same(&use, "a <old-style, 2> on a mat", "a red cat on a mat");
    expect_same(&use, "<old-style, 2><old-style, 2>", "red cat red cat");
    expect_same(&use, "a (<old-style, 2>)1.5 dog", "a (red cat)1.5 dog");
    expect_same(&use, "a (<old-style, 2>)0.5 dog", "a (red cat)0.5 dog");
    expect_same(&use, "(\"a <old-style, 2>\", \"dog\").and()", "(\"a red cat\", \"dog\").and()");
    /* Without it, the trigger is words like any other. */
    a = encoded("a <old-style, 2>", &use, 1);
    b = encoded("a <old-style, 2>", NULL, 0);
    assert_true(distance(a->embeds, b->embeds) > 0.05);
    imu_conditioning_free(a);
    imu_conditioning_free(b);
    imu_inversion_close(v);
    free(rows);
    assert_int_equal(remove(path), 0);
}

static void test_inversion_misfits(void **state)
{
    (void)state;
    char path[64];
    static const float zeros[2 * 768];
    imu_inversion *v;
    imu_conditioning *c;
    imu_fault fault = {.text = ""};
    const st_item wide = {"emb_params", IMU_F32, 2, {2, 768}, zeros};
    const st_item layer = {"layer.weight", IMU_F32, 2, {2, 768}, zeros};
    snprintf(path, sizeof path, "/tmp/test_ways-%d.safetensors", (int)getpid());
    assert_int_equal(st_write(path, &layer, 1), 0);
    assert_int_equal(imu_inversion_open(path, &v, &fault), IMU_ENGINE_BAD_MODEL);
    assert_int_equal(st_write(path, &wide, 1), 0);
    assert_int_equal(imu_inversion_open(path, &v, &fault), IMU_ENGINE_OK);
    imu_inversion_use use = {"<w>", v};
    imu_prompt_args a = {.prompt = "<w>", .inversions = &use, .inversion_count = 1};
    assert_int_equal(imu_model_encode_prompt(model, &a, &c, &fault), IMU_ENGINE_BAD_INPUT);
    imu_inversion_close(v);
    assert_int_equal(remove(path), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_seamless_unet),     cmocka_unit_test(test_seamless_vae),
        cmocka_unit_test(test_inversion),         cmocka_unit_test(test_sequential),
        cmocka_unit_test(test_inversion_misfits),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
