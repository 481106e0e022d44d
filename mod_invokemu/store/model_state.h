/*
 * model_state.h: whether a model can be rendered with just now. Its folder is looked at each time
 * it is asked for, so that a disk which comes back, or a file that was mended, counts at once; what
 * was found in files that have not changed since is remembered for the process.
 */
#ifndef IMU_STORE_MODEL_STATE_H
#define IMU_STORE_MODEL_STATE_H

#include "mod_invokemu/store/db.h"

/** A hash that begins so is none: the files were broken when the model was found. */
#define IMU_MODEL_UNREAD "unread:"

typedef enum imu_model_state {
    IMU_MODEL_USABLE = 0,
    IMU_MODEL_MISSING, /**< its folder or file is gone */
    IMU_MODEL_FOREIGN, /**< what lies there is of a kind that the worker does not run, or no model,
                          or outside the model folder */
    IMU_MODEL_BROKEN,  /**< a file is missing, damaged or can't be read */
    IMU_MODEL_UNKNOWN, /**< in order by now, but nobody has read what kind of model it is */
    IMU_MODEL_REMOVED  /**< an administrator took it off the list */
} imu_model_state;

typedef struct imu_model_view {
    imu_model_state state;
    const char *why; /**< a sentence for administrators; NULL for a usable one */
    const char *log; /**< technical words for the log, or NULL */
} imu_model_view;

struct imu_file_kind;
/** Whether path is a model of one file, or a folder that holds one network instead of a pipeline,
 * and of which kind (worker/diffusion/file_kind.h). */
int imu_model_single(const char *path, struct imu_file_kind *kind);
/** Looks at the files of the model folder dir, or at a model of one file, anew. */
imu_model_view imu_model_inspect(apr_pool_t *p, const char *dir);
/**
 * What a model of the table is good for now; its log is NULL.
 * @param dir  InvokeMUModels: models lie right below it; or NULL for anywhere
 */
imu_model_view imu_model_look(apr_pool_t *p, const char *dir, const imu_rows *rows, int row);
/** Whether a model of the table is there and on the list, but outside the model folder: it can be
 * rendered with once dir is a folder above it. Looks at no other models' files.
 * @param dir  as above */
int imu_model_is_outside(apr_pool_t *p, const char *dir, const imu_rows *rows, int row);
/** The folder of a model of the table, or NULL when it does not lie below dir. */
const char *imu_model_place(apr_pool_t *p, const char *dir, const imu_rows *rows, int row);
/** True for a hash that is none. */
int imu_model_is_unread(const char *hash);
/** True when there is no folder or file to bring the model back from. */
int imu_model_is_gone(imu_model_state state);
/** True when what lies there is not to be listed as a new model. */
int imu_model_is_none(imu_model_state state);
/** A JSON object from the file name of a model folder, or NULL. Owned by p. */
json_t *imu_model_json(apr_pool_t *p, const char *dir, const char *name);

#endif
