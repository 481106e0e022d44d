/* Work memory of a backend: what tensors of a run and the scratch of kernels lie in.
 *
 * Tensors of a run come and go in the same order every time, in sizes of all kinds. The arena cuts
 * them from as few blocks as it can: from the smallest gap that holds them, and gaps that meet are
 * one. The first run shows how much a single block would have to hold; when it is over, that is
 * when nothing is in use, its blocks are given back, and the next one gets that block. From then on
 * nothing is asked of the system or the device, and each step of a denoising finds each tensor at
 * the same place.
 *
 * An arena belongs to one thread at a time. It never touches the memory it hands out, which may be
 * a device's.
 */
#ifndef IMU_TENSOR_ARENA_H
#define IMU_TENSOR_ARENA_H

#include <stdbool.h>
#include <stddef.h>

enum { IMU_ARENA_ALIGN = 256 }; /* bytes; blocks must start at a multiple of it too */

typedef struct imu_arena_source {
    /* A new block, or NULL. It may have the arena give back what it does not use (imu_arena_trim).
     */
    void *(*take)(void *user, size_t bytes);
    void (*give)(void *user, void *block, size_t bytes);
    void *user;
} imu_arena_source;

typedef struct imu_arena_span {
    size_t at, bytes;
    size_t planned; /* where in the plan the same piece lies */
    bool used;
} imu_arena_span;

typedef struct imu_arena_block {
    char *data;
    size_t bytes;
    imu_arena_span *spans; /* all of it, in order; two that are free never meet */
    size_t count, room;
} imu_arena_block;

typedef struct imu_arena {
    imu_arena_source source;
    imu_arena_block *blocks;
    size_t count, room;
    size_t used; /* bytes */
    bool grown;  /* the run asked for more than the block it began with */
    /* Where everything would lie in a single block without end, and how much of it the run took. */
    imu_arena_block plan;
    size_t planned;
    size_t size; /* of the block to begin with; 0: nothing is known yet */
} imu_arena;

/* An arena without memory. */
void imu_arena_open(imu_arena *a, const imu_arena_source *source);
/* Gives everything back, in use or not. */
void imu_arena_close(imu_arena *a);

/* `bytes` (0 counts as one) at a multiple of IMU_ARENA_ALIGN; NULL without memory. */
void *imu_arena_alloc(imu_arena *a, size_t bytes);
/* Takes back what imu_arena_alloc gave; NULL is fine. */
void imu_arena_release(imu_arena *a, void *data);

/* Gives back the blocks of which nothing is in use, and forgets how much a run needs when none is
 * left. Whether there were any. */
bool imu_arena_trim(imu_arena *a);

#endif
