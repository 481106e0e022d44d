/* Adapters whose files make no sense are refused with a sentence that says why. */
#include "tests/unit/st_write.h"
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

static void expect_vision(const char *config, imu_engine_status status, const char *words)
{
    imu_vision *v = NULL;
    imu_fault fault = {.text = ""};
    write_config(config);
    assert_int_equal(imu_vision_open(engine, folder, &v, &fault), status);
    imu_vision_close(v);
    if (status && !strstr(fault.text, words))
        fail_msg("\"%s\" says nothing of \"%s\"", fault.text, words);
}

static void test_vision(void **state)
{
    (void)state;
    link_weights("tests/fixtures/diffusion/tiny-vision/model.safetensors");
#define SHAPE "\"num_hidden_layers\": 3, \"num_attention_heads\": 2, \"intermediate_size\": 40"
#define SIZES "\"image_size\": 28, \"patch_size\": 7, \"projection_dim\": 20, " SHAPE "}"
    expect_vision("{\"hidden_size\": 24, " SIZES, IMU_ENGINE_OK, "");
    expect_vision("{\"hidden_size\": 26, " SIZES, IMU_ENGINE_BAD_MODEL,
                  "patch_embedding.weight has another shape");
    expect_vision("{\"hidden_size\": 25, " SIZES, IMU_ENGINE_BAD_MODEL, "multiple of its heads");
    expect_vision("{\"hidden_size\": 24, \"hidden_act\": \"relu\", " SIZES, IMU_ENGINE_UNSUPPORTED,
                  "activation relu is unknown");
    expect_vision("{\"hidden_size\": 24, \"image_size\": 28, \"patch_size\": 6, " SHAPE "}",
                  IMU_ENGINE_BAD_MODEL, "whole number of patches");
    expect_vision("{\"hidden_size\": 24, \"image_size\": 1024, \"patch_size\": 1, " SHAPE "}",
                  IMU_ENGINE_BAD_MODEL, "whole number of patches");
    expect_vision("{\"hidden_size\": 24, \"image_size\": 28, \"patch_size\": 7, " SHAPE "}",
                  IMU_ENGINE_BAD_MODEL, "visual_projection.weight has another shape");
}

enum { LINEAR_ITEMS = 6 };

/* An IP adapter for one attention, with one of its tensors in another shape; or without it. */
static void expect_ip(int changed, int ndim, int64_t first, int64_t second,
                      imu_engine_status status, const char *words)
{
    static const float zeros[1024];
    st_item items[LINEAR_ITEMS] = {
        {"image_proj.proj.weight", IMU_F32, 2, {32, 4}, zeros},
        {"image_proj.proj.bias", IMU_F32, 1, {32}, zeros},
        {"image_proj.norm.weight", IMU_F32, 1, {16}, zeros},
        {"image_proj.norm.bias", IMU_F32, 1, {16}, zeros},
        {"ip_adapter.1.to_k_ip.weight", IMU_F32, 2, {8, 16}, zeros},
        {"ip_adapter.1.to_v_ip.weight", IMU_F32, 2, {8, 16}, zeros},
    };
    imu_ip *ip = NULL;
    imu_fault fault = {.text = ""};
    size_t count = LINEAR_ITEMS;
    if (changed >= 0) {
        items[changed].ndim = ndim;
        items[changed].dim[0] = first;
        items[changed].dim[1] = second;
        if (!ndim)
            items[changed] = items[--count];
    }
    unlink(at(FILE_NAME));
    assert_int_equal(st_write(at(FILE_NAME), items, count), 0);
    assert_int_equal(imu_ip_open(engine, at(FILE_NAME), &ip, &fault), status);
    imu_ip_close(ip);
    if (status && !strstr(fault.text, words))
        fail_msg("\"%s\" says nothing of \"%s\"", fault.text, words);
}

static void test_ip(void **state)
{
    (void)state;
    expect_ip(-1, 0, 0, 0, IMU_ENGINE_OK, "");
    expect_ip(0, 2, 33, 4, IMU_ENGINE_BAD_MODEL, "image_proj.proj.weight has another shape");
    expect_ip(0, 2, 15, 4, IMU_ENGINE_BAD_MODEL, "no IP adapter of a kind");
    expect_ip(0, 1, 32, 0, IMU_ENGINE_BAD_MODEL, "no IP adapter of a kind");
    expect_ip(1, 1, 31, 0, IMU_ENGINE_BAD_MODEL, "image_proj.proj.bias has another shape");
    expect_ip(3, 0, 0, 0, IMU_ENGINE_BAD_MODEL, "lacks the tensor image_proj.norm.bias");
    expect_ip(4, 1, 8, 0, IMU_ENGINE_BAD_MODEL, "no IP adapter of a kind");
    expect_ip(4, 0, 0, 0, IMU_ENGINE_BAD_MODEL, "no IP adapter of a kind");
    expect_ip(5, 2, 8, 12, IMU_ENGINE_BAD_MODEL, "ip_adapter.1.to_v_ip.weight has another shape");
    expect_ip(5, 2, 9, 16, IMU_ENGINE_BAD_MODEL, "ip_adapter.1.to_v_ip.weight has another shape");
    expect_ip(5, 0, 0, 0, IMU_ENGINE_BAD_MODEL, "lacks the tensor ip_adapter.1.to_v_ip");
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
        cmocka_unit_test(test_vision),
        cmocka_unit_test(test_ip),
    };
    return cmocka_run_group_tests(tests, begin, end);
}
