/* Small JSON files of a model folder: bounded reading, and getters with a default and a range. */
#ifndef IMU_DIFFUSION_JSON_FILE_H
#define IMU_DIFFUSION_JSON_FILE_H

#include "worker/diffusion/fault.h"

#include <jansson.h>

/* Reads folder/name, at most `max_bytes` long, which must hold an object, in which no key
 * stands twice. `*out` is the caller's reference. */
imu_engine_status imu_json_read(const char *folder, const char *name, size_t max_bytes,
                                json_t **out, imu_fault *fault);

/* Reads text that must hold one object, in which no key stands twice. `name` is what faults call
 * it. `*out` is the caller's reference. */
imu_engine_status imu_json_parse(const char *text, size_t size, const char *name, json_t **out,
                                 imu_fault *fault);

/* Reads a whole file of at most `max_bytes`; *out is NUL-terminated and the caller's to free. */
imu_engine_status imu_file_read(const char *folder, const char *name, size_t max_bytes, char **out,
                                size_t *size, imu_fault *fault);

/* The integer `key`, `fallback` when absent or null. Out of [low, high] or no integer: fault. */
imu_engine_status imu_json_int(const json_t *o, const char *key, int fallback, int low, int high,
                               int *out, imu_fault *fault);
imu_engine_status imu_json_double(const json_t *o, const char *key, double fallback, double *out,
                                  imu_fault *fault);
/* `fallback` when absent, null or no boolean. */
bool imu_json_bool(const json_t *o, const char *key, bool fallback);
/* `fallback` when absent or no string. Belongs to `o`. */
const char *imu_json_string(const json_t *o, const char *key, const char *fallback);
/* An integer, or a list of exactly `count` integers, into out[count]; an integer fills all. */
imu_engine_status imu_json_ints(const json_t *o, const char *key, int fallback, int low, int high,
                                int count, int *out, imu_fault *fault);

#endif
