/* Files of a model: the first byte says which one of a folder holds the rest: the vocabulary, the
 * merges or the special tokens of the tokenizer, or the configuration of the schedule. The others
 * are those of the fixtures. */
#include "worker/diffusion/scheduler.h"
#include "worker/diffusion/tokenizer.h"

#include <fcntl.h>
#include <limits.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define FIXTURES "tests/fixtures/diffusion/tiny-sd15/tokenizer"
#define FILES    3
#define STEPS    7
#define VALUES   4

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static const char *const names[FILES] = {"vocab.json", "merges.txt", "tokenizer_config.json"};
static char folder[] = "/tmp/imu-fuzz-model-XXXXXX";

static void path_of(char *path, const char *name)
{
    snprintf(path, PATH_MAX, "%s/%s", folder, name);
}

static void remove_folder(void)
{
    char path[PATH_MAX];

    for (int i = 0; i < FILES; i++) {
        path_of(path, names[i]);
        unlink(path);
    }
    rmdir(folder);
}

static void set_up(void)
{
    if (!mkdtemp(folder))
        abort();
    atexit(remove_folder);
}

static void put(const char *name, const void *data, size_t size)
{
    char path[PATH_MAX];
    int fd;

    path_of(path, name);
    unlink(path);
    fd = open(path, O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
    if (fd < 0 || write(fd, data, size) != (ssize_t)size)
        abort();
    close(fd);
}

static void link_to(const char *name)
{
    char path[PATH_MAX], *from = NULL, *target = realpath(FIXTURES, NULL);

    path_of(path, name);
    unlink(path);
    if (!target || asprintf(&from, "%s/%s", target, name) < 0 || symlink(from, path))
        abort();
    free(from);
    free(target);
}

static void tokenizer(int which, const uint8_t *data, size_t size)
{
    imu_tokenizer *t;
    imu_fault fault;
    size_t count;
    int *ids;

    for (int i = 0; i < FILES; i++) {
        if (i == which)
            put(names[i], data, size);
        else
            link_to(names[i]);
    }
    if (imu_tokenizer_open(folder, NULL, &t, &fault))
        return;
    if (!imu_tokenize(t, "A photo of 12 cats, it's \xe2\x82\xac", &ids, &count, NULL))
        free(ids);
    imu_tokenizer_close(t);
}

static int no_noise(void *user, float *to, size_t n)
{
    (void)user;
    memset(to, 0, n * sizeof *to);
    return 0;
}

static void run(imu_scheduler *s)
{
    float x[VALUES] = {1, -1}, output[VALUES] = {0.5f};
    int rc = 0;

    imu_scheduler_begin(s, 0);
    for (int i = 0; !rc && i < imu_scheduler_count(s); i++)
        rc = imu_scheduler_step(s, output, x, NULL, no_noise, NULL);
    if (rc)
        abort();
}

static void schedule(const uint8_t *data, size_t size)
{
    static const char *const kinds[] = {"euler", "ddim",    "dpmpp_2m_k", "lms",
                                        "heun",  "unipc_k", "dpmpp_sde",  "lcm"};
    json_t *config = json_loadb((const char *)data, size, 0, NULL);
    imu_scheduler *s;
    imu_fault fault;

    for (size_t i = 0; json_is_object(config) && i < sizeof kinds / sizeof *kinds; i++) {
        if (imu_scheduler_open(config, kinds[i], STEPS, VALUES, &s, &fault))
            continue;
        run(s);
        imu_scheduler_close(s);
    }
    json_decref(config);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static int ready;

    if (!ready) {
        set_up();
        ready = 1;
    }
    if (size == 0)
        return 0;
    if (data[0] % (FILES + 1) == FILES)
        schedule(data + 1, size - 1);
    else
        tokenizer(data[0] % (FILES + 1), data + 1, size - 1);
    return 0;
}
