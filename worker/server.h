/* The renderer's I/O thread: one dispatcher at a time on the listening socket, the protocol of
 * docs/worker-protocol.md, signals. */
#ifndef IMU_SERVER_H
#define IMU_SERVER_H

#include "worker/options.h"

/** Serves until SIGTERM or SIGINT. `listener` is taken over. @return the process's exit status */
int imu_server_run(const imu_options *o, int listener);

#endif
