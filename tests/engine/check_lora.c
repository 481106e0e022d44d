/* Section 11: LoRAs on the UNet and on the text encoder, and off again. */
#include "tests/engine/check.h"

#include "worker/diffusion/text_encoder.h"
#include "worker/diffusion/unet.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

typedef struct lora_check {
    check *c;
    char file[96];
    imu_safetensors *st, *inputs; /* what is to come out; the rest of what goes in */
    imu_unet *unet;
    imu_lora *lora;
    bool large;
} lora_check;

/* What the UNet makes of the golden inputs; NULL with a note. To be freed. */
static float *run_unet(const lora_check *l, const imu_array *context, size_t values)
{
    imu_array *latents = check_array(l->c, l->st, "latents"),
              *pooled = check_array(l->c, l->inputs, "pooled_cond"),
              *ids = check_array(l->c, l->inputs, "time_ids");
    check_tensor t = check_read(l->c, l->st, "t");
    float *out = calloc(values ? values : 1, sizeof *out);
    imu_fault fault = {.text = "no inputs"};
    imu_engine_status s = IMU_ENGINE_BAD_INPUT;
    if (latents && context && t.value && out && (size_t)imu_array_count(latents) == values) {
        imu_unet_request r = {.batch = 1,
                              .height = latents->dim[2],
                              .width = latents->dim[3],
                              .latents = latents->data,
                              .timesteps = t.value,
                              .context = context->data,
                              .tokens = context->dim[1],
                              .pooled = pooled ? pooled->data : NULL,
                              .time_ids = ids ? ids->data : NULL,
                              .out = out};
        s = imu_unet_run(l->unet, &r, &fault);
    }
    if (s) {
        check_fail(l->c, l->file, "run", &fault);
        free(out);
        out = NULL;
    }
    imu_array_free(latents);
    imu_array_free(pooled);
    imu_array_free(ids);
    check_release(&t);
    return out;
}

static void lay_on(const lora_check *l, imu_net *net, imu_lora_part part, double weight)
{
    imu_lora_use use = {l->lora, weight};
    imu_fault fault;
    if (imu_net_set_loras(net, part, &use, weight != 0, &fault))
        check_fail(l->c, l->file, "lay on", &fault);
}

/* The UNet at that weight against a golden tensor. */
static void compare_unet(const lora_check *l, double weight, const imu_array *context,
                         const char *key)
{
    check_tensor golden = check_read(l->c, l->st, "%s", key);
    lay_on(l, imu_unet_net(l->unet), IMU_LORA_UNET, weight);
    float *out = golden.value ? run_unet(l, context, golden.count) : NULL;
    if (out)
        check_compare(l->c, l->file, key, out, &golden, l->large ? 2e-2 : 2e-3, true);
    free(out);
    check_release(&golden);
}

/* Without the LoRA it is, bit by bit, what it was before. */
static void compare_restored(const lora_check *l, const imu_array *context)
{
    check_tensor size = check_read(l->c, l->st, "latents"); /* as many values come out */
    float *before = run_unet(l, context, size.count);
    lay_on(l, imu_unet_net(l->unet), IMU_LORA_UNET, 0.7);
    float *with = run_unet(l, context, size.count);
    lay_on(l, imu_unet_net(l->unet), IMU_LORA_UNET, 0);
    float *later = run_unet(l, context, size.count);
    if (before && with && later) {
        check_note(l->c, l->file, "no change", !memcmp(before, with, size.count * sizeof *before),
                   0);
        check_note(l->c, l->file, "taken off",
                   memcmp(before, later, size.count * sizeof *before) != 0, 0);
    }
    free(before);
    free(with);
    free(later);
    check_release(&size);
}

static void compare_text(const lora_check *l, const char *name, double weight)
{
    char path[4096], file[96];
    imu_text_encoder *e = NULL;
    imu_fault fault = {.text = "no ids of the positive prompt"};
    check_tensor golden = check_read(l->c, l->st, "te_last");
    snprintf(file, sizeof file, "%s/inputs.json", name);
    json_t *inputs = golden.value ? check_json(l->c, file) : NULL, *prompt;
    size_t row = 0, found = 4;
    json_array_foreach (json_object_get(inputs, "prompts"), row, prompt)
        if (json_equal(prompt, json_object_get(inputs, "positive")))
            found = row;
    snprintf(file, sizeof file, "%s/text.safetensors", name);
    imu_safetensors *st = golden.value ? check_open(l->c, file) : NULL;
    check_tensor ids = st ? check_read(l->c, st, "ids") : (check_tensor){.value = NULL};
    if (golden.value && ids.value && found < 4 &&
        !imu_text_encoder_open(
            l->c->backend,
            &(imu_net_place){.folder = check_model_path(l->c, name, "text_encoder", path)}, &e,
            &fault)) {
        int length = imu_text_encoder_length(e), *mine = calloc((size_t)length, sizeof *mine);
        float *out = calloc(golden.count, sizeof *out);
        for (int i = 0; i < length; i++)
            mine[i] = (int)ids.value[found * (size_t)length + (size_t)i];
        lay_on(l, imu_text_encoder_net(e), IMU_LORA_TEXT, weight);
        imu_text_request r = {.ids = mine, .count = 1, .final_norm = true, .hidden = out};
        if (imu_text_encode(e, &r, &fault))
            check_fail(l->c, l->file, "te_last", &fault);
        else
            check_compare(l->c, l->file, "te_last", out, &golden, 1e-5, true);
        free(mine);
        free(out);
    } else if (golden.value) {
        check_fail(l->c, l->file, "te_last", &fault);
    }
    imu_text_encoder_close(e);
    imu_st_close(st);
    json_decref(inputs);
    check_release(&ids);
    check_release(&golden);
}

static void compare_all(lora_check *l, const char *name)
{
    check_tensor weight = check_read(l->c, l->st, "weight");
    imu_array *context = check_array(l->c, l->st, "cond");
    imu_array *with = check_array(l->c, l->st, "te_last");
    if (!context)
        context = check_array(l->c, l->inputs, "cond");
    double w = weight.value ? weight.value[0] : l->large ? 0.8 : 1;
    compare_unet(l, w, context, "unet_out");
    compare_unet(l, w, context, "unet_out_ctx_plain");
    if (with) {
        compare_unet(l, w, with, "unet_out_ctx_lora");
        compare_unet(l, -1, context, "neg1/unet_out_ctx_plain");
        compare_text(l, name, w);
    }
    lay_on(l, imu_unet_net(l->unet), IMU_LORA_UNET, 0);
    compare_restored(l, context);
    imu_array_free(context);
    imu_array_free(with);
    check_release(&weight);
}

void check_lora(check *c, const char *name)
{
    char path[4096], inputs[96];
    imu_fault fault = {0};
    lora_check l = {.c = c};
    snprintf(l.file, sizeof l.file, "%s/lora.safetensors", name);
    snprintf(inputs, sizeof inputs, "%s/unet.safetensors", name);
    if (!(l.st = check_open(c, l.file)))
        return;
    l.inputs = check_open(c, inputs);
    imu_engine_status s = l.inputs ? IMU_ENGINE_OK : IMU_ENGINE_BAD_INPUT;
    if (!s)
        s = imu_unet_open(c->backend,
                          &(imu_net_place){.folder = check_model_path(c, name, "unet", path)},
                          &l.unet, &fault);
    snprintf(path, sizeof path, "%s/tiny-%s.lora.f16.safetensors", c->fixtures, name);
    if (!s)
        s = imu_lora_open(path, &l.lora, &fault);
    if (s) {
        check_fail(c, l.file, "open", &fault);
    } else {
        l.large = imu_unet_get_info(l.unet)->pooled_width > 0;
        compare_all(&l, name);
    }
    imu_unet_close(l.unet);
    imu_lora_close(l.lora);
    imu_st_close(l.inputs);
    imu_st_close(l.st);
}
