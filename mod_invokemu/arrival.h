/*
 * arrival.h: how requests arrive. A thread is a thing of worth: an event MPM that can wait (httpd
 * 2.4.63 and later) lends one only to a connection whose handshake is done and whose request has a
 * whole head, and a whole body where that is short. Whoever reads a body, be it the core that
 * throws it away, waits with the threads that crowd.h allows.
 */
#ifndef IMU_ARRIVAL_H
#define IMU_ARRIVAL_H

#include <httpd.h>

#include "mod_invokemu/crowd.h"
#include "mod_invokemu/seats.h"

typedef enum imu_head { IMU_HEAD_THERE, IMU_HEAD_WAIT, IMU_HEAD_LATE } imu_head;

/** Takes what has arrived, without waiting, between two requests of a connection.
 * @return whether the head of a request is there, with a short body (or whatever the core should
 * judge, a short body that did not come in time among it), more has to be waited for, or the
 * connection has had its time, or lost its seat */
imu_head imu_arrival_head(conn_rec *c);

/** From now on, until NULL, reading from this connection waits as `wait` says; before and after,
 * as a stranger. @return 0 where there is nothing to set: on a stream of HTTP/2 */
int imu_arrival_wait_as(conn_rec *c, imu_wait *wait);

/** The seat of a connection, or of that of a stream of HTTP/2; NULL where none is counted. */
imu_seat *imu_arrival_seat(conn_rec *c);

/** Filter and hooks. */
void imu_arrival_register(void);

#endif
