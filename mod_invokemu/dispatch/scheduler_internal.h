/* scheduler_internal.h: the inside of imu_scheduler, shared by scheduler.c and its neighbours. */
#ifndef IMU_SCHEDULER_INTERNAL_H
#define IMU_SCHEDULER_INTERNAL_H

#include "mod_invokemu/dispatch/scheduler.h"

struct imu_scheduler {
    imu_dispatch *d;
    const char *id;
    imu_runs runs;
    imu_worker **workers;
    int n_workers;
    int told_of_disk;    /* that it is nearly full */
    int told_of_workers; /* how many are ready; -1: nobody has been told */
    imu_timer *hand_out; /* armed by imu_scheduler_wake */
    imu_timer *alone;    /* looks at runs without a worker */
    imu_timer
        *renew; /* renews leases, takes over what others left, and looks at the queue in any case */
};

/* Notes how many workers are ready, and tells everybody, when that has changed. */
void imu_scheduler_count_workers(imu_scheduler *s);
/* Holds a job whose model lies where no worker reads. @param session  NULL for none
 * @param held  whether it is not to be claimed now */
imu_err *imu_scheduler_hold(imu_scheduler *s, apr_pool_t *p, const imu_job *job,
                            const json_t *session, int *held);
/* Lets the jobs go whose models can be read by now, or never will be: those say so by failing. */
void imu_scheduler_unhold(imu_scheduler *s, apr_pool_t *p);

#endif
