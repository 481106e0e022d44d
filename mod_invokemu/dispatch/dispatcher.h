/*
 * dispatcher.h: the one process that owns the queue's order, the workers and the event hub.
 */
#ifndef IMU_DISPATCHER_H
#define IMU_DISPATCHER_H

#include <httpd.h>

/** Starts the dispatcher and has httpd keep it running. @return OK or an HTTP error status to stop
 * start-up */
int imu_dispatcher_start(apr_pool_t *pconf, server_rec *main_server);

#endif
