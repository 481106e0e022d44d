#include "worker/diffusion/tokenizer.h"

#include "worker/diffusion/int_map.h"
#include "worker/diffusion/json_file.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unictype.h>
#include <unicase.h>
#include <uninorm.h>
#include <unistr.h>

#define MAX_FILE   ((size_t)16 << 20)
#define MAX_VOCAB  200000
#define MAX_PROMPT ((size_t)16 << 10)
#define BOS_TEXT   "<|startoftext|>"
#define EOS_TEXT   "<|endoftext|>"

struct imu_tokenizer {
    json_t *vocab; /* owns the strings that `by_text` points to */
    imu_int_map by_text;
    imu_int_map ranks;    /* pair of ids -> rank of their merge */
    int *merged;          /* rank -> id */
    const char **texts;   /* by id */
    int byte_id[256];     /* id of a byte inside a word */
    int byte_end_id[256]; /* id of a byte at a word's end */
    int bos, eos, pad;
};

static uint64_t pair_key(int a, int b)
{
    return (uint64_t)(uint32_t)a << 32 | (uint32_t)b;
}

static imu_engine_status read_vocab(imu_tokenizer *t, const char *folder, imu_fault *fault)
{
    imu_engine_status s = imu_json_read(folder, "vocab.json", MAX_FILE, &t->vocab, fault);
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
        uint8_t text[16];
        int n = u8_uctomb(text, c, 8);
        if (n < 1)
            return imu_fail(fault, IMU_ENGINE_INTERNAL, "Can't encode U+%04X.", (unsigned)c);
        text[n] = 0;
        t->byte_id[b] = imu_int_map_get_text(&t->by_text, (char *)text);
        memcpy(text + n, "</w>", 5);
        t->byte_end_id[b] = imu_int_map_get_text(&t->by_text, (char *)text);
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
    if (imu_int_map_put(&t->ranks, pair_key(a, b), rank))
        return imu_fail_memory(fault);
    return IMU_ENGINE_OK;
}

static imu_engine_status read_merges(imu_tokenizer *t, const char *folder, imu_fault *fault)
{
    char *text;
    size_t size, lines = 1;
    imu_engine_status s = imu_file_read(folder, "merges.txt", MAX_FILE, &text, &size, fault);
    if (s)
        return s;
    for (size_t i = 0; i < size; i++)
        lines += text[i] == '\n' || text[i] == '\r';
    t->merged = lines > MAX_VOCAB ? NULL : calloc(lines, sizeof *t->merged);
    if (!t->merged || imu_int_map_init(&t->ranks, lines))
        s = imu_fail_memory(fault);
    int rank = 0;
    bool first = true;
    char *save = NULL;
    for (char *line = strtok_r(text, "\r\n", &save); line && !s;
         line = strtok_r(NULL, "\r\n", &save)) {
        if (first && !strncmp(line, "#version", 8)) {
            first = false;
            continue;
        }
        first = false;
        s = add_merge(t, line, rank++, fault);
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

static imu_engine_status read_special(imu_tokenizer *t, const char *folder, imu_fault *fault)
{
    json_t *config = NULL;
    if (imu_json_read(folder, "tokenizer_config.json", MAX_FILE, &config, NULL) &&
        imu_json_read(folder, "special_tokens_map.json", MAX_FILE, &config, NULL))
        config = NULL;
    t->bos = special_id(t, config, "bos_token", BOS_TEXT);
    t->eos = special_id(t, config, "eos_token", EOS_TEXT);
    t->pad = special_id(t, config, "pad_token", EOS_TEXT);
    json_decref(config);
    if (t->bos < 0 || t->eos < 0 || t->pad < 0)
        return imu_fail(fault, IMU_ENGINE_BAD_MODEL,
                        "The tokenizer lacks a start, end or padding token.");
    return IMU_ENGINE_OK;
}

imu_engine_status imu_tokenizer_open(const char *folder, imu_tokenizer **out, imu_fault *fault)
{
    imu_tokenizer *t = calloc(1, sizeof *t);
    if (!t)
        return imu_fail_memory(fault);
    imu_engine_status s = read_vocab(t, folder, fault);
    if (!s)
        s = map_bytes(t, fault);
    if (!s)
        s = read_merges(t, folder, fault);
    if (!s)
        s = read_special(t, folder, fault);
    if (s) {
        imu_tokenizer_close(t);
        return s;
    }
    *out = t;
    return IMU_ENGINE_OK;
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

/* UTF-8 to code points, with U+FFFD for what is broken, in normal form C. NULL without memory. */
static ucs4_t *decode_nfc(const char *text, size_t *count)
{
    size_t size = strlen(text), n = 0;
    ucs4_t *raw = malloc((size + 1) * sizeof *raw);
    if (!raw)
        return NULL;
    for (const uint8_t *p = (const uint8_t *)text, *end = p + size; p < end;)
        p += u8_mbtouc(&raw[n++], p, (size_t)(end - p));
    ucs4_t *out = u32_normalize(UNINORM_NFC, raw, n, NULL, count);
    free(raw);
    return out;
}

/* Lower case, runs of white space to one blank; grows by the one letter (I with dot) that becomes
 * two. */
static ucs4_t *fold(const ucs4_t *in, size_t n, size_t *count)
{
    ucs4_t *out = malloc((2 * n + 1) * sizeof *out);
    size_t m = 0;
    for (size_t i = 0; out && i < n; i++) {
        if (uc_is_property_white_space(in[i])) {
            if (m == 0 || out[m - 1] != ' ')
                out[m++] = ' ';
        } else if (in[i] == 0x130) {
            out[m++] = 'i';
            out[m++] = 0x307;
        } else {
            out[m++] = uc_tolower(in[i]);
        }
    }
    *count = m;
    return out;
}

typedef enum { SPACE, LETTER, DIGIT, OTHER } char_kind;

static char_kind kind_of(ucs4_t c)
{
    if (uc_is_property_white_space(c))
        return SPACE;
    if (uc_is_general_category_withtable(c, UC_CATEGORY_MASK_L))
        return LETTER;
    return uc_is_general_category_withtable(c, UC_CATEGORY_MASK_N) ? DIGIT : OTHER;
}

static bool starts_with(const ucs4_t *p, size_t n, const char *text)
{
    size_t len = strlen(text);
    for (size_t i = 0; i < len; i++)
        if (i >= n || p[i] != (ucs4_t)text[i])
            return false;
    return true;
}

/* How many code points the next word takes: a contraction, letters, one digit, or a run of the
 * rest. */
static size_t word_length(const ucs4_t *p, size_t n)
{
    static const char *const contractions[] = {"'s", "'t", "'re", "'ve", "'m", "'ll", "'d"};
    for (size_t i = 0; i < sizeof contractions / sizeof *contractions; i++)
        if (starts_with(p, n, contractions[i]))
            return strlen(contractions[i]);
    char_kind kind = kind_of(p[0]);
    size_t len = 1;
    if (kind == LETTER || kind == OTHER)
        while (len < n && kind_of(p[len]) == kind)
            len++;
    return len;
}

/* Joins, again and again, the pairs of lowest rank in ids[n]. Returns the new length. */
static size_t apply_merges(const imu_tokenizer *t, int *ids, size_t n)
{
    while (n > 1) {
        int best = -1;
        for (size_t i = 0; i + 1 < n; i++) {
            int rank = imu_int_map_get(&t->ranks, pair_key(ids[i], ids[i + 1]));
            if (rank >= 0 && (best < 0 || rank < best))
                best = rank;
        }
        if (best < 0)
            break;
        size_t m = 0;
        for (size_t i = 0; i < n; i++) {
            if (i + 1 < n && imu_int_map_get(&t->ranks, pair_key(ids[i], ids[i + 1])) == best) {
                ids[m++] = t->merged[best];
                i++;
            } else {
                ids[m++] = ids[i];
            }
        }
        n = m;
    }
    return n;
}

/* Byte symbols of one word, joined by the merges, appended at ids. Returns how many. */
static size_t encode_word(const imu_tokenizer *t, const ucs4_t *word, size_t n, int *ids)
{
    size_t count = 0;
    uint8_t last = 0;
    for (size_t i = 0; i < n; i++) {
        uint8_t bytes[8];
        /* NOLINTNEXTLINE(clang-analyzer-core.CallAndMessage): no word is longer than the text */
        int len = u8_uctomb(bytes, word[i], sizeof bytes);
        for (int k = 0; k < len; k++)
            ids[count++] = t->byte_id[last = bytes[k]];
    }
    if (!count)
        return 0;
    ids[count - 1] = t->byte_end_id[last];
    return apply_merges(t, ids, count);
}

static void encode_points(const imu_tokenizer *t, const ucs4_t *p, size_t n, int *ids,
                          size_t *count)
{
    for (size_t i = 0; i < n;) {
        if (kind_of(p[i]) == SPACE) {
            i++;
        } else if (starts_with(p + i, n - i, BOS_TEXT)) {
            ids[(*count)++] = t->bos;
            i += strlen(BOS_TEXT);
        } else if (starts_with(p + i, n - i, EOS_TEXT)) {
            ids[(*count)++] = t->eos;
            i += strlen(EOS_TEXT);
        } else {
            size_t len = word_length(p + i, n - i);
            *count += encode_word(t, p + i, len, ids + *count);
            i += len;
        }
    }
}

imu_engine_status imu_tokenize(const imu_tokenizer *t, const char *text, int **ids, size_t *count,
                               imu_fault *fault)
{
    if (strnlen(text, MAX_PROMPT + 1) > MAX_PROMPT)
        return imu_fail(fault, IMU_ENGINE_BAD_INPUT, "The prompt is longer than %zu bytes.",
                        MAX_PROMPT);
    size_t normal_count = 0, folded_count = 0;
    ucs4_t *normal = decode_nfc(text, &normal_count);
    ucs4_t *folded = normal ? fold(normal, normal_count, &folded_count) : NULL;
    int *list = folded ? malloc((4 * folded_count + 1) * sizeof *list) : NULL;
    if (list) {
        *count = 0;
        encode_points(t, folded, folded_count, list, count);
        *ids = list;
    }
    free(folded);
    free(normal);
    return list ? IMU_ENGINE_OK : imu_fail_memory(fault);
}
