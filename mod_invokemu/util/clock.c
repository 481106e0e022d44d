#include "mod_invokemu/util/clock.h"

#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/mman.h>
#include <time.h>

/* How far the clock was moved, in microseconds; NULL in every normal server. */
static _Atomic int64_t *moved;

apr_time_t imu_clock_now(void)
{
    return apr_time_now() + (moved ? atomic_load(moved) : 0);
}

apr_time_t imu_clock_steady(void)
{
    struct timespec t;

    clock_gettime(CLOCK_MONOTONIC, &t);
    return apr_time_from_sec(t.tv_sec) + t.tv_nsec / 1000;
}

int imu_clock_make_movable(void)
{
    void *page;

    if (moved)
        return 0;
    page = mmap(NULL, sizeof *moved, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    if (page == MAP_FAILED)
        return -1;
    moved = page;
    return 0;
}

void imu_clock_move(apr_interval_time_t by)
{
    if (moved)
        atomic_fetch_add(moved, by);
}
