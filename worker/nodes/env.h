/*
 * env.h: what nodes find around them while a run lasts: its pictures, latents and encoded prompts,
 * the models, and the way to report progress. Belongs to the run thread; only `cancelled` is set by
 * others.
 */
#ifndef IMU_ENV_H
#define IMU_ENV_H

#include "worker/diffusion/pipeline.h"
#include "worker/image/picture.h"
#include "worker/nodes/node.h"

#include <stdatomic.h>

#define IMU_ENV_MAX_SIDE   8192
#define IMU_ENV_MAX_PIXELS (64u * 1024 * 1024)

struct imu_models; /* models.h */

/** Things made during a run, named by random UUIDs so that no graph can guess another run's. */
struct imu_thing {
    char name[IMU_UUID_SIZE];
    imu_array *latents; /**< one of these two */
    imu_conditioning *conditioning;
    char base[16]; /**< of the model it was made with, or "" */
    uint64_t seed; /**< of noise */
};

/** A picture that the graph may name: sent with the run, or made in it. */
struct imu_env_image {
    char name[64];
    int fd; /**< owned */
};

struct imu_progress_note {
    const char *message;
    int step, total;        /**< 0, 0: it has no steps, and `share` says how far it is */
    double share;           /**< 0 to 1 */
    const imu_bytes *image; /**< preview, or NULL */
    const char *mime;
    int width, height; /**< that the preview stands for */
};

typedef struct imu_env {
    atomic_bool cancelled;
    struct imu_models *models;
    const json_t *model_rows;     /**< RUN.models */
    const json_t *metadata_extra; /**< RUN.metadata_extra, or NULL */
    const char *workflow;         /**< text or NULL, stored in every picture */
    const char *graph;            /**< the posted graph as text, stored in every picture */
    struct imu_thing **things;    /**< each for itself: what names them stays where it is */
    size_t n_things;
    size_t thing_bytes;
    struct imu_env_image *images;
    size_t n_images;
    /** Reports progress of a call; may be NULL. */
    void (*progress)(void *user, const imu_call *call, const struct imu_progress_note *note);
    /** Reports that a model's part is being read, and that it is. May be NULL. */
    void (*model_load)(void *user, const char *key, const char *part, bool complete);
    void *user;
} imu_env;

/** Frees what the run left behind, its descriptors included. */
void imu_env_clear(imu_env *env);

bool imu_call_cancelled(const imu_call *call);
/** The same for the engine to ask. @param call an imu_call */
int imu_call_stop_asked(void *call);
/** Fails the call because it was cancelled. @return -1 */
int imu_call_stop(imu_call *call);
/** The version that goes into stored metadata. */
const char *imu_env_app_version(const imu_env *env);

/** Keeps latents or a conditioning (takes it over, even on failure). @return its name, or NULL with
 * call->error. */
const char *imu_env_keep_latents(imu_call *call, imu_array *latents, const char *base,
                                 uint64_t seed);
const char *imu_env_keep_conditioning(imu_call *call, imu_conditioning *c, const char *base);
/** The latents or conditioning that field (a LatentsField, ConditioningField) names, or NULL with
 * call->error. */
const struct imu_thing *imu_env_latents(imu_call *call, const json_t *field);
/** The same for latents or a mask that a field of another kind names by `key`. */
const struct imu_thing *imu_env_tensor(imu_call *call, const json_t *field, const char *key);
const struct imu_thing *imu_env_conditioning(imu_call *call, const json_t *field);

/** Adds a picture that came with the run; takes fd over. @return 0 or -1. */
int imu_env_add_image(imu_env *env, const char *name, int fd);
/** Decodes the picture that an ImageField names, or NULL with call->error. */
imu_picture *imu_env_load_image(imu_call *call, const json_t *field);
/** The size of that picture without decoding its pixels. @return 0 or -1 with call->error. */
int imu_env_image_size(imu_call *call, const json_t *field, int *width, int *height);

/**
 * Stores a picture as the result of the call: PNG with the run's text chunks and a thumbnail, as
 * memfds in call->fds, described in call->images; board, metadata and is_intermediate come from the
 * node.
 * @param category "general", "mask", "control", "user" or "other"
 * @return a new ImageOutput object, or NULL with call->error
 */
json_t *imu_env_save_image(imu_call *call, const imu_picture *p, const char *category);

#endif
