/*
 * endpoint.h: Socket.IO's HTTP end in the httpd children: /ws/socket.io/.
 */
#ifndef IMU_ENDPOINT_H
#define IMU_ENDPOINT_H

#include <httpd.h>

/** Answers everything below /ws/. @return an httpd status */
int imu_events_handle(request_rec *r);
/** Hooks of the event code (process_connection, child_stopping). */
void imu_events_register_hooks(void);
/** Warns at start-up when the socket limit does not fit the MPM's settings. */
void imu_events_check(server_rec *s);
/** Starts a child's hub thread. */
void imu_events_child_init(apr_pool_t *pchild, server_rec *s);
/** The shortest Timeout of the virtual hosts, in milliseconds: parked connections that are silent
 * for so long are closed. */
int imu_events_timeout_ms(server_rec *s);

#endif
