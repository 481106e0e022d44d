/*
 * crowd_threads.h: what packers.c shares with crowd.c: the threads that are counted, under one
 * lock.
 */
#ifndef IMU_CROWD_THREADS_H
#define IMU_CROWD_THREADS_H

#include <apr_thread_cond.h>
#include <apr_thread_mutex.h>

#include "mod_invokemu/crowd.h"

/** What everything below is called under; NULL where nothing can be counted. */
apr_thread_mutex_t *imu_crowd_lock(void);
/** Woken when a thread may have become free. */
apr_thread_cond_t *imu_crowd_freed(void);
/** How many more may pack now. */
int imu_crowd_packing_room(void);
/** How many of one account may pack, or wait for that. */
int imu_crowd_packing_each(void);
/** How many more may stand in line to pack: half of the line is left to what is over soon.
 * @param stream  as in imu_wait */
int imu_crowd_line_room(int stream);
/** So many more pack, or fewer. */
void imu_crowd_pack(int more);
/** So many more stand in line, or fewer. */
void imu_crowd_line(int more);

#endif
