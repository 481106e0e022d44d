/* A system that gives no more memory, at one place of a job after the other: the job ends with a
 * sentence, the process lives, and the same job works once there is memory again. Each place is a
 * process of its own, in which nothing has been made yet. */
#include "worker/diffusion/pipeline.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

enum { EDGE = 64, THREADS = 1, MIB = 1 << 20, WRONG = 100 };

/* Bytes of addresses in use. */
static size_t in_use(void)
{
    size_t pages = 0;
    FILE *f = fopen("/proc/self/statm", "r");
    if (!f || fscanf(f, "%zu", &pages) != 1)
        abort();
    fclose(f);
    return pages * (size_t)sysconf(_SC_PAGESIZE);
}

static void limit(size_t bytes)
{
    struct rlimit r = {.rlim_cur = bytes, .rlim_max = RLIM_INFINITY};
    if (setrlimit(RLIMIT_AS, &r))
        abort();
}

static imu_engine_status draw(imu_model *m, const imu_conditioning *prompt, imu_image **picture,
                              imu_fault *fault)
{
    imu_array *latents = NULL, *noise = imu_noise(5, 4, EDGE, EDGE, 8);
    imu_denoise_args a;
    imu_denoise_defaults(&a);
    a.positive = a.negative = prompt;
    a.noise = noise;
    a.steps = 1;
    a.scheduler = "euler";
    imu_engine_status s = noise ? imu_model_denoise(m, &a, &latents, fault) : IMU_ENGINE_NO_MEMORY;
    if (!s)
        s = imu_model_decode(m, latents, NULL, picture, fault);
    imu_array_free(latents);
    imu_array_free(noise);
    return s;
}

static imu_engine_status job(imu_engine *engine, imu_image **picture, imu_fault *fault)
{
    imu_model *m = NULL;
    imu_conditioning *prompt = NULL;
    imu_prompt_args p = {.prompt = "a cat"};
    imu_engine_status s = imu_model_open(engine, "tests/fixtures/diffusion/tiny-sd15", &m, fault);
    if (!s)
        s = imu_model_encode_prompt(m, &p, &prompt, fault);
    if (!s)
        s = draw(m, prompt, picture, fault);
    imu_conditioning_free(prompt);
    imu_model_close(m);
    return s;
}

/* The exit status of a process that has `more` bytes beside what it starts with: how its job ended.
 */
static int in_process(size_t more, bool bf16)
{
    imu_engine_options o = {.threads = THREADS,
                            .precision = bf16 ? IMU_PRECISION_AUTO : IMU_PRECISION_F32,
                            .device = "cpu"};
    imu_fault fault = {.text = ""};
    imu_engine *engine;
    imu_image *picture = NULL, *again = NULL;
    if (imu_engine_open(&o, &engine, &fault))
        return WRONG;
    limit(more ? in_use() + more : RLIM_INFINITY);
    imu_engine_status s = job(engine, &picture, &fault);
    limit(RLIM_INFINITY);
    if (s)
        fprintf(stderr, "%zu MiB: %s\n", more / MIB, fault.text);
    if (s && !strstr(fault.text, "Try a smaller picture"))
        return WRONG;
    if (job(engine, &again, &fault) || (picture && memcmp(picture->rgb, again->rgb, EDGE * EDGE)))
        return WRONG + 1;
    imu_image_free(picture);
    imu_image_free(again);
    imu_engine_close(engine);
    return (int)s;
}

/* -1 when a signal ended it. */
static int outcome(size_t more, bool bf16)
{
    int status;
    pid_t child = fork();
    if (child == 0)
        _exit(in_process(more, bf16));
    if (child < 0 || waitpid(child, &status, 0) < 0)
        fail_msg("no process");
    return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
}

/* Below what is left to libraries nothing begins; above it, a few MiB are all that the job needs.
 */
static void sweep(bool bf16)
{
    static const size_t places[] = {3, 40, 69, 72, 76, 82, 90, 106, 130, 170, 210, 250};
    int short_of = 0;
    for (size_t i = 0; i < sizeof places / sizeof places[0]; i++) {
        int ended = outcome(places[i] * MIB, bf16);
        if (ended && ended != IMU_ENGINE_NO_MEMORY)
            fail_msg("with %zu MiB: %d", places[i], ended);
        short_of += ended == IMU_ENGINE_NO_MEMORY;
    }
    assert_true(short_of >= 4);
    assert_int_equal(outcome(0, bf16), IMU_ENGINE_OK);
}

static void test_scarce(void **state)
{
    (void)state;
    sweep(false);
    sweep(true);
}

int main(void)
{
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
    puts("1..0 # SKIP a sanitizer takes more addresses than there are to be");
    return 0;
#endif
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_scarce)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
