/* The media process: one request a connection, each decoded in a sandboxed child of its own. */
#ifndef IMU_MEDIA_H
#define IMU_MEDIA_H

#include "worker/options.h"

/** Serves until SIGTERM or SIGINT. `listener` is taken over. @return the process's exit status */
int imu_media_run(const imu_options *o, int listener);

#endif
