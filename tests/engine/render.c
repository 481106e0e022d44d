/* imu-render: the engine from the command line, for developers: makes one picture and says how long
 * each part took. imu-render MODEL PROMPT OUT.ppm [key=value ...]; `-` as PROMPT uses random
 * conditioning. */
#include "tests/bench/engine/lapse.h"
#include "worker/diffusion/pipeline.h"
#include "worker/diffusion/randn.h"
#include "worker/tensor/threads.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

typedef struct settings {
    int width, height, steps, threads;
    long seed;
    double guidance;
    const char *scheduler, *negative, *precision;
} settings;

/* Says how long the part under way took, and begins the next one. */
static void lap(imu_lapse *begun, const char *part)
{
    imu_lapse took = imu_lapse_since(*begun);
    fprintf(stderr, "%s: %.3f s, %.3f s of processors\n", part, took.wall, took.processors);
    *begun = imu_lapse_now();
}

static int read_setting(settings *s, const char *text)
{
    const char *value = strchr(text, '=');
    if (!value)
        return -1;
    size_t n = (size_t)(value++ - text);
    const struct {
        const char *key;
        int *number;
    } numbers[] = {{"width", &s->width},
                   {"height", &s->height},
                   {"steps", &s->steps},
                   {"threads", &s->threads}};
    for (size_t i = 0; i < sizeof numbers / sizeof *numbers; i++)
        if (strlen(numbers[i].key) == n && !strncmp(text, numbers[i].key, n)) {
            *numbers[i].number = (int)strtol(value, NULL, 10);
            return 0;
        }
    if (!strncmp(text, "seed=", 5))
        s->seed = strtol(value, NULL, 10);
    else if (!strncmp(text, "guidance=", 9))
        s->guidance = strtod(value, NULL);
    else if (!strncmp(text, "scheduler=", 10))
        s->scheduler = value;
    else if (!strncmp(text, "negative=", 9))
        s->negative = value;
    else if (!strncmp(text, "precision=", 10))
        s->precision = value;
    else
        return -1;
    return 0;
}

static int report(void *user, const imu_progress *p)
{
    char part[48];
    snprintf(part, sizeof part, "step %d of %d", p->step, p->total);
    lap(user, part);
    return 0;
}

static int write_ppm(const char *path, const imu_image *image)
{
    FILE *f = fopen(path, "wb");
    if (!f)
        return -1;
    size_t size = 3 * (size_t)image->width * (size_t)image->height;
    int failed = fprintf(f, "P6\n%d %d\n255\n", image->width, image->height) < 0 ||
                 fwrite(image->rgb, 1, size, f) != size;
    return fclose(f) || failed ? -1 : 0;
}

/* The prompt's conditioning; noise of the right shape for "-", to time models without a text
 * encoder. */
static imu_engine_status condition(imu_model *m, const char *text, imu_conditioning **out,
                                   imu_fault *fault)
{
    if (strcmp(text, "-") != 0)
        return imu_model_encode_prompt(m, &(imu_prompt_args){.prompt = text}, out, fault);
    imu_rng rng;
    imu_conditioning *c = calloc(1, sizeof *c);
    if (c)
        c->embeds = imu_array_new(3, (int64_t[]){1, 77, imu_model_get_info(m)->context_width});
    if (!c || !c->embeds) {
        imu_conditioning_free(c);
        return IMU_ENGINE_NO_MEMORY;
    }
    imu_rng_seed(&rng, 1);
    imu_rng_normal(&rng, c->embeds->data, (size_t)imu_array_count(c->embeds));
    *out = c;
    return IMU_ENGINE_OK;
}

static imu_engine_status render(imu_model *m, const settings *s, const char *prompt,
                                imu_image **image, imu_fault *fault)
{
    const imu_model_info *info = imu_model_get_info(m);
    imu_conditioning *positive = NULL, *negative = NULL;
    imu_array *noise =
        imu_noise((uint64_t)s->seed, info->latent_channels, s->width, s->height, info->vae_scale);
    imu_array *latents = NULL;
    imu_denoise_args a;
    imu_lapse watch = imu_lapse_now();
    imu_engine_status status = condition(m, prompt, &positive, fault);
    if (!status)
        status = condition(m, strcmp(prompt, "-") ? s->negative : "-", &negative, fault);
    lap(&watch, "conditioning");
    imu_denoise_defaults(&a);
    a.positive = positive;
    a.negative = negative;
    a.noise = noise;
    a.steps = s->steps;
    a.cfg_scale = &s->guidance;
    a.scheduler = s->scheduler;
    a.seed = (uint64_t)s->seed;
    a.progress = report;
    a.user = &watch;
    if (!status)
        status = imu_model_denoise(m, &a, &latents, fault);
    if (!status)
        status = imu_model_decode(m, latents, NULL, image, fault);
    lap(&watch, "decoding");
    imu_conditioning_free(positive);
    imu_conditioning_free(negative);
    imu_array_free(noise);
    imu_array_free(latents);
    return status;
}

int main(int argc, char **argv)
{
    settings s = {.width = 512,
                  .height = 512,
                  .steps = 20,
                  .guidance = 7.5,
                  .scheduler = "dpmpp_2m_k",
                  .negative = "",
                  .precision = "f32"};
    imu_threads_settle(argv);
    int bad = argc < 4;
    for (int i = 4; i < argc; i++)
        bad |= read_setting(&s, argv[i]);
    if (bad) {
        fprintf(stderr, "usage: imu-render MODEL PROMPT OUT.ppm [width= height= steps= seed= "
                        "guidance= scheduler= "
                        "negative= threads= precision=f32|bf16]\n");
        return 2;
    }
    imu_engine_options options = {.threads = s.threads,
                                  .precision = strcmp(s.precision, "bf16") ? IMU_PRECISION_F32
                                                                           : IMU_PRECISION_BF16};
    imu_engine *engine = NULL;
    imu_model *model = NULL;
    imu_image *image = NULL;
    imu_fault fault = {0};
    imu_engine_status status = imu_engine_open(&options, &engine, &fault);
    if (!status)
        status = imu_model_open(engine, argv[1], &model, &fault);
    if (!status)
        status = render(model, &s, argv[2], &image, &fault);
    if (!status && write_ppm(argv[3], image)) {
        fprintf(stderr, "Can't write %s.\n", argv[3]);
        status = IMU_ENGINE_INTERNAL;
    }
    if (fault.text[0])
        fprintf(stderr, "%s\n", fault.text);
    imu_image_free(image);
    imu_model_close(model);
    imu_engine_close(engine);
    return status ? 1 : 0;
}
