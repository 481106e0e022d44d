#include "worker/diffusion/words.h"

#include "worker/diffusion/inversion.h"

#include <stdlib.h>
#include <string.h>

/* The first of the characters that stand for triggers, U+E000: for private use, so that no text
 * means it. In UTF-8, EE 80 80 to EE 80 9F. */
#define MARK "\xee\x80"

struct imu_inversion {
    imu_safetensors *file;
    const imu_st_entry *part[IMU_MAX_ENCODERS]; /* of the family's first and second encoder */
};

imu_engine_status imu_inversion_open(const char *path, imu_inversion **out, imu_fault *fault)
{
    imu_inversion *v = calloc(1, sizeof *v);
    imu_engine_status s = v ? imu_st_open(path, &v->file, fault) : imu_fail_memory(fault);
    if (!s && !imu_inversion_parts(v->file, &v->part[0], &v->part[1]))
        s = imu_fail(fault, IMU_ENGINE_BAD_MODEL, "The file holds no textual inversion.");
    if (s)
        imu_inversion_close(v);
    else
        *out = v;
    return s;
}

void imu_inversion_close(imu_inversion *v)
{
    if (!v)
        return;
    imu_st_close(v->file);
    free(v);
}

/* What an inversion has for a text encoder; NULL for nothing. */
static const imu_st_entry *part_for(const imu_model *m, int which, const imu_inversion *v)
{
    bool large = imu_model_is_large(m);
    return v->part[large && !strcmp(m->kind.encoder[which], "text_encoder_2") ? 1 : 0];
}

/* Adds the vectors of one inversion to the table. */
static imu_engine_status add_vectors(imu_words *w, const imu_inversion *v, const imu_st_entry *e,
                                     int64_t width, imu_fault *fault)
{
    int rows = e ? (int)(e->count / (uint64_t)width) : 0;
    size_t used = (size_t)w->first[w->count] * (size_t)width;
    if (e && e->dim[e->ndim - 1] != width)
        return imu_fail(fault, IMU_ENGINE_BAD_INPUT,
                        "A textual inversion of the prompt was made for another kind of model.");
    float *grown = realloc(w->table, (used + (size_t)rows * (size_t)width + 1) * sizeof *grown);
    if (!grown)
        return imu_fail_memory(fault);
    w->table = grown;
    imu_engine_status s = e ? imu_st_read_f32(v->file, e, grown + used, fault) : IMU_ENGINE_OK;
    w->count++;
    w->first[w->count] = w->first[w->count - 1] + rows;
    return s;
}

imu_engine_status imu_words_open(imu_model *m, int which, const imu_prompt_args *a, imu_words *w,
                                 imu_fault *fault)
{
    imu_engine_status s = IMU_ENGINE_OK;
    *w = (imu_words){.tokenizer = m->tokenizer[which]};
    for (int i = 0; i < a->inversion_count && i < IMU_MAX_INVERSIONS && !s; i++) {
        const imu_inversion *v = a->inversions[i].vectors;
        s = add_vectors(w, v, part_for(m, which, v), imu_text_encoder_width(m->encoder[which]),
                        fault);
    }
    return s;
}

void imu_words_close(imu_words *w)
{
    free(w->table);
    w->table = NULL;
}

/* The trigger that the text begins with: its number, or -1. */
static int trigger_at(const imu_prompt_args *a, const char *text)
{
    for (int i = 0; i < a->inversion_count && i < IMU_MAX_INVERSIONS; i++)
        if (!strncmp(text, a->inversions[i].trigger, strlen(a->inversions[i].trigger)))
            return i;
    return -1;
}

char *imu_words_mark(const imu_prompt_args *a, const char *text)
{
    size_t n = 0;
    char *marked = malloc(3 * strlen(text) + 1); /* a trigger may be one character */
    if (!marked)
        return NULL;
    while (*text) {
        int i = trigger_at(a, text);
        if (i < 0) {
            marked[n++] = *text++;
            continue;
        }
        memcpy(marked + n, MARK, 2);
        marked[n + 2] = (char)(0x80 + i);
        n += 3;
        text += strlen(a->inversions[i].trigger);
    }
    marked[n] = 0;
    return marked;
}

/* The number of the inversion that the character at `text` stands for; -1 for any other. */
static int mark_at(const imu_words *w, const char *text)
{
    if (strncmp(text, MARK, 2) != 0)
        return -1;
    int i = (unsigned char)text[2] - 0x80;
    return i >= 0 && i < w->count ? i : -1;
}

static imu_engine_status append(int **all, size_t *count, const int *ids, size_t n,
                                imu_fault *fault)
{
    int *grown = realloc(*all, (*count + n + 1) * sizeof *grown);
    if (!grown)
        return imu_fail_memory(fault);
    memcpy(grown + *count, ids, n * sizeof *ids);
    *all = grown;
    *count += n;
    return IMU_ENGINE_OK;
}

/* Appends the ids of text[0 .. size). */
static imu_engine_status append_text(const imu_words *w, const char *text, size_t size, int **all,
                                     size_t *count, imu_fault *fault)
{
    int *ids = NULL;
    size_t n = 0;
    char *piece = strndup(text, size);
    imu_engine_status s =
        piece ? imu_tokenize(w->tokenizer, piece, &ids, &n, fault) : imu_fail_memory(fault);
    if (!s)
        s = append(all, count, ids, n, fault);
    free(ids);
    free(piece);
    return s;
}

imu_engine_status imu_words_tokenize(const imu_words *w, const char *text, int **ids, size_t *count,
                                     imu_fault *fault)
{
    int *all = calloc(1, sizeof *all);
    size_t n = 0;
    imu_engine_status s = all ? IMU_ENGINE_OK : imu_fail_memory(fault);
    while (*text && !s) {
        size_t size = 0;
        while (text[size] && mark_at(w, text + size) < 0)
            size++;
        if (size)
            s = append_text(w, text, size, &all, &n, fault);
        text += size;
        if (!*text || s)
            continue;
        int i = mark_at(w, text);
        for (int row = w->first[i]; row < w->first[i + 1] && !s; row++)
            s = append(&all, &n, (int[]){IMU_LEARNED_ID + row}, 1, fault);
        text += 3;
    }
    if (s) {
        free(all);
        return s;
    }
    *ids = all;
    *count = n;
    return s;
}
