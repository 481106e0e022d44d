/* What the files of wire/ share among themselves. Not for others. */
#ifndef IMU_WIRE_INTERNAL_H
#define IMU_WIRE_INTERNAL_H

#include "wire/wire.h"

#pragma GCC visibility push(hidden)

/** Big-endian 32-bit numbers. */
uint32_t imu_wire_get32(const uint8_t *p);
void imu_wire_put32(uint8_t *p, uint32_t v);

/**
 * The value of the top-level key "fds" of a JSON object, 0 without it, -1 when it is no number
 * within IMU_WIRE_MAX_FDS. Looks at structure only; whether the text is valid JSON is the reader's
 * matter.
 */
int imu_wire_header_fds(const char *text, size_t len);

/** Monotonic clock in milliseconds. */
int64_t imu_wire_now_ms(void);

/** Waits for poll events until a deadline (-1: none). @return 1 ready, 0 deadline passed, -1 errno.
 */
int imu_wire_wait(int fd, short events, int64_t deadline_ms);

#pragma GCC visibility pop

#endif
