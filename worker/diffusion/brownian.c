#include "worker/diffusion/brownian.h"

#include "worker/diffusion/randn.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* IMU_BROWNIAN_HIGHEST is halved 40 times down to a millionth, and once more where halves are
 * uneven. */
enum { POOL = 24, MAX_WORDS = POOL + 4, MAX_DEPTH = 42 };

/* A node covers [start, end]. `key` is its number among those of its depth, from the left. */
typedef struct node {
    double start, end;
    uint64_t key;
    int depth;
} node;

/* One look down the tree: increments of the node at each depth of the way to the present one. */
typedef struct walk {
    const imu_brownian *path;
    float *level[MAX_DEPTH + 1];
    float *out;
} walk;

/* numpy.random.SeedSequence (M. E. O'Neill's seed_seq_fe, 2015): words are hashed into a pool, each
 * by the next of a row of constants, and every word of the pool into every other. */

static uint32_t hash(uint32_t value, uint32_t *constant)
{
    value ^= *constant;
    *constant *= 0x931e8875u;
    value *= *constant;
    return value ^ (value >> 16);
}

static uint32_t mix(uint32_t x, uint32_t y)
{
    uint32_t v = 0xca01f9ddu * x - 0x4973f715u * y;
    return v ^ (v >> 16);
}

/* A number as the sequence takes it: 32 bits a word, the low ones first, one word at least. */
static int put_number(uint32_t *words, uint64_t number)
{
    words[0] = (uint32_t)number;
    words[1] = (uint32_t)(number >> 32);
    return words[1] ? 2 : 1;
}

/* The first word of the state that words[count] lead to. */
static uint32_t seed_of(const uint32_t *words, int count)
{
    uint32_t pool[POOL], constant = 0x43b0d7e5u;
    for (int i = 0; i < POOL; i++)
        pool[i] = hash(i < count ? words[i] : 0, &constant);
    for (int from = 0; from < POOL; from++)
        for (int to = 0; to < POOL; to++)
            if (from != to)
                pool[to] = mix(pool[to], hash(pool[from], &constant));
    for (int from = POOL; from < count; from++)
        for (int to = 0; to < POOL; to++)
            pool[to] = mix(pool[to], hash(words[from], &constant));
    uint32_t first = (pool[0] ^ 0x8b51f9ddu) * (0x8b51f9ddu * 0x58f38dedu);
    return first ^ (first >> 16);
}

/* The seed of the whole path's increment. */
static uint32_t root_seed(uint64_t seed)
{
    uint32_t words[MAX_WORDS];
    return seed_of(words, put_number(words, seed));
}

/* The seed of what is drawn where a node is halved: the path's, filled up to the pool's size, then
 * the node's place. */
static uint32_t node_seed(uint64_t seed, const node *n)
{
    uint32_t words[MAX_WORDS] = {0};
    put_number(words, seed);
    int count = POOL;
    count += put_number(words + count, n->key);
    count += put_number(words + count, (uint64_t)n->depth);
    return seed_of(words, count);
}

/* To the nearest millionth, as the decimal digits of the exact value say: multiplying first would
 * round halves, which middles often are, the wrong way. */
static double to_millionth(double v)
{
    char text[32];
    snprintf(text, sizeof text, "%.6f", v);
    return strtod(text, NULL);
}

static void draw(float *out, size_t n, uint32_t seed)
{
    imu_rng rng;
    imu_rng_seed(&rng, seed);
    imu_rng_normal(&rng, out, n);
}

static float *level_at(walk *w, int depth)
{
    if (!w->level[depth])
        w->level[depth] = malloc((w->path->values ? w->path->values : 1) * sizeof(float));
    return w->level[depth];
}

/* The increment of a node's left half: a Brownian bridge, rounded as the reference rounds it. */
static void bridge(const walk *w, const node *n, double middle)
{
    double left = middle - n->start, right = n->end - middle, share = 1 / (n->end - n->start);
    float length = (float)left, part = (float)share, spread = (float)sqrt(left * right * share);
    const float *whole = w->level[n->depth];
    float *half = w->level[n->depth + 1];
    draw(half, w->path->values, node_seed(w->path->seed, n));
    for (size_t i = 0; i < w->path->values; i++)
        half[i] = length * whole[i] * part + spread * half[i];
}

/* Adds what the path does within [from, to], which the node covers, to w->out. level[depth] holds
 * the node's own increment. */
static int descend(walk *w, const node *n, double from, double to)
{
    size_t values = w->path->values;
    const float *whole = w->level[n->depth];
    if (from == n->start && to == n->end) {
        for (size_t i = 0; i < values; i++)
            w->out[i] += whole[i];
        return 0;
    }
    float *half = n->depth < MAX_DEPTH ? level_at(w, n->depth + 1) : NULL;
    if (!half)
        return -1;
    double middle = to_millionth(0.5 * (n->end + n->start));
    bridge(w, n, middle);
    if (from < middle) {
        node left = {n->start, middle, 2 * n->key, n->depth + 1};
        if (descend(w, &left, from, fmin(to, middle)))
            return -1;
    }
    if (to <= middle)
        return 0;
    for (size_t i = 0; i < values; i++)
        half[i] = whole[i] - half[i];
    node right = {middle, n->end, 2 * n->key + 1, n->depth + 1};
    return descend(w, &right, fmax(from, middle), to);
}

int imu_brownian_increment(const imu_brownian *b, double from, double to, float *out)
{
    walk w = {.path = b, .out = out};
    node root = {to_millionth(b->low), to_millionth(b->high), 0, 0};
    from = to_millionth(fmin(fmax(from, root.start), root.end));
    to = to_millionth(fmin(fmax(to, root.start), root.end));
    memset(out, 0, b->values * sizeof *out);
    if (!(from < to))
        return 0;
    float *whole = level_at(&w, 0);
    if (!whole)
        return -1;
    float length = (float)sqrt(b->high - b->low);
    draw(whole, b->values, root_seed(b->seed));
    for (size_t i = 0; i < b->values; i++)
        whole[i] *= length;
    int rc = descend(&w, &root, from, to);
    for (int i = 0; i <= MAX_DEPTH; i++)
        free(w.level[i]);
    return rc;
}
