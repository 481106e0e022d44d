/* Networks that enlarge pictures, against what tests/tools/upscalers.py computes. */
#include "worker/diffusion/pipeline.h"
#include "worker/diffusion/safetensors.h"
#include "worker/diffusion/upscaler_shape.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#define FOLDER "tests/fixtures/upscalers/"

static imu_engine *engine;

static int set_up(void **state)
{
    (void)state;
    return imu_engine_open(&(imu_engine_options){.threads = 1, .precision = IMU_PRECISION_F32},
                           &engine, NULL);
}

static int tear_down(void **state)
{
    (void)state;
    imu_engine_close(engine);
    return 0;
}

/* A picture out of [1, 3, h, w]. */
static imu_image *image_of(const imu_safetensors *st, const char *name)
{
    const imu_st_entry *e = imu_st_find(st, name);
    assert_non_null(e);
    float *v = malloc(e->count * sizeof *v);
    assert_int_equal(imu_st_read_f32(st, e, v, NULL), IMU_ENGINE_OK);
    imu_image *image = imu_image_new((int)e->dim[3], (int)e->dim[2]);
    size_t area = (size_t)(e->dim[2] * e->dim[3]);
    for (size_t i = 0; i < area * 3; i++)
        image->rgb[i] = (uint8_t)nearbyintf(255 * v[i % 3 * area + i / 3]);
    free(v);
    return image;
}

static int difference(const imu_image *a, const imu_image *b)
{
    int most = 0;
    assert_int_equal(a->width, b->width);
    assert_int_equal(a->height, b->height);
    for (int i = 0; i < 3 * a->width * a->height; i++)
        most = abs(a->rgb[i] - b->rgb[i]) > most ? abs(a->rgb[i] - b->rgb[i]) : most;
    return most;
}

static imu_image *upscaled(imu_upscaler *u, const imu_image *small, int tile)
{
    imu_image *large;
    imu_fault fault = {.text = ""};
    imu_vae_args args = {.tiled = tile > 0, .tile_size = tile};
    if (imu_upscale(u, small, &args, &large, &fault))
        fail_msg("%s", fault.text);
    return large;
}

static void expect(const char *path, imu_upscaler_kind kind, int scale)
{
    imu_safetensors *st;
    imu_upscaler *u;
    imu_fault fault = {.text = ""};
    assert_int_equal(imu_st_open(path, &st, NULL), IMU_ENGINE_OK);
    assert_int_equal(imu_upscaler_shape_of(st).kind, kind);
    if (imu_upscaler_open(engine, path, &u, &fault))
        fail_msg("%s", fault.text);
    assert_int_equal(imu_upscaler_scale(u), scale);
    imu_image *small = image_of(st, "test/input"), *expected = image_of(st, "test/expected"),
              *mine = upscaled(u, small, 0);
    assert_in_range(difference(mine, expected), 0, 1);
    imu_image_free(small);
    imu_image_free(expected);
    imu_image_free(mine);
    imu_upscaler_close(u);
    imu_st_close(st);
}

static void test_networks(void **state)
{
    (void)state;
    expect(FOLDER "new.safetensors", IMU_UPSCALER_RRDB, 4);
    expect(FOLDER "unshuffle.safetensors", IMU_UPSCALER_RRDB, 2);
    expect(FOLDER "old.safetensors", IMU_UPSCALER_RRDB_OLD, 2);
    expect(FOLDER "compact.safetensors", IMU_UPSCALER_COMPACT, 4);
}

/* The compact network sees three pixels around each: tiles that share more give the same picture.
 */
static void test_tiles(void **state)
{
    (void)state;
    imu_upscaler *u;
    imu_image *small = imu_image_new(150, 97);
    for (int i = 0; i < 3 * 150 * 97; i++)
        small->rgb[i] = (uint8_t)((i * 37 + i / 450 * 91) % 256);
    assert_int_equal(imu_upscaler_open(engine, FOLDER "compact.safetensors", &u, NULL),
                     IMU_ENGINE_OK);
    imu_image *whole = upscaled(u, small, 0), *tiled = upscaled(u, small, 64);
    int inside = 0;
    for (int y = 0; y < whole->height; y++)
        for (int x = 0; x < 3 * whole->width; x++) {
            int at = x / 3 / 4 % 48, row = y / 4 % 48; /* tiles begin every 48 pixels */
            bool shared = (at < 16 && x / 3 >= 192) || (row < 16 && y >= 192);
            int d =
                abs(whole->rgb[y * 3 * whole->width + x] - tiled->rgb[y * 3 * whole->width + x]);
            inside = !shared && d > inside ? d : inside;
        }
    assert_in_range(inside, 0, 1);
    assert_in_range(difference(whole, tiled), 1, 255);
    imu_image_free(small);
    imu_image_free(whole);
    imu_image_free(tiled);
    imu_upscaler_close(u);
}

static void test_others(void **state)
{
    (void)state;
    imu_upscaler *u;
    imu_fault fault = {.text = ""};
    assert_int_equal(imu_upscaler_open(engine,
                                       "tests/fixtures/diffusion/tiny-sd15/vae/"
                                       "diffusion_pytorch_model.fp16.safetensors",
                                       &u, &fault),
                     IMU_ENGINE_BAD_MODEL);
    assert_non_null(strstr(fault.text, "no upscaler"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_networks),
                                       cmocka_unit_test(test_tiles), cmocka_unit_test(test_others)};
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
