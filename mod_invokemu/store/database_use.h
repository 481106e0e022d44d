/*
 * database_use.h: who works on a database. A restore puts another file in its place: whoever had it
 * open would go on with one that has no name any more.
 */
#ifndef IMU_DATABASE_USE_H
#define IMU_DATABASE_USE_H

#include "mod_invokemu/util/err.h"

/** What lies beside a database to be locked: the database itself may be moved away meanwhile. */
#define IMU_DATABASE_USE "-use"

/**
 * Says that this process, and those that it forks, work on the database, until p ends. The folder
 * has to be there, the database need not.
 * @param alone  nobody else may, nor begin to
 * @return 409 "restoring" when a backup is being restored; alone: 409 "running" when somebody works
 * on it
 */
imu_err *imu_database_hold(apr_pool_t *p, const char *database, int alone);

#endif
