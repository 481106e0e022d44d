/*
 * queue_run.h: the queue as the dispatcher runs it. The rows are the truth: a job belongs to the
 * dispatcher named in it for as long as its lease lasts, and to the attempt (run_id) named in it;
 * every change here is guarded by both, so that a second dispatcher, a late worker or a cancel from
 * a request handler can't undo one another. Free of httpd.
 */
#ifndef IMU_QUEUE_RUN_H
#define IMU_QUEUE_RUN_H

#include "mod_invokemu/store/db.h"

/** How long a claim lasts without renewal, seconds. */
#define IMU_LEASE_SECONDS 30
/** Attempts a job gets: a worker that dies costs its job one retry. */
#define IMU_MAX_ATTEMPTS 2

/** A job with what running it needs. */
typedef struct imu_job {
    apr_int64_t item_id;
    const char *queue_id;
    const char *batch_id;
    const char *session_id;
    const char *user_id;
    const char *origin;      /**< or NULL */
    const char *destination; /**< or NULL */
    const char *session;     /**< JSON text */
    const char *workflow;    /**< JSON text or NULL */
    const char *run_id;      /**< of the attempt that is running, or NULL */
    int attempts;
    int left; /**< after imu_run_take_over: whether imu_run_leave had been called for it */
} imu_job;

/** How an attempt ended. */
typedef struct imu_outcome {
    const char *status;     /**< "completed", "failed" or "canceled" */
    const char *session;    /**< JSON text of the execution state, or NULL to leave it */
    const char *error_type; /**< or NULL, as the next two */
    const char *error_message;
    const char *error_traceback;
} imu_outcome;

/** The id of the job to run next by the order in force, or 0. Claims nothing. */
imu_err *imu_run_next(imu_db *db, apr_pool_t *p, int fifo, apr_int64_t *item_id);
/** The same for people who ask: of one queue, and what will be next when the processor is resumed.
 */
imu_err *imu_run_next_of_queue(imu_db *db, apr_pool_t *p, int fifo, const char *queue_id,
                               apr_int64_t *item_id);
/**
 * How many waiting jobs, of all queues, come before each one of a queue, as things stand: rows of
 * item_id, user_id and jobs_before; that is NULL for what nobody runs: where the account is not
 * active, and where the job is held.
 * @param user_id  whose jobs it tells of; NULL: everybody's
 */
imu_err *imu_run_places(imu_db *db, apr_pool_t *p, int fifo, const char *queue_id,
                        const char *user_id, imu_rows **places);
/**
 * Claims a pending job under a new run_id and notes that its owner was served; paused queues are
 * imu_run_next's business.
 * @param device  as the worker names it, or NULL
 * @param job     NULL when it was not pending any more
 */
imu_err *imu_run_claim(imu_db *db, apr_pool_t *p, const char *dispatcher_id, apr_int64_t item_id,
                       const char *device, imu_job **job);
/** Holds a waiting job for a model that can't be read just now: it keeps its place, and others pass
 * it. *done is 0 when it was not pending any more. */
imu_err *imu_run_hold(imu_db *db, apr_pool_t *p, apr_int64_t item_id, const char *model_key,
                      int *done);
/** The models that jobs are held for: rows of held_for. */
imu_err *imu_run_held_for(imu_db *db, apr_pool_t *p, imu_rows **models);
/** Lets the jobs go that are held for a model. */
imu_err *imu_run_unhold(imu_db *db, apr_pool_t *p, const char *model_key);
/** Reads a job in whatever state; NULL when there is none. */
imu_err *imu_run_job(imu_db *db, apr_pool_t *p, apr_int64_t item_id, imu_job **job);
/** Renews the lease. *still is 0 when that attempt is no longer wanted (canceled, deleted, taken
 * over). */
imu_err *imu_run_renew(imu_db *db, apr_pool_t *p, apr_int64_t item_id, const char *run_id,
                       int *still);
/** Whether that attempt is still wanted. */
imu_err *imu_run_still(imu_db *db, apr_pool_t *p, apr_int64_t item_id, const char *run_id,
                       int *still);
/** Ends an attempt. *done is 0 when it was no longer wanted: nothing has changed then. One that
 * completed replaces the pictures of attempts that were given back before. */
imu_err *imu_run_end(imu_db *db, apr_pool_t *p, apr_int64_t item_id, const char *run_id,
                     const imu_outcome *outcome, int *done);
/** Gives a job back for another attempt. refund: this one did not take place and does not count.
 * *done as above. */
imu_err *imu_run_release(imu_db *db, apr_pool_t *p, apr_int64_t item_id, const char *run_id,
                         int refund, int *done);
/** Notes that its dispatcher is stopped while a worker is busy with this attempt: when that worker
 * is stopped too before the next one finds it, the attempt was nobody's fault. */
imu_err *imu_run_leave(imu_db *db, apr_pool_t *p, apr_int64_t item_id, const char *run_id);
/**
 * Takes over jobs in progress that this dispatcher left behind when it ended, or whose dispatcher
 * stopped renewing its lease.
 * @param jobs  array of imu_job *, at most 200; their run_id says which attempt a worker may still
 * be busy with
 */
imu_err *imu_run_take_over(imu_db *db, apr_pool_t *p, const char *dispatcher_id,
                           apr_array_header_t **jobs);
/** Deletes ended jobs beyond the newest `keep` of each person, and what an interrupted enqueue
 * left: at most 500 of both a call. */
imu_err *imu_run_prune_history(imu_db *db, apr_pool_t *p, int keep, int *deleted);
/** Appends the keys of the textual inversions of that name. */
imu_err *imu_run_inversions(imu_db *db, apr_pool_t *p, const char *name, json_t *keys);
/** Appends the keys of installed models of that type, at most 24. */
imu_err *imu_run_models_of_type(imu_db *db, apr_pool_t *p, const char *type, json_t *keys);
/** A model's path and record by key; NULL when it is unknown. The record is owned by p. */
imu_err *imu_run_model(imu_db *db, apr_pool_t *p, const char *key, const char **path,
                       json_t **record);
/** Whether a job's owner is an administrator. *known is 0 when the account is gone. */
imu_err *imu_run_owner(imu_db *db, apr_pool_t *p, const char *user_id, int *is_admin, int *known);

#endif
