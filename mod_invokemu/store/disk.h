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

/**
 * The same for a file of that many bytes at root, which may be made at will and kept for a while:
 * it may take half of what is free above min, so that room is left to others.
 * @return 507 "disk_low"
 */
imu_err *imu_disk_check_for(apr_pool_t *p, const char *root, apr_int64_t min, apr_int64_t bytes);

/** Bytes of the reserve: the database's log goes round in less, so small changes fit from then on.
 */
#define IMU_DISK_RESERVE ((apr_int64_t)8 * 1024 * 1024)
/** What is called a full disk here: small changes may fail soon. */
#define IMU_DISK_TIGHT ((apr_int64_t)2 * 1024 * 1024)

/** Keeps a file of that size beside the database, when there is plenty of room. */
void imu_disk_reserve(apr_pool_t *p, const char *database);
/** Before what makes room (deletions, and the sign-in before them): gives the reserve up when less
 * than `tight` bytes are free. @return whether it did */
int imu_disk_release(apr_pool_t *p, const char *database, apr_int64_t tight);

#endif
