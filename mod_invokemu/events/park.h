/*
 * park.h: connections that wait in the event MPM without a thread.
 *
 * Our process_connection hook runs the rest of that hook's chain itself. When a request handler has
 * given its connection a socket (park.c keeps it with the connection), the hook then tells the MPM
 * to wait for the browser (CONN_STATE_ASYNC_WAITIO, httpd 2.4.63 and later) instead of what the
 * core had in mind, and is called again when there is something to read. Once a long poll is
 * answered, the chain gets the connection back for the next request, once its head is there
 * (arrival.h).
 */
#ifndef IMU_PARK_H
#define IMU_PARK_H

#include "mod_invokemu/events/socket.h"

/** Hooks for the parked connections. */
void imu_park_register_hooks(void);
/** Asks the MPM what it can do; call in child_init. */
void imu_park_child_init(void);
/** True when the MPM can park connections at all. */
int imu_park_supported(void);
/** True when this request's connection can be parked. */
int imu_park_possible(const request_rec *r);
/** From a handler that returns OK next without having answered: the connection is s's now, which
 * takes over the reference. */
void imu_park(request_rec *r, imu_socket *s);

#endif
