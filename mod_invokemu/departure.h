/*
 * departure.h: how answers leave. httpd waits with a thread while more than 64 KiB of an answer in
 * memory, or of anything under TLS, can't be sent yet; here such a thread needs one of the places
 * of crowd.h, so that who doesn't read what they asked for holds only those.
 */
#ifndef IMU_DEPARTURE_H
#define IMU_DEPARTURE_H

#include <httpd.h>

/** From now on, waiting for this connection's client counts as waiting for that account. Until it
 * is called, for the network the client is in. Of a stream of HTTP/2, its connection is meant. */
void imu_departure_known(conn_rec *c, const char *user_id);

/** Filter and hooks. */
void imu_departure_register(void);
void imu_departure_child_init(apr_pool_t *pchild, server_rec *s);

#endif
