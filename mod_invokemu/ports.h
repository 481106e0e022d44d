/*
 * ports.h: which connections are ours, before anything of them has been read.
 */
#ifndef IMU_PORTS_H
#define IMU_PORTS_H

#include <httpd.h>

/** Looks at which ports this module answers. Call in child_init. */
void imu_ports_child_init(apr_pool_t *pchild, server_rec *s);
/** Whether this is a client's connection to one of them, no stream within another. */
int imu_ports_ours(const conn_rec *c);

#endif
