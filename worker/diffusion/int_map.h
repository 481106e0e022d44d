/* A hash map from 64-bit keys to ints and one from byte strings to ints, for vocabularies and
 * merges. */
#ifndef IMU_DIFFUSION_INT_MAP_H
#define IMU_DIFFUSION_INT_MAP_H

#include <stddef.h>
#include <stdint.h>

typedef struct imu_int_map {
    size_t mask, count;
    struct imu_int_slot {
        uint64_t key;
        const char *text; /* NULL in number maps */
        int value;
        int used;
    } * slots;
} imu_int_map;

/* Room for `capacity` entries. 0, or -1 without memory. */
int imu_int_map_init(imu_int_map *m, size_t capacity);
void imu_int_map_free(imu_int_map *m);
/* An entry that exists keeps its first value. `text` must outlive the map. -1 when the map is full.
 */
int imu_int_map_put(imu_int_map *m, uint64_t key, int value);
int imu_int_map_put_text(imu_int_map *m, const char *text, int value);
/* The value, or -1. */
int imu_int_map_get(const imu_int_map *m, uint64_t key);
int imu_int_map_get_text(const imu_int_map *m, const char *text);

#endif
