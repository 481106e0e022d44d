/* Layers of the text encoder that are skipped: the encoder is as one that never had them, for the
 * embeddings and for XL's pooled text. */
#include "worker/diffusion/pipeline.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#define MODEL  "tests/fixtures/diffusion/tiny-sdxl"
#define SECOND "text_encoder_2"

enum { LAYERS = 4 }; /* of the second encoder */

static imu_engine *engine;
static char shorter[] = "/tmp/test_skip-XXXXXX"; /* MODEL with a second encoder of our own */
static const char *const linked[] = {
    "model_index.json", "scheduler", "text_encoder", "tokenizer",
    "tokenizer_2",      "unet",      "vae",          SECOND "/model.fp16.safetensors"};

static int set_up(void **state)
{
    char path[128], *whole = realpath(MODEL, NULL), from[4096];
    (void)state;
    if (!whole || !mkdtemp(shorter))
        return -1;
    snprintf(path, sizeof path, "%s/" SECOND, shorter);
    int rc = mkdir(path, 0700);
    for (size_t i = 0; i < sizeof linked / sizeof *linked; i++) {
        snprintf(from, sizeof from, "%s/%s", whole, linked[i]);
        snprintf(path, sizeof path, "%s/%s", shorter, linked[i]);
        rc |= symlink(from, path);
    }
    free(whole);
    return rc ||
           imu_engine_open(&(imu_engine_options){.threads = 1, .precision = IMU_PRECISION_F32},
                           &engine, NULL);
}

static int tear_down(void **state)
{
    static const char *const own[] = {SECOND "/config.json", SECOND, ""};
    char path[128];
    int rc = 0;
    (void)state;
    imu_engine_close(engine);
    for (size_t i = 0; i < sizeof linked / sizeof *linked; i++) {
        snprintf(path, sizeof path, "%s/%s", shorter, linked[i]);
        rc |= unlink(path);
    }
    for (size_t i = 0; i < sizeof own / sizeof *own; i++) {
        snprintf(path, sizeof path, "%s/%s", shorter, own[i]);
        rc |= remove(path);
    }
    return rc;
}

/* The fixture's configuration, with other layers. */
static void write_layers(int layers)
{
    char path[128];
    snprintf(path, sizeof path, "%s/" SECOND "/config.json", shorter);
    FILE *f = fopen(path, "wb");
    assert_non_null(f);
    fprintf(f,
            "{\"vocab_size\": 1000, \"hidden_size\": 32, \"intermediate_size\": 64, "
            "\"projection_dim\": 32, \"num_hidden_layers\": %d, \"num_attention_heads\": 4, "
            "\"max_position_embeddings\": 77, \"hidden_act\": \"gelu\"}",
            layers);
    assert_int_equal(fclose(f), 0);
}

/* What a prompt is with layers of the second encoder skipped. */
static imu_conditioning *prompt_of(const char *folder, int skip)
{
    imu_model *m;
    imu_conditioning *c;
    imu_fault fault = {.text = ""};
    imu_prompt_args args = {.prompt = "a red (cat)1.3", .clip_skip = {0, skip}};
    if (imu_model_open(engine, folder, &m, &fault) || imu_model_encode_prompt(m, &args, &c, &fault))
        fail_msg("%s: %s", folder, fault.text);
    imu_model_close(m);
    return c;
}

/* The largest difference. */
static double distance(const imu_array *a, const imu_array *b)
{
    double most = 0;
    assert_int_equal(imu_array_count(a), imu_array_count(b));
    for (int64_t i = 0; i < imu_array_count(a); i++)
        most = fmax(most, fabs((double)a->data[i] - (double)b->data[i]));
    return most;
}

static void test_skipped_layers_are_missing(void **state)
{
    (void)state;
    imu_conditioning *all = prompt_of(MODEL, 0);
    for (int skip = 0; skip < LAYERS; skip++) {
        write_layers(LAYERS - skip);
        imu_conditioning *mine = prompt_of(MODEL, skip), *other = prompt_of(shorter, 0);
        assert_true(distance(mine->embeds, other->embeds) < 1e-6);
        assert_true(distance(mine->pooled, other->pooled) < 1e-6);
        assert_true(skip == 0 || distance(mine->pooled, all->pooled) > 1e-2);
        imu_conditioning_free(mine);
        imu_conditioning_free(other);
    }
    imu_conditioning_free(all);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_skipped_layers_are_missing)};
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
