/* How compute threads wait for each other. */
#ifndef IMU_TENSOR_THREADS_H
#define IMU_TENSOR_THREADS_H

/* First thing in main(): GNU OpenMP reads its waiting policy before main() and by default spins for
 * milliseconds, which is ruinous when the processors are shared. Unless the environment already
 * says how to wait, this sets a short spin and starts the program again, once. Returns when that is
 * done or impossible. */
void imu_threads_settle(char **argv);

#endif
