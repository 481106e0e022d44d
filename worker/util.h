/* Small helpers that the worker's parts share: errors, identifiers, JSON that came from outside. */
#ifndef IMU_WORKER_UTIL_H
#define IMU_WORKER_UTIL_H

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/** What went wrong, for the person whose job it is: a stable type name and one sentence. */
typedef struct imu_error {
    char type[48];
    char text[512];
    char
        detail[512]; /**< for log and traceback, where the sentence leaves out what is technical; or
                        "" */
} imu_error;

/** Fills err (may be NULL), without a detail. @return -1 always, so that a function can end with
 * it. */
int imu_refuse(imu_error *err, const char *type, const char *format, ...)
    __attribute__((format(printf, 3, 4)));
#ifdef __clang_analyzer__
/* The analyzer reads one file at a time, and takes a failure for a possible success otherwise. */
#define imu_refuse(...) (imu_refuse(__VA_ARGS__), -1)
#endif

#define IMU_UUID_SIZE 37
/** A random UUID v4 in lower case with its NUL. */
void imu_new_uuid(char out[IMU_UUID_SIZE]);
/** Fills buf from the kernel's random source. */
void imu_random(void *buf, size_t len);

/** Monotonic clock in milliseconds. */
int64_t imu_clock_ms(void);

/**
 * Bytes that value takes as JSON text, counted up to limit.
 * @return the size, or limit + 1 when it is larger or nested deeper than max_depth.
 */
size_t imu_json_size(const json_t *value, size_t limit, int max_depth);

/** The string at key, or NULL when it is absent or of another type. */
const char *imu_json_str(const json_t *object, const char *key);

/** Writes all of data. @return 0, or -1 errno. */
int imu_write_all(int fd, const void *data, size_t len);
/** A sealed memfd with this content, positioned at 0. @return descriptor or -1 errno. */
int imu_memfd_of(const char *name, const void *data, size_t len);

#endif
