/* Checkpoints of one file: that the shape of their UNet is told from its tensors and none is left
 * over, and that text does not depend on whose tokenizer is borrowed. */
#include "tests/unit/remove_folder.h"
#include "tests/unit/st_write.h"
#include "worker/diffusion/names.h"
#include "worker/diffusion/pipeline.h"
#include "worker/diffusion/single_file.h"

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
#define UNET   "model.diffusion_model."
#define TEXT   "cond_stage_model.transformer."
#define MIDDLE UNET "middle_block.1.transformer_blocks."

enum { MAX_ITEMS = 2048, DEPTH = 4 };

static imu_engine *engine;
static char folder[64];
static st_item items[MAX_ITEMS];
static size_t count;

static const char *at(const char *name)
{
    static char path[2][PATH_MAX];
    static int turn;
    turn = !turn;
    snprintf(path[turn], PATH_MAX, "%s/%s", folder, name);
    return path[turn];
}

static void add(const char *name, const st_item *like)
{
    assert_in_range(count, 0, MAX_ITEMS - 1);
    items[count] = *like;
    items[count++].name = strdup(name);
}

/* What the old names call a tensor of the UNet: whose first level going up doesn't attend. */
static void old_name(const char *name, imu_old_name *out)
{
    imu_naming naming = {.kind = IMU_NAMES_UNET, .prefix = UNET, .layers = 2};
    int candidate = !strncmp(name, "up_blocks.0.upsamplers", 22);
    assert_true(imu_old_name_of(&naming, name, candidate, out));
}

static void add_part(const char *file, bool unet)
{
    imu_safetensors *st;
    imu_old_name old = {.slices = 1};
    assert_int_equal(imu_st_open(file, &st, NULL), IMU_ENGINE_OK);
    for (size_t i = 0; i < st->count; i++) {
        const imu_st_entry *e = &st->entries[i];
        void *data = malloc(e->size);
        assert_int_equal(imu_st_read_part(st, e, 0, e->count, data, NULL), IMU_ENGINE_OK);
        st_item item = {.type = e->type, .ndim = e->ndim, .data = data};
        memcpy(item.dim, e->dim, sizeof item.dim);
        if (unet)
            old_name(e->name, &old);
        else
            snprintf(old.name, sizeof old.name, TEXT "%s", e->name);
        add(old.name, &item);
    }
    imu_st_close(st);
}

/* More transformers for the middle than its level has: as many as a refiner's. */
static void deepen_middle(void)
{
    size_t before = count, first = strlen(MIDDLE "0");
    for (size_t i = 0; i < before; i++)
        for (int k = 1; k < DEPTH && !strncmp(items[i].name, MIDDLE "0.", first + 1); k++) {
            char name[IMU_NAME_BYTES];
            snprintf(name, sizeof name, MIDDLE "%d%s", k, items[i].name + first);
            /* Data of its own, as what frees them frees each once. */
            size_t size = imu_dtype_size(items[i].type);
            for (int d = 0; d < items[i].ndim; d++)
                size *= (size_t)items[i].dim[d];
            st_item copy = items[i];
            copy.data = memcpy(malloc(size), items[i].data, size);
            add(name, &copy);
        }
}

static void add_stray(const char *name)
{
    add(name, &(st_item){.type = IMU_F32, .ndim = 1, .dim = {1}, .data = calloc(1, sizeof(float))});
}

static int set_up(void **state)
{
    (void)state;
    snprintf(folder, sizeof folder, "/tmp/test_single-XXXXXX");
    if (!mkdtemp(folder) ||
        imu_engine_open(&(imu_engine_options){.threads = 1, .precision = IMU_PRECISION_F32},
                        &engine, NULL))
        return -1;
    count = 0;
    add_part(MODEL "/unet/diffusion_pytorch_model.fp16.safetensors", true);
    add_part(MODEL "/text_encoder/model.fp16.safetensors", false);
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    imu_engine_close(engine);
    for (size_t i = 0; i < count; i++) {
        free((void *)items[i].name);
        free((void *)items[i].data);
    }
    return remove_folder(folder);
}

static imu_model *opened(void)
{
    imu_model *m;
    imu_fault fault = {.text = ""};
    assert_int_equal(st_write(at("one.safetensors"), items, count), 0);
    if (imu_model_open_file(engine, at("one.safetensors"), &m, &fault))
        fail_msg("%s", fault.text);
    return m;
}

/* What opening the UNet of the file says; "" when it opens. */
static const char *unet_fault(void)
{
    static imu_fault fault;
    fault.text[0] = 0;
    imu_model *m = opened();
    if (!imu_model_load(m, IMU_PART_UNET, &fault))
        fault.text[0] = 0;
    imu_model_close(m);
    return fault.text;
}

/* The last level doesn't attend, the middle below it does, and more deeply than the others. */
static void test_deep_middle(void **state)
{
    (void)state;
    imu_single_file *one;
    deepen_middle();
    assert_string_equal(unet_fault(), "");
    assert_int_equal(imu_single_file_open(at("one.safetensors"), &one, NULL), IMU_ENGINE_OK);
    const json_t *depth = json_object_get(one->unet.config, "transformer_layers_per_block");
    size_t levels = json_array_size(depth);
    for (size_t i = 0; i < levels; i++)
        assert_int_equal(json_integer_value(json_array_get(depth, i)), i + 1 < levels ? 1 : DEPTH);
    imu_single_file_close(one);
}

/* A tensor of a block that no layer reads is named; what lies beside the blocks does no harm. */
static void test_left_over(void **state)
{
    (void)state;
    add_stray(UNET "model_ema.decay");
    add_stray("model_ema.diffusion_modelinput_blocks00weight");
    add_stray(TEXT "text_model.embeddings.position_ids");
    add_stray("v_marker");
    assert_string_equal(unet_fault(), "");
    add_stray(MIDDLE "2.norm1.weight"); /* the ones before it are missing */
    assert_non_null(strstr(unet_fault(), MIDDLE "2.norm1.weight"));
}

/* A tokenizer like the model's own but for what it fills chunks with; as other families have it. */
static const char *tokenizer_with_pad(const char *name, const char *pad)
{
    static const char *const shared[] = {"vocab.json", "merges.txt"};
    char path[PATH_MAX], from[PATH_MAX], *home = realpath(MODEL "/tokenizer", NULL);
    const char *made = at(name);
    assert_int_equal(mkdir(made, 0700), 0);
    for (size_t i = 0; i < sizeof shared / sizeof *shared; i++) {
        snprintf(from, sizeof from, "%s/%s", home, shared[i]);
        snprintf(path, sizeof path, "%s/%s", made, shared[i]);
        assert_int_equal(symlink(from, path), 0);
    }
    free(home);
    snprintf(path, sizeof path, "%s/special_tokens_map.json", made);
    FILE *f = fopen(path, "w");
    assert_non_null(f);
    fprintf(f,
            "{\"bos_token\":\"<|startoftext|>\",\"eos_token\":\"<|endoftext|>\","
            "\"pad_token\":\"%s\"}",
            pad);
    assert_int_equal(fclose(f), 0);
    return made;
}

static imu_conditioning *text_of(imu_model *m)
{
    imu_conditioning *c;
    imu_fault fault = {.text = ""};
    if (imu_model_encode_prompt(m, &(imu_prompt_args){.prompt = "a cat"}, &c, &fault))
        fail_msg("%s", fault.text);
    return c;
}

/* Text is that of the folder with either neighbour: one that fills with the end, and one with "!".
 */
static void test_borrowed_tokenizer(void **state)
{
    (void)state;
    static const char *const pads[] = {"<|endoftext|>", "!"};
    imu_model *whole;
    assert_int_equal(imu_model_open(engine, MODEL, &whole, NULL), IMU_ENGINE_OK);
    imu_conditioning *own = text_of(whole);
    for (size_t i = 0; i < 2; i++) {
        imu_model *m = opened();
        const char *lender = tokenizer_with_pad(i ? "second" : "first", pads[i]);
        assert_int_equal(imu_model_use_tokenizer(m, lender, NULL, NULL), IMU_ENGINE_OK);
        imu_conditioning *text = text_of(m);
        assert_int_equal(imu_array_count(text->embeds), imu_array_count(own->embeds));
        assert_memory_equal(text->embeds->data, own->embeds->data,
                            (size_t)imu_array_count(own->embeds) * sizeof(float));
        imu_conditioning_free(text);
        imu_model_close(m);
    }
    imu_conditioning_free(own);
    imu_model_close(whole);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_deep_middle, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_left_over, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_borrowed_tokenizer, set_up, tear_down),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
