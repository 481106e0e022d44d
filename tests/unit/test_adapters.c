/* Adapters whose files make no sense are refused with a sentence that says why. */
#include "worker/diffusion/pipeline.h"

#include <limits.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#define T2I       "tests/fixtures/diffusion/tiny-t2i-full/diffusion_pytorch_model.safetensors"
#define FILE_NAME "diffusion_pytorch_model.safetensors"

static imu_engine *engine;
static char folder[64];

static const char *at(const char *name)
{
    static char path[2][PATH_MAX];
    static int turn;
    turn = (turn + 1) % 2;
    snprintf(path[turn], PATH_MAX, "%s/%s", folder, name);
    return path[turn];
}

static void write_config(const char *text)
{
    FILE *f = fopen(at("config.json"), "w");
    assert_non_null(f);
    assert_true(fputs(text, f) >= 0);
    assert_int_equal(fclose(f), 0);
}

static void link_weights(const char *path)
{
    char real[PATH_MAX];
    assert_non_null(realpath(path, real));
    unlink(at(FILE_NAME));
    assert_int_equal(symlink(real, at(FILE_NAME)), 0);
}

static void expect_t2i(const char *config, imu_engine_status status, const char *words)
{
    imu_t2i *t = NULL;
    imu_fault fault = {.text = ""};
    write_config(config);
    assert_int_equal(imu_t2i_open(engine, folder, &t, &fault), status);
    imu_t2i_close(t);
    if (status && !strstr(fault.text, words))
        fail_msg("\"%s\" says nothing of \"%s\"", fault.text, words);
}

static void test_t2i(void **state)
{
    (void)state;
    link_weights(T2I);
#define REST "\"num_res_blocks\": 2, \"downscale_factor\": 8, \"in_channels\": 1}"
    expect_t2i("{\"adapter_type\": \"full_adapter\", \"channels\": [8, 12, 16], " REST,
               IMU_ENGINE_OK, "");
    expect_t2i("{\"adapter_type\": \"dark\", \"channels\": [8, 12, 16], " REST,
               IMU_ENGINE_UNSUPPORTED, "type dark is unknown");
    expect_t2i("{\"channels\": [8, 12, 20], " REST, IMU_ENGINE_BAD_MODEL,
               "adapter.body.2.in_conv.weight has another shape");
    expect_t2i("{\"channels\": [8, 12, 16, 16], " REST, IMU_ENGINE_BAD_MODEL,
               "lacks the tensor adapter.body.3.");
    expect_t2i("{\"channels\": [8, 12, 16], \"num_res_blocks\": 3, \"in_channels\": 1}",
               IMU_ENGINE_BAD_MODEL, "lacks the tensor adapter.body.0.resnets.2.block1");
    expect_t2i("{\"channels\": [8, 12, 16], \"in_channels\": 3}", IMU_ENGINE_BAD_MODEL,
               "adapter.conv_in.weight has another shape");
    expect_t2i("{\"channels\": [], " REST, IMU_ENGINE_BAD_MODEL, "number of channels");
    expect_t2i("{\"channels\": 8, " REST, IMU_ENGINE_BAD_MODEL, "number of channels");
    expect_t2i("{\"channels\": [8, -12, 16], " REST, IMU_ENGINE_BAD_MODEL, "channels");
    expect_t2i("{\"channels\": [8, 8, 8, 8, 8, 8, 8, 8, 8], " REST, IMU_ENGINE_BAD_MODEL,
               "number of channels");
    expect_t2i("{\"adapter_type\": \"full_adapter_xl\", \"channels\": [8, 12, 16], " REST,
               IMU_ENGINE_BAD_MODEL, "number of channels");
    expect_t2i("{\"channels\": [8, 12, 16], \"num_res_blocks\": 1000000}", IMU_ENGINE_BAD_MODEL,
               "num_res_blocks");
    expect_t2i("{\"channels\": [8, 12, 16], \"downscale_factor\": 0}", IMU_ENGINE_BAD_MODEL,
               "downscale_factor");
}

static int begin(void **state)
{
    (void)state;
    snprintf(folder, sizeof folder, "/tmp/imu-adapters-XXXXXX");
    return !mkdtemp(folder) || imu_engine_open(NULL, &engine, NULL);
}

static int end(void **state)
{
    (void)state;
    unlink(at("config.json"));
    unlink(at(FILE_NAME));
    rmdir(folder);
    imu_engine_close(engine);
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_t2i),
    };
    return cmocka_run_group_tests(tests, begin, end);
}
