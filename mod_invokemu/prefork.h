/*
 * prefork.h: the end of a child under the prefork MPM, which comes in the middle of anything.
 */
#ifndef IMU_PREFORK_H
#define IMU_PREFORK_H

void imu_prefork_register_hooks(void);

#endif
