/*
 * core_gate.h: lets a few through at a time. Password hashing goes through one gate per process, so
 * that sign-ins can't take every core and every thread of the server.
 */
#ifndef IMU_CORE_GATE_H
#define IMU_CORE_GATE_H

#include <apr_pools.h>
#include <apr_thread_cond.h>
#include <apr_thread_mutex.h>

typedef struct imu_gate {
    apr_thread_mutex_t *lock;
    apr_thread_cond_t *freed;
    int inside, waiting;
    int max_inside, max_waiting;
} imu_gate;

/** Makes a gate in p. */
apr_status_t imu_gate_create(apr_pool_t *p, int max_inside, int max_waiting, imu_gate **gate);
/** Waits up to patience for a place. @return 1 when inside, 0 when too many wait or it took too
 * long */
int imu_gate_enter(imu_gate *gate, apr_interval_time_t patience);
void imu_gate_leave(imu_gate *gate);

#endif
