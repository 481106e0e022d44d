/*
 * core_gate.h: lets a few through at a time, the one with the lowest rank first. Password hashing
 * goes through one gate per process, so that sign-ins can't take every core and every thread of the
 * server.
 */
#ifndef IMU_CORE_GATE_H
#define IMU_CORE_GATE_H

#include <apr_pools.h>
#include <apr_thread_cond.h>
#include <apr_thread_mutex.h>

typedef enum imu_gate_state {
    IMU_GATE_WAITING,
    IMU_GATE_IN,
    IMU_GATE_LATE,     /**< it took too long */
    IMU_GATE_DISPLACED /**< had to make room for another, who has the place now */
} imu_gate_state;

/** Somebody at the gate. */
typedef struct imu_gate_guest {
    apr_int64_t rank;     /**< who has less is sooner inside; of two alike, who came first */
    int stranger;         /**< strangers leave others a place inside, and others strangers one */
    imu_gate_state state; /**< the gate's */
    struct imu_gate_guest *next;
} imu_gate_guest;

typedef struct imu_gate {
    apr_thread_mutex_t *lock;
    apr_thread_cond_t *changed;
    int max_inside, inside;
    int max_strangers, strangers; /* of those inside */
    imu_gate_guest *waiting;      /* in the order they came */
} imu_gate;

/** Makes a gate in p. If there are several places inside, strangers never take the last one, and
 * others don't while strangers wait and none is inside. */
apr_status_t imu_gate_create(apr_pool_t *p, int max_inside, imu_gate **gate);
/** Waits up to patience for a place inside. The guest has to stay where it is until it has left.
 * @return IMU_GATE_IN, IMU_GATE_LATE or IMU_GATE_DISPLACED */
imu_gate_state imu_gate_enter(imu_gate *gate, imu_gate_guest *guest, apr_interval_time_t patience);
/** After IMU_GATE_IN. */
void imu_gate_leave(imu_gate *gate, imu_gate_guest *guest);
/** Sends away the one who waits with the highest rank, if that is above `rank`. @return whether
 * there was one */
int imu_gate_displace(imu_gate *gate, apr_int64_t rank);

#endif
