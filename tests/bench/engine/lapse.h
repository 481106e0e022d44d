/* How long something took. */
#ifndef IMU_BENCH_LAPSE_H
#define IMU_BENCH_LAPSE_H

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

#endif
