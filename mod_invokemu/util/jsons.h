/*
 * jsons.h: small conversions between JSON values and text in a pool.
 */
#ifndef IMU_JSONS_H
#define IMU_JSONS_H

#include <apr_pools.h>
#include <jansson.h>

/** @return the text below that key of an object, def where there is none */
const char *imu_json_word(const json_t *object, const char *key, const char *def);
/** The shortest text of json, in p; NULL for NULL or without memory. */
const char *imu_json_compact(apr_pool_t *p, const json_t *json);
/** The text of a JSON string's inside, without its quotes: how value stands inside a compact JSON
 * text. */
const char *imu_json_escaped(apr_pool_t *p, const char *value);
/** text rewritten compactly when it is one JSON object, as it is when that would change a number in
 * it, else NULL. */
const char *imu_json_object_text(apr_pool_t *p, const char *text);

#endif
