/*
 * prefork.h: the end of a child under the prefork MPM, which comes in the middle of anything.
 */
#ifndef IMU_PREFORK_H
#define IMU_PREFORK_H

#include <httpd.h>

void imu_prefork_register_hooks(void);
/** The child serves a request of ours until r's pool goes. */
void imu_prefork_serving(request_rec *r);

#endif
