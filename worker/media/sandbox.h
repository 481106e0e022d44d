/* What a decoding child may still do once it looks at foreign bytes: read and write the descriptors
 * it has, get memory, end. Everything else kills it. */
#ifndef IMU_SANDBOX_H
#define IMU_SANDBOX_H

/** Compiles the filter, once, before children are made. @return 0, or -1 with errno. */
int imu_sandbox_prepare(void);

/**
 * Limits memory, processor time and file size, and switches the filter on for this process, for
 * good. Call in a child with nothing open but what it needs.
 * @return 0, or -1 with errno (the child must end then)
 */
int imu_sandbox_enter(unsigned cpu_seconds);

#endif
