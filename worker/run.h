/*
 * run.h: the run thread. It takes one job at a time, executes its graph and puts what happens into
 * the outbox. The functions here belong to the I/O thread.
 */
#ifndef IMU_RUN_H
#define IMU_RUN_H

#include "wire/wire.h"
#include "worker/nodes/models.h"
#include "worker/outbox.h"

typedef struct imu_runner imu_runner;

/** Starts the thread. @return the runner, or NULL with the error. */
imu_runner *imu_runner_new(imu_models *models, imu_outbox *outbox, imu_error *err);
/** Stops what runs without reporting it, ends the thread, frees. */
void imu_runner_free(imu_runner *r);

/**
 * Starts a run.
 * @param header  the RUN frame's header; checked here, a reference is taken
 * @param fds     its descriptors, taken over in any case
 * @return 0 started (what is wrong with it is reported as DONE), 1 busy with another run, -1 not a
 * RUN at all
 */
int imu_runner_start(imu_runner *r, json_t *header, const int *fds, int n_fds);
/** Stops the run of that id, if it is the one that runs. @return true if so. */
bool imu_runner_cancel(imu_runner *r, const char *run_id);
/**
 * Whether the device was lost: the thread has ended with the job that noticed, whose end is in the
 * outbox. What is started now never runs.
 */
bool imu_runner_lost(imu_runner *r);
/** Lets the run thread look for models to drop. */
void imu_runner_poke(imu_runner *r);
/**
 * {"running": {run_id, item_id} or null, "held": [...]}, both of one moment, so that a finished run
 * is always in one of the two until its results are acknowledged.
 */
json_t *imu_runner_status(imu_runner *r);

#endif
