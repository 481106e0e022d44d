/*
 * clock.h: what time it is. Sessions, links and mails end by the system's clock, but for tests of
 * what happens days later: in a server started with -D InvokeMUTestHook they can move it. What
 * lasts for seconds is told by a clock that nobody sets.
 */
#ifndef IMU_CLOCK_H
#define IMU_CLOCK_H

#include <apr_time.h>

/** Now. */
apr_time_t imu_clock_now(void);
/** Microseconds since some moment, the same for all processes. */
apr_time_t imu_clock_steady(void);
/** Makes the clock movable, for this process and those that it starts from now on; before that,
 * moves do nothing. @return 0, or -1 when there is no memory */
int imu_clock_make_movable(void);
/** Moves the clock of all those processes, forwards or back. */
void imu_clock_move(apr_interval_time_t by);

#endif
