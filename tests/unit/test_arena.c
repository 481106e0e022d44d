/* The work memory of a backend: tensors never lie in each other, what is free is found again, and
 * after a run nothing more is asked for. */
#include "worker/tensor/arena.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

enum { LIVE = 60, ROUNDS = 20000 };

/* Where the arena takes its blocks from. */
typedef struct source {
    imu_arena arena;
    size_t held, most, limit;
    int taken;
} source;

static void *take(void *user, size_t bytes)
{
    source *s = user;
    void *block = NULL;
    while (s->held + bytes > s->limit)
        if (!imu_arena_trim(&s->arena)) /* as the CUDA backend does */
            return NULL;
    if (posix_memalign(&block, IMU_ARENA_ALIGN, bytes))
        return NULL;
    s->held += bytes;
    s->most = s->held > s->most ? s->held : s->most;
    s->taken++;
    return block;
}

static void give(void *user, void *block, size_t bytes)
{
    ((source *)user)->held -= bytes;
    free(block);
}

static void open_arena(source *s, size_t limit)
{
    *s = (source){.limit = limit};
    imu_arena_open(&s->arena, &(imu_arena_source){take, give, s});
}

static void close_arena(source *s)
{
    imu_arena_close(&s->arena);
    assert_int_equal(s->held, 0);
}

static void *get(source *s, size_t bytes)
{
    void *data = imu_arena_alloc(&s->arena, bytes);
    assert_non_null(data);
    assert_int_equal((uintptr_t)data % IMU_ARENA_ALIGN, 0);
    return data;
}

/* ---- nothing lies in anything else ---- */

typedef struct piece {
    unsigned char *data;
    size_t bytes;
    unsigned char mark;
} piece;

static void check_and_release(source *s, piece *p)
{
    for (size_t i = 0; i < p->bytes; i++)
        if (p->data[i] != p->mark)
            fail_msg("somebody wrote over byte %zu of %zu", i, p->bytes);
    imu_arena_release(&s->arena, p->data);
    p->data = NULL;
}

static void test_apart(void **state)
{
    (void)state;
    source s;
    piece live[LIVE] = {0};
    unsigned random = 1;
    open_arena(&s, SIZE_MAX);
    for (int i = 0; i < ROUNDS; i++) {
        random = random * 1103515245U + 12345U;
        piece *p = &live[random / 65536 % LIVE];
        if (p->data) {
            check_and_release(&s, p);
            continue;
        }
        p->bytes = random / 7 % 5000;
        p->mark = (unsigned char)random;
        p->data = get(&s, p->bytes);
        memset(p->data, p->mark, p->bytes);
    }
    for (int i = 0; i < LIVE; i++)
        if (live[i].data)
            check_and_release(&s, &live[i]);
    assert_int_equal(s.arena.used, 0);
    close_arena(&s);
}

/* ---- runs ---- */

/* What a network might do: a skip that stays, and layers that each give their result to the next.
 */
static void run(source *s, size_t unit, void **first)
{
    void *skip = get(s, 3 * unit), *x = get(s, unit);
    if (first)
        *first = skip;
    for (size_t layer = 2; layer < 12; layer++) {
        void *y = get(s, layer % 5 * unit + 1), *scratch = get(s, layer * 700);
        imu_arena_release(&s->arena, scratch);
        imu_arena_release(&s->arena, x);
        x = y;
    }
    imu_arena_release(&s->arena, x);
    imu_arena_release(&s->arena, skip);
}

static void test_planned(void **state)
{
    (void)state;
    source s;
    void *at, *again;
    open_arena(&s, SIZE_MAX);
    for (int i = 0; i < 2; i++)
        run(&s, 10000, NULL);
    int taken = s.taken;
    size_t held = s.held, needed = s.arena.size;
    assert_int_equal(s.arena.count, 1);
    run(&s, 10000, &at);
    run(&s, 10000, &again);
    assert_int_equal(s.taken, taken);
    assert_ptr_equal(at, again); /* each at its place */
    assert_int_equal(s.held, held);
    assert_in_range(held, 106000, 140000); /* what was in use at once, not the sum of all sizes */
    assert_int_equal(held, needed);

    run(&s, 100, NULL); /* a smaller one finds room in it */
    assert_int_equal(s.taken, taken);
    for (int i = 0; i < 2; i++)
        run(&s, 30000, NULL);
    assert_int_equal(s.arena.count, 1); /* a larger one gets its own */
    assert_in_range(s.held, 318000, 420000);
    taken = s.taken;
    run(&s, 30000, NULL);
    assert_int_equal(s.taken, taken);
    close_arena(&s);
}

static void test_first_run(void **state)
{
    (void)state;
    source s;
    open_arena(&s, SIZE_MAX);
    void *small = get(&s, 1000);
    imu_arena_release(&s.arena, small);
    get(&s, 2000); /* the block of the first did not do: it went */
    assert_int_equal(s.held, 2048);
    assert_int_equal(s.most, 2048);
    close_arena(&s);
}

/* Gaps that meet are one, before and behind. */
static void test_joined(void **state)
{
    (void)state;
    source s;
    void *part[4];
    open_arena(&s, SIZE_MAX);
    void *whole = get(&s, 3 * 4096);
    imu_arena_release(&s.arena, whole);
    static const int orders[][3] = {{0, 1, 2}, {0, 2, 1}, {2, 1, 0}, {1, 0, 2}, {1, 2, 0}};
    for (size_t i = 0; i < sizeof orders / sizeof *orders; i++) {
        for (int k = 0; k < 3; k++)
            part[k] = get(&s, 4096);
        for (int k = 0; k < 3; k++)
            imu_arena_release(&s.arena, part[orders[i][k]]);
        assert_ptr_equal(get(&s, 3 * 4096), whole);
        imu_arena_release(&s.arena, whole);
    }
    assert_int_equal(s.taken, 1);
    /* The smallest gap that does is taken, the end of the block only when no other does. */
    static const size_t sizes[] = {8192, 1024, 2048, 1024};
    for (int k = 0; k < 4; k++)
        part[k] = get(&s, sizes[k]);
    imu_arena_release(&s.arena, part[0]);
    imu_arena_release(&s.arena, part[2]);
    assert_ptr_equal(get(&s, 2000), part[2]);
    imu_arena_release(&s.arena, part[3]);
    assert_ptr_equal(get(&s, 1000), part[0]);
    get(&s, 7168);
    assert_ptr_equal(get(&s, 1000), part[3]);
    close_arena(&s);
}

/* ---- little memory ---- */

static void test_short(void **state)
{
    (void)state;
    source s;
    open_arena(&s, 10240);
    void *a = get(&s, 6000);
    assert_null(imu_arena_alloc(&s.arena, 6000));
    assert_null(imu_arena_alloc(&s.arena, SIZE_MAX));
    assert_null(imu_arena_alloc(&s.arena, SIZE_MAX / 4));
    void *b = get(&s, 4000);
    imu_arena_release(&s.arena, a);
    imu_arena_release(&s.arena, b);
    /* The next would like a block for both, and has to be content with less. */
    s.limit = 8192;
    b = get(&s, 8000);
    imu_arena_release(&s.arena, b);
    imu_arena_release(&s.arena, NULL);
    assert_true(imu_arena_trim(&s.arena));
    assert_false(imu_arena_trim(&s.arena));
    assert_int_equal(s.held, 0);
    close_arena(&s);
}

/* Taking a block may have the arena give its own back. */
static void test_trimmed_while_taking(void **state)
{
    (void)state;
    source s;
    open_arena(&s, 9000);
    void *kept = get(&s, 1024), *large = get(&s, 4096);
    imu_arena_release(&s.arena, large);
    memset(kept, 1, 1024);
    large = get(&s, 6000);
    memset(large, 2, 6000);
    assert_int_equal(*(char *)kept, 1);
    close_arena(&s);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_apart),     cmocka_unit_test(test_planned),
        cmocka_unit_test(test_first_run), cmocka_unit_test(test_joined),
        cmocka_unit_test(test_short),     cmocka_unit_test(test_trimmed_while_taking),
    };
    return cmocka_run_group_tests_name("arena", tests, NULL, NULL);
}
