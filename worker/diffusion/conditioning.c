/* Prompts to conditioning: chunks of tokens, their embeddings, and what weights do to them. */
#include "worker/diffusion/model.h"
#include "worker/diffusion/prompt.h"
#include "worker/diffusion/words.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

enum { MAX_CHUNKS = 64 };
#define SMALLEST_WEIGHT 1e-5

typedef struct stop_question {
    int (*cancelled)(void *user); /* may be NULL */
    void *user;
} stop_question;

/* One text encoder at work on one prompt. */
typedef struct encoding {
    stop_question stop;
    const imu_tokenizer *tokenizer;
    imu_words words;
    imu_text_encoder *encoder;
    int length, width, skip, pad;
    bool final_norm;
    float *empty; /* [length][width]: what the empty prompt gives */
} encoding;

/* A phrase as tokens in chunks of start, text, end, padding. */
typedef struct token_list {
    int *ids, *chunk_ids; /* the text's; [chunks][length] */
    double *weights;      /* of ids */
    int *place;           /* position in chunk_ids of each of ids */
    size_t count;
    int chunks;
} token_list;

static void token_list_free(token_list *t)
{
    free(t->ids);
    free(t->chunk_ids);
    free(t->weights);
    free(t->place);
}

static imu_engine_status append_fragment(const encoding *e, token_list *t, const imu_fragment *f,
                                         imu_fault *fault)
{
    int *ids;
    size_t n;
    imu_engine_status s = imu_words_tokenize(&e->words, f->text, &ids, &n, fault);
    if (s)
        return s;
    int *all = realloc(t->ids, (t->count + n + 1) * sizeof *all);
    if (all)
        t->ids = all;
    double *weights = realloc(t->weights, (t->count + n + 1) * sizeof *weights);
    if (weights)
        t->weights = weights;
    if (all && weights) {
        memcpy(all + t->count, ids, n * sizeof *ids);
        for (size_t i = 0; i < n; i++)
            weights[t->count + i] = f->weight;
        t->count += n;
    }
    free(ids);
    return all && weights ? IMU_ENGINE_OK : imu_fail_memory(fault);
}

/* How many of ids[n] go into one chunk: up to the last full stop, else the last other stop, else
 * the last end of a word. */
static size_t split_point(const encoding *e, const int *ids, size_t n)
{
    static const char *const stops[] = {".</w>", ",</w>", ";</w>", ":</w>"};
    size_t room = (size_t)e->length - 2;
    if (n <= room)
        return n;
    for (int pass = 0; pass < 3; pass++)
        for (size_t i = room; i-- > 0;) {
            const char *text = imu_tokenizer_text(e->tokenizer, ids[i]);
            size_t len = strlen(text);
            bool found = pass == 2 && len >= 4 && !strcmp(text + len - 4, "</w>");
            for (size_t k = 0; pass < 2 && k < (pass ? 4u : 1u); k++)
                found |= !strcmp(text, stops[k]);
            if (found)
                return i + 1;
        }
    return room;
}

static imu_engine_status make_chunks(const encoding *e, token_list *t, imu_fault *fault)
{
    size_t length = (size_t)e->length;
    t->chunk_ids = malloc(MAX_CHUNKS * length * sizeof *t->chunk_ids);
    t->place = malloc((t->count + 1) * sizeof *t->place);
    if (!t->chunk_ids || !t->place)
        return imu_fail_memory(fault);
    size_t done = 0;
    do {
        if (t->chunks == MAX_CHUNKS)
            return imu_fail(fault, IMU_ENGINE_BAD_INPUT, "The prompt is too long.");
        size_t n = split_point(e, t->ids + done, t->count - done),
               base = (size_t)t->chunks++ * length;
        int *row = t->chunk_ids + base;
        row[0] = imu_tokenizer_bos(e->tokenizer);
        for (size_t i = 0; i < n; i++) {
            row[i + 1] = t->ids[done + i];
            t->place[done + i] = (int)(base + i + 1);
        }
        row[n + 1] = imu_tokenizer_eos(e->tokenizer);
        for (size_t i = n + 2; i < length; i++)
            row[i] = e->pad;
        done += n;
    } while (done < t->count);
    return IMU_ENGINE_OK;
}

static imu_engine_status tokenize_phrase(const encoding *e, const imu_phrase *ph, token_list *t,
                                         imu_fault *fault)
{
    imu_engine_status s = IMU_ENGINE_OK;
    memset(t, 0, sizeof *t);
    t->ids = calloc(1, sizeof *t->ids);
    if (!t->ids)
        return imu_fail_memory(fault);
    for (size_t i = 0; i < ph->count && !s; i++)
        s = append_fragment(e, t, &ph->fragments[i], fault);
    return s ? s : make_chunks(e, t, fault);
}

static imu_engine_status run_encoder(const encoding *e, const int *ids, int chunks,
                                     const float *key_bias, float *out, imu_fault *fault)
{
    imu_text_request r = {.ids = ids,
                          .learned = e->words.table,
                          .count = chunks,
                          .skip = e->skip,
                          .final_norm = e->final_norm,
                          .key_bias = key_bias,
                          .hidden = out,
                          .cancelled = e->stop.cancelled,
                          .user = e->stop.user};
    return imu_text_encode(e->encoder, &r, fault);
}

/* Moves the embedding of each weighted token away from, or towards, that of the empty prompt. */
static void apply_weights(const encoding *e, const token_list *t, float *z)
{
    size_t width = (size_t)e->width;
    for (size_t i = 0; i < t->count; i++) {
        if (t->weights[i] == 1)
            continue;
        size_t place = (size_t)t->place[i];
        float *row = z + place * width;
        const float *empty = e->empty + place % (size_t)e->length * width;
        for (size_t k = 0; k < width; k++)
            row[k] =
                (float)((double)empty[k] + ((double)row[k] - (double)empty[k]) * t->weights[i]);
    }
}

/* Hides the tokens of one fragment, ids[first .. last], from all others; the ends of chunks stay
 * visible. */
static void hide(const encoding *e, const token_list *t, size_t first, size_t last, float *bias)
{
    for (int i = 0; i < t->chunks * e->length; i++) {
        int within = i % e->length;
        bool hidden =
            i >= t->place[first] && i <= t->place[last] && within != 0 && within != e->length - 1;
        bias[i] = hidden ? -INFINITY : 0;
    }
}

/* A fragment with a weight below 1 is mixed with what the phrase says without it. */
static imu_engine_status mix_without(const encoding *e, const token_list *t, const imu_phrase *ph,
                                     float *z, imu_fault *fault)
{
    size_t values = (size_t)t->chunks * (size_t)e->length * (size_t)e->width, start = 0;
    float *other = malloc(values * sizeof *other),
          *bias = malloc((size_t)(t->chunks * e->length) * sizeof *bias);
    double *sum = malloc(values * sizeof *sum), total = 1;
    imu_engine_status s = other && bias && sum ? IMU_ENGINE_OK : imu_fail_memory(fault);
    for (size_t i = 0; i < values && !s; i++)
        sum[i] = (double)z[i];
    for (size_t f = 0; f < ph->count && !s; f++) {
        int *ids;
        size_t n;
        s = imu_words_tokenize(&e->words, ph->fragments[f].text, &ids, &n, fault);
        if (s)
            break;
        free(ids);
        if (n && ph->fragments[f].weight < 1) {
            double share = tan((1 - fmax(ph->fragments[f].weight, SMALLEST_WEIGHT)) * M_PI / 2);
            hide(e, t, start, start + n - 1, bias);
            s = run_encoder(e, t->chunk_ids, t->chunks, bias, other, fault);
            if (!s)
                apply_weights(e, t, other);
            for (size_t i = 0; i < values && !s; i++)
                sum[i] += share * (double)other[i];
            total += share;
        }
        start += n;
    }
    for (size_t i = 0; i < values && !s; i++)
        z[i] = (float)(sum[i] / total);
    free(other);
    free(bias);
    free(sum);
    return s;
}

/* The embedding of one phrase, [1, chunks * length, width]. */
static imu_engine_status encode_phrase(const encoding *e, const imu_phrase *ph, imu_array **out,
                                       imu_fault *fault)
{
    token_list t;
    imu_array *z = NULL;
    bool lowered = false;
    for (size_t i = 0; i < ph->count; i++)
        lowered |= ph->fragments[i].weight < 1;
    imu_engine_status s = tokenize_phrase(e, ph, &t, fault);
    if (!s) {
        z = imu_array_new(3, (int64_t[]){1, (int64_t)t.chunks * e->length, e->width});
        s = z ? run_encoder(e, t.chunk_ids, t.chunks, NULL, z->data, fault)
              : imu_fail_memory(fault);
    }
    if (!s)
        apply_weights(e, &t, z->data);
    if (!s && lowered)
        s = mix_without(e, &t, ph, z->data, fault);
    token_list_free(&t);
    if (s)
        imu_array_free(z);
    else
        *out = z;
    return s;
}

/* sum += weight * z, where missing chunks of z are the empty prompt's. */
static void accumulate(const encoding *e, const imu_array *z, double weight, imu_array *sum)
{
    int64_t have = imu_array_count(z), all = imu_array_count(sum),
            chunk = (int64_t)e->length * e->width;
    for (int64_t i = 0; i < all; i++) {
        double v = (double)(i < have ? z->data[i] : e->empty[i % chunk]);
        sum->data[i] = (float)((double)sum->data[i] + weight * v);
    }
}

static imu_engine_status blend(const encoding *e, const imu_prompt *p, imu_array *const *z,
                               imu_array **out, imu_fault *fault)
{
    int64_t tokens = 0;
    double total = 0;
    for (int i = 0; i < p->count; i++) {
        tokens = z[i]->dim[1] > tokens ? z[i]->dim[1] : tokens;
        total += p->phrase[i].weight;
    }
    if (p->normalise && total == 0)
        return imu_fail(fault, IMU_ENGINE_BAD_INPUT,
                        "The weights of a blend must not add up to zero.");
    imu_array *sum = imu_array_new(3, (int64_t[]){1, tokens, e->width});
    if (!sum)
        return imu_fail_memory(fault);
    for (int i = 0; i < p->count; i++)
        accumulate(e, z[i], p->phrase[i].weight / (p->normalise ? total : 1), sum);
    *out = sum;
    return IMU_ENGINE_OK;
}

static imu_engine_status concatenate(const encoding *e, const imu_prompt *p, imu_array *const *z,
                                     imu_array **out, imu_fault *fault)
{
    int64_t tokens = 0, at = 0, chunk = (int64_t)e->length * e->width;
    for (int i = 0; i < p->count; i++)
        tokens += z[i]->dim[1];
    imu_array *all = imu_array_new(3, (int64_t[]){1, tokens, e->width});
    if (!all)
        return imu_fail_memory(fault);
    for (int i = 0; i < p->count; i++)
        for (int64_t k = 0, n = imu_array_count(z[i]); k < n; k++) {
            double empty = (double)e->empty[k % chunk], v = (double)z[i]->data[k],
                   w = p->phrase[i].weight;
            all->data[at++] = w == 1 ? z[i]->data[k] : (float)(empty + (v - empty) * w);
        }
    *out = all;
    return IMU_ENGINE_OK;
}

static imu_engine_status encode_with(const encoding *e, const imu_prompt *p, imu_array **out,
                                     imu_fault *fault)
{
    imu_array *z[IMU_MAX_PHRASES] = {NULL};
    imu_engine_status s = IMU_ENGINE_OK;
    for (int i = 0; i < p->count && !s; i++)
        s = encode_phrase(e, &p->phrase[i], &z[i], fault);
    if (!s)
        s = p->blend ? blend(e, p, z, out, fault) : concatenate(e, p, z, out, fault);
    for (int i = 0; i < p->count; i++)
        imu_array_free(z[i]);
    return s;
}

/* What fills a chunk of that encoder. */
static int pad_of(const imu_model *m, int which)
{
    return m->pad[which] < 0 ? imu_tokenizer_pad(m->tokenizer[which]) : m->pad[which];
}

static imu_engine_status encoding_open(imu_model *m, int which, const imu_prompt_args *a,
                                       encoding *e, imu_fault *fault)
{
    int clip_skip = a->clip_skip[which];
    *e = (encoding){.stop = {a->cancelled, a->user},
                    .tokenizer = m->tokenizer[which],
                    .encoder = m->encoder[which]};
    e->length = imu_text_encoder_length(e->encoder);
    e->pad = pad_of(m, which);
    e->width = imu_text_encoder_width(e->encoder);
    bool large = imu_model_is_large(m); /* conditions on the last layer but one, not normed */
    e->skip = clip_skip + (large ? 1 : 0);
    e->final_norm = !large;
    if (clip_skip < 0 || e->skip > imu_text_encoder_layers(e->encoder))
        return imu_fail(fault, IMU_ENGINE_BAD_INPUT,
                        "The text encoder has fewer layers than are to be skipped.");
    imu_engine_status s = imu_words_open(m, which, a, &e->words, fault);
    e->empty = malloc((size_t)e->length * (size_t)e->width * sizeof *e->empty);
    int *ids = malloc((size_t)e->length * sizeof *ids);
    if (!s && (!e->empty || !ids))
        s = imu_fail_memory(fault);
    for (int i = 0; i < e->length && !s; i++)
        ids[i] = i == 0   ? imu_tokenizer_bos(e->tokenizer)
                 : i == 1 ? imu_tokenizer_eos(e->tokenizer)
                          : e->pad;
    if (!s)
        s = run_encoder(e, ids, 1, NULL, e->empty, fault);
    free(ids);
    return s;
}

/* Side by side along the last dimension; the shorter one ends in zeros. */
static imu_array *side_by_side(const imu_array *a, const imu_array *b)
{
    /* NOLINTNEXTLINE(clang-analyzer-core.NullDereference): every model has an encoder */
    int64_t rows = a->dim[1] > b->dim[1] ? a->dim[1] : b->dim[1], wa = a->dim[2], wb = b->dim[2];
    imu_array *both = imu_array_new(3, (int64_t[]){1, rows, wa + wb});
    for (int64_t r = 0; both && r < rows; r++) {
        float *to = both->data + r * (wa + wb);
        if (r < a->dim[1])
            memcpy(to, a->data + r * wa, (size_t)wa * sizeof *to);
        if (r < b->dim[1])
            memcpy(to + wa, b->data + r * wb, (size_t)wb * sizeof *to);
    }
    return both;
}

/* XL's pooled text: the projection of the last encoder's view of the whole prompt, cut to one
 * chunk. Layers that are to be skipped are missing here as well, whereas the last but one of the
 * others, which the embeddings are taken from, means nothing here. */
static imu_engine_status encode_pooled(imu_model *m, const imu_prompt_args *a, const char *prompt,
                                       imu_array **out, imu_fault *fault)
{
    imu_words words;
    int which = m->kind.encoders - 1;
    imu_text_encoder *encoder = m->encoder[which];
    const imu_tokenizer *t = m->tokenizer[which];
    int length = imu_text_encoder_length(encoder), *ids = NULL,
        *row = malloc((size_t)length * sizeof *row);
    size_t count = 0, values = (size_t)length * (size_t)imu_text_encoder_width(encoder);
    float *hidden = malloc(values * sizeof *hidden);
    float *pooled = malloc((size_t)imu_text_encoder_width(encoder) * sizeof *pooled);
    imu_array *projected = imu_array_new(2, (int64_t[]){1, imu_text_encoder_projection(encoder)});
    imu_engine_status s = imu_words_open(m, which, a, &words, fault);
    if (!s && !(row && hidden && pooled && projected))
        s = imu_fail_memory(fault);
    if (!s)
        s = imu_words_tokenize(&words, prompt, &ids, &count, fault);
    if (!s) {
        size_t kept = count < (size_t)length - 2 ? count : (size_t)length - 2;
        for (int i = 0; i < length; i++)
            row[i] = i == 0                  ? imu_tokenizer_bos(t)
                     : (size_t)i <= kept     ? ids[i - 1]
                     : (size_t)i == kept + 1 ? imu_tokenizer_eos(t)
                                             : pad_of(m, which);
        imu_text_request r = {.ids = row,
                              .learned = words.table,
                              .count = 1,
                              .skip = a->clip_skip[which],
                              .final_norm = true,
                              .hidden = hidden,
                              .pooled = pooled,
                              .projected = projected->data,
                              .cancelled = a->cancelled,
                              .user = a->user};
        s = imu_text_encode(encoder, &r, fault);
    }
    imu_words_close(&words);
    free(ids);
    free(row);
    free(hidden);
    free(pooled);
    if (s)
        imu_array_free(projected);
    else
        *out = projected;
    return s;
}

/* What one encoder makes of its text. */
static imu_engine_status encode_one(imu_model *m, int which, const imu_prompt_args *a,
                                    const char *text, imu_array **out, imu_fault *fault)
{
    int64_t rows = imu_text_encoder_length(m->encoder[which]),
            width = imu_text_encoder_width(m->encoder[which]);
    if (a->zero_if_empty && !*text) {
        *out = imu_array_new(3, (int64_t[]){1, rows, width});
        return *out ? IMU_ENGINE_OK : imu_fail_memory(fault);
    }
    imu_prompt parsed;
    encoding e;
    imu_engine_status s = imu_prompt_parse(text, &parsed, fault);
    if (s)
        return s;
    s = encoding_open(m, which, a, &e, fault);
    if (!s)
        s = encode_with(&e, &parsed, out, fault);
    imu_words_close(&e.words);
    free(e.empty);
    imu_prompt_free(&parsed);
    return s;
}

static imu_engine_status pool_one(imu_model *m, const imu_prompt_args *a, const char *text,
                                  imu_array **out, imu_fault *fault)
{
    int64_t width = imu_text_encoder_projection(m->encoder[m->kind.encoders - 1]);
    if (width < 1)
        return imu_fail(fault, IMU_ENGINE_BAD_MODEL, "The text encoder has no projection.");
    if (!a->zero_if_empty || *text)
        return encode_pooled(m, a, text, out, fault);
    *out = imu_array_new(2, (int64_t[]){1, width});
    return *out ? IMU_ENGINE_OK : imu_fail_memory(fault);
}

static imu_engine_status encode_all(imu_model *m, const imu_prompt_args *a, imu_conditioning *c,
                                    imu_fault *fault)
{
    imu_array *z[IMU_MAX_ENCODERS] = {NULL};
    imu_engine_status s = IMU_ENGINE_OK;
    const char *text = a->prompt;
    for (int i = 0; i < m->kind.encoders && !s; i++) {
        text = i && a->style ? a->style : a->prompt;
        s = encode_one(m, i, a, text, &z[i], fault);
    }
    if (!s && m->kind.encoders == 1) {
        c->embeds = z[0];
        z[0] = NULL;
    } else if (!s && !(c->embeds = side_by_side(z[0], z[1]))) {
        s = imu_fail_memory(fault);
    }
    imu_array_free(z[0]);
    imu_array_free(z[1]);
    return s || !imu_model_is_large(m) ? s : pool_one(m, a, text, &c->pooled, fault);
}

imu_engine_status imu_model_encode_prompt(imu_model *model, const imu_prompt_args *args,
                                          imu_conditioning **out, imu_fault *fault)
{
    imu_engine_status s = imu_model_need(model, IMU_PART_TEXT, fault);
    if (s)
        return s;
    imu_prompt_args marked = *args;
    char *prompt = imu_words_mark(args, args->prompt),
         *style = args->style ? imu_words_mark(args, args->style) : NULL;
    imu_conditioning *c = calloc(1, sizeof *c);
    marked.prompt = prompt;
    marked.style = style;
    s = c && prompt && (style || !args->style) ? encode_all(model, &marked, c, fault)
                                               : imu_fail_memory(fault);
    free(prompt);
    free(style);
    if (s)
        imu_conditioning_free(c);
    else
        *out = c;
    return s;
}
