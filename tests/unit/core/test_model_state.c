/* What a model folder is good for: each fault by the file it is in, and what is remembered of files
 * that have not changed. The HTTP tests damage the files themselves. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "tests/unit/remove_folder.h"
#include "mod_invokemu/store/model_state.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <apr_general.h>
#include <apr_strings.h>

#include "worker/diffusion/model_files.h"

#define FIXTURE "tests/fixtures/diffusion/tiny-sd15"
#define UNET    "unet/diffusion_pytorch_model.fp16.safetensors"

static const char *const files[] = {
    "model_index.json",         "scheduler/scheduler_config.json",
    "text_encoder/config.json", "text_encoder/model.fp16.safetensors",
    "tokenizer/merges.txt",     "tokenizer/vocab.json",
    "unet/config.json",         UNET,
    "vae/config.json",          "vae/diffusion_pytorch_model.fp16.safetensors"};

typedef struct folder {
    apr_pool_t *pool;
    char dir[64];
    const char *model;
} folder;

static const char *at(const folder *f, const char *name)
{
    return apr_pstrcat(f->pool, f->model, "/", name, NULL);
}

/* A model of links to the files of the fixture. */
static int set_up(void **state)
{
    folder *f = calloc(1, sizeof *f);
    char *fixture = realpath(FIXTURE, NULL);

    *state = f;
    if (!f || !fixture || apr_initialize() != APR_SUCCESS ||
        apr_pool_create(&f->pool, NULL) != APR_SUCCESS)
        return -1;
    snprintf(f->dir, sizeof f->dir, "/tmp/imu-model-state-XXXXXX");
    if (!mkdtemp(f->dir))
        return -1;
    f->model = apr_pstrcat(f->pool, f->dir, "/model", NULL);
    mkdir(f->model, 0700);
    for (size_t i = 0; i < sizeof files / sizeof files[0]; i++) {
        const char *slash = strchr(files[i], '/');

        if (slash)
            mkdir(at(f, apr_pstrndup(f->pool, files[i], (apr_size_t)(slash - files[i]))), 0700);
        if (symlink(apr_pstrcat(f->pool, fixture, "/", files[i], NULL), at(f, files[i])))
            return -1;
    }
    free(fixture);
    return 0;
}

static int tear_down(void **state)
{
    folder *f = *state;
    int rc = remove_folder(f->dir);

    apr_pool_destroy(f->pool);
    free(f);
    return rc;
}

static void put(const folder *f, const char *name, const void *data, size_t size)
{
    FILE *file;

    unlink(at(f, name));
    file = fopen(at(f, name), "wb");
    assert_non_null(file);
    assert_int_equal(fwrite(data, 1, size, file), size);
    assert_int_equal(fclose(file), 0);
}

static void whole(void **state)
{
    folder *f = *state;
    imu_model_view view = imu_model_inspect(f->pool, f->model);
    imu_flaw flaw;

    assert_int_equal(view.state, IMU_MODEL_USABLE);
    assert_null(view.why);
    assert_int_equal(imu_model_files_check(f->model, &flaw), IMU_FLAW_NONE);
    assert_string_equal(imu_net_file_name(at(f, "unet")), strchr(UNET, '/') + 1);
}

/* Everything that is looked at may be missing; only the schedule's whole folder may be away. */
static void each_file_missing(void **state)
{
    folder *f = *state;

    for (size_t i = 0; i < sizeof files / sizeof files[0]; i++) {
        const char *away = at(f, "away");
        imu_model_view view;
        imu_flaw flaw;

        assert_int_equal(rename(at(f, files[i]), away), 0);
        view = imu_model_inspect(f->pool, f->model);
        assert_int_equal(view.state, i ? IMU_MODEL_BROKEN : IMU_MODEL_FOREIGN);
        if (i) {
            assert_int_equal(imu_model_files_check(f->model, &flaw),
                             strstr(files[i], ".safetensors") ? IMU_FLAW_NO_WEIGHTS
                                                              : IMU_FLAW_MISSING);
            assert_int_equal(strncmp(files[i], flaw.file, strlen(flaw.file)), 0);
            assert_non_null(strstr(view.why, flaw.file));
            assert_null(strstr(view.why, f->dir));
        }
        assert_int_equal(rename(away, at(f, files[i])), 0);
    }
    assert_int_equal(unlink(at(f, files[1])), 0);
    assert_int_equal(rmdir(at(f, "scheduler")), 0);
    assert_int_equal(imu_model_inspect(f->pool, f->model).state, IMU_MODEL_USABLE);
}

static void damaged(void **state)
{
    static const char head[] = "\x40\0\0\0\0\0\0\0{\"a\":{\"dtype\":\"F32\",\"shape\":[2],"
                               "\"data_offsets\":[0,8]}}          1234567";
    static const char none[] = "\2\0\0\0\0\0\0\0{}";
    folder *f = *state;
    imu_model_view view;

    put(f, UNET, head, sizeof head - 1); /* one byte less than the header says */
    view = imu_model_inspect(f->pool, f->model);
    assert_int_equal(view.state, IMU_MODEL_BROKEN);
    assert_string_equal(view.why, "Its file " UNET " is damaged or not complete.");
    assert_non_null(strstr(view.log, "outside the file"));
    assert_null(strstr(view.log, f->dir));
    put(f, UNET, head, sizeof head);
    assert_int_equal(imu_model_inspect(f->pool, f->model).state, IMU_MODEL_USABLE);
    put(f, UNET, none, sizeof none - 1);
    assert_int_equal(imu_model_inspect(f->pool, f->model).state, IMU_MODEL_BROKEN);
    put(f, UNET, "", 0);
    assert_int_equal(imu_model_inspect(f->pool, f->model).state, IMU_MODEL_BROKEN);
    unlink(at(f, UNET));
    mkdir(at(f, UNET), 0700);
    view = imu_model_inspect(f->pool, f->model);
    assert_string_equal(view.why, "Its file " UNET " can't be read by the server.");
}

static void other_kinds(void **state)
{
    static const char flux[] = "{\"_class_name\": \"FluxPipeline\"}";
    static const char depth[] = "{\"in_channels\": 5}";
    folder *f = *state;

    put(f, "unet/config.json", depth, sizeof depth - 1);
    assert_int_equal(imu_model_inspect(f->pool, f->model).state, IMU_MODEL_FOREIGN);
    put(f, "model_index.json", flux, sizeof flux - 1);
    assert_int_equal(imu_model_inspect(f->pool, f->model).state, IMU_MODEL_FOREIGN);
    put(f, "model_index.json", "[]", 2);
    assert_int_equal(imu_model_inspect(f->pool, f->model).state, IMU_MODEL_BROKEN);
    for (imu_model_state s = IMU_MODEL_USABLE; s <= IMU_MODEL_REMOVED; s++) {
        assert_int_equal(imu_model_is_gone(s), s == IMU_MODEL_MISSING);
        assert_int_equal(imu_model_is_none(s), s == IMU_MODEL_MISSING || s == IMU_MODEL_FOREIGN);
    }
}

static imu_model_state look_since(folder *f, const char *dir, const char *path, const char *hash,
                                  const char *removed_at)
{
    static const char *names[] = {"path", "hash", "removed_at"};
    const char *cells[] = {path, hash, removed_at};
    imu_rows rows = {.count = 1, .columns = 3, .names = names, .cells = cells};
    imu_model_view view = imu_model_look(f->pool, dir, &rows, 0);

    assert_int_equal(view.why == NULL, view.state == IMU_MODEL_USABLE);
    return view.state;
}

static imu_model_state look(folder *f, const char *dir, const char *path, const char *hash)
{
    return look_since(f, dir, path, hash, NULL);
}

/* Files that are no model: whether they are there is never remembered. */
static void other_files(void **state)
{
    static const char *const names[] = {"old.ckpt", "big.gguf", "none.safetensors", "notes"};
    folder *f = *state;

    for (int i = 0; i < 8; i++) {
        const char *path = at(f, names[i / 2]), *dir = i % 2 ? "/elsewhere" : f->dir;

        assert_int_equal(look(f, dir, path, "h"), IMU_MODEL_MISSING);
        put(f, names[i / 2], "\2\0\0\0\0\0\0\0{}", 10);
        assert_int_equal(look(f, dir, path, "h"), IMU_MODEL_FOREIGN);
        assert_int_equal(unlink(path), 0);
        assert_int_equal(look(f, dir, path, "h"), IMU_MODEL_MISSING);
    }
}

static void words_for_what_is_gone(void **state)
{
    static const char *names[] = {"path", "hash", "removed_at"};
    static const struct {
        const char *dir, *path, *why;
    } gone[] = {
        {"/m", "/m/a/x.safetensors",
         "The file \"x.safetensors\" is gone from the server's model folder."},
        {"/m", "sd-v1.5", "The folder \"sd-v1.5\" is gone from the server's model folder."},
        {"/m", "/d/x.CKPT",
         "The file \"x.CKPT\" is gone; it lay outside the server's model folder."},
        {NULL, "/d/x", "The folder \"x\" is gone."},
    };
    folder *f = *state;

    for (size_t i = 0; i < sizeof gone / sizeof gone[0]; i++) {
        const char *cells[] = {gone[i].path, "h", NULL};
        imu_rows rows = {.count = 1, .columns = 3, .names = names, .cells = cells};

        assert_string_equal(imu_model_look(f->pool, gone[i].dir, &rows, 0).why, gone[i].why);
    }
}

static void remembered(void **state)
{
    folder *f = *state;
    uint64_t mark = imu_model_files_mark(f->model);

    for (int i = 0; i < 3; i++) {
        assert_int_equal(look(f, f->dir, f->model, "h"), IMU_MODEL_USABLE);
        assert_int_equal(look(f, f->dir, "model", "h"), IMU_MODEL_USABLE);
        assert_int_equal(look_since(f, f->dir, "model", "h", "2026-01-01"), IMU_MODEL_REMOVED);
        assert_int_equal(look(f, NULL, f->model, "h"), IMU_MODEL_USABLE);
        assert_int_equal(look(f, f->dir, f->model, IMU_MODEL_UNREAD "k"), IMU_MODEL_UNKNOWN);
        assert_int_equal(look(f, "/elsewhere", f->model, "h"), IMU_MODEL_FOREIGN);
        assert_int_equal(look(f, "/tmp/imu", f->model, "h"), IMU_MODEL_FOREIGN);
        assert_true(imu_model_files_mark(f->model) == mark);
        put(f, "vae/config.json", "no", 2);
        assert_true(imu_model_files_mark(f->model) != mark);
        assert_int_equal(look(f, f->dir, f->model, "h"), IMU_MODEL_BROKEN);
        assert_int_equal(look(f, f->dir, f->model, "h"), IMU_MODEL_BROKEN);
        put(f, "vae/config.json", "{ }", 3); /* another size: times are coarse */
        mark = imu_model_files_mark(f->model);
    }
    assert_int_equal(rename(f->model, apr_pstrcat(f->pool, f->dir, "/away", NULL)), 0);
    assert_int_equal(look(f, f->dir, f->model, "h"), IMU_MODEL_MISSING);
}

/* More folders than are remembered, and names longer than are. */
static void many(void **state)
{
    folder *f = *state;
    char name[400];

    for (int i = 0; i < 2000; i++) {
        int n = snprintf(name, sizeof name, "%s/m%d-", f->dir, i);

        memset(name + n, 'x', (size_t)i % 250);
        name[n + i % 250] = 0;
        assert_int_equal(look(f, f->dir, name, "h"), IMU_MODEL_MISSING);
    }
    assert_int_equal(look(f, f->dir, f->model, "h"), IMU_MODEL_USABLE);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(whole, set_up, tear_down),
        cmocka_unit_test_setup_teardown(each_file_missing, set_up, tear_down),
        cmocka_unit_test_setup_teardown(damaged, set_up, tear_down),
        cmocka_unit_test_setup_teardown(other_kinds, set_up, tear_down),
        cmocka_unit_test_setup_teardown(other_files, set_up, tear_down),
        cmocka_unit_test_setup_teardown(words_for_what_is_gone, set_up, tear_down),
        cmocka_unit_test_setup_teardown(remembered, set_up, tear_down),
        cmocka_unit_test_setup_teardown(many, set_up, tear_down),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
