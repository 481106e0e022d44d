/*
 * workers.h: the connections to the workers. Each keeps connecting with growing pauses, believes
 * nothing unchecked (worker_frames.h), and hands what it has understood to its owner. Knows no
 * database.
 */
#ifndef IMU_WORKERS_H
#define IMU_WORKERS_H

#include "mod_invokemu/dispatch/conn.h"
#include "mod_invokemu/dispatch/worker_frames.h"

typedef struct imu_worker imu_worker;

typedef struct imu_worker_handler {
    /** It has said HELLO; imu_worker_busy tells what it is running. */
    void (*ready)(void *baton, imu_worker *worker, const imu_hello *hello);
    /** A frame about a run. Descriptors stay the connection's. @return 0, or -1 with *why to drop
     * the connection */
    int (*message)(void *baton, imu_worker *worker, const imu_frame *frame,
                   const imu_worker_msg *msg, const char **why);
    /** It goes down in good order and gives its run back; lost follows. */
    void (*leaves)(void *baton, imu_worker *worker);
    /** The connection has ended, after ready. It is tried again by itself. */
    void (*lost)(void *baton, imu_worker *worker);
    /** Nobody listens at its socket any more: the process is gone, and its runs with it. */
    void (*gone)(void *baton, imu_worker *worker);
    /** The time of imu_worker_rest is over. */
    void (*rested)(void *baton, imu_worker *worker);
} imu_worker_handler;

/** Starts connecting to the socket at path (borrowed). @return NULL without memory */
imu_worker *imu_worker_new(imu_loop *loop, const char *path, const imu_worker_handler *handler,
                           void *baton);
/** Ends it; lost is not called. A run goes on in the worker. */
void imu_worker_free(imu_worker *worker);

/** Connected and greeted. */
int imu_worker_is_ready(const imu_worker *worker);
/** Ready and running nothing. */
int imu_worker_is_idle(const imu_worker *worker);
/** Nobody listens at its socket. */
int imu_worker_is_gone(const imu_worker *worker);
/** "cpu" or "cuda:0"; NULL before its first HELLO. */
const char *imu_worker_device(const imu_worker *worker);
/** Whether it holds that model in memory. */
int imu_worker_has_model(const imu_worker *worker, const char *key);

/** Sends RUN. header is borrowed; descriptors are duplicated. @return 0, or -1: not sent, the
 * worker is still idle */
int imu_worker_run(imu_worker *worker, const char *run_id, json_t *header, const int *fds,
                   int n_fds);
/** Asks it to stop a run. A lost connection is no error: the run is judged again after the next
 * HELLO. */
void imu_worker_cancel(imu_worker *worker, const char *run_id);
/** Lets it drop a result that has been stored. */
void imu_worker_ack(imu_worker *worker, const char *run_id, json_int_t seq);
/** Leaves it alone for delay_ms although it looks idle. */
void imu_worker_rest(imu_worker *worker, int delay_ms);

#endif
