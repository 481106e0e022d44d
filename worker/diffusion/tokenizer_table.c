#include "worker/diffusion/tokenizer_table.h"

#include "worker/diffusion/json_file.h"
#include "worker/diffusion/tokenizer_files.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define MAX_SPECIAL ((size_t)1 << 20)
#define MAX_VOCAB   200000

static imu_engine_status read_vocab(imu_tokenizer *t, const imu_tokenizer_files *files,
                                    imu_fault *fault)
{
    imu_engine_status s =
        imu_json_parse(files->vocab, files->vocab_size, IMU_TOKENIZER_VOCAB, &t->vocab, fault);
    if (s)
        return s;
    size_t n = json_object_size(t->vocab);
    if (n > MAX_VOCAB)
        return imu_fail(fault, IMU_ENGINE_BAD_MODEL, "The tokenizer's vocabulary is too large.");
    if (imu_int_map_init(&t->by_text, n))
        return imu_fail_memory(fault);
    t->texts = calloc(MAX_VOCAB + 1, sizeof *t->texts);
    if (!t->texts)
        return imu_fail_memory(fault);
    const char *text;
    json_t *id;
    json_object_foreach (t->vocab, text, id) {
        if (!json_is_integer(id) || json_integer_value(id) < 0 ||
            json_integer_value(id) > MAX_VOCAB)
            return imu_fail(fault, IMU_ENGINE_BAD_MODEL, "vocab.json: %.60s has no proper id.",
                            text);
        if (t->texts[json_integer_value(id)])
            return imu_fail(fault, IMU_ENGINE_BAD_MODEL,
                            "vocab.json: %.60s has the id of another word.", text);
        if (imu_int_map_put_text(&t->by_text, text, (int)json_integer_value(id)))
            return imu_fail_memory(fault);
        t->texts[json_integer_value(id)] = text;
    }
    return IMU_ENGINE_OK;
}

/* CLIP's byte alphabet: printable bytes stand for themselves, the others for U+0100 and on, in
 * order. */
static imu_engine_status map_bytes(imu_tokenizer *t, imu_fault *fault)
{
    uint32_t next = 256;
    for (int b = 0; b < 256; b++) {
        bool plain = (b >= '!' && b <= '~') || (b >= 0xA1 && b <= 0xAC) || b >= 0xAE;
        uint32_t c = plain ? (uint32_t)b : next++;
        char text[16];
        int n = c < 0x80 ? snprintf(text, sizeof text, "%c", (int)c)
                         : snprintf(text, sizeof text, "%c%c", (int)(0xC0 | c >> 6),
                                    (int)(0x80 | (c & 0x3F)));
        t->byte_id[b] = imu_int_map_get_text(&t->by_text, text);
        memcpy(text + n, "</w>", 5);
        t->byte_end_id[b] = imu_int_map_get_text(&t->by_text, text);
        if (t->byte_id[b] < 0 || t->byte_end_id[b] < 0)
            return imu_fail(fault, IMU_ENGINE_BAD_MODEL, "vocab.json lacks the symbol of byte %d.",
                            b);
    }
    return IMU_ENGINE_OK;
}

static imu_engine_status add_merge(imu_tokenizer *t, char *line, int rank, imu_fault *fault)
{
    char joined[512];
    char *space = strchr(line, ' ');
    if (!space)
        return imu_fail(fault, IMU_ENGINE_BAD_MODEL, "merges.txt: line %d has no pair.", rank + 2);
    *space = 0;
    int n = snprintf(joined, sizeof joined, "%s%s", line, space + 1);
    if (n < 0 || (size_t)n >= sizeof joined)
        return imu_fail(fault, IMU_ENGINE_BAD_MODEL, "merges.txt: line %d is too long.", rank + 2);
    int a = imu_int_map_get_text(&t->by_text, line),
        b = imu_int_map_get_text(&t->by_text, space + 1);
    int m = imu_int_map_get_text(&t->by_text, joined);
    if (a < 0 || b < 0 || m < 0)
        return imu_fail(fault, IMU_ENGINE_BAD_MODEL,
                        "merges.txt: line %d is not in the vocabulary.", rank + 2);
    t->merged[rank] = m;
    if (imu_int_map_put(&t->ranks, imu_pair_key(a, b), rank))
        return imu_fail_memory(fault);
    return IMU_ENGINE_OK;
}

static imu_engine_status read_merges(imu_tokenizer *t, const imu_tokenizer_files *files,
                                     imu_fault *fault)
{
    size_t lines = 1;
    for (size_t i = 0; i < files->merges_size; i++)
        lines += files->merges[i] == '\n' || files->merges[i] == '\r';
    char *text = strdup(files->merges); /* is cut into lines */
    t->merged = lines > MAX_VOCAB ? NULL : calloc(lines, sizeof *t->merged);
    imu_engine_status s = text && t->merged && !imu_int_map_init(&t->ranks, lines)
                              ? IMU_ENGINE_OK
                              : imu_fail_memory(fault);
    int rank = 0;
    bool first = true;
    char *save = NULL;
    for (char *line = s ? NULL : strtok_r(text, "\r\n", &save); line && !s;
         line = strtok_r(NULL, "\r\n", &save)) {
        if (!first || strncmp(line, "#version", 8))
            s = add_merge(t, line, rank++, fault);
        first = false;
    }
    free(text);
    return s;
}

/* A special token of tokenizer_config.json is a string, or an object with `content`. */
static int special_id(const imu_tokenizer *t, const json_t *config, const char *key,
                      const char *fallback)
{
    const json_t *v = json_object_get(config, key);
    const char *text =
        json_is_object(v) ? imu_json_string(v, "content", NULL) : json_string_value(v);
    return imu_int_map_get_text(&t->by_text, text ? text : fallback);
}

/* `folder` may be NULL: the special tokens have CLIP's names then. */
static imu_engine_status read_special(imu_tokenizer *t, const char *folder, imu_fault *fault)
{
    json_t *config = NULL;
    if (folder && imu_json_read(folder, "tokenizer_config.json", MAX_SPECIAL, &config, NULL) &&
        imu_json_read(folder, "special_tokens_map.json", MAX_SPECIAL, &config, NULL))
        config = NULL;
    t->bos = special_id(t, config, "bos_token", IMU_BOS_TEXT);
    t->eos = special_id(t, config, "eos_token", IMU_EOS_TEXT);
    t->pad = special_id(t, config, "pad_token", IMU_EOS_TEXT);
    json_decref(config);
    if (t->bos < 0 || t->eos < 0 || t->pad < 0)
        return imu_fail(fault, IMU_ENGINE_BAD_MODEL,
                        "The tokenizer lacks a start, end or padding token.");
    return IMU_ENGINE_OK;
}

static imu_engine_status open_files(const imu_tokenizer_files *files, const char *folder,
                                    imu_tokenizer **out, imu_fault *fault)
{
    imu_tokenizer *t = calloc(1, sizeof *t);
    if (!t)
        return imu_fail_memory(fault);
    imu_engine_status s = read_vocab(t, files, fault);
    if (!s)
        s = map_bytes(t, fault);
    if (!s)
        s = read_merges(t, files, fault);
    if (!s)
        s = read_special(t, folder, fault);
    if (s) {
        imu_tokenizer_close(t);
        return s;
    }
    *out = t;
    return IMU_ENGINE_OK;
}

imu_engine_status imu_tokenizer_open(const char *folder, const char *hash, imu_tokenizer **out,
                                     imu_fault *fault)
{
    imu_tokenizer_files files;
    imu_engine_status s = imu_tokenizer_files_read(folder, &files, fault);
    if (s)
        return s;
    /* What was hashed is what is read: nobody can change it in between. */
    if (hash && strcmp(files.hash, hash))
        s = imu_fail(fault, IMU_ENGINE_BAD_MODEL, "The tokenizer in %.200s was changed.", folder);
    if (!s)
        s = open_files(&files, hash ? NULL : folder, out, fault);
    imu_tokenizer_files_free(&files);
    return s;
}

imu_engine_status imu_tokenizer_files_check(const imu_tokenizer_files *files, imu_fault *fault)
{
    imu_tokenizer *t;
    imu_engine_status s = open_files(files, NULL, &t, fault);
    if (!s)
        imu_tokenizer_close(t);
    return s;
}

void imu_tokenizer_close(imu_tokenizer *t)
{
    if (!t)
        return;
    imu_int_map_free(&t->by_text);
    imu_int_map_free(&t->ranks);
    free(t->merged);
    free(t->texts);
    json_decref(t->vocab);
    free(t);
}

int imu_tokenizer_bos(const imu_tokenizer *t)
{
    return t->bos;
}

int imu_tokenizer_eos(const imu_tokenizer *t)
{
    return t->eos;
}

int imu_tokenizer_pad(const imu_tokenizer *t)
{
    return t->pad;
}

const char *imu_tokenizer_text(const imu_tokenizer *t, int id)
{
    return id >= 0 && id <= MAX_VOCAB && t->texts[id] ? t->texts[id] : "";
}
