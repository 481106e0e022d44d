/* Which weights are in memory, in the order they were brought there, and which leave first.
 *
 * Time is counted in turns: pieces of work, each a prompt, a denoising or a picture. What makes
 * room is what was used in the earliest turn, and of that what was brought last. Weights of the
 * present turn don't make room for each other: each step of a denoising uses all of them in the
 * same order, so the one used longest ago is the very next to be used, and every one would be read
 * again in every step. Those that came first stay, and only the rest is read again.
 */
#ifndef IMU_TENSOR_RESIDENCY_H
#define IMU_TENSOR_RESIDENCY_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* A weight's place; the first member of every backend's imu_weight. */
typedef struct imu_resident {
    struct imu_resident *before, *after;
    uint64_t bytes; /* 0: not in memory */
    uint64_t turn;  /* in which it was used last */
} imu_resident;

typedef struct imu_residency {
    imu_resident *first, *last;
    uint64_t bytes; /* of all of them */
    uint64_t turn;  /* the present one */
} imu_residency;

/* Notes `bytes` more of a weight. */
static inline void imu_residency_add(imu_residency *r, imu_resident *w, uint64_t bytes)
{
    if (!w->bytes) {
        w->before = r->last;
        w->after = NULL;
        *(r->last ? &r->last->after : &r->first) = w;
        r->last = w;
    }
    w->turn = r->turn;
    w->bytes += bytes;
    r->bytes += bytes;
}

/* Notes that nothing of a weight is in memory. */
static inline void imu_residency_remove(imu_residency *r, imu_resident *w)
{
    if (!w->bytes)
        return;
    *(w->before ? &w->before->after : &r->first) = w->after;
    *(w->after ? &w->after->before : &r->last) = w->before;
    r->bytes -= w->bytes;
    w->bytes = 0;
}

/* The weight that is to leave next, used before turn `until` and not `kept`; or NULL. */
static inline imu_resident *imu_residency_leaving(const imu_residency *r, const imu_resident *kept,
                                                  uint64_t until)
{
    imu_resident *leaving = NULL;
    for (imu_resident *w = r->last; w; w = w->before)
        if (w != kept && w->turn < until) {
            leaving = w;
            until = w->turn;
        }
    return leaving;
}

#endif
