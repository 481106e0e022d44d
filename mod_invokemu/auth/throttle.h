/*
 * throttle.h: counts failed sign-ins for each account and each address in shared memory.
 */
#ifndef IMU_THROTTLE_H
#define IMU_THROTTLE_H

#include <httpd.h>

/** Makes the shared table; called by the parent in post_config. */
apr_status_t imu_throttle_create(apr_pool_t *pconf, server_rec *s);
/** Attaches a child. */
void imu_throttle_child_init(apr_pool_t *pchild, server_rec *s);

#endif
