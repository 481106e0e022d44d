/*
 * disk.h: room on the disks that pictures and database lie on. A full disk stops the database, and
 * with it the deletions that would help: so nothing large is taken in before it is full.
 */
#ifndef IMU_DISK_H
#define IMU_DISK_H

#include "mod_invokemu/util/err.h"

/**
 * Fails when less than min bytes are free at root or beside the database. 0: never.
 * @return 507 "disk_low"
 */
imu_err *imu_disk_check(apr_pool_t *p, const char *root, const char *database, apr_int64_t min);

#endif
