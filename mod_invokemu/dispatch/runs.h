/*
 * runs.h: attempts at jobs: what the dispatcher keeps in memory about each, what it tells browsers
 * on the way, and how the results are stored. The rows stay the truth; every run here can be lost
 * and found again from them.
 */
#ifndef IMU_RUNS_H
#define IMU_RUNS_H

#include "mod_invokemu/dispatch/dispatch.h"
#include "mod_invokemu/dispatch/workers.h"
#include "mod_invokemu/store/queue_run.h"

typedef struct imu_run {
    struct imu_run *next;
    apr_pool_t *pool;        /**< everything of this run */
    const imu_job *job;      /**< its run_id names this attempt */
    imu_worker *worker;      /**< who has it now, or NULL */
    imu_worker *last_worker; /**< who had it before the connection ended, or NULL */
    int64_t alone_since;     /**< loop time at which it lost its worker */
    int hooked;              /**< driven by the test hook, without a worker */
    int spared;          /**< its worker was well when the dispatcher before this one was stopped */
    int unwanted;        /**< canceled or deleted: only its end is awaited */
    json_int_t last_seq; /**< newest result taken in by this process */
    int failures;        /**< results that could not be stored, in a row */
    const char *graph;   /**< as text, once a picture needed it */
    json_t *invocation;  /**< the node that is running, or NULL */
    json_t *models;      /**< object: key -> record, as far as known; owned by pool */
    json_t *loading; /**< payload of a model_load_started whose end has not been told, or NULL */
} imu_run;

/** Runs of this process. */
typedef struct imu_runs {
    imu_run *first;
} imu_runs;

/** What became of a result. */
typedef enum imu_stored {
    IMU_STORED = 0,   /**< stored, or a repetition: acknowledge */
    IMU_STORE_AGAIN,  /**< not now: leave it unacknowledged, the worker keeps it */
    IMU_STORE_REFUSED /**< can't be stored: the run has to fail; *why says so to its owner */
} imu_stored;

/** A scratch pool for one piece of work; the connection allocates from it meanwhile. End it with
 * imu_scratch_end. */
apr_pool_t *imu_scratch(imu_dispatch *d);
void imu_scratch_end(imu_dispatch *d, apr_pool_t *p);
/** Writes an error to the log. @return err */
imu_err *imu_run_log(const imu_job *job, imu_err *err, const char *what);

/** Copies the job into a run of its own and lists it. @return NULL without memory */
imu_run *imu_run_add(imu_dispatch *d, imu_runs *runs, const imu_job *job);
/** Unlists and frees it. */
void imu_run_remove(imu_runs *runs, imu_run *run);
imu_run *imu_run_by_id(const imu_runs *runs, const char *run_id);
imu_run *imu_run_by_item(const imu_runs *runs, apr_int64_t item_id);

/** Emits queue_item_status_changed for a job as its row stands. */
void imu_run_tell_status(imu_dispatch *d, apr_pool_t *p, apr_int64_t item_id);
/** invocation_started; remembers the node for its progress events. */
void imu_run_tell_started(imu_dispatch *d, imu_run *run, const imu_worker_msg *msg);
/** invocation_progress, with the preview as data URL. */
void imu_run_tell_progress(imu_dispatch *d, imu_run *run, const imu_worker_msg *msg,
                           const void *preview, size_t len);
/** invocation_complete. */
void imu_run_tell_completed(imu_dispatch *d, const imu_run *run, const imu_worker_msg *msg);
/** invocation_error. */
void imu_run_tell_failed(imu_dispatch *d, const imu_run *run, const imu_worker_msg *msg);
/** model_load_started or model_load_complete. */
void imu_run_tell_model(imu_dispatch *d, imu_run *run, const imu_worker_msg *msg);
/** Ends a model_load_started that nobody will end any more: clients count them. Call before the run
 * goes. */
void imu_run_tell_loaded(imu_dispatch *d, imu_run *run);

/** Stores the pictures of a completed node, durably. *why lives in p. */
imu_stored imu_run_store(imu_dispatch *d, apr_pool_t *p, imu_run *run, const imu_frame *frame,
                         const imu_worker_msg *msg, const char **why);
/**
 * Ends the attempt in the database and tells about it. Does not touch the run itself.
 * @return IMU_STORED also when the attempt was no longer wanted
 */
imu_stored imu_run_finish(imu_dispatch *d, apr_pool_t *p, const imu_run *run,
                          const imu_outcome *outcome);

/**
 * Makes the header of RUN.
 * @param session  the job's session, parsed; not an object: an error
 * @param fds      IMU_WIRE_MAX_FDS descriptors to be closed by the caller
 * @param header   new reference
 * @return error whose detail tells the owner why this job can't run
 */
imu_err *imu_run_request(imu_dispatch *d, apr_pool_t *p, imu_run *run, json_t *session,
                         json_t **header, int *fds, int *n_fds);
/** Keys of the models that a session's graph names: an array of texts owned by p. */
json_t *imu_session_models(apr_pool_t *p, const json_t *session);

#endif
