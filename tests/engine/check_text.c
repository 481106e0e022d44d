/* Sections 1 to 4: tokenizer, random numbers, text encoder, weighted prompts. */
#include "tests/engine/check.h"

#include "worker/diffusion/randn.h"
#include "worker/diffusion/text_encoder.h"
#include "worker/diffusion/tokenizer.h"

#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static int differing(const int *mine, size_t count, const json_t *golden)
{
    int wrong = count != json_array_size(golden);
    for (size_t i = 0; i < count && i < json_array_size(golden); i++)
        wrong += mine[i] != (int)json_integer_value(json_array_get(golden, i));
    return wrong;
}

static int padded_differ(const imu_tokenizer *t, const int *ids, size_t count, const json_t *golden)
{
    int chunk[77];
    for (size_t i = 0; i < 77; i++)
        chunk[i] = i == 0                               ? imu_tokenizer_bos(t)
                   : i <= count && i < 76               ? ids[i - 1]
                   : i == (count < 75 ? count + 1 : 76) ? imu_tokenizer_eos(t)
                                                        : imu_tokenizer_eos(t);
    return differing(chunk, 77, golden);
}

static void check_rows(check *c, const char *file, const imu_tokenizer *t)
{
    json_t *golden = check_json(c, file);
    size_t i;
    json_t *row;
    json_array_foreach (json_object_get(golden, "rows"), i, row) {
        int *ids;
        size_t count;
        char where[64];
        imu_fault fault = {0};
        snprintf(where, sizeof where, "row %zu", i);
        if (imu_tokenize(t, json_string_value(json_object_get(row, "prompt")), &ids, &count,
                         &fault)) {
            check_fail(c, file, where, &fault);
            continue;
        }
        int wrong = differing(ids, count, json_object_get(row, "ids"));
        wrong += padded_differ(t, ids, count, json_object_get(row, "ids77"));
        check_note(c, file, where, wrong, 0);
        free(ids);
    }
    json_decref(golden);
}

void check_tokenizer(check *c, const char *name)
{
    char path[4096];
    imu_tokenizer *t;
    imu_fault fault = {0};
    if (imu_tokenizer_open(check_model_path(c, name, "tokenizer", path), NULL, &t, &fault)) {
        check_fail(c, "tokens_tiny.json", name, &fault);
        return;
    }
    check_rows(c, "tokens_tiny.json", t);
    imu_tokenizer_close(t);
    /* The full vocabulary is not part of the fixtures: a folder with it may be named in the
     * environment. */
    const char *full = getenv("CLIP_TOKENIZER");
    json_t *rows = check_json(c, "tokens_full.json");
    if (full && rows && !imu_tokenizer_open(full, NULL, &t, &fault)) {
        check_rows(c, "tokens_full.json", t);
        imu_tokenizer_close(t);
    } else if (rows && !full) {
        check_skip(c, "tokens_full.json", (int)json_array_size(json_object_get(rows, "rows")));
    } else if (rows) {
        check_fail(c, "tokens_full.json", "CLIP_TOKENIZER", &fault);
    }
    json_decref(rows);
}

void check_random(check *c)
{
    static const char file[] = "torch_randn.safetensors";
    imu_safetensors *st = check_open(c, file);
    for (size_t i = 0; st && i < st->count; i++) {
        const char *key = st->entries[i].name;
        uint32_t seed = 0;
        char kind[64] = "";
        if (sscanf(key, "seed%u/%63s", &seed, kind) != 2)
            continue;
        check_tensor golden = check_read(c, st, "%s", key);
        size_t draw = golden.count, draws = 1;
        bool head = strstr(kind, "head16_of_") != NULL;
        if (head)
            draw = 4 * 64 * 64;
        if (!strncmp(kind, "successive3", 11)) {
            draws = 3;
            draw /= 3;
        }
        if (!strncmp(kind, "flipped", 7))
            seed ^= 0xFFFFFFFFu;
        imu_rng rng;
        imu_rng_seed(&rng, seed);
        float *mine = calloc(draw * draws, sizeof *mine);
        for (size_t k = 0; mine && k < draws; k++)
            imu_rng_normal(&rng, mine + k * draw, draw);
        if (mine)
            check_compare(c, file, key, mine, &golden, 2e-6, false);
        free(mine);
        check_release(&golden);
    }
    imu_st_close(st);
}

typedef struct text_case {
    const char *key;
    imu_text_request request;
} text_case;

static void check_encoder(check *c, const char *file, const char *model, const char *part)
{
    char path[4096];
    imu_safetensors *st = check_open(c, file);
    imu_text_encoder *e = NULL;
    imu_fault fault = {0};
    if (!st)
        return;
    if (imu_text_encoder_open(c->backend,
                              &(imu_net_place){.folder = check_model_path(c, model, part, path)},
                              &e, &fault)) {
        check_fail(c, file, part, &fault);
        imu_st_close(st);
        return;
    }
    check_tensor ids = check_read(c, st, "ids");
    int length = imu_text_encoder_length(e), width = imu_text_encoder_width(e),
        rows = (int)ids.count / length;
    int *list = calloc(ids.count + 1, sizeof *list);
    size_t size = (size_t)rows * (size_t)length * (size_t)width;
    float *hidden = calloc(size, sizeof *hidden),
          *pooled = calloc((size_t)rows, (size_t)width * sizeof *pooled);
    float *projected =
        calloc((size_t)rows * (size_t)imu_text_encoder_projection(e) + 1, sizeof *projected);
    for (size_t i = 0; i < ids.count; i++)
        list[i] = (int)ids.value[i];
    const text_case cases[] = {
        {"embeddings", {.ids = list, .count = rows, .hidden = hidden, .embeddings_only = true}},
        {"penultimate", {.ids = list, .count = rows, .hidden = hidden, .skip = 1}},
        {"penultimate_normed",
         {.ids = list, .count = rows, .hidden = hidden, .skip = 1, .final_norm = true}},
        {"last",
         {.ids = list,
          .count = rows,
          .hidden = hidden,
          .final_norm = true,
          .pooled = pooled,
          .projected = projected}},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        check_tensor golden = check_read(c, st, "%s", cases[i].key);
        if (imu_text_encode(e, &cases[i].request, &fault))
            check_fail(c, file, cases[i].key, &fault);
        else
            check_compare(c, file, cases[i].key, hidden, &golden, 1e-5, true);
        check_release(&golden);
    }
    check_tensor golden = check_read(c, st, "pooled");
    check_compare(c, file, "pooled", pooled, &golden, 1e-5, true);
    check_release(&golden);
    golden = check_read(c, st, "text_embeds");
    if (golden.value)
        check_compare(c, file, "text_embeds", projected, &golden, 1e-5, true);
    check_release(&golden);
    free(list);
    free(hidden);
    free(pooled);
    free(projected);
    check_release(&ids);
    imu_text_encoder_close(e);
    imu_st_close(st);
}

void check_text(check *c, const char *name)
{
    static const struct {
        const char *file, *part;
    } parts[] = {{"text", "text_encoder"}, {"text1", "text_encoder"}, {"text2", "text_encoder_2"}};
    for (size_t i = 0; i < sizeof parts / sizeof *parts; i++) {
        char file[96];
        snprintf(file, sizeof file, "%s/%s.safetensors", name, parts[i].file);
        check_encoder(c, file, name, parts[i].part);
    }
}

void check_weighted_prompts(check *c, const char *name)
{
    char file[96], path[4096];
    snprintf(file, sizeof file, "%s/compel.json", name);
    json_t *list = check_json(c, file);
    snprintf(file, sizeof file, "%s/compel.safetensors", name);
    imu_safetensors *st = check_open(c, file);
    imu_model *model = NULL;
    imu_fault fault = {0};
    if (st && list &&
        imu_model_open(c->engine, check_model_path(c, name, "", path), &model, &fault))
        check_fail(c, file, "open", &fault);
    size_t i;
    json_t *prompt;
    json_array_foreach (json_object_get(list, "prompts"), i, prompt) {
        char where[32];
        imu_conditioning *mine = NULL;
        snprintf(where, sizeof where, "te1_last/%zu", i);
        if (!model)
            break;
        if (imu_model_encode_prompt(model, &(imu_prompt_args){.prompt = json_string_value(prompt)},
                                    &mine, &fault)) {
            check_fail(c, file, where, &fault);
            continue;
        }
        check_tensor golden = check_read(c, st, "%s", where);
        if (golden.count == (size_t)imu_array_count(mine->embeds))
            check_compare(c, file, where, mine->embeds->data, &golden, 1e-4, true);
        else
            check_note(c, file, where, 1, 0);
        check_release(&golden);
        imu_conditioning_free(mine);
    }
    for (size_t k = 0; st && k < st->count;
         k++) /* only XL conditions on it, and no XL model has a golden file */
        if (!strncmp(st->entries[k].name, "te1_penultimate/", 16))
            check_skip(c, file, 1);
    imu_model_close(model);
    imu_st_close(st);
    json_decref(list);
}
