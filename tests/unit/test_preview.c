/* Rough pictures of latents: in the colours that a VAE's configuration names, or its family's. */
#include "worker/diffusion/model.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static imu_engine_status read_text(const char *text, imu_latent_colours *colours, imu_fault *fault)
{
    json_t *vae = json_loads(text, 0, NULL);
    assert_non_null(vae);
    imu_engine_status s = imu_latent_colours_read(vae, colours, fault);
    json_decref(vae);
    return s;
}

/* Cells of 2 x 1: all channels 0, and the first two 1 and -1. */
static void expect_bytes(const imu_latent_colours *colours, const uint8_t expected[6])
{
    imu_array *latents = imu_array_new(4, (int64_t[]){1, 4, 1, 2});
    assert_non_null(latents);
    memset(latents->data, 0, 8 * sizeof *latents->data);
    latents->data[1] = 1;
    latents->data[3] = -1;
    imu_image *image = imu_latents_preview(latents, colours);
    assert_non_null(image);
    assert_int_equal(image->width, 2);
    assert_int_equal(image->height, 1);
    assert_memory_equal(image->rgb, expected, 6);
    imu_image_free(image);
    imu_array_free(latents);
}

static void test_own_colours(void **state)
{
    imu_latent_colours colours;
    (void)state;
    imu_latent_colours_of("sd-1", &colours);
    assert_int_equal(read_text("{\"latent_rgb_factors\": [[1, 0, 0.5], [0, 1, 0], [0, 0, 1], "
                               "[0, 0, 0]], \"latent_rgb_bias\": [0, -1, 0]}",
                               &colours, NULL),
                     IMU_ENGINE_OK);
    expect_bytes(&colours, (const uint8_t[]){128, 0, 128, 255, 0, 191});
}

static void test_colours_of_families(void **state)
{
    imu_latent_colours first, large, second;
    (void)state;
    imu_latent_colours_of("sd-1", &first);
    imu_latent_colours_of("sd-2", &second);
    imu_latent_colours_of("sdxl-refiner", &large);
    assert_memory_equal(&first, &second, sizeof first);
    assert_memory_not_equal(&first, &large, sizeof first);
    assert_int_equal(read_text("{\"latent_channels\": 4}", &second, NULL), IMU_ENGINE_OK);
    assert_memory_equal(&first, &second, sizeof first);
}

static void test_colours_that_are_none(void **state)
{
    static const char *const texts[] = {
        "{\"latent_rgb_factors\": 1}",
        "{\"latent_rgb_factors\": [[1, 0, 0], [0, 1, 0], [0, 0, 1]]}",
        "{\"latent_rgb_factors\": [[1, 0, 0], [0, 1, 0], [0, 0, 1], [0, 0]]}",
        "{\"latent_rgb_factors\": [[1, 0, 0], [0, 1, 0], [0, 0, 1], [0, 0, \"1\"]]}",
        "{\"latent_rgb_factors\": [[1, 0, 0], [0, 1, 0], [0, 0, 1], [0, 0, 101]]}",
        "{\"latent_rgb_factors\": [[1,0,0],[0,1,0],[0,0,1],[0,0,0]], \"latent_rgb_bias\": [0]}"};
    imu_latent_colours before, after;
    (void)state;
    imu_latent_colours_of("sd-1", &before);
    for (size_t i = 0; i < sizeof texts / sizeof *texts; i++) {
        imu_fault fault = {0};
        after = before;
        assert_int_equal(read_text(texts[i], &after, &fault), IMU_ENGINE_BAD_MODEL);
        assert_non_null(strstr(fault.text, "latent_rgb_factors"));
        assert_memory_equal(&before, &after, sizeof before);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_own_colours),
                                       cmocka_unit_test(test_colours_of_families),
                                       cmocka_unit_test(test_colours_that_are_none)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
