/*
 * worker_frames.h: reads what a worker says, believing nothing: every value that is used later has
 * been checked here for presence, type, form and size. Pure functions over a frame and its header;
 * texts and JSON point into the header.
 */
#ifndef IMU_WORKER_FRAMES_H
#define IMU_WORKER_FRAMES_H

#include <jansson.h>

#include "wire/wire.h"

/** Most pictures of one node: each brings two descriptors. */
#define IMU_MAX_NODE_PICTURES (IMU_WIRE_MAX_FDS / 2)
/** Longest preview in bytes. */
#define IMU_MAX_PREVIEW (512 * 1024)
/** Largest width or height. */
#define IMU_MAX_SIDE 65536

/** A run as HELLO names it. */
typedef struct imu_run_ref {
    const char *run_id; /**< NULL: none */
    json_int_t item_id;
} imu_run_ref;

typedef struct imu_hello {
    const char *name;
    const char *device;
    json_t *loaded; /**< array of texts */
    imu_run_ref running;
    json_t *held; /**< array; read with imu_run_ref_read */
} imu_hello;

/** A picture a node has made. */
typedef struct imu_made_picture {
    const char *image_name;
    int width, height;
    const char *category;
    int is_intermediate;
    const char *board_id; /**< or NULL */
    const char *metadata; /**< or NULL */
    int has_workflow;
    int fd, thumbnail_fd; /**< indexes into the frame's descriptors */
} imu_made_picture;

/** Any frame about a run. Members that a type does not have are 0 or NULL. */
typedef struct imu_worker_msg {
    imu_run_ref run;
    json_int_t seq;
    const char *node_id;
    const char *source_id;
    json_t *invocation; /**< object with texts "id" and "type" */
    const char *message;
    double percentage; /**< 0..1, or -1 for unknown */
    const char *mime;  /**< of the preview in the payload, or NULL */
    int preview_width, preview_height;
    json_t *result; /**< object with text "type" */
    int n_pictures;
    imu_made_picture pictures[IMU_MAX_NODE_PICTURES];
    const char *status;
    const char *session_id; /**< of the state in the payload, or NULL */
    const char *state;      /**< DONE: the payload, JSON text that was not parsed, or NULL */
    size_t state_len;
    json_t *loaded;                                           /**< DONE: array of texts, or NULL */
    const char *error_type, *error_message, *error_traceback; /**< or NULL */
    const char *model_key, *submodel;
    int complete;
} imu_worker_msg;

/** @return NULL with *hello filled, or what is wrong */
const char *imu_hello_read(json_t *header, imu_hello *hello);
/** One element of `running` or `held`. @return 0 when it is none */
int imu_run_ref_read(const json_t *object, imu_run_ref *ref);
/** Reads a NODE_STARTED, PROGRESS, NODE_COMPLETED, NODE_FAILED, DONE or MODEL_LOAD. @return NULL,
 * or what is wrong */
const char *imu_worker_msg_read(const imu_frame *frame, json_t *header, imu_worker_msg *msg);
/** Checks that a descriptor is a sealed memory file of 1..max bytes, which its sender can't change
 * any more. @return NULL or what is wrong */
const char *imu_memfd_check(int fd, long long max);

#endif
