/* bench-precision: how far pictures in bf16 are from those in float32, of one model that was
 * trained: random networks make far more of rounding. One line for each picture, then the least.
 *
 * usage: bench-precision MODEL [EDGE] */
#include "worker/diffusion/pipeline.h"
#include "worker/tensor/threads.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>

enum { STEPS = 20 };

static const struct wish {
    const char *prompt, *scheduler;
    uint64_t seed;
} wishes[] = {
    {"a red house", "ddim", 1},         {"a cat and a tree", "ddim", 2},
    {"a yellow star", "euler", 3},      {"a blue fish", "euler", 4},
    {"a green apple", "dpmpp_2m", 5},   {"a rocket", "dpmpp_2m", 6},
    {"a dog beside a car", "unipc", 7}, {"two flowers", "lms", 8},
};

static imu_engine_status drawn_by(imu_model *m, const struct wish *w, int edge, imu_image **picture,
                                  imu_fault *fault)
{
    imu_conditioning *text = NULL, *empty = NULL;
    imu_array *latents = NULL, *noise = imu_noise(w->seed, 4, edge, edge, 8);
    imu_denoise_args a;
    imu_denoise_defaults(&a);
    imu_engine_status s =
        imu_model_encode_prompt(m, &(imu_prompt_args){.prompt = w->prompt}, &text, fault);
    if (!s)
        s = imu_model_encode_prompt(m, &(imu_prompt_args){.prompt = ""}, &empty, fault);
    a.positive = text;
    a.negative = empty;
    a.noise = noise;
    a.steps = STEPS;
    a.scheduler = w->scheduler;
    a.cfg_scale = &(double){4};
    a.cfg_scale_count = 1;
    if (!s)
        s = imu_model_denoise(m, &a, &latents, fault);
    if (!s)
        s = imu_model_decode(m, latents, NULL, picture, fault);
    imu_array_free(latents);
    imu_array_free(noise);
    imu_conditioning_free(text);
    imu_conditioning_free(empty);
    return s;
}

/* The picture in that precision; NULL with the reason on stderr. */
static imu_image *drawn(const char *folder, imu_precision precision, const struct wish *w, int edge)
{
    imu_engine *engine = NULL;
    imu_model *model = NULL;
    imu_image *picture = NULL;
    imu_fault fault = {.text = ""};
    imu_engine_options o = {.precision = precision, .device = getenv("BENCH_DEVICE")};
    if (imu_engine_open(&o, &engine, &fault) || imu_model_open(engine, folder, &model, &fault) ||
        drawn_by(model, w, edge, &picture, &fault))
        fprintf(stderr, "bench-precision: %s\n", fault.text);
    imu_model_close(model);
    imu_engine_close(engine);
    return picture;
}

/* Peak signal to noise of two pictures of one size, in dB; 99 when they are the same. */
static double likeness(const imu_image *a, const imu_image *b)
{
    size_t n = 3 * (size_t)a->width * (size_t)a->height;
    double sum = 0;
    for (size_t i = 0; i < n; i++)
        sum += pow((double)a->rgb[i] - (double)b->rgb[i], 2);
    return sum > 0 ? 10 * log10(255.0 * 255.0 * (double)n / sum) : 99;
}

int main(int argc, char **argv)
{
    imu_threads_settle(argv);
    if (argc < 2) {
        fprintf(stderr, "usage: bench-precision MODEL [EDGE]\n");
        return 2;
    }
    int edge = argc > 2 ? (int)strtol(argv[2], NULL, 10) : 256;
    double least = 99, sum = 0;
    size_t count = sizeof wishes / sizeof wishes[0];
    for (size_t i = 0; i < count; i++) {
        imu_image *exact = drawn(argv[1], IMU_PRECISION_F32, &wishes[i], edge);
        imu_image *rounded = drawn(argv[1], IMU_PRECISION_BF16, &wishes[i], edge);
        if (!exact || !rounded)
            return 1;
        double db = likeness(exact, rounded);
        printf("psnr.%s.%d.%d %.1f dB (%s)\n", wishes[i].scheduler, edge, STEPS, db,
               wishes[i].prompt);
        fflush(stdout);
        least = fmin(least, db);
        sum += db;
        imu_image_free(exact);
        imu_image_free(rounded);
    }
    printf("psnr.least.%d.%d %.1f dB\npsnr.mean.%d.%d %.1f dB\n", edge, STEPS, least, edge, STEPS,
           sum / (double)count);
    return 0;
}
