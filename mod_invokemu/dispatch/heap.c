#include "mod_invokemu/dispatch/heap.h"

#include <stdlib.h>

#define FIRST_ROOM 16

int imu_heap_reserve(imu_heap *heap, size_t nodes)
{
    size_t room = heap->room ? heap->room : FIRST_ROOM;
    imu_heap_node **more;

    if (nodes <= heap->room)
        return 0;
    while (room < nodes)
        room *= 2;
    more = realloc(heap->nodes, room * sizeof(imu_heap_node *));
    if (!more)
        return -1;
    heap->nodes = more;
    heap->room = room;
    return 0;
}

static imu_heap_node *at(const imu_heap *heap, size_t place)
{
    return heap->nodes[place - 1];
}

static void place(imu_heap *heap, size_t where, imu_heap_node *node)
{
    heap->nodes[where - 1] = node;
    node->place = where;
}

static void sift_up(imu_heap *heap, imu_heap_node *node)
{
    size_t where = node->place;

    while (where > 1 && heap->before(node, at(heap, where / 2))) {
        place(heap, where, at(heap, where / 2));
        where /= 2;
    }
    place(heap, where, node);
}

static void sift_down(imu_heap *heap, imu_heap_node *node)
{
    size_t where = node->place;

    for (;;) {
        size_t child = 2 * where;

        if (child < heap->len && heap->before(at(heap, child + 1), at(heap, child)))
            child++;
        if (child > heap->len || !heap->before(at(heap, child), node))
            break;
        place(heap, where, at(heap, child));
        where = child;
    }
    place(heap, where, node);
}

void imu_heap_put(imu_heap *heap, imu_heap_node *node)
{
    if (!node->place)
        place(heap, ++heap->len, node);
    sift_up(heap, node);
    sift_down(heap, node);
}

void imu_heap_take(imu_heap *heap, imu_heap_node *node)
{
    imu_heap_node *last;

    if (!node->place)
        return;
    last = at(heap, heap->len--);
    if (last != node) {
        place(heap, node->place, last);
        imu_heap_put(heap, last);
    }
    node->place = 0;
}

imu_heap_node *imu_heap_first(const imu_heap *heap)
{
    return heap->len ? at(heap, 1) : NULL;
}

void imu_heap_clear(imu_heap *heap)
{
    free(heap->nodes);
    heap->nodes = NULL;
    heap->len = heap->room = 0;
}
