#include "worker/tensor/arena.h"

#include <stdint.h>
#include <stdlib.h>
#include <string.h>

void imu_arena_open(imu_arena *a, const imu_arena_source *source)
{
    memset(a, 0, sizeof *a);
    a->source = *source;
}

static void give_block(imu_arena *a, size_t index)
{
    imu_arena_block block = a->blocks[index];
    a->count--;
    memmove(a->blocks + index, a->blocks + index + 1, (a->count - index) * sizeof *a->blocks);
    a->source.give(a->source.user, block.data, block.bytes);
    free(block.spans);
}

void imu_arena_close(imu_arena *a)
{
    while (a->count)
        give_block(a, a->count - 1);
    free(a->blocks);
    free(a->plan.spans);
    memset(a, 0, sizeof *a);
}

static bool is_free(const imu_arena_block *b)
{
    return b->count == 1 && !b->spans[0].used;
}

static bool give_unused(imu_arena *a)
{
    size_t before = a->count;
    for (size_t i = before; i-- > 0;)
        if (is_free(&a->blocks[i]))
            give_block(a, i);
    return a->count < before;
}

bool imu_arena_trim(imu_arena *a)
{
    bool any = give_unused(a);
    if (!a->count)
        a->size = 0;
    return any;
}

/* Room for one element more of a list. */
static bool has_room(void **list, size_t count, size_t *room, size_t element)
{
    if (count < *room)
        return true;
    size_t more = *room ? 2 * *room : 16;
    void *grown = realloc(*list, more * element);
    if (!grown)
        return false;
    *list = grown;
    *room = more;
    return true;
}

/* Whether gap `s` of block `b` is a better place than gap `t` of `u`, which may be NULL: the
 * smallest does, and the end of a block is left whole for as long as there are others. */
static bool better(const imu_arena_block *b, const imu_arena_span *s, const imu_arena_block *u,
                   const imu_arena_span *t)
{
    bool end = s + 1 == b->spans + b->count, other = t && t + 1 == u->spans + u->count;
    return !t || (end != other ? other : s->bytes < t->bytes);
}

/* The best gap of `b` for `bytes`, if it is better than *best of *in. */
static void find_gap(imu_arena_block *b, size_t bytes, imu_arena_span **best, imu_arena_block **in)
{
    for (imu_arena_span *s = b->spans; s < b->spans + b->count; s++)
        if (!s->used && s->bytes >= bytes && better(b, s, *in, *best)) {
            *best = s;
            *in = b;
        }
}

/* Takes the first `bytes` of a gap. NULL without memory for what is left of it. */
static imu_arena_span *carve(imu_arena_block *b, imu_arena_span *gap, size_t bytes)
{
    size_t index = (size_t)(gap - b->spans);
    if (gap->bytes > bytes) {
        if (!has_room((void **)&b->spans, b->count, &b->room, sizeof *b->spans))
            return NULL;
        gap = &b->spans[index];
        memmove(gap + 1, gap, (b->count++ - index) * sizeof *gap);
        gap[1].at += bytes;
        gap[1].bytes -= bytes;
        gap->bytes = bytes;
    }
    gap->used = true;
    return gap;
}

/* Makes a span and the one after it one, where both are free. */
static void join(imu_arena_block *b, size_t index)
{
    imu_arena_span *s = &b->spans[index];
    if (index + 1 >= b->count || s[0].used || s[1].used)
        return;
    s->bytes += s[1].bytes;
    b->count--;
    memmove(s + 1, s + 2, (b->count - index - 1) * sizeof *s);
}

/* Frees the span at `at`. Returns what it was. */
static imu_arena_span uncarve(imu_arena_block *b, size_t at)
{
    size_t low = 0, high = b->count;
    while (high - low > 1) {
        size_t middle = low + (high - low) / 2;
        *(b->spans[middle].at > at ? &high : &low) = middle;
    }
    imu_arena_span was = b->spans[low];
    b->spans[low].used = false;
    join(b, low);
    if (low)
        join(b, low - 1);
    return was;
}

/* A block with one gap. False without memory. */
static bool open_block(imu_arena_block *b, char *data, size_t bytes)
{
    *b = (imu_arena_block){.data = data, .bytes = bytes};
    if (!has_room((void **)&b->spans, 0, &b->room, sizeof *b->spans))
        return false;
    b->spans[b->count++] = (imu_arena_span){.bytes = bytes};
    return true;
}

/* One block more with a gap of `bytes` or more. What lies about unused did not hold them, and goes
 * first. False without memory. */
static bool add_block(imu_arena *a, size_t bytes)
{
    a->grown = a->grown || a->count || a->size < bytes;
    give_unused(a);
    size_t size = !a->count && a->size > bytes ? a->size : bytes;
    char *data = a->source.take(a->source.user, size);
    if (!data && size > bytes)
        data = a->source.take(a->source.user, size = bytes);
    /* Only now: taking memory may have given blocks of ours back. */
    if (data && has_room((void **)&a->blocks, a->count, &a->room, sizeof *a->blocks) &&
        open_block(&a->blocks[a->count], data, size)) {
        a->count++;
        return true;
    }
    if (data)
        a->source.give(a->source.user, data, size);
    return false;
}

/* Notes where a single block without end would have `bytes`. False without memory. */
static bool note(imu_arena *a, size_t bytes, size_t *at)
{
    imu_arena_block *in = NULL;
    imu_arena_span *gap = NULL;
    if (!a->plan.spans && !open_block(&a->plan, NULL, SIZE_MAX / 2))
        return false;
    find_gap(&a->plan, bytes, &gap, &in);
    imu_arena_span *s = gap ? carve(in, gap, bytes) : NULL;
    if (!s)
        return false;
    *at = s->at;
    a->planned = s->at + bytes > a->planned ? s->at + bytes : a->planned;
    return true;
}

/* A piece of some block. NULL without memory. */
static imu_arena_span *place(imu_arena *a, size_t bytes, imu_arena_block **in)
{
    imu_arena_span *gap = NULL;
    for (size_t i = 0; i < a->count; i++)
        find_gap(&a->blocks[i], bytes, &gap, in);
    if (!gap && add_block(a, bytes)) {
        *in = &a->blocks[a->count - 1];
        gap = (*in)->spans;
    }
    return gap ? carve(*in, gap, bytes) : NULL;
}

void *imu_arena_alloc(imu_arena *a, size_t bytes)
{
    size_t at;
    imu_arena_block *in = NULL;
    if (bytes > SIZE_MAX / 4)
        return NULL;
    bytes =
        bytes ? (bytes + IMU_ARENA_ALIGN - 1) / IMU_ARENA_ALIGN * IMU_ARENA_ALIGN : IMU_ARENA_ALIGN;
    if (!note(a, bytes, &at))
        return NULL;
    imu_arena_span *s = place(a, bytes, &in);
    if (!s) {
        uncarve(&a->plan, at);
        return NULL;
    }
    s->planned = at;
    a->used += bytes;
    return in->data + s->at;
}

static imu_arena_block *block_of(const imu_arena *a, const void *data)
{
    uintptr_t at = (uintptr_t)data;
    for (size_t i = 0; i < a->count; i++)
        if (at - (uintptr_t)a->blocks[i].data < a->blocks[i].bytes)
            return &a->blocks[i];
    return NULL;
}

/* A run is over: where one block did not do for it, the next shall find one that does. */
static void end_run(imu_arena *a)
{
    if (a->grown) {
        a->size = a->planned;
        if (a->count > 1 || a->blocks[0].bytes < a->size)
            give_unused(a);
    }
    a->grown = false;
    a->planned = 0;
}

void imu_arena_release(imu_arena *a, void *data)
{
    imu_arena_block *b = data ? block_of(a, data) : NULL;
    if (!b)
        return;
    imu_arena_span was = uncarve(b, (size_t)((char *)data - b->data));
    uncarve(&a->plan, was.planned);
    a->used -= was.bytes;
    if (!a->used)
        end_run(a);
}
