/*
 * models.h: models as the caller may see and use them.
 */
#ifndef IMU_API_MODELS_H
#define IMU_API_MODELS_H

#include "mod_invokemu/request.h"
#include "mod_invokemu/store/model_state.h"

/** What a model of the table is good for now. */
imu_model_view imu_models_view(imu_req *req, const imu_rows *rows, int row);
/** The first usable model of the rows, or else the first. */
int imu_models_best(imu_req *req, const imu_rows *rows);
/** Why a model can't be used, in the words for the caller. */
const char *imu_models_problem(const imu_req *req, const imu_model_view *view);
/** A record as the caller sees it: with the address of its cover, and when it can't be used, why.
 * New reference. */
json_t *imu_models_shown(imu_req *req, const imu_rows *rows, int row, imu_model_view view);

/** What an administrator says of a model. */
typedef struct imu_model_change {
    const char *name;       /**< or NULL: stays */
    const char *prediction; /**< of a model of one file, or NULL: stays */
    json_t *given;          /**< the body's other fields that a record takes over; empty for none */
} imu_model_change;

/** Reads name, description, trigger phrases and default settings. @return 422 */
imu_err *imu_models_change_read(imu_req *req, const json_t *body, imu_model_change *change);
/** Writes them into the model's record. */
imu_err *imu_models_change_put(imu_req *req, const imu_rows *model, const imu_model_change *change,
                               json_t **record);
/** @return 409 when a graph, or a value that a batch puts into it, names a model that can't be
 * used; unknown ones are left to the worker */
imu_err *imu_models_check(imu_req *req, const json_t *graph, const json_t *data);

#endif
