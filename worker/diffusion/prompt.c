#include "worker/diffusion/prompt.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#define MAX_PROMPT ((size_t)16 << 10)
#define PLUS_BASE  1.1
#define MINUS_BASE 0.9

/* What follows a swap that turns out to be none is read again, so their number has to be bounded.
 */
enum { MAX_DEPTH = 64, MAX_QUOTES = 4, MAX_SWAPS = 256 };

static const char spaces[] = " \t\r\n\v\f";
static const char symbols[] = "()\",.+-=";

/* Reads text[at .. end). Fragments go into `phrase`; a rule that fails gives back what it took. */
typedef struct parser {
    const char *text;
    size_t at, end;
    imu_phrase *phrase;
    int depth, quotes; /* how deep in parentheses and in quotes inside quotes */
    int swaps;         /* how many were tried */
    bool no_memory;
} parser;

static bool is_one_of(char c, const char *set)
{
    return c && strchr(set, c);
}

static char peek(const parser *p, size_t ahead)
{
    /* NOLINTNEXTLINE(clang-analyzer-core.uninitialized.UndefReturn): whole up to its end */
    return p->at + ahead < p->end ? p->text[p->at + ahead] : 0;
}

static void skip_spaces(parser *p)
{
    /* NOLINTNEXTLINE(clang-analyzer-core.CallAndMessage): the text is whole up to its end */
    while (p->at < p->end && is_one_of(p->text[p->at], spaces))
        p->at++;
}

static bool take(parser *p, const char *word)
{
    size_t n = strlen(word);
    if (p->end - p->at < n || strncmp(p->text + p->at, word, n) != 0)
        return false;
    p->at += n;
    return true;
}

/* The same after white space, which it gives back when the word isn't there. */
static bool take_token(parser *p, const char *word)
{
    size_t start = p->at;
    skip_spaces(p);
    if (take(p, word))
        return true;
    p->at = start;
    return false;
}

static void drop_fragments(imu_phrase *ph, size_t count)
{
    while (ph->count > count)
        free(ph->fragments[--ph->count].text);
}

/* Takes one backslash from before each parenthesis and quote. */
static void unescape(char *text)
{
    char *to = text;
    for (const char *c = text; *c; c++)
        if (*c != '\\' || !is_one_of(c[1], "()\""))
            *to++ = *c;
    *to = 0;
}

/* Adds text[from .. to) with weight 1. compel makes escaped characters plain twice, when it reads a
 * term and when it undoes the nesting, and once more when terms are joined: "\\\\(" is "(" too. */
static void emit(parser *p, const char *text, size_t from, size_t to)
{
    imu_phrase *ph = p->phrase;
    if (ph->count == ph->room) {
        size_t room = ph->room ? ph->room * 2 : 16;
        imu_fragment *grown = realloc(ph->fragments, room * sizeof *grown);
        if (!grown) {
            p->no_memory = true;
            return;
        }
        ph->fragments = grown;
        ph->room = room;
    }
    char *copy = malloc(to - from + 1);
    if (!copy) {
        p->no_memory = true;
        return;
    }
    memcpy(copy, text + from, to - from);
    copy[to - from] = 0;
    unescape(copy);
    unescape(copy);
    ph->fragments[ph->count++] = (imu_fragment){copy, 1};
}

/* Digits with at most one point: 1.4, .5, 2 */
static bool take_number(parser *p, double *value)
{
    size_t n = 0, digits = 0;
    while (peek(p, n) >= '0' && peek(p, n) <= '9')
        n++;
    digits = n;
    if (peek(p, n) == '.' && (digits || (peek(p, n + 1) >= '0' && peek(p, n + 1) <= '9'))) {
        n++;
        while (peek(p, n) >= '0' && peek(p, n) <= '9') {
            n++;
            digits++;
        }
    }
    if (!digits || n > 30)
        return false;
    char copy[32];
    memcpy(copy, p->text + p->at, n);
    copy[n] = 0;
    *value = strtod(copy, NULL);
    p->at += n;
    return true;
}

/* Signs right behind a term, and numbers where `numbers` may stand. */
static bool take_weight(parser *p, bool numbers, double *weight)
{
    char sign = peek(p, 0);
    if (sign == '+' || sign == '-') {
        int n = 0;
        while (peek(p, 0) == sign) {
            p->at++;
            n++;
        }
        *weight = pow(sign == '+' ? PLUS_BASE : MINUS_BASE, n);
        return true;
    }
    return numbers && take_number(p, weight);
}

/* A word without syntax characters, except escaped ones and signs inside it. */
static size_t plain_word_length(const parser *p)
{
    size_t n = 0;
    for (;;) {
        char c = peek(p, n), next = peek(p, n + 1);
        if (c == '\\' && is_one_of(next, symbols))
            n += 2;
        else if ((c == '+' || c == '-') && next && !is_one_of(next, spaces) &&
                 !is_one_of(next, symbols))
            n++;
        else if (c && !is_one_of(c, spaces) && !is_one_of(c, symbols))
            n++;
        else
            return n;
    }
}

static bool parse_parentheses(parser *p);
static bool parse_quotes(parser *p);

static bool is_letter_or_digit(char c)
{
    return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
}

/* The name of a LoRA or an option. */
static bool take_keyword(parser *p)
{
    size_t start;
    skip_spaces(p);
    for (start = p->at; is_letter_or_digit(peek(p, 0)) || is_one_of(peek(p, 0), "_-");)
        p->at++;
    return p->at > start;
}

static bool take_signed_number(parser *p)
{
    double value;
    size_t start;
    skip_spaces(p);
    start = p->at;
    if (is_one_of(peek(p, 0), "+-"))
        p->at++;
    if (take_number(p, &value))
        return true;
    p->at = start;
    return false;
}

/* name=value, a number, or a name. */
static bool take_option(parser *p)
{
    size_t start = p->at;
    if (take_keyword(p) && take_token(p, "=") && (take_signed_number(p) || take_keyword(p)))
        return true;
    p->at = start;
    return take_signed_number(p) || take_keyword(p);
}

static bool parse_part(parser *p);

/* What stands behind ".swap(": what is to be drawn instead, then options. The first target alone
 * conditions the picture, so both only have to be well-formed. */
static bool skip_swap(parser *p)
{
    size_t first = p->phrase->count;
    if (p->swaps++ >= MAX_SWAPS)
        return false;
    while (!p->no_memory && parse_part(p))
        continue;
    drop_fragments(p->phrase, first);
    bool more = take_token(p, ",");
    while (more && take_option(p))
        more = take_token(p, ",");
    return take_token(p, ")");
}

/* An operator behind a term whose fragments start at `first`: a weight, .attend(...) or .swap(...).
 */
static bool apply_operator(parser *p, size_t first, bool numbers)
{
    double weight = 1;
    size_t start = p->at;
    if (take_token(p, ".swap") && take_token(p, "(") && skip_swap(p))
        return true;
    p->at = start;
    bool found = take_token(p, ".attend") && take_token(p, "(");
    if (found) {
        skip_spaces(p);
        found = take_weight(p, true, &weight) && take_token(p, ")");
    }
    if (!found) {
        p->at = start;
        found = take_weight(p, numbers, &weight);
    }
    for (size_t i = first; found && i < p->phrase->count; i++)
        p->phrase->fragments[i].weight *= weight;
    return found;
}

/* withLora(name, weight): models are chosen by nodes, not by prompts. */
static bool skip_lora(parser *p)
{
    size_t start = p->at;
    if ((take(p, "withLora") || take(p, "useLora")) && take_token(p, "(") && take_keyword(p) &&
        (!take_token(p, ",") || take_signed_number(p)) && take_token(p, ")"))
        return true;
    p->at = start;
    return false;
}

/* One term inside parentheses or quotes that is no comma and no point. */
static bool parse_part(parser *p)
{
    skip_spaces(p);
    size_t first = p->phrase->count;
    if (skip_lora(p))
        return true;
    if (parse_parentheses(p) || parse_quotes(p)) {
        apply_operator(p, first, true);
        return true;
    }
    size_t n = plain_word_length(p);
    if (n) {
        emit(p, p->text, p->at, p->at + n);
        p->at += n;
        apply_operator(p, first, false);
        return true;
    }
    return false;
}

/* One term inside parentheses or quotes. */
static bool parse_inner_term(parser *p)
{
    if (parse_part(p))
        return true;
    if (peek(p, 0) == ',' || peek(p, 0) == '.') {
        emit(p, p->text, p->at, p->at + 1);
        p->at++;
        return true;
    }
    return false;
}

static bool parse_parentheses(parser *p)
{
    size_t start = p->at, first = p->phrase->count;
    if (peek(p, 0) != '(' || p->depth >= MAX_DEPTH)
        return false;
    p->at++;
    p->depth++;
    while (!p->no_memory && parse_inner_term(p))
        continue;
    p->depth--;
    if (take_token(p, ")"))
        return true;
    p->at = start;
    drop_fragments(p->phrase, first);
    return false;
}

/* The end of a quotation that starts at p->at, or 0. An escaped quote ends it where nothing else
 * does. */
static size_t closing_quote(const parser *p)
{
    size_t escaped = 0;
    for (size_t i = p->at + 1; i < p->end && !is_one_of(p->text[i], "\r\n"); i++) {
        if (p->text[i] == '\\' && i + 1 < p->end && p->text[i + 1] == '"')
            escaped = ++i;
        else if (p->text[i] == '"')
            return i;
    }
    return escaped;
}

static bool parse_quotes(parser *p)
{
    size_t close = peek(p, 0) == '"' ? closing_quote(p) : 0, first = p->phrase->count;
    if (!close || p->quotes >= MAX_QUOTES)
        return false;
    parser inner = {.text = p->text,
                    .at = p->at + 1,
                    .end = close,
                    .phrase = p->phrase,
                    .depth = p->depth,
                    .quotes = p->quotes + 1,
                    .swaps = p->swaps};
    while (!inner.no_memory && parse_inner_term(&inner))
        continue;
    skip_spaces(&inner);
    p->no_memory |= inner.no_memory;
    p->swaps = inner.swaps;
    if (inner.at < inner.end) {
        drop_fragments(p->phrase, first);
        return false;
    }
    p->at = close + 1;
    return true;
}

/* One term at the top: what the syntax knows, else everything up to white space. */
static void parse_outer_term(parser *p)
{
    size_t start = p->at, first = p->phrase->count;
    if (skip_lora(p))
        return;
    size_t n = plain_word_length(p);
    if (n) {
        emit(p, p->text, p->at, p->at + n);
        p->at += n;
        if (apply_operator(p, first, false))
            return;
        p->at = start;
        drop_fragments(p->phrase, first);
    } else if (parse_quotes(p) || parse_parentheses(p)) {
        apply_operator(p, first, true);
        return;
    }
    size_t to = p->at;
    while (to < p->end && !is_one_of(p->text[to], spaces))
        to++;
    emit(p, p->text, p->at, to);
    p->at = to;
}

static void parse_words(parser *p)
{
    for (skip_spaces(p); p->at < p->end && !p->no_memory; skip_spaces(p))
        parse_outer_term(p);
}

/* Joins neighbours of the same weight: what they say is read together. */
static int fuse(imu_phrase *ph)
{
    size_t n = 0;
    for (size_t i = 0; i < ph->count; i++) {
        imu_fragment *last = n ? &ph->fragments[n - 1] : NULL, *this = &ph->fragments[i];
        if (!last || last->weight != this->weight) {
            ph->fragments[n++] = *this;
            continue;
        }
        size_t a = strlen(last->text), b = strlen(this->text);
        char *both = realloc(last->text, a + b + 2);
        if (!both) {
            for (; i < ph->count; i++)
                ph->fragments[n++] = ph->fragments[i];
            ph->count = n;
            return -1;
        }
        both[a] = ' ';
        memcpy(both + a + 1, this->text, b + 1);
        unescape(both);
        last->text = both;
        free(this->text);
    }
    ph->count = n;
    return 0;
}

static void clear_phrases(imu_prompt *out)
{
    imu_prompt_free(out);
    memset(out, 0, sizeof *out);
}

/* ("a", "b"): each target into a phrase of its own. */
static bool parse_targets(parser *p, imu_prompt *out)
{
    do {
        if (out->count == IMU_MAX_PHRASES)
            return false;
        imu_phrase *ph = &out->phrase[out->count++];
        *ph = (imu_phrase){.weight = 1};
        p->phrase = ph;
        skip_spaces(p);
        size_t n = plain_word_length(p);
        if (n) {
            emit(p, p->text, p->at, p->at + n);
            p->at += n;
        } else if (!parse_quotes(p) && !parse_parentheses(p)) {
            return false;
        }
    } while (take_token(p, ","));
    return take_token(p, ")");
}

/* Numbers (and no_normalize) up to the closing parenthesis; none, or one for each phrase. */
static bool parse_weights(parser *p, imu_prompt *out)
{
    int n = 0;
    out->normalise = true;
    while (!take_token(p, ")")) {
        double sign = 1, weight;
        if (n && !take_token(p, ","))
            return false;
        if (take_token(p, "no_normalize")) {
            out->normalise = false;
            continue;
        }
        skip_spaces(p);
        if (take(p, "-"))
            sign = -1;
        if (n == out->count || !take_number(p, &weight))
            return false;
        out->phrase[n++].weight = sign * weight;
    }
    return n == 0 || n == out->count;
}

static bool parse_combination(parser *p, imu_prompt *out)
{
    skip_spaces(p);
    if (!take(p, "(") || !parse_targets(p, out))
        return false;
    if (take_token(p, ".blend"))
        out->blend = true;
    else if (!take_token(p, ".and") && !take_token(p, ".add"))
        return false;
    if (!take_token(p, "(") || !parse_weights(p, out))
        return false;
    skip_spaces(p);
    return !out->blend || p->at == p->end; /* what follows a conjunction is ignored */
}

/* A comma is followed by a blank, so that "a,b" is three things. NULL without memory. */
static char *spread_commas(const char *text)
{
    size_t n = 0;
    char *out = malloc(2 * strlen(text) + 1);
    for (const char *c = text; out && *c; c++) {
        out[n++] = *c;
        if (*c == ',' && c[1] && !is_one_of(c[1], spaces)) {
            out[n++] = ' ';
            out[n++] = *++c; /* which is not looked at again, comma or not, as compel has it */
        }
    }
    if (out)
        out[n] = 0;
    return out;
}

imu_engine_status imu_prompt_parse(const char *text, imu_prompt *out, imu_fault *fault)
{
    memset(out, 0, sizeof *out);
    if (strnlen(text, MAX_PROMPT + 1) > MAX_PROMPT)
        return imu_fail(fault, IMU_ENGINE_BAD_INPUT, "The prompt is longer than %zu bytes.",
                        MAX_PROMPT);
    char *spread = spread_commas(text);
    if (!spread)
        return imu_fail_memory(fault);
    parser p = {.text = spread, .end = strlen(spread)};
    if (!parse_combination(&p, out)) {
        clear_phrases(out);
        out->count = 1;
        out->phrase[0].weight = 1;
        p.at = 0;
        p.phrase = &out->phrase[0];
        parse_words(&p);
    }
    free(spread);
    bool failed = p.no_memory;
    for (int i = 0; i < out->count && !failed; i++)
        failed = fuse(&out->phrase[i]) != 0;
    if (!failed)
        return IMU_ENGINE_OK;
    clear_phrases(out);
    return imu_fail_memory(fault);
}

void imu_prompt_free(imu_prompt *p)
{
    for (int i = 0; i < p->count; i++) {
        drop_fragments(&p->phrase[i], 0);
        free(p->phrase[i].fragments);
    }
}
