/* What each form of LoRA does to a weight, against numbers of tests/tools/lora_forms.py; and that
 * changes of norms come and go. */
#include "tests/unit/st_write.h"
#include "worker/diffusion/lora_parts.h"
#include "worker/diffusion/pipeline.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#define MODEL "tests/fixtures/diffusion/tiny-sd15"
#define FORMS "tests/fixtures/diffusion/lora_forms.safetensors"

enum { WIDTH = 32 }; /* channels of the tiny UNet */

static float *read_of(const imu_lora *l, const char *name, const char *what,
                      const imu_st_entry **entry)
{
    char full[256];
    snprintf(full, sizeof full, "%s/%s", name, what);
    *entry = imu_st_find(l->file, full);
    if (!*entry)
        fail_msg("no %s", full);
    float *v = malloc((*entry)->count * sizeof *v);
    assert_int_equal(imu_st_read_f32(l->file, *entry, v, NULL), IMU_ENGINE_OK);
    return v;
}

static void test_forms(void **state)
{
    (void)state;
    imu_lora *l;
    imu_fault fault = {.text = ""};
    assert_int_equal(imu_lora_open(FORMS, &l, &fault), IMU_ENGINE_OK);
    assert_int_equal(l->count, 9);
    for (size_t i = 0; i < l->count; i++) {
        const imu_lora_module *m = &l->modules[i];
        const imu_st_entry *e;
        float *w = read_of(l, m->name, "base", &e), *expected = read_of(l, m->name, "expected", &e);
        int64_t out = e->dim[0];
        double most = 0;
        if (imu_lora_add(l, m, 0.7, out, (int64_t)e->count / out, w, &fault))
            fail_msg("%s: %s", m->name, fault.text);
        for (uint64_t k = 0; k < e->count; k++)
            most = fmax(most, fabs((double)w[k] - (double)expected[k]));
        if (most > 2e-5)
            fail_msg("%s is %g off", m->name, most);
        free(w);
        free(expected);
    }
    imu_lora_close(l);
}

/* ---- norms ---- */

static imu_array *step(imu_model *model)
{
    imu_denoise_args a;
    imu_conditioning *c;
    imu_array *noise = imu_noise(5, 4, 64, 64, 8), *out;
    imu_prompt_args p = {.prompt = "a cat"};
    assert_int_equal(imu_model_encode_prompt(model, &p, &c, NULL), IMU_ENGINE_OK);
    imu_denoise_defaults(&a);
    a.positive = c;
    a.noise = noise;
    a.steps = 1;
    a.scheduler = "euler";
    assert_int_equal(imu_model_denoise(model, &a, &out, NULL), IMU_ENGINE_OK);
    imu_conditioning_free(c);
    imu_array_free(noise);
    return out;
}

static double distance(const imu_array *a, const imu_array *b)
{
    double most = 0;
    for (int64_t i = 0; i < imu_array_count(a); i++)
        most = fmax(most, fabs((double)a->data[i] - (double)b->data[i]));
    return most;
}

/* A LoRA that makes the last norm of the UNet all zero but for its bias: what the network gives no
 * longer hangs on its input, as every pixel of that norm is the same. */
static void test_norms(void **state)
{
    (void)state;
    char path[64];
    static float weight[WIDTH], bias[WIDTH], misfit[WIDTH + 1];
    imu_engine *e;
    imu_model *m;
    imu_safetensors *st;
    imu_fault fault = {.text = ""};
    imu_lora_use use = {.weight = 1};
    snprintf(path, sizeof path, "/tmp/test_lora-%d.safetensors", (int)getpid());
    assert_int_equal(
        imu_engine_open(&(imu_engine_options){.threads = 1, .precision = IMU_PRECISION_F32}, &e,
                        NULL),
        IMU_ENGINE_OK);
    assert_int_equal(imu_model_open(e, MODEL, &m, NULL), IMU_ENGINE_OK);
    assert_int_equal(imu_st_open(MODEL "/unet/diffusion_pytorch_model.fp16.safetensors", &st, NULL),
                     IMU_ENGINE_OK);
    assert_int_equal(imu_st_read_f32(st, imu_st_find(st, "conv_norm_out.weight"), weight, NULL),
                     IMU_ENGINE_OK);
    imu_st_close(st);
    for (int i = 0; i < WIDTH; i++) {
        weight[i] = -weight[i];
        bias[i] = 0.5f;
    }
    const st_item items[] = {{"lora_unet_conv_norm_out.w_norm", IMU_F32, 1, {WIDTH}, weight},
                             {"lora_unet_conv_norm_out.b_norm", IMU_F32, 1, {WIDTH}, bias}};
    const st_item wrong = {"lora_unet_conv_norm_out.w_norm", IMU_F32, 1, {WIDTH + 1}, misfit};
    imu_array *before = step(m);
    assert_int_equal(st_write(path, items, 2), 0);
    assert_int_equal(imu_lora_open(path, &use.lora, &fault), IMU_ENGINE_OK);
    assert_int_equal(imu_model_set_loras(m, IMU_PART_UNET, 0, &use, 1, &fault), IMU_ENGINE_OK);
    imu_array *with = step(m);
    imu_lora_close(use.lora);
    assert_true(distance(before, with) > 0.01);
    assert_int_equal(imu_model_set_loras(m, IMU_PART_UNET, 0, NULL, 0, &fault), IMU_ENGINE_OK);
    imu_array *after = step(m);
    assert_memory_equal(before->data, after->data,
                        (size_t)imu_array_count(before) * sizeof *before->data);
    assert_int_equal(st_write(path, &wrong, 1), 0);
    assert_int_equal(imu_lora_open(path, &use.lora, &fault), IMU_ENGINE_OK);
    assert_int_equal(imu_model_set_loras(m, IMU_PART_UNET, 0, &use, 1, &fault),
                     IMU_ENGINE_BAD_MODEL);
    assert_non_null(strstr(fault.text, "conv_norm_out"));
    imu_lora_close(use.lora);
    imu_array_free(after);
    after = step(m); /* as if it had never been laid on */
    assert_memory_equal(before->data, after->data,
                        (size_t)imu_array_count(before) * sizeof *before->data);
    imu_array_free(before);
    imu_array_free(with);
    imu_array_free(after);
    imu_model_close(m);
    imu_engine_close(e);
    assert_int_equal(unlink(path), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_forms), cmocka_unit_test(test_norms)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
