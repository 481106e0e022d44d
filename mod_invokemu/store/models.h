/*
 * models.h: what the server can render with. Column path is where a model lies on this machine and
 * stays inside the server; column record is the description that clients see.
 */
#ifndef IMU_STORE_MODELS_H
#define IMU_STORE_MODELS_H

#include <apr_tables.h>

#include "mod_invokemu/store/model_state.h"

/** Field of a record that is true once an administrator has changed how the model is described. */
#define IMU_MODEL_EDITED "edited"

/** True once an administrator has said what the model predicts (prediction_type). */
#define IMU_MODEL_PREDICTION_GIVEN "prediction_given"

/** A folder right below InvokeMUModels, and what is known of it. */
typedef struct imu_model_folder {
    const char *name, *path;
    imu_model_view view; /**< how its files are */
    apr_int64_t size;    /**< bytes */
    imu_rows *known;     /**< its row, if count is 1 */
    const char *hash;    /**< of its weights, once it has been read */
} imu_model_folder;

/** Makes or renews a record of each model folder right below dir (model_scan.c). What an
 * administrator or another server, by an import, said of a model stays; what its files say is
 * renewed. A known model whose folder is gone or broken keeps its record as it is; one that was
 * removed stays so. For the parent, at start-up, and the command line. */
imu_err *imu_models_scan(imu_db *db, const char *dir);
/** Bytes of a model's files: of the one file at path, or of all below that folder. 0 when there are
 * none. */
apr_int64_t imu_model_size(apr_pool_t *p, const char *path);
/** Names of the folders right below dir, sorted, as texts. A dir that does not exist holds none. */
imu_err *imu_model_folders(apr_pool_t *p, const char *dir, apr_array_header_t **names);
/** Looks at the folder called name, or at that path. @return NULL also for one that holds no model:
 * see view */
imu_err *imu_model_folder_look(imu_db *db, apr_pool_t *p, const char *dir, const char *name,
                               imu_model_folder **folder);
/** Reads its weights for the digest, unless it has not changed: several gigabytes take a while.
 * @return "no_weights" when they can't be read */
imu_err *imu_model_folder_read(apr_pool_t *p, imu_model_folder *folder);
/** Writes its record, and takes back its removal. @param key  of the model */
imu_err *imu_model_folder_register(imu_db *db, apr_pool_t *p, const imu_model_folder *folder,
                                   const char **key);

/** One model by key, also a removed one; rows->count is 0 when there is none. Columns key, path,
 * record and the rest of the table. */
imu_err *imu_model_get(imu_db *db, apr_pool_t *p, const char *key, imu_rows **rows);
/** All models that were not removed by name; sample models come first. */
imu_err *imu_model_list(imu_db *db, apr_pool_t *p, imu_rows **rows);
/** All models by name, also removed ones: their removed_at is a time. */
imu_err *imu_model_list_all(imu_db *db, apr_pool_t *p, imu_rows **rows);
/** By the hash, or by name, base and type: all that fit, oldest first. */
imu_err *imu_model_by_hash(imu_db *db, apr_pool_t *p, const char *hash, imu_rows **rows);
imu_err *imu_model_by_attrs(imu_db *db, apr_pool_t *p, const char *name, const char *base,
                            const char *type, imu_rows **rows);
/** Takes a model off every list. One whose folder is there keeps its row, so that it can come back;
 * one whose folder is gone is forgotten. @param state  what it is good for just now */
imu_err *imu_model_take_off(imu_db *db, apr_pool_t *p, const char *key, imu_model_state state);
/** Takes that back. */
imu_err *imu_model_restore(imu_db *db, apr_pool_t *p, const char *key);
/** Writes a record and the columns that are taken from it: name, base, type, hash. */
imu_err *imu_model_put(imu_db *db, apr_pool_t *p, const char *path, const json_t *record);

#endif
