#include "worker/diffusion/tokenizer.h"

#include "worker/diffusion/tokenizer_table.h"

#include <stdlib.h>
#include <string.h>
#include <unictype.h>
#include <unicase.h>
#include <uninorm.h>
#include <unistr.h>

#define MAX_PROMPT ((size_t)16 << 10)

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
            int rank = imu_int_map_get(&t->ranks, imu_pair_key(ids[i], ids[i + 1]));
            if (rank >= 0 && (best < 0 || rank < best))
                best = rank;
        }
        if (best < 0)
            break;
        size_t m = 0;
        for (size_t i = 0; i < n; i++) {
            if (i + 1 < n && imu_int_map_get(&t->ranks, imu_pair_key(ids[i], ids[i + 1])) == best) {
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
        } else if (starts_with(p + i, n - i, IMU_BOS_TEXT)) {
            ids[(*count)++] = t->bos;
            i += strlen(IMU_BOS_TEXT);
        } else if (starts_with(p + i, n - i, IMU_EOS_TEXT)) {
            ids[(*count)++] = t->eos;
            i += strlen(IMU_EOS_TEXT);
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
