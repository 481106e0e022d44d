#include "tests/bench/engine/lapse.h"

#include <time.h>

static double now(clockid_t clock)
{
    struct timespec t;
    clock_gettime(clock, &t);
    return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

imu_lapse imu_lapse_now(void)
{
    return (imu_lapse){now(CLOCK_MONOTONIC), now(CLOCK_PROCESS_CPUTIME_ID)};
}

imu_lapse imu_lapse_since(imu_lapse start)
{
    imu_lapse end = imu_lapse_now();
    return (imu_lapse){end.wall - start.wall, end.processors - start.processors};
}

void imu_lapse_least(imu_lapse *least, imu_lapse start)
{
    imu_lapse took = imu_lapse_since(start);
    least->wall = took.wall < least->wall ? took.wall : least->wall;
    least->processors = took.processors < least->processors ? took.processors : least->processors;
}
