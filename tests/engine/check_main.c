#include "tests/engine/check.h"

#include "worker/tensor/threads.h"

#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

bool check_in_bf16(void)
{
    const char *precision = getenv("CHECK_PRECISION");
    return precision && !strcmp(precision, "bf16");
}

static int has_model(const struct dirent *e)
{
    return e->d_name[0] != '.' && !strchr(e->d_name, '.');
}

static void check_model(check *c, const char *name)
{
    char path[4096];
    check_text(c, name);
    check_unet(c, name);
    check_vae(c, name);
    check_adapters(c, name);
    /* One without a tokenizer is a network alone. */
    if (check_networks_only || access(check_model_path(c, name, "tokenizer", path), F_OK))
        return;
    check_tokenizer(c, name);
    check_weighted_prompts(c, name);
    check_schedules(c, name);
    check_synthetic(c, name);
    check_trajectories(c, name);
    check_end_to_end(c, name);
    check_lora(c, name);
    check_single_file(c, name);
}

static int check_all(check *c)
{
    char path[4096];
    struct dirent **found;
    snprintf(path, sizeof path, "%s/golden", c->fixtures);
    int n = scandir(path, &found, has_model, alphasort);
    if (n < 0) {
        fprintf(stderr, "There is no folder %s.\n", path);
        return 1;
    }
    if (!check_networks_only)
        check_random(c);
    for (int i = 0; i < n; i++) {
        check_model(c, found[i]->d_name);
        free(found[i]);
    }
    free(found);
    if (!c->row_count)
        fprintf(stderr, "Nothing to compare in %s.\n", path);
    return check_report(c) || !c->row_count;
}

int main(int argc, char **argv)
{
    imu_threads_settle(argv);
    if (argc > 2) {
        fprintf(stderr, "usage: check-engine [FOLDER with golden/ and tiny-* in it]\n");
        return 2;
    }
    check c = {.fixtures = argc == 2 ? argv[1] : "tests/fixtures/diffusion",
               .backend = check_backend()};
    imu_backend *other = c.backend ? check_backend() : NULL;
    imu_fault fault = {0};
    if (!other || imu_engine_on(other, &c.engine, &fault)) {
        fprintf(stderr, "Can't start the engine: %s\n", fault.text);
        return 1;
    }
    int wrong = check_all(&c);
    imu_engine_close(c.engine);
    c.backend->close(c.backend);
    return wrong ? 1 : 0;
}
