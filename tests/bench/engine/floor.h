/* The floor of a network on this machine: its convolutions and matrix products, each timed alone in
 * oneDNN at its best, and added up. What a step takes beyond that is ours to answer for: norms,
 * activations, the softmax, layouts, memory. */
#ifndef IMU_BENCH_FLOOR_H
#define IMU_BENCH_FLOOR_H

#include "tests/bench/engine/lapse.h"
#include "worker/tensor/tensor.h"

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
