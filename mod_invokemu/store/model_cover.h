/*
 * model_cover.h: the picture that stands for a model: cover.webp or cover.png in its folder, or
 * where InvokeAI keeps it in a folder of models, for those that came from there.
 */
#ifndef IMU_STORE_MODEL_COVER_H
#define IMU_STORE_MODEL_COVER_H

#include <apr_pools.h>

#define IMU_COVER_MAX (2 * 1024 * 1024) /**< bytes; a larger file is none */

typedef struct imu_model_cover {
    const char *path;
    const char *type;    /**< content type */
    const char *version; /**< changes with the file */
} imu_model_cover;

/** The cover in that folder: a plain file (no link) of that kind and of bounded size. NULL when
 * there is none. */
const imu_model_cover *imu_model_cover_find(apr_pool_t *p, const char *folder);
/** The one that InvokeAI has in its folder of models for the model with that key, likewise. */
const imu_model_cover *imu_model_cover_by_key(apr_pool_t *p, const char *models, const char *key);
/** Where that one would lie; NULL for a key that is no part of a path. */
const char *imu_model_cover_place(apr_pool_t *p, const char *models, const char *key);

#endif
