/*
 * heap.h: which of many comes first. What is in it holds a node; nothing is copied. Room is asked
 * for beforehand, so that putting something in can't fail.
 */
#ifndef IMU_HEAP_H
#define IMU_HEAP_H

#include <stddef.h>

/** What holds the node; all zero where it is in no heap. */
typedef struct imu_heap_node {
    size_t place; /* in the heap, from 1 on */
} imu_heap_node;

/** @return whether one comes before the other; two that are equal come in any order */
typedef int imu_heap_before(const imu_heap_node *one, const imu_heap_node *other);

/** All zero but `before`: empty. */
typedef struct imu_heap {
    imu_heap_before *before;
    imu_heap_node **nodes;
    size_t len, room;
} imu_heap;

/** What holds a node. */
#define IMU_HEAP_ITEM(node, type, member) ((type *)((char *)(node)-offsetof(type, member)))

/** Makes room for so many nodes. @return 0, or -1 without memory */
int imu_heap_reserve(imu_heap *heap, size_t nodes);
/** Puts a node in, or where it is in already, to its new place: its order has changed. There has to
 * be room. */
void imu_heap_put(imu_heap *heap, imu_heap_node *node);
/** Takes a node out. Nothing happens where it isn't in. */
void imu_heap_take(imu_heap *heap, imu_heap_node *node);
/** @return the node before which no other comes, or NULL */
imu_heap_node *imu_heap_first(const imu_heap *heap);
/** Gives the memory back; what was in it says so still. */
void imu_heap_clear(imu_heap *heap);

#endif
