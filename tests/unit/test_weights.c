/* Where weights come from: files in shards, files that change while they are in use, and how often
 * each byte is read. */
#include "tests/unit/remove_folder.h"
#include "tests/unit/st_write.h"
#include "worker/diffusion/model_files.h"
#include "worker/diffusion/pipeline.h"
#include "worker/diffusion/sharded.h"

#include <limits.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#define MODEL  "tests/fixtures/diffusion/tiny-sd15"
#define FILE_1 "diffusion_pytorch_model-00001-of-00003.safetensors"
#define FILE_2 "diffusion_pytorch_model-00002-of-00003.safetensors"
#define FILE_3 "diffusion_pytorch_model-00003-of-00003.safetensors"
#define INDEX  "diffusion_pytorch_model.safetensors.index.json"
#define WHOLE  "diffusion_pytorch_model.fp16.safetensors"

enum { SHARDS = 3 };

static const char *const shard_names[SHARDS] = {FILE_1, FILE_2, FILE_3};
static imu_engine *engine;
static char folder[64];

static const char *at(const char *name)
{
    static char path[4][PATH_MAX];
    static int turn;
    turn = (turn + 1) % 4;
    snprintf(path[turn], PATH_MAX, "%s/%s", folder, name);
    return path[turn];
}

/* The UNet's tensors, one shard after the other in turn, and the index of them. */
static void split(void)
{
    imu_safetensors *st;
    st_item *items[SHARDS];
    size_t count[SHARDS] = {0};
    FILE *index = fopen(at("unet/" INDEX), "w");
    assert_non_null(index);
    assert_int_equal(imu_st_open(MODEL "/unet/" WHOLE, &st, NULL), IMU_ENGINE_OK);
    for (int k = 0; k < SHARDS; k++)
        assert_non_null(items[k] = calloc(st->count, sizeof *items[k]));
    fprintf(index, "{\"weight_map\":{");
    for (size_t i = 0; i < st->count; i++) {
        const imu_st_entry *e = &st->entries[i];
        void *data = malloc(e->size);
        assert_int_equal(imu_st_read_part(st, e, 0, e->count, data, NULL), IMU_ENGINE_OK);
        st_item *item = &items[i % SHARDS][count[i % SHARDS]++];
        *item = (st_item){.name = e->name, .type = e->type, .ndim = e->ndim, .data = data};
        memcpy(item->dim, e->dim, sizeof item->dim);
        fprintf(index, "%s\"%s\":\"%s\"", i ? "," : "", e->name, shard_names[i % SHARDS]);
    }
    fprintf(index, "}}");
    assert_int_equal(fclose(index), 0);
    for (int k = 0; k < SHARDS; k++) {
        char path[PATH_MAX];
        snprintf(path, sizeof path, "%s/unet/%s", folder, shard_names[k]);
        assert_int_equal(st_write(path, items[k], count[k]), 0);
        for (size_t i = 0; i < count[k]; i++)
            free((void *)items[k][i].data);
        free(items[k]);
    }
    imu_st_close(st);
}

static void link_to(const char *name)
{
    char *target = realpath(MODEL, NULL), from[PATH_MAX];
    snprintf(from, sizeof from, "%s/%s", target, name);
    free(target);
    assert_int_equal(symlink(from, at(name)), 0);
}

/* A copy of the tiny model with its UNet in three shards, in a folder of its own. */
static int set_up(void **state)
{
    (void)state;
    snprintf(folder, sizeof folder, "/tmp/test_weights-XXXXXX");
    if (!mkdtemp(folder) || mkdir(at("unet"), 0700) ||
        imu_engine_open(&(imu_engine_options){.threads = 1, .precision = IMU_PRECISION_F32},
                        &engine, NULL))
        return -1;
    static const char *const parts[] = {"text_encoder", "tokenizer",        "vae",
                                        "scheduler",    "model_index.json", "unet/config.json"};
    for (size_t i = 0; i < sizeof parts / sizeof *parts; i++)
        link_to(parts[i]);
    split();
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    imu_engine_close(engine);
    return remove_folder(folder);
}

/* One step of the model; the latents belong to the caller. */
static imu_engine_status step(imu_model *m, imu_array **out, imu_fault *fault)
{
    imu_denoise_args a;
    imu_conditioning *c;
    imu_prompt_args p = {.prompt = "a cat"};
    imu_engine_status s = imu_model_encode_prompt(m, &p, &c, fault);
    if (s)
        return s;
    imu_denoise_defaults(&a);
    imu_array *noise = imu_noise(5, 4, 64, 64, 8);
    a.positive = c;
    a.noise = noise;
    a.steps = 1;
    a.scheduler = "euler";
    s = imu_model_denoise(m, &a, out, fault);
    imu_conditioning_free(c);
    imu_array_free(noise);
    return s;
}

static imu_model *opened(const char *path)
{
    imu_model *m;
    imu_fault fault = {.text = ""};
    if (imu_model_open(engine, path, &m, &fault))
        fail_msg("%s", fault.text);
    return m;
}

static void test_same_as_whole(void **state)
{
    (void)state;
    imu_model *whole = opened(MODEL), *shards = opened(folder);
    imu_array *a, *b;
    imu_flaw flaw;
    assert_int_equal(imu_model_files_check(folder, &flaw), IMU_FLAW_NONE);
    assert_string_equal(imu_net_file_name(at("unet")), INDEX);
    assert_int_equal(step(whole, &a, NULL), IMU_ENGINE_OK);
    assert_int_equal(step(shards, &b, NULL), IMU_ENGINE_OK);
    assert_memory_equal(a->data, b->data, (size_t)imu_array_count(a) * sizeof *a->data);
    /* Headers apart, as many bytes. */
    uint64_t one = imu_model_get_info(whole)->weight_bytes[1],
             three = imu_model_get_info(shards)->weight_bytes[1];
    assert_in_range(three, one - one / 20, one + one / 20);
    imu_array_free(a);
    imu_array_free(b);
    imu_model_close(whole);
    imu_model_close(shards);
}

static void test_missing_shard(void **state)
{
    (void)state;
    imu_fault fault = {.text = ""};
    imu_flaw flaw;
    uint64_t mark = imu_model_files_mark(folder);
    assert_int_equal(rename(at("unet/" FILE_2), at("away")), 0);
    assert_true(imu_model_files_mark(folder) != mark);
    assert_int_equal(imu_model_files_check(folder, &flaw), IMU_FLAW_MISSING);
    assert_string_equal(flaw.file, "unet/" FILE_2);
    imu_model *m = opened(folder);
    assert_int_equal(imu_model_load(m, IMU_PART_UNET, &fault), IMU_ENGINE_BAD_MODEL);
    assert_non_null(strstr(fault.text, FILE_2));
    assert_int_equal(rename(at("away"), at("unet/" FILE_2)), 0);
    assert_int_equal(imu_model_load(m, IMU_PART_UNET, &fault), IMU_ENGINE_OK);
    imu_model_close(m);
}

static void test_cut_shard(void **state)
{
    (void)state;
    imu_flaw flaw;
    struct stat info;
    assert_int_equal(stat(at("unet/" FILE_3), &info), 0);
    assert_int_equal(truncate(at("unet/" FILE_3), info.st_size - 1), 0);
    assert_int_equal(imu_model_files_check(folder, &flaw), IMU_FLAW_DAMAGED);
    assert_string_equal(flaw.file, "unet/" FILE_3);
    assert_non_null(strstr(flaw.why, "outside the file"));
    assert_int_equal(truncate(at("unet/" FILE_3), info.st_size), 0);
}

/* What parsing a header over `size` bytes of data answers; "" when it is accepted. */
static const char *refusal(const char *header, uint64_t size)
{
    static imu_fault fault;
    imu_safetensors *st;
    fault.text[0] = 0;
    if (!imu_st_parse(header, strlen(header), size, &st, &fault))
        imu_st_close(st);
    return fault.text;
}

#define U8(name, count, from, to)                                                                  \
    "\"" name "\":{\"dtype\":\"U8\",\"shape\":[" #count "],\"data_offsets\":[" #from "," #to "]}"

/* Each byte of the data is one tensor's, in whatever order the header names them. */
static void test_places(void **state)
{
    (void)state;
    const struct {
        const char *header, *why;
        uint64_t size;
    } all[] = {
        {"{" U8("b", 4, 4, 8) "," U8("a", 4, 0, 4) "}", "", 8},
        {"{" U8("a", 4, 0, 4) "," U8("none", 0, 4, 4) "," U8("b", 4, 4, 8) "}", "", 8},
        {"{}", "", 0},
        {"{" U8("a", 4, 0, 4) "," U8("b", 4, 0, 4) "}", "a and b share bytes", 4},
        {"{" U8("b", 4, 3, 7) "," U8("a", 4, 0, 4) "}", "a and b share bytes", 7},
        {"{" U8("a", 8, 0, 8) "," U8("b", 2, 2, 4) "," U8("c", 1, 8, 9) "}", "share bytes", 9},
        {"{" U8("a", 4, 1, 5) "}", "before it are no tensor's", 5},
        {"{" U8("a", 4, 0, 4) "," U8("b", 4, 5, 9) "}", "before it are no tensor's", 9},
        {"{" U8("a", 4, 0, 4) "}", "last bytes of the file are no tensor's", 5},
        {"{}", "last bytes of the file are no tensor's", 1},
    };
    for (size_t i = 0; i < sizeof all / sizeof *all; i++) {
        const char *said = refusal(all[i].header, all[i].size);
        if (*all[i].why ? !strstr(said, all[i].why) : *said)
            fail_msg("%s: \"%s\"", all[i].header, said);
    }
}

/* A file that is cut short or written to after it was opened: a sentence, and no picture of what
 * happens to lie there. */
static void test_changed_in_use(void **state)
{
    (void)state;
    imu_fault fault = {.text = ""};
    imu_array *out;
    struct stat info;
    imu_model *m = opened(folder);
    assert_int_equal(stat(at("unet/" FILE_3), &info), 0);
    assert_int_equal(imu_model_load(m, IMU_PART_UNET, &fault), IMU_ENGINE_OK);
    assert_int_equal(truncate(at("unet/" FILE_3), info.st_size / 2), 0);
    assert_int_equal(step(m, &out, &fault), IMU_ENGINE_BAD_MODEL);
    assert_non_null(strstr(fault.text, "tensor"));
    assert_int_equal(truncate(at("unet/" FILE_3), info.st_size), 0); /* zeros where weights were */
    assert_int_equal(step(m, &out, &fault), IMU_ENGINE_BAD_MODEL);
    assert_non_null(strstr(fault.text, "changed while it was in use"));
    imu_model_close(m);
}

/* Bytes that this process has read so far, whether from a disk or the cache. */
static uint64_t bytes_read(void)
{
    unsigned long long n;
    FILE *f = fopen("/proc/self/io", "r");
    assert_non_null(f);
    assert_int_equal(fscanf(f, "rchar: %llu", &n), 1);
    fclose(f);
    return n;
}

/* Each byte of the weights is read once, and none again for a second picture. */
static void test_read_once(void **state)
{
    (void)state;
    /* The counter's own file, and of a prompt the rows of its 77 words and places, 32 wide. */
    enum { SLACK = 4096 + 2 * 77 * 32 * 4 };
    imu_model *m = opened(MODEL);
    const imu_model_info *info = imu_model_get_info(m);
    imu_array *out;
    assert_int_equal(imu_model_load(m, IMU_PART_UNET | IMU_PART_TEXT, NULL), IMU_ENGINE_OK);
    uint64_t before = bytes_read();
    assert_int_equal(step(m, &out, NULL), IMU_ENGINE_OK);
    imu_array_free(out);
    uint64_t first = bytes_read();
    assert_int_equal(step(m, &out, NULL), IMU_ENGINE_OK);
    imu_array_free(out);
    uint64_t second = bytes_read();
    /* Norms were read when the parts were opened. */
    assert_in_range(first - before, info->weight_bytes[1] / 2,
                    info->weight_bytes[0] + info->weight_bytes[1] + SLACK);
    assert_in_range(second - first, 0, SLACK);
    imu_model_close(m);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_places),
        cmocka_unit_test_setup_teardown(test_same_as_whole, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_missing_shard, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_cut_shard, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_changed_in_use, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_read_once, set_up, tear_down),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
