/* The floor of a network on this machine: its convolutions and matrix products, each timed alone in
 * oneDNN at its best, and added up. What a step takes beyond that is ours to answer for: norms,
 * activations, the softmax, layouts, memory. */
#ifndef IMU_BENCH_FLOOR_H
#define IMU_BENCH_FLOOR_H

#include "worker/tensor/tensor.h"

/* Seconds that went by, and those that the processors worked for us: the same times the number of
 * threads on an idle machine; on a busy one, what is left to compare (with one thread: `taskset -c
 * 0`, because threads that wait for each other work too). */
typedef struct imu_lapse {
    double wall, processors;
} imu_lapse;

/* A point in time. */
imu_lapse imu_lapse_now(void);
imu_lapse imu_lapse_since(imu_lapse start);
/* Lowers both of *least to what has gone by since `start`. */
void imu_lapse_least(imu_lapse *least, imu_lapse start);

typedef struct imu_floor {
    imu_lapse total; /* of one evaluation */
    double flop;
    double conv, linear, attention; /* shares of `total.wall` */
} imu_floor;

/* Has the backend's products noted from now on. Before networks are opened on it; one backend at a
 * time. */
void imu_floor_watch(imu_backend *backend);
/* Forgets what was noted. */
void imu_floor_reset(void);
/* Times each product noted since, as it was counted, for at least `budget` seconds; with 0, only
 * counts what there is to compute.
 * @return 0, or -1 when oneDNN refused or more was noted than there is room for */
int imu_floor_measure(double budget, imu_floor *out);

#endif
