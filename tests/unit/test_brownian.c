/* The noise of dpmpp_sde and dpmpp_sde_k against what torchsde draws (tests/tools/brownian.py), and
 * what follows from its being a path. */
#include "worker/diffusion/brownian.h"
#include "worker/diffusion/scheduler_parts.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

enum { PLACES = 8, VALUES = 4 * 8 * 8 };

/* The cases of tests/tools/brownian.py. */
static const struct run_case {
    uint64_t seed;
    size_t height, width;
    int steps;
    const char *name;
    double start;
} cases[] = {
    {0, 8, 8, 5, "dpmpp_sde", 0},
    {7, 8, 8, 5, "dpmpp_sde_k", 0},
    {4294967295, 8, 8, 20, "dpmpp_sde", 0.4},
    {123456789012, 8, 8, 20, "dpmpp_sde_k", 0.4},
    {1, 64, 64, 5, "dpmpp_sde", 0.4},
    {2, 64, 64, 5, "dpmpp_sde_k", 0.4},
    {2147483648, 64, 64, 20, "dpmpp_sde", 0},
    {3735928559, 64, 64, 20, "dpmpp_sde_k", 0},
    {5, 3, 5, 5, "dpmpp_sde", 0},
    {5, 1, 2, 2, "dpmpp_sde", 0}, /* fewer than 16 values: torch draws them another way */
};

static int never(void *user, float *dst, size_t n)
{
    (void)user;
    (void)dst;
    (void)n;
    fail_msg("a Brownian path was asked for other noise");
    return -1;
}

/* Walks a schedule; how far its noise is from the file's values. */
static double walk(const struct run_case *c, FILE *f)
{
    size_t n = 4 * c->height * c->width;
    float *output = calloc(n, sizeof *output), *x = calloc(n, sizeof *x), expected[PLACES];
    double worst = 0;
    int first, count;
    imu_scheduler *s;
    assert_non_null(output);
    assert_non_null(x);
    assert_int_equal(imu_scheduler_open(NULL, c->name, c->steps, n, &s, NULL), IMU_ENGINE_OK);
    imu_scheduler_seed(s, c->seed);
    imu_scheduler_window(s, c->start, 1, &first, &count);
    imu_scheduler_begin(s, first);
    for (int i = 0; i < count; i++) {
        assert_int_equal(imu_scheduler_step(s, output, x, NULL, never, NULL), 0);
        if (first + i == imu_scheduler_count(s) - 1) /* the last is without noise */
            break;
        assert_int_equal(fread(expected, sizeof *expected, PLACES, f), PLACES);
        for (size_t k = 0; k < PLACES; k++)
            worst = fmax(worst,
                         fabs((double)s->noise[k * (n - 1) / (PLACES - 1)] - (double)expected[k]));
    }
    imu_scheduler_close(s);
    free(output);
    free(x);
    return worst;
}

static void test_golden(void **state)
{
    (void)state;
    FILE *f = fopen("tests/fixtures/brownian.bin", "rb");
    assert_non_null(f);
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        double worst = walk(&cases[i], f);
        print_message("%zu: %.1e\n", i, worst);
        assert_true(worst < 1e-5);
    }
    assert_int_equal(fgetc(f), EOF);
    fclose(f);
}

static void increment(const imu_brownian *b, double from, double to, float *out)
{
    assert_int_equal(imu_brownian_increment(b, from, to, out), 0);
}

/* Two parts of a way make the whole of it, and its variance is its length. */
static void test_parts(void **state)
{
    (void)state;
    float whole[VALUES], part[VALUES], rest[VALUES];
    imu_brownian b = {42, 0.03, 14.6, VALUES};
    double squares = 0;
    increment(&b, 1.25, 9.5, whole);
    increment(&b, 1.25, 4.123456, part);
    increment(&b, 4.123456, 9.5, rest);
    for (int i = 0; i < VALUES; i++) {
        assert_true(fabs((double)whole[i] - (double)part[i] - (double)rest[i]) < 1e-5);
        squares += (double)whole[i] * (double)whole[i];
    }
    assert_true(fabs(squares / VALUES / 8.25 - 1) < 0.25);
}

/* Ways without length, and ways out of the path. */
static void test_edges(void **state)
{
    (void)state;
    float a[VALUES], c[VALUES];
    imu_brownian b = {42, 0.03, 14.6, VALUES};
    increment(&b, 2, 2, a);
    assert_true(a[0] == 0 && a[VALUES - 1] == 0);
    increment(&b, 2, 2.0000001, a);
    assert_true(a[0] == 0 && a[VALUES - 1] == 0);
    increment(&b, 3, 2, a);
    assert_true(a[0] == 0 && a[VALUES - 1] == 0);
    increment(&b, 0.03, 14.6, a);
    increment(&b, 0, 20, c);
    assert_memory_equal(a, c, sizeof a);
    increment(&b, 20, 30, a);
    assert_true(a[0] == 0 && a[VALUES - 1] == 0);
}

/* The longest path there is, down to its smallest parts. */
static void test_deepest(void **state)
{
    (void)state;
    float a[VALUES], c[VALUES], both[VALUES];
    imu_brownian b = {42, 0, IMU_BROWNIAN_HIGHEST, VALUES};
    for (int step = 0; step < 9; step++) {
        double at = step * 123456.789013;
        increment(&b, at, at + 1e-6, a);
        increment(&b, at + 1e-6, at + 3e-6, c);
        increment(&b, at, at + 3e-6, both);
        for (int i = 0; i < VALUES; i++)
            assert_true(fabs((double)a[i] + (double)c[i] - (double)both[i]) < 1e-4);
        assert_true(a[0] != 0 && c[0] != 0);
    }
}

/* Noise that no path reaches is refused with a sentence. */
static void test_too_strong(void **state)
{
    (void)state;
    imu_scheduler *s;
    imu_fault fault = {0};
    json_t *config = json_pack("{s:f,s:f}", "beta_start", 0.5, "beta_end", 0.5);
    assert_int_equal(imu_scheduler_open(config, "dpmpp_sde", 5, 1, &s, &fault),
                     IMU_ENGINE_UNSUPPORTED);
    assert_string_equal(fault.text, "The model's noise is too strong for this scheduler.");
    assert_int_equal(imu_scheduler_open(config, "euler", 5, 1, &s, &fault), IMU_ENGINE_OK);
    imu_scheduler_close(s);
    json_decref(config);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_golden),     cmocka_unit_test(test_parts),
        cmocka_unit_test(test_edges),      cmocka_unit_test(test_deepest),
        cmocka_unit_test(test_too_strong),
    };
    return cmocka_run_group_tests_name("brownian", tests, NULL, NULL);
}
