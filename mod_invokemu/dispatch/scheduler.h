/*
 * scheduler.h: which job runs where, and what happens when a worker, this process or httpd goes
 * away in the middle.
 *
 * - Work is handed out whenever a worker is idle; whose turn it is, the database says
 * (store/queue_run.h). Among idle workers the one that has the job's models loaded gets it, which
 * makes nobody wait.
 * - A run whose worker's connection has ended is alone: it is taken up again when that worker comes
 * back with it, and lost when it comes back without it, when nobody listens at its socket any more,
 * or when nobody has it for IMU_ALONE_MS. A lost job gets one more attempt, then it fails
 * ("WorkerLost"). A worker that says GOODBYE, or that is stopped while the dispatcher is stopped
 * too, costs no attempt.
 * - After a start, jobs in progress that an earlier dispatcher left are runs that are alone.
 */
#ifndef IMU_SCHEDULER_H
#define IMU_SCHEDULER_H

#include "mod_invokemu/dispatch/runs.h"

/** How long a run may be without its worker. */
#define IMU_ALONE_MS 20000

typedef struct imu_scheduler imu_scheduler;

/**
 * Starts connecting to the workers and takes up what is in progress.
 * @param dispatcher_id  name under which jobs are claimed; nobody else alive may use it
 * @return NULL without memory
 */
imu_scheduler *imu_scheduler_new(imu_dispatch *d, const char *dispatcher_id);
void imu_scheduler_free(imu_scheduler *s);
/** Before the end in good order: notes which runs are left with a worker that was well. */
void imu_scheduler_leave(imu_scheduler *s);

/** Something may have changed in the queue: looks again, soon. */
void imu_scheduler_wake(imu_scheduler *s);
/** Messages may have been lost: compares the running jobs with their rows, then looks at the queue,
 * soon. */
void imu_scheduler_look_again(imu_scheduler *s);
/** A job's row says canceled, or is gone: stops it if it is running. */
void imu_scheduler_cancel(imu_scheduler *s, apr_int64_t item_id);

/**
 * The test hook: does one step of a job without a worker, or moves the clock ("clock", by item_id
 * seconds).
 * @param step  "start", "progress", "complete" or "fail"
 * @return NULL, or why not
 */
const char *imu_scheduler_hook(imu_scheduler *s, const char *step, apr_int64_t item_id);

#endif
