/*
 * models.h: opened models. The engine keeps their weights until its budget asks for their place.
 *
 * Models belong to the run thread. imu_models_loaded and imu_models_ask_unload may be called from
 * any.
 */
#ifndef IMU_MODELS_H
#define IMU_MODELS_H

#include "worker/nodes/env.h"
#include "worker/options.h"

#include <limits.h>

typedef struct imu_models imu_models;

/**
 * @param o  device, threads and budgets; the folder that models must lie below, and relative paths
 *           start at; the folder of tokenizers that the server keeps
 * @return the cache, or NULL with the error (the engine does not start)
 */
imu_models *imu_models_new(const imu_options *o, imu_error *err);
void imu_models_free(imu_models *m);
/** What computes, "cpu" or "cuda", and a short description of it. */
const char *imu_models_device_kind(const imu_models *m);
const char *imu_models_device(const imu_models *m);
/** What the device said when it stopped to answer, or NULL while it answers. Run thread. */
const char *imu_models_lost(const imu_models *m);
/** Keys of the models with weights in memory when they were last noted, a new array. */
json_t *imu_models_loaded(imu_models *m);
/** Notes which models have weights in memory. Run thread. */
void imu_models_note_loaded(imu_models *m);
/** Asks that a model (NULL: all) be dropped; done by imu_models_do_unload. */
void imu_models_ask_unload(imu_models *m, const char *key);
/** Drops what was asked for. Run thread, between runs. */
void imu_models_do_unload(imu_models *m);

/** The row of RUN.models that a ModelIdentifierField means: by key, else hash, else name, base and
 * type; or NULL. */
const json_t *imu_models_find(const json_t *rows, const json_t *identifier);
/**
 * Opens the model that identifier names and reads the weights of `parts` (IMU_PART_…).
 * @return 0 with *out, valid until the next call of this function; or -1 with call->error
 */
int imu_models_get(imu_call *call, const json_t *identifier, int parts, imu_model **out);
/** A part of a model on its way into memory, which happens when it is first used. */
typedef struct imu_loading {
    imu_call *call;
    const imu_model *model;
    int part;     /**< IMU_PART_… */
    double there; /**< the share of it that was there when it was looked at last */
    int64_t last; /**< when that was told */
} imu_loading;

/** Before the first use: says that it begins, where nothing of the part is there. @return whether
 * it did */
bool imu_loading_begin(imu_loading *l, imu_call *call, const imu_model *model, int part);
/** Says how far it has come when that is more than before, four times a second at the most. */
void imu_loading_tell(imu_loading *l);

/**
 * Lays the LoRAs of a list of LoRAField, and no others, on a part of a model: IMU_PART_UNET, or
 * IMU_PART_TEXT with the number of the text encoder.
 * @return 0, or -1 with call->error
 */
int imu_models_set_loras(imu_call *call, imu_model *model, int part, int encoder,
                         const json_t *loras);
/** The file or folder of a row of RUN.models, absolute and where models may lie. @return 0, or -1
 * with call->error */
int imu_models_path(imu_call *call, const json_t *row, char path[PATH_MAX]);
/** The engine, to open what models.c does not keep. */
imu_engine *imu_models_engine(const imu_call *call);
/** Fails the call because a model does not open: to people it is unusable, whatever the reason, but
 * for one that needs another beside it, which is said. @return -1 */
int imu_models_refuse(imu_call *call, const imu_fault *fault);
/** Fails the call with what the engine said, paths left out. Of a broken model, people get a plain
 * sentence, and what the engine said is the error's detail. @return -1 */
int imu_models_fault(imu_call *call, const imu_fault *fault);

#endif
