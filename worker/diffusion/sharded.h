/* Weights that a model keeps in several files: an index ("….safetensors.index.json") says which of
 * them, the shards, holds which tensor. The index is hostile: shards lie beside it and nowhere
 * else, and what it says and what they hold must be the same. Free of the engine. */
#ifndef IMU_DIFFUSION_SHARDED_H
#define IMU_DIFFUSION_SHARDED_H

#include "worker/diffusion/safetensors.h"

#include <jansson.h>

enum { IMU_MAX_SHARDS = 128, IMU_SHARD_NAME = 128 };

typedef struct imu_shards {
    size_t count;
    char name[IMU_MAX_SHARDS][IMU_SHARD_NAME]; /* in the order in which the index names them */
    json_t *map;                               /* {tensor: shard} */
} imu_shards;

/* Whether a weights file's name is that of an index. */
bool imu_is_index(const char *name);

/* Reads the index `name` in `folder`; to be freed with imu_shards_free. */
imu_engine_status imu_shards_read(const char *folder, const char *name, imu_shards **out,
                                  imu_fault *fault);
void imu_shards_free(imu_shards *shards);

/* Opens the weights file `name` in `folder`, or all shards when it is an index. */
imu_engine_status imu_weights_open(const char *folder, const char *name, imu_safetensors **out,
                                   imu_fault *fault);
/* Bytes of that file, or of all shards; 0 when they can't be seen. */
uint64_t imu_weights_bytes(const char *folder, const char *name);

#endif
