/* Multi-diffusion: where tiles lie against cases worked out by hand, and what it makes against
 * plain denoising: of the whole where one tile is enough, of each tile by itself where more are. */
#include "worker/diffusion/pipeline.h"
#include "worker/diffusion/scheduler.h"
#include "worker/diffusion/tiles.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

enum { CHANNELS = 4, CELL = 8, H = 20, W = 24, TILE_H = 16, TILE_W = 16, OVERLAP = 4 };

static imu_engine *engine;
static imu_model *model;
static imu_control *control;
static imu_conditioning *positive, *negative;
static imu_array *noise, *latents;
static float *picture; /* for the ControlNet */

static int set_up(void **state)
{
    (void)state;
    imu_prompt_args wall = {.prompt = "a wall"}, nothing = {.prompt = "blurry"};
    noise = imu_noise(3, CHANNELS, W * CELL, H * CELL, CELL);
    latents = imu_noise(4, CHANNELS, W * CELL, H * CELL, CELL);
    picture = malloc((size_t)3 * H * CELL * W * CELL * sizeof *picture);
    for (int i = 0; picture && i < 3 * H * CELL * W * CELL; i++)
        picture[i] = (float)(i * 37 % 101) / 100;
    return !noise || !latents || !picture ||
           imu_engine_open(&(imu_engine_options){.threads = 1, .precision = IMU_PRECISION_F32},
                           &engine, NULL) ||
           imu_model_open(engine, "tests/fixtures/diffusion/tiny-sd15", &model, NULL) ||
           imu_control_open(engine, "tests/fixtures/diffusion/tiny-control", &control, NULL) ||
           imu_model_encode_prompt(model, &wall, &positive, NULL) ||
           imu_model_encode_prompt(model, &nothing, &negative, NULL);
}

static int tear_down(void **state)
{
    (void)state;
    imu_conditioning_free(positive);
    imu_conditioning_free(negative);
    imu_control_close(control);
    imu_model_close(model);
    imu_engine_close(engine);
    imu_array_free(noise);
    imu_array_free(latents);
    free(picture);
    return 0;
}

/* ---- where tiles lie ---- */

static void expect_axis(int64_t size, int64_t tile, int64_t overlap, int64_t count,
                        const int64_t *starts)
{
    imu_tile_axis a = imu_tile_axis_make(size, tile, overlap);
    assert_int_equal(a.count, count);
    for (int64_t i = 0; i < count; i++)
        assert_int_equal(imu_tile_start(&a, i), starts[i]);
}

static void test_places(void **state)
{
    (void)state;
    expect_axis(20, 8, 2, 3, (int64_t[]){0, 6, 12});       /* fits without a rest */
    expect_axis(21, 8, 2, 4, (int64_t[]){0, 4, 8, 13});    /* one cell more: one tile more */
    expect_axis(256, 128, 16, 3, (int64_t[]){0, 64, 128}); /* 2048 pixels, tiles of 1024 */
    expect_axis(192, 128, 16, 2, (int64_t[]){0, 64});      /* 1536 pixels */
    expect_axis(9, 8, 7, 2, (int64_t[]){0, 1});            /* all but a cell in common */
    expect_axis(128, 128, 16, 1, (int64_t[]){0});          /* one is enough */
    expect_axis(8, 128, 16, 1, (int64_t[]){0});            /* and is no larger than the whole */
    expect_axis(16, 128, 16, 1, (int64_t[]){0});           /* not even where all would overlap */
    assert_int_equal(imu_tile_axis_make(8, 128, 16).tile, 8);
}

static void expect_weights(int64_t size, int64_t tile, int64_t overlap, int64_t i,
                           const double *expected)
{
    imu_tile_axis a = imu_tile_axis_make(size, tile, overlap);
    float weights[64];
    imu_tile_weights(&a, i, weights);
    for (int64_t k = 0; k < a.tile; k++)
        assert_true(fabs((double)weights[k] - expected[k]) < 1e-6);
}

static void test_weights(void **state)
{
    (void)state;
    expect_weights(20, 8, 2, 0, (double[]){1, 1, 1, 1, 1, 1, 1, 0});
    expect_weights(20, 8, 2, 1, (double[]){0, 1, 1, 1, 1, 1, 1, 0});
    expect_weights(20, 8, 2, 2, (double[]){0, 1, 1, 1, 1, 1, 1, 1});
    expect_weights(21, 8, 2, 1, (double[]){0, 1. / 3, 2. / 3, 1, 1, 2. / 3, 1. / 3, 0});
    expect_weights(21, 8, 2, 3, (double[]){0, .5, 1, 1, 1, 1, 1, 1});
    expect_weights(7, 4, 1, 0, (double[]){1, 1, 1, 1}); /* one cell in common: of the first */
    expect_weights(7, 4, 1, 1, (double[]){0, 1, 1, 1});
    expect_weights(11, 8, 5, 0, (double[]){1, 1, 1, 1, .75, .5, .25, 0});
    expect_weights(4, 8, 5, 0, (double[]){1, 1, 1, 1});
}

/* Tiles cover everything, in order, overlap enough, and something counts everywhere. */
static void expect_cover(int64_t size, int64_t tile, int64_t overlap)
{
    imu_tile_axis a = imu_tile_axis_make(size, tile, overlap);
    float sums[64] = {0}, weights[64];
    assert_int_equal(imu_tile_start(&a, 0), 0);
    assert_int_equal(imu_tile_start(&a, a.count - 1) + a.tile, size);
    for (int64_t i = 0; i < a.count; i++) {
        int64_t start = imu_tile_start(&a, i);
        if (i) {
            assert_true(start > imu_tile_start(&a, i - 1));
            assert_true(imu_tile_start(&a, i - 1) + a.tile - start >= overlap);
        }
        imu_tile_weights(&a, i, weights);
        for (int64_t k = 0; k < a.tile; k++)
            sums[start + k] += weights[k];
    }
    for (int64_t k = 0; k < size; k++)
        assert_true(sums[k] > 0);
}

static void test_cover(void **state)
{
    (void)state;
    for (int64_t size = 1; size <= 40; size++)
        for (int64_t tile = 2; tile <= 16; tile++)
            for (int64_t overlap = 1; overlap < tile; overlap++)
                expect_cover(size, tile, overlap);
}

/* ---- what is made of them ---- */

static imu_denoise_args arguments(const char *scheduler, int steps)
{
    static const double guidance = 4;
    imu_denoise_args a;
    imu_denoise_defaults(&a);
    a.positive = positive;
    a.negative = negative;
    a.cfg_scale = &guidance;
    a.noise = noise;
    a.scheduler = scheduler;
    a.steps = steps;
    a.seed = 11;
    return a;
}

static imu_control_use steering(const float *seen)
{
    static const double weight = 0.7;
    return (imu_control_use){.control = control, .picture = seen, .when = {&weight, 1, 0, 1}};
}

static imu_array *in_one(const imu_denoise_args *a)
{
    imu_array *out;
    imu_fault fault = {.text = ""};
    if (imu_model_denoise(model, a, &out, &fault))
        fail_msg("%s", fault.text);
    return out;
}

static imu_array *in_tiles(const imu_denoise_args *a, int64_t h, int64_t w, int64_t overlap)
{
    imu_array *out;
    imu_fault fault = {.text = ""};
    if (imu_model_denoise_tiles(model, a, &(imu_tile_args){h, w, overlap}, &out, &fault))
        fail_msg("%s", fault.text);
    return out;
}

static bool same(const imu_array *a, const imu_array *b)
{
    return !memcmp(a->data, b->data, (size_t)imu_array_count(a) * sizeof *a->data);
}

/* One tile that covers everything is plain denoising, bit for bit: noise that samplers draw, their
 * memory of former steps, a part of the run, and a ControlNet that only counts for some of it. */
static void test_one_tile(void **state)
{
    static const char *const schedulers[] = {"euler", "euler_a", "kdpm_2_a", "dpmpp_2m_sde_k",
                                             "lcm",   "pndm",    "unipc_k"};
    (void)state;
    imu_control_use use = steering(picture);
    use.when.end = 0.5;
    for (size_t i = 0; i < sizeof schedulers / sizeof *schedulers; i++) {
        imu_denoise_args a = arguments(schedulers[i], 4);
        a.latents = latents;
        a.denoising_start = 0.3;
        a.cfg_rescale = 0.4;
        a.controls = &use;
        a.control_count = 1;
        imu_array *whole = in_one(&a), *tiled = in_tiles(&a, H, W + 9, 2);
        assert_true(same(whole, tiled));
        imu_array_free(whole);
        imu_array_free(tiled);
    }
}

/* A window of each plane. */
static float *window(const float *from, int planes, int height, int width, int top, int left, int h,
                     int w)
{
    float *to = malloc((size_t)planes * (size_t)h * (size_t)w * sizeof *to);
    assert_non_null(to);
    (void)height;
    for (int p = 0; p < planes; p++)
        for (int y = 0; y < h; y++)
            for (int x = 0; x < w; x++)
                to[(p * h + y) * w + x] = from[(p * height + top + y) * width + left + x];
    return to;
}

/* One call for a tile by itself, from these latents (as they are) or from noise. */
static imu_array *tile_alone(const imu_denoise_args *whole, const imu_array *from, bool is_noise,
                             int top, int left)
{
    imu_denoise_args a = *whole;
    imu_control_use use;
    float *seen = window(picture, 3, H * CELL, W * CELL, top * CELL, left * CELL, TILE_H * CELL,
                         TILE_W * CELL);
    imu_array cut = {.ndim = 4, .dim = {1, CHANNELS, TILE_H, TILE_W}};
    cut.data = window(from->data, CHANNELS, H, W, top, left, TILE_H, TILE_W);
    use = steering(seen);
    a.noise = is_noise ? &cut : NULL;
    a.latents = is_noise ? NULL : &cut;
    a.controls = a.control_count ? &use : NULL;
    imu_array *out = in_one(&a);
    free(cut.data);
    free(seen);
    return out;
}

/* 20 x 24 cells in tiles of 16 x 16: two rows and two columns, starting at 0 and 4, and 0 and 8. */
static const int tops[] = {0, 4}, lefts[] = {0, 8};

/* How much a tile counts at a cell of the whole along one axis; 0 outside. */
static double line(int at, int start, int end, int from, int to)
{
    if (at < start || at >= start + 16)
        return 0;
    if (at < from || at > to) /* not shared */
        return 1;
    double share = (double)(at - from) / (to - from);
    return start == end ? share : 1 - share;
}

/* What the four tiles make together, by the definition. `only`: how many tiles count there. */
static imu_array *together(const imu_denoise_args *a, const imu_array *from, bool is_noise,
                           int *only)
{
    imu_array *out = imu_array_new(4, noise->dim);
    double *sum = calloc(CHANNELS * H * W, sizeof *sum), *share = calloc(H * W, sizeof *share);
    assert_non_null(out);
    memset(only, 0, H * W * sizeof *only);
    for (int k = 0; k < 4; k++) {
        int top = tops[k / 2], left = lefts[k % 2];
        imu_array *tile = tile_alone(a, from, is_noise, top, left);
        for (int i = 0; i < H * W; i++) {
            int y = i / W, x = i % W;
            double weight = line(y, top, 4, 4, 15) * line(x, left, 8, 8, 15);
            if (y < top || y >= top + 16 || x < left || x >= left + 16)
                continue;
            only[i]++;
            share[i] += weight;
            for (int c = 0; c < CHANNELS; c++)
                sum[c * H * W + i] +=
                    weight * (double)tile->data[(c * 16 + y - top) * 16 + x - left];
        }
        imu_array_free(tile);
    }
    for (int i = 0; i < CHANNELS * H * W; i++)
        out->data[i] = (float)(sum[i] / share[i % (H * W)]);
    free(sum);
    free(share);
    return out;
}

/* One call, from noise: where one tile lies alone, exactly what it makes by itself. */
static void test_one_call(void **state)
{
    (void)state;
    int only[H * W], alone = 0;
    imu_control_use use = steering(picture);
    imu_denoise_args a = arguments("euler", 1);
    a.controls = &use;
    a.control_count = 1;
    imu_array *tiled = in_tiles(&a, TILE_H, TILE_W, OVERLAP);
    imu_array *expected = together(&a, noise, true, only);
    for (int i = 0; i < CHANNELS * H * W; i++) {
        double d = fabs((double)tiled->data[i] - (double)expected->data[i]);
        alone += only[i % (H * W)] == 1;
        assert_true(only[i % (H * W)] == 1 ? d == 0 : d < 1e-4);
    }
    assert_int_equal(alone, CHANNELS * 4 * 4 * 8); /* the corners */
    imu_array_free(expected);
    imu_array_free(tiled);
}

/* Several calls: each begins with what all tiles made together in the one before. */
static void test_calls(void **state)
{
    enum { STEPS = 3 };
    (void)state;
    int only[H * W];
    imu_scheduler *s;
    imu_denoise_args a = arguments("euler", STEPS);
    assert_int_equal(imu_scheduler_open(NULL, "euler", STEPS, 1, &s, NULL), IMU_ENGINE_OK);
    imu_array *tiled = in_tiles(&a, TILE_H, TILE_W, OVERLAP), *now = NULL;
    for (int i = 0; i < STEPS; i++) {
        imu_denoise_args one = a;
        one.denoising_start = i ? 1 - imu_scheduler_timestep(s, i - 1) / 1000 : 0;
        one.denoising_end = 1 - imu_scheduler_timestep(s, i) / 1000;
        imu_array *next = together(&one, i ? now : noise, !i, only);
        imu_array_free(now);
        now = next;
    }
    double most = 0, largest = 0;
    for (int i = 0; i < CHANNELS * H * W; i++) {
        most = fmax(most, fabs((double)tiled->data[i] - (double)now->data[i]));
        largest = fmax(largest, fabs((double)now->data[i]));
    }
    assert_true(most / largest < 1e-4);
    imu_array *whole = in_one(&a);
    assert_false(same(whole, tiled)); /* tiles see less than the whole */
    imu_array_free(whole);
    imu_array_free(now);
    imu_array_free(tiled);
    imu_scheduler_close(s);
}

/* Samplers that draw noise: the same again, and different for another seed. */
static void test_same_again(void **state)
{
    (void)state;
    imu_denoise_args a = arguments("euler_a", 3);
    imu_array *first = in_tiles(&a, TILE_H, TILE_W, OVERLAP),
              *second = in_tiles(&a, TILE_H, TILE_W, OVERLAP);
    a.seed++;
    imu_array *third = in_tiles(&a, TILE_H, TILE_W, OVERLAP);
    assert_true(same(first, second));
    assert_false(same(first, third));
    imu_array_free(first);
    imu_array_free(second);
    imu_array_free(third);
}

static int note_first(void *user, const imu_progress *p)
{
    *(imu_array **)user = imu_array_clone(p->latents);
    return 1;
}

/* The latents after the first call. */
static imu_array *after_one_call(imu_denoise_args a)
{
    imu_array *first = NULL, *out;
    a.user = &first;
    a.progress = note_first;
    assert_int_equal(
        imu_model_denoise_tiles(model, &a, &(imu_tile_args){TILE_H, TILE_W, OVERLAP}, &out, NULL),
        IMU_ENGINE_CANCELLED);
    assert_non_null(first);
    return first;
}

/* A Brownian path is of the seed, in each tile: all four corners change with it. */
static void test_paths(void **state)
{
    (void)state;
    static const int corners[] = {0, W - 1, (H - 1) * W, H * W - 1};
    imu_denoise_args a = arguments("dpmpp_sde_k", 3);
    imu_array *first = after_one_call(a), *again = after_one_call(a);
    a.seed++;
    imu_array *other = after_one_call(a);
    assert_true(same(first, again));
    for (size_t i = 0; i < sizeof corners / sizeof *corners; i++)
        assert_true(fabs((double)first->data[corners[i]] - (double)other->data[corners[i]]) > 1e-3);
    imu_array_free(first);
    imu_array_free(again);
    imu_array_free(other);
}

/* ---- the caller's part ---- */

struct watch {
    int reports, stop_at;
};

static int on_step(void *user, const imu_progress *p)
{
    struct watch *w = user;
    assert_int_equal(p->step, ++w->reports);
    assert_int_equal(p->total, 3);
    assert_int_equal(p->latents->dim[2], H);
    assert_int_equal(p->latents->dim[3], W);
    assert_int_equal(p->predicted_original->dim[2], H);
    assert_int_equal(p->predicted_original->dim[3], W);
    for (int i = 0; p->step == p->total && i < CHANNELS * H * W;
         i++) /* the end is what was meant */
        assert_true(fabs((double)p->predicted_original->data[i] - (double)p->latents->data[i]) <
                    1e-4);
    return w->reports == w->stop_at;
}

static int on_block(void *user)
{
    struct watch *w = user;
    return w->stop_at < 0 && ++w->reports > 40;
}

static imu_engine_status status_of(const imu_denoise_args *a, int64_t h, int64_t w, int64_t overlap)
{
    imu_array *out;
    imu_engine_status s =
        imu_model_denoise_tiles(model, a, &(imu_tile_args){h, w, overlap}, &out, NULL);
    if (!s)
        imu_array_free(out);
    return s;
}

static void test_progress(void **state)
{
    (void)state;
    struct watch w = {0, 0};
    imu_denoise_args a = arguments("euler", 3);
    a.user = &w;
    a.progress = on_step;
    assert_int_equal(status_of(&a, TILE_H, TILE_W, OVERLAP), IMU_ENGINE_OK);
    assert_int_equal(w.reports, 3);
    w = (struct watch){0, 2};
    assert_int_equal(status_of(&a, TILE_H, TILE_W, OVERLAP), IMU_ENGINE_CANCELLED);
    assert_int_equal(w.reports, 2);
    w = (struct watch){0, -1}; /* asked within a tile */
    a.progress = NULL;
    a.cancelled = on_block;
    assert_int_equal(status_of(&a, TILE_H, TILE_W, OVERLAP), IMU_ENGINE_CANCELLED);
    assert_int_equal(w.reports, 41);
}

static void test_refused(void **state)
{
    (void)state;
    imu_denoise_args a = arguments("euler", 1);
    assert_int_equal(status_of(&a, 16, 16, 16), IMU_ENGINE_BAD_INPUT);
    assert_int_equal(status_of(&a, 16, 8, 8), IMU_ENGINE_BAD_INPUT);
    assert_int_equal(status_of(&a, 16, 16, 0), IMU_ENGINE_BAD_INPUT);
    assert_int_equal(status_of(&a, 0, 16, 4), IMU_ENGINE_BAD_INPUT);
    assert_int_equal(status_of(&a, INT64_MIN, 16, 4), IMU_ENGINE_BAD_INPUT);
    a.seamless_x = true;
    assert_int_equal(status_of(&a, 16, 16, 4), IMU_ENGINE_BAD_INPUT);
    a.seamless_x = false;
    imu_array *huge = imu_noise(1, CHANNELS, 40 * CELL, 40 * CELL, CELL); /* 39 x 39 tiles */
    a.noise = huge;
    assert_int_equal(status_of(&a, 2, 2, 1), IMU_ENGINE_BAD_INPUT);
    imu_array_free(huge);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_places),     cmocka_unit_test(test_weights),
        cmocka_unit_test(test_cover),      cmocka_unit_test(test_one_tile),
        cmocka_unit_test(test_one_call),   cmocka_unit_test(test_calls),
        cmocka_unit_test(test_same_again), cmocka_unit_test(test_paths),
        cmocka_unit_test(test_progress),   cmocka_unit_test(test_refused),
    };
    return cmocka_run_group_tests_name("tiles", tests, set_up, tear_down);
}
