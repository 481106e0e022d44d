/* What the rendering worker may do once it has its socket: read models and programs, compute,
 * answer. Model files are other people's work; whatever one of them may bring a parser to do, it
 * reaches no pictures, no database and no network. */
#ifndef IMU_CONFINE_H
#define IMU_CONFINE_H

#include "worker/options.h"

/**
 * Confines this process for good, with all threads that it starts later. Call before there are any.
 * Files (Landlock, where the kernel has it; landlock(7)): reads below o->models, or everywhere when
 * it is NULL, and of what loading libraries and a GPU's driver need; writes to the driver's devices
 * only; removes files in the socket's folder only. Calls (seccomp, seccomp(2)): starts no program,
 * opens no socket but a local one, traces and mounts nothing.
 * @return 0, also without Landlock, which is then said on stderr; -1 with a message there
 */
int imu_confine(const imu_options *o);

#endif
