/* Unsharp masks against what PIL and numpy make (tests/tools/unsharp.py), and what follows from
 * their definition. */
#include "worker/image/picture.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

enum { WIDTH = 23, HEIGHT = 17, BYTES = WIDTH * HEIGHT * 3 };

/* The picture of tests/tools/unsharp.py. */
static imu_picture *picture(void)
{
    imu_picture *p = imu_picture_new(WIDTH, HEIGHT, 3);
    uint32_t state = 1;
    assert_non_null(p);
    for (uint32_t i = 0; i < BYTES; i++) {
        state = state * 1664525u + 1013904223u;
        p->data[i] =
            (uint8_t)(7 * (i / 3 % WIDTH) + 5 * (i / 3 / WIDTH) + 60 * (i % 3) + (state >> 26));
    }
    return p;
}

static void test_golden(void **unused)
{
    static const double cases[][2] = {{0.3, 100}, {2, 60}, {7.5, 50}, {2, 300}, {40, 80}};
    uint8_t expected[BYTES];
    FILE *f = fopen("tests/fixtures/unsharp.bin", "rb");
    imu_picture *p = picture();
    (void)unused;
    assert_non_null(f);
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        assert_int_equal(fread(expected, 1, BYTES, f), BYTES);
        imu_picture *sharp = imu_unsharp(p, cases[i][0], cases[i][1]);
        assert_non_null(sharp);
        assert_memory_equal(sharp->data, expected, BYTES);
        imu_picture_free(sharp);
    }
    assert_int_equal(fgetc(f), EOF);
    fclose(f);
    imu_picture_free(p);
}

/* A picture of one colour has nothing to sharpen; one pixel alone has nothing around it. */
static void test_flat(void **unused)
{
    static const int sizes[][2] = {{1, 1}, {1, 9}, {9, 1}, {40, 30}};
    (void)unused;
    for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++) {
        imu_picture *p = imu_picture_new(sizes[i][0], sizes[i][1], 3);
        size_t n = (size_t)sizes[i][0] * (size_t)sizes[i][1] * 3;
        assert_non_null(p);
        memset(p->data, 204, n);
        imu_picture *sharp = imu_unsharp(p, IMU_UNSHARP_RADIUS, 200);
        assert_non_null(sharp);
        assert_memory_equal(sharp->data, p->data, n);
        imu_picture_free(sharp);
        imu_picture_free(p);
    }
}

/* Transparency is no colour: it stays, and what is under it is sharpened like the rest. */
static void test_channels(void **unused)
{
    imu_picture *rgb = picture(), *rgba = imu_picture_convert(rgb, 4);
    (void)unused;
    assert_non_null(rgba);
    for (size_t i = 0; i < (size_t)WIDTH * HEIGHT; i++)
        rgba->data[4 * i + 3] = (uint8_t)(i * 37);
    imu_picture *plain = imu_unsharp(rgb, 2, 60), *sharp = imu_unsharp(rgba, 2, 60);
    assert_non_null(plain);
    assert_non_null(sharp);
    assert_int_equal(sharp->channels, 4);
    for (size_t i = 0; i < (size_t)WIDTH * HEIGHT; i++) {
        assert_memory_equal(sharp->data + 4 * i, plain->data + 3 * i, 3);
        assert_int_equal(sharp->data[4 * i + 3], (uint8_t)(i * 37));
    }
    imu_picture_free(sharp);
    sharp = imu_unsharp(rgb, 2, 0); /* no strength: what it was, but for what cutting takes */
    assert_non_null(sharp);
    for (size_t i = 0; i < BYTES; i++)
        assert_in_range(rgb->data[i] - sharp->data[i], 0, 1);
    imu_picture_free(sharp);
    imu_picture_free(plain);
    imu_picture_free(rgba);
    imu_picture_free(rgb);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_golden),
        cmocka_unit_test(test_flat),
        cmocka_unit_test(test_channels),
    };
    return cmocka_run_group_tests_name("unsharp", tests, NULL, NULL);
}
