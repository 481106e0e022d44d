/*
 * models.h: what the server can render with. Column path is where a model lies on this machine and
 * stays inside the server; column record is the description that clients see.
 */
#ifndef IMU_STORE_MODELS_H
#define IMU_STORE_MODELS_H

#include "mod_invokemu/store/db.h"

/** Field of a record that is true once an administrator has changed how the model is described. */
#define IMU_MODEL_EDITED "edited"

/** Makes or renews a record of each model folder right below dir (model_scan.c). A known model
 * whose folder is gone or broken keeps its record, and with it what people wrote there. For the
 * parent, at start-up. */
imu_err *imu_models_scan(imu_db *db, const char *dir);

/** One model by key; rows->count is 0 when there is none. Columns key, path, record and the rest of
 * the table. */
imu_err *imu_model_get(imu_db *db, apr_pool_t *p, const char *key, imu_rows **rows);
/** All models by name. */
imu_err *imu_model_list(imu_db *db, apr_pool_t *p, imu_rows **rows);
/** By the hash, or by name, base and type: all that fit, oldest first. */
imu_err *imu_model_by_hash(imu_db *db, apr_pool_t *p, const char *hash, imu_rows **rows);
imu_err *imu_model_by_attrs(imu_db *db, apr_pool_t *p, const char *name, const char *base,
                            const char *type, imu_rows **rows);
/** Forgets a model. */
imu_err *imu_model_delete(imu_db *db, apr_pool_t *p, const char *key);
/** Writes a record and the columns that are taken from it: name, base, type, hash. */
imu_err *imu_model_put(imu_db *db, apr_pool_t *p, const char *path, const json_t *record);

#endif
