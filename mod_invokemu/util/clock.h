/*
 * clock.h: the time by which sessions, links and mails end. It is the system's, but for tests of
 * what happens days later: in a server started with -D InvokeMUTestHook they can move it.
 */
#ifndef IMU_CLOCK_H
#define IMU_CLOCK_H

#include <apr_time.h>

/** Now. */
apr_time_t imu_clock_now(void);
/** Makes the clock movable, for this process and those that it starts from now on; before that,
 * moves do nothing. @return 0, or -1 when there is no memory */
int imu_clock_make_movable(void);
/** Moves the clock of all those processes, forwards or back. */
void imu_clock_move(apr_interval_time_t by);

#endif
