/* Section 12: a checkpoint of one file gives, bit by bit, what the folder gives. */
#include "tests/engine/check.h"

#include "worker/diffusion/model.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static bool same(const imu_array *a, const imu_array *b)
{
    return a && b && imu_array_count(a) == imu_array_count(b) &&
           !memcmp(a->data, b->data, (size_t)imu_array_count(a) * sizeof *a->data);
}

/* What each of the two makes of a prompt, of noise and of a picture. */
typedef struct results {
    imu_conditioning *text;
    imu_array *latents, *encoded;
    imu_image *image;
} results;

static void results_free(results *r)
{
    imu_conditioning_free(r->text);
    imu_array_free(r->latents);
    imu_array_free(r->encoded);
    imu_image_free(r->image);
}

static imu_engine_status make(imu_model *m, results *r, imu_fault *fault)
{
    int scale = imu_model_get_info(m)->vae_scale;
    imu_array *noise = imu_noise(3, 4, 8 * scale, 16 * scale, scale);
    imu_denoise_args a;
    imu_denoise_defaults(&a);
    a.steps = 2;
    a.scheduler = "euler";
    a.noise = noise;
    imu_engine_status s = imu_model_encode_prompt(
        m, &(imu_prompt_args){.prompt = "a (red)1.3 fox, oil"}, &r->text, fault);
    a.positive = r->text;
    if (!s)
        s = imu_model_denoise(m, &a, &r->latents, fault);
    if (!s)
        s = imu_model_decode(m, r->latents, NULL, &r->image, fault);
    if (!s)
        s = imu_model_encode_image(m, r->image, NULL, &r->encoded, fault);
    imu_array_free(noise);
    return s;
}

static void compare(check *c, const char *file, const results *mine, const results *theirs)
{
    check_note(c, file, "text", !same(mine->text->embeds, theirs->text->embeds), 0);
    if (theirs->text->pooled)
        check_note(c, file, "pooled", !same(mine->text->pooled, theirs->text->pooled), 0);
    check_note(c, file, "latents", !same(mine->latents, theirs->latents), 0);
    check_note(c, file, "encoded", !same(mine->encoded, theirs->encoded), 0);
}

void check_single_file(check *c, const char *name)
{
    char path[4096], folder[4096], tokenizer[4096], file[96];
    imu_fault fault = {0};
    imu_model *one = NULL, *whole = NULL;
    results mine = {0}, theirs = {0};
    snprintf(file, sizeof file, "tiny-%s.single.f16.safetensors", name);
    snprintf(path, sizeof path, "%s/%s", c->fixtures, file);
    if (access(path, R_OK))
        return;
    check_model_path(c, name, "", folder);
    imu_engine_status s = imu_model_open(c->engine, folder, &whole, &fault);
    if (!s)
        s = imu_model_open_file(c->engine, path, &one, &fault);
    if (!s)
        s = imu_model_use_tokenizer(one, check_model_path(c, name, "tokenizer", tokenizer), NULL,
                                    &fault);
    if (!s)
        s = make(whole, &theirs, &fault);
    if (!s)
        s = make(one, &mine, &fault);
    if (s)
        check_fail(c, file, "run", &fault);
    else
        compare(c, file, &mine, &theirs);
    results_free(&mine);
    results_free(&theirs);
    imu_model_close(one);
    imu_model_close(whole);
}
