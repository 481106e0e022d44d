#include "mod_invokemu/util/dynamic_prompt.h"

#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include <apr_strings.h>
#include <apr_tables.h>

#define MAX_PARTS     2000
#define MAX_DEPTH     32
#define MAX_OPTIONS   500
#define MAX_OUT_BYTES (4u * 1024 * 1024)
#define MAX_LOOKS     50000000 /* at options, for all prompts together: some tenths of a second */

typedef struct choice choice;

/* A text, or a choice; what follows it in the same option is next. */
typedef struct part {
    struct part *next;
    const char *text;
    choice *choice;
} part;

typedef struct option {
    part *first;
    const char *source; /* as it was written, to know repetitions */
    double weight;
} option;

struct choice {
    int min, max, n;
    const char *joint;
    option *options;
};

typedef struct reader {
    apr_pool_t *p;
    const char *prompt, *at;
    int parts, depth;
    const char *error;
} reader;

/* ---- reading ---- */

static part *read_parts(reader *rd, int inside);

static part *new_part(reader *rd)
{
    if (++rd->parts > MAX_PARTS) {
        rd->error = "This prompt has too many alternatives.";
        return NULL;
    }
    return apr_pcalloc(rd->p, sizeof(part));
}

/* The text up to the next sign that means something here. */
static const char *read_text(reader *rd, int inside)
{
    char *text = apr_palloc(rd->p, strlen(rd->at) + 1), *to = text;

    while (*rd->at && *rd->at != '{' && !(inside && (*rd->at == '|' || *rd->at == '}'))) {
        if (rd->at[0] == '\\' && (rd->at[1] == '{' || rd->at[1] == '}'))
            rd->at++;
        *to++ = *rd->at++;
    }
    *to = '\0';
    return text;
}

/* "2$$", "1-3$$", "-3$$", "2-$$" at the start of a choice. @return 1 when it is there */
static int read_count(reader *rd, int *min, int *max)
{
    const char *at = rd->at;
    char *end;
    int low = -1, high = -1, range = 0;

    if (*at >= '0' && *at <= '9') {
        low = (int)strtol(at, &end, 10);
        at = end;
    }
    if (*at == '-') {
        range = 1;
        at++;
        if (*at >= '0' && *at <= '9') {
            high = (int)strtol(at, &end, 10);
            at = end;
        }
    }
    if (strncmp(at, "$$", 2) != 0 || (low < 0 && high < 0))
        return 0;
    rd->at = at + 2;
    *min = low < 0 ? 0 : low;
    *max = !range ? low : high < 0 ? MAX_OPTIONS : high;
    return 1;
}

/* A second "$$" before any alternative begins ends the text between the chosen ones. */
static const char *read_joint(reader *rd)
{
    const char *end = strstr(rd->at, "$$"), *stop = strpbrk(rd->at, "{}");
    const char *joint = ",";

    if (end && (!stop || end < stop)) {
        joint = apr_pstrmemdup(rd->p, rd->at, (apr_size_t)(end - rd->at));
        rd->at = end + 2;
    }
    return joint;
}

static double read_weight(reader *rd)
{
    char *end;
    double weight;

    if (!((*rd->at >= '0' && *rd->at <= '9') || *rd->at == '.'))
        return 1;
    weight = strtod(rd->at, &end);
    if (strncmp(end, "::", 2) != 0 || !(weight >= 0 && weight < 1e9))
        return 1;
    rd->at = end + 2;
    return weight;
}

static void add_option(reader *rd, apr_array_header_t *options)
{
    option one = {.weight = read_weight(rd)};
    const char *from = rd->at;

    one.first = read_parts(rd, 1);
    one.source = apr_pstrmemdup(rd->p, from, (apr_size_t)(rd->at - from));
    for (int i = 0; i < options->nelts; i++)
        if (strcmp(APR_ARRAY_IDX(options, i, option).source, one.source) == 0)
            return;
    if (options->nelts == MAX_OPTIONS)
        rd->error = "This prompt has too many alternatives.";
    else
        APR_ARRAY_PUSH(options, option) = one;
}

static choice *read_choice(reader *rd)
{
    choice *c = apr_pcalloc(rd->p, sizeof *c);
    apr_array_header_t *options = apr_array_make(rd->p, 4, sizeof(option));

    rd->at++;
    c->min = c->max = 1;
    c->joint = ",";
    if (++rd->depth > MAX_DEPTH)
        rd->error = "Alternatives are nested too deeply.";
    else if (read_count(rd, &c->min, &c->max))
        c->joint = read_joint(rd);
    while (!rd->error) {
        add_option(rd, options);
        if (*rd->at != '|')
            break;
        rd->at++;
    }
    if (!rd->error && *rd->at != '}')
        rd->error = "A { has no } of its own.";
    if (!rd->error)
        rd->at++;
    rd->depth--;
    c->options = (option *)options->elts;
    c->n = options->nelts;
    if (c->max < c->min) {
        int swapped = c->min;

        c->min = c->max;
        c->max = swapped;
    }
    c->max = c->max > c->n ? c->n : c->max;
    c->min = c->min > c->max ? c->max : c->min;
    return c;
}

/* "${name}", but not the alternatives that follow a "$$". */
static int names_variable(const reader *rd)
{
    ptrdiff_t before = rd->at - rd->prompt;

    return *rd->at == '{' && before > 0 && rd->at[-1] == '$' && !(before > 1 && rd->at[-2] == '$');
}

/* Parts up to the end of the prompt or, inside of a choice, of the option. */
static part *read_parts(reader *rd, int inside)
{
    part *first = NULL, **link = &first;

    while (!rd->error && *rd->at && !(inside && (*rd->at == '|' || *rd->at == '}'))) {
        part *one = new_part(rd);

        if (!one)
            break;
        if (names_variable(rd))
            rd->error = "Variables are not known here.";
        else if (*rd->at == '{')
            one->choice = read_choice(rd);
        else
            one->text = read_text(rd, inside);
        *link = one;
        link = &one->next;
    }
    return first;
}

/* ---- every combination ---- */

/* The prompt that is being put together, and those that are finished. */
typedef struct writer {
    json_t *list;
    int max;
    size_t bytes;
    char *text;
    size_t used, room;
    long looks;
    int failed;
} writer;

/* Where writing goes on when an option is at its end: with the next one of its choice, or behind
 * that. */
typedef struct rest {
    const struct rest *outer;
    const part *after;
    const choice *choice;
    int chosen, wanted;
    unsigned char *used; /* by number of the option */
} rest;

static void put(writer *w, const char *text)
{
    size_t len = strlen(text);

    if (w->used + len + 1 > w->room) {
        size_t room = (w->used + len + 1) * 2;
        char *grown = realloc(w->text, room);

        if (!grown) {
            w->failed = 1;
            return;
        }
        w->text = grown;
        w->room = room;
    }
    memcpy(w->text + w->used, text, len + 1);
    w->used += len;
}

static int finished(writer *w)
{
    return w->failed || w->bytes > MAX_OUT_BYTES || w->looks > MAX_LOOKS ||
           (int)json_array_size(w->list) >= w->max;
}

static void finish_one(writer *w)
{
    put(w, "");
    if (w->failed || json_array_append_new(w->list, json_string(w->text)) != 0)
        w->failed = 1;
    w->bytes += w->used;
}

static void write_parts(writer *w, const part *from, const rest *outer);

static void choose(writer *w, const rest *r)
{
    size_t mark = w->used;

    if (r->chosen == r->wanted) {
        write_parts(w, r->after, r->outer);
        return;
    }
    w->looks += r->choice->n;
    for (int i = 0; i < r->choice->n && !finished(w); i++) {
        rest next = *r;

        if (r->used[i])
            continue;
        next.chosen++;
        r->used[i] = 1;
        if (r->chosen > 0)
            put(w, r->choice->joint);
        write_parts(w, r->choice->options[i].first, &next);
        r->used[i] = 0;
        w->used = mark;
    }
}

static void write_choice(writer *w, const part *at, const rest *outer)
{
    const choice *c = at->choice;
    unsigned char *used = calloc((size_t)c->n + 1, 1);

    if (!used)
        w->failed = 1;
    for (int wanted = c->min; wanted <= c->max && !finished(w); wanted++)
        choose(w, &(rest){outer, at->next, c, 0, wanted, used});
    free(used);
}

static void write_parts(writer *w, const part *from, const rest *outer)
{
    size_t mark = w->used;

    if (finished(w))
        return;
    if (!from && !outer) {
        finish_one(w);
    } else if (!from) {
        choose(w, outer);
    } else if (from->choice) {
        write_choice(w, from, outer);
    } else {
        put(w, from->text);
        write_parts(w, from->next, outer);
        w->used = mark;
    }
}

/* ---- at random ---- */

/* splitmix64: small, and the same everywhere. */
static uint64_t draw(uint64_t *state)
{
    uint64_t z = *state += 0x9e3779b97f4a7c15u;

    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9u;
    z = (z ^ (z >> 27)) * 0x94d049bb133111ebu;
    return z ^ (z >> 31);
}

static double draw_below(uint64_t *state, double limit)
{
    return (double)(draw(state) >> 11) / 9007199254740992.0 * limit;
}

/* One option that has not been used, by weight; where none has any, each alike. */
static int draw_option(const choice *c, const unsigned char *used, uint64_t *state)
{
    double all = 0, at;
    int last = -1, count = 0;

    for (int i = 0; i < c->n; i++) {
        all += used[i] ? 0 : c->options[i].weight;
        count += !used[i];
    }
    at = draw_below(state, all > 0 ? all : count);
    for (int i = 0; i < c->n && at >= 0; i++) {
        if (used[i])
            continue;
        last = i;
        at -= all > 0 ? c->options[i].weight : 1;
    }
    return last;
}

static void draw_parts(writer *w, const part *from, uint64_t *state);

static void draw_choice(writer *w, const choice *c, uint64_t *state)
{
    unsigned char *used = calloc((size_t)c->n + 1, 1);
    int wanted = c->min + (int)draw_below(state, c->max - c->min + 1);

    if (!used)
        w->failed = 1;
    for (int i = 0; i < wanted && !w->failed; i++) {
        int n = draw_option(c, used, state);

        w->looks += c->n;
        used[n] = 1;
        if (i > 0)
            put(w, c->joint);
        draw_parts(w, c->options[n].first, state);
    }
    free(used);
}

static void draw_parts(writer *w, const part *from, uint64_t *state)
{
    for (; from && !w->failed; from = from->next) {
        if (from->choice)
            draw_choice(w, from->choice, state);
        else
            put(w, from->text);
    }
}

json_t *imu_dynamic_prompts(apr_pool_t *p, const char *prompt, int max, const uint64_t *random,
                            const char **error)
{
    reader rd = {.p = p, .prompt = prompt, .at = prompt};
    writer w = {.list = json_array(), .max = max};
    part *first = read_parts(&rd, 0);
    uint64_t state = random ? *random : 0;

    *error = rd.error;
    if (rd.error) {
        json_array_append_new(w.list, json_string(prompt));
        return w.list;
    }
    if (!random)
        write_parts(&w, first, NULL);
    while (random && !finished(&w)) {
        w.used = 0;
        draw_parts(&w, first, &state);
        finish_one(&w);
    }
    free(w.text);
    if (!w.failed)
        return w.list;
    json_decref(w.list);
    return NULL;
}
