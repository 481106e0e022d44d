/* bench-engine: how fast the engine is beside this machine's own floor. Prints one line a figure:
 * name, value, unit. Seconds are the least of some runs; a floor is measured right after what it is
 * compared with, in the same type.
 *
 * usage: bench-engine FOLDER [f32|bf16] [edge ...]
 * FOLDER keeps the model that is measured (2 GB, made when it is missing). BENCH_DEVICE=cuda
 * measures a GPU, which has no floor here: the speed of its products is printed instead. */
#include "tests/bench/engine/device.h"
#include "tests/bench/engine/floor.h"
#include "tests/bench/engine/profile.h"
#include "tests/bench/engine/random_model.h"
#include "worker/diffusion/randn.h"
#include "worker/diffusion/text_encoder.h"
#include "worker/diffusion/unet.h"
#include "worker/diffusion/vae.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { RUNS = 3, TOKENS = 77, ON_GPU = 5 }; /* of the figures, those that a GPU has */
#define BUDGET 0.3                          /* seconds for each product of a floor */

typedef struct bench {
    imu_backend *backend;
    const char *type, *folder;
    bool gpu;
    imu_fault fault;
    int failed;
} bench;

static void figure(const bench *b, const char *name, int edge, double value, const char *unit)
{
    printf("%s", name);
    if (edge)
        printf(".%d", edge);
    printf(".%s %.4g %s\n", b->type, value, unit);
    fflush(stdout);
}

/* ---- memory ---- */

/* The most memory this process has had since the last reset, in GiB; 0 where the kernel doesn't
 * tell. */
static double peak_memory(void)
{
    char line[128];
    long kib = 0;
    FILE *f = fopen("/proc/self/status", "r");
    while (f && fgets(line, sizeof line, f))
        if (sscanf(line, "VmHWM: %ld", &kib) == 1)
            break;
    if (f)
        fclose(f);
    return (double)kib / (1 << 20);
}

static void reset_peak(void)
{
    FILE *f = fopen("/proc/self/clear_refs", "w");
    if (f) {
        fputs("5", f);
        fclose(f);
    }
}

/* ---- one evaluation, several times ---- */

typedef imu_engine_status evaluate(void *user, imu_fault *fault);

typedef struct profile {
    bench *b;
    const char *name;
    int edge;
} profile;

static void tell_operation(void *user, const char *operation, double seconds)
{
    profile *p = user;
    char label[64];
    snprintf(label, sizeof label, "profile.%s.%s", p->name, operation);
    figure(p->b, label, p->edge, seconds / RUNS, "s");
}

/* Prints the least time of `run`, which was run once before, the most memory until then, and the
 * floor of what it did, whose own memory does not count.
 * @return that time, in seconds */
static double compare(bench *b, const char *name, int edge, evaluate *run, void *user)
{
    imu_lapse best = {1e9, 1e9};
    imu_floor floor;
    imu_profile_reset();
    for (int i = 0; i < RUNS && !b->failed; i++) {
        imu_lapse start = imu_lapse_now();
        imu_floor_reset();
        b->failed = run(user, &b->fault) != IMU_ENGINE_OK;
        imu_lapse_least(&best, start);
    }
    double most = peak_memory();
    if (!b->gpu)
        imu_profile_each(tell_operation, &(profile){b, name, edge});
    if (!b->failed && imu_floor_measure(b->gpu ? 0 : BUDGET, &floor)) {
        b->failed = 1;
        snprintf(b->fault.text, sizeof b->fault.text, "The floor of %s can't be measured.", name);
    }
    reset_peak();
    if (b->failed)
        return best.wall;
    const struct {
        const char *of, *part;
        double value;
        const char *unit;
    } figures[] = {{"sd15", "", best.wall, "s"},
                   {"sd15", ".processors", best.processors, "s"},
                   {"work", "", floor.flop * 1e-9, "GFLOP"},
                   {"speed", "", floor.flop * 1e-9 / best.wall, "GFLOP/s"},
                   {"peak", "", most, "GiB"},
                   {"floor", "", floor.total.wall, "s"},
                   {"floor", ".processors", floor.total.processors, "s"},
                   {"floor", ".convolutions", floor.conv, "s"},
                   {"floor", ".linear", floor.linear, "s"},
                   {"floor", ".attention", floor.attention, "s"},
                   {"ratio", "", best.wall / floor.total.wall, "x"},
                   {"ratio", ".processors", best.processors / floor.total.processors, "x"}};
    for (size_t i = 0; i < (b->gpu ? ON_GPU : sizeof figures / sizeof *figures); i++) {
        char label[64];
        snprintf(label, sizeof label, "%s.%s%s", figures[i].of, name, figures[i].part);
        figure(b, label, edge, figures[i].value, figures[i].unit);
    }
    return best.wall;
}

static float *random_values(size_t count)
{
    float *values = malloc(count * sizeof *values);
    imu_rng rng;
    imu_rng_seed(&rng, 1);
    if (values)
        imu_rng_normal(&rng, values, count);
    return values;
}

/* ---- the UNet ---- */

typedef struct unet_run {
    imu_unet *unet;
    imu_unet_request request;
} unet_run;

static imu_engine_status evaluate_unet(void *user, imu_fault *fault)
{
    unet_run *u = user;
    return imu_unet_run(u->unet, &u->request, fault);
}

/* A step with guidance: both halves in one evaluation. */
static void bench_step(bench *b, imu_unet *unet, int edge)
{
    int64_t cells = edge / 8;
    size_t count = (size_t)(2 * 4 * cells * cells);
    float *latents = random_values(count), *out = malloc(count * sizeof *out);
    float *context = random_values((size_t)2 * TOKENS * 768);
    unet_run u = {unet,
                  {.batch = 2,
                   .height = cells,
                   .width = cells,
                   .latents = latents,
                   .timesteps = (double[]){500, 500},
                   .context = context,
                   .tokens = TOKENS,
                   .out = out}};
    imu_lapse start = imu_lapse_now();
    b->failed = !latents || !out || !context || evaluate_unet(&u, &b->fault);
    double first = imu_lapse_since(start).wall;
    if (!b->failed)
        figure(b, "sd15.first_step", edge, first, "s");
    double later = b->failed ? 0 : compare(b, "step", edge, evaluate_unet, &u);
    if (!b->failed)
        figure(b, "sd15.reading_weights", edge, first - later, "s");
    free(latents);
    free(out);
    free(context);
}

static void bench_unet(bench *b, const int *edges, int count)
{
    char path[512];
    imu_unet *unet = NULL;
    snprintf(path, sizeof path, "%s/unet", b->folder);
    reset_peak();
    imu_lapse start = imu_lapse_now();
    b->failed = imu_unet_open(b->backend, &(imu_net_place){.folder = path}, &unet, &b->fault);
    if (!b->failed)
        figure(b, "sd15.open_unet", 0, imu_lapse_since(start).wall, "s");
    for (int i = 0; i < count && !b->failed; i++)
        bench_step(b, unet, edges[i]);
    if (!b->failed) {
        figure(b, "sd15.weights_unet", 0, (double)imu_net_bytes(imu_unet_net(unet)) / (1 << 30),
               "GiB");
    }
    imu_unet_close(unet);
    b->backend->trim(b->backend);
}

/* ---- the VAE ---- */

typedef struct vae_run {
    imu_vae *vae;
    imu_array *latents;
} vae_run;

static imu_engine_status decode(void *user, imu_fault *fault)
{
    vae_run *v = user;
    imu_array *image = NULL;
    imu_engine_status s = imu_vae_decode(v->vae, v->latents, NULL, &image, fault);
    imu_array_free(image);
    return s;
}

static void bench_vae(bench *b, int edge)
{
    char path[512];
    vae_run v = {NULL, imu_noise(1, 4, edge, edge, 8)};
    snprintf(path, sizeof path, "%s/vae", b->folder);
    reset_peak();
    b->failed = !v.latents ||
                imu_vae_open(b->backend, &(imu_net_place){.folder = path}, &v.vae, &b->fault) ||
                decode(&v, &b->fault);
    if (!b->failed)
        compare(b, "vae", edge, decode, &v);
    imu_vae_close(v.vae);
    imu_array_free(v.latents);
    b->backend->trim(b->backend);
}

/* ---- the text encoder ---- */

typedef struct text_run {
    imu_text_encoder *encoder;
    imu_text_request request;
} text_run;

static imu_engine_status encode(void *user, imu_fault *fault)
{
    text_run *t = user;
    return imu_text_encode(t->encoder, &t->request, fault);
}

static void bench_text(bench *b)
{
    char path[512];
    int ids[2 * TOKENS];
    float *hidden = malloc((size_t)2 * TOKENS * 768 * sizeof *hidden);
    text_run t = {NULL, {.ids = ids, .count = 2, .final_norm = true, .hidden = hidden}};
    for (int i = 0; i < 2 * TOKENS; i++)
        ids[i] = 100 * i;
    snprintf(path, sizeof path, "%s/text_encoder", b->folder);
    b->failed = !hidden ||
                imu_text_encoder_open(b->backend, &(imu_net_place){.folder = path}, &t.encoder,
                                      &b->fault) ||
                encode(&t, &b->fault);
    if (!b->failed)
        compare(b, "text", 0, encode, &t);
    imu_text_encoder_close(t.encoder);
    free(hidden);
}

static int has_model(const char *folder)
{
    char path[512];
    snprintf(path, sizeof path, "%s/text_encoder/model.safetensors", folder);
    return access(path, R_OK) == 0;
}

int main(int argc, char **argv)
{
    int edges[8] = {256, 512}, count = 0;
    if (argc < 2) {
        fprintf(stderr, "usage: bench-engine FOLDER [f32|bf16] [edge ...]\n");
        return 2;
    }
    for (int i = 3; i < argc && count < 8; i++)
        edges[count++] = (int)strtol(argv[i], NULL, 10) / 64 * 64;
    bench b = {.folder = argv[1], .type = argc > 2 ? argv[2] : "f32"};
    b.backend = imu_bench_device(argv, b.type);
    if (!b.backend)
        return 0;
    if (!has_model(b.folder) && imu_random_sd15(b.folder)) {
        perror(b.folder);
        b.backend->close(b.backend);
        return 1;
    }
    b.gpu = strcmp(b.backend->name, "cpu") != 0;
    imu_floor_watch(b.backend);
    if (!b.gpu)
        imu_profile_watch(b.backend);
    b.backend->enter(b.backend);
    bench_unet(&b, edges, count ? count : 2);
    if (!b.failed)
        bench_vae(&b, 512);
    if (!b.failed)
        bench_text(&b);
    if (b.failed)
        fprintf(stderr, "%s\n", b.fault.text[0] ? b.fault.text : "No memory.");
    b.backend->close(b.backend);
    return b.failed ? 1 : 0;
}
