/*
 * database_use.h: who works on a database. A restore puts another file in its place: whoever had it
 * open would go on with one that has no name any more.
 */
#ifndef IMU_DATABASE_USE_H
#define IMU_DATABASE_USE_H

#include "mod_invokemu/util/err.h"

/** What lies beside a database to be locked: the database itself may be moved away meanwhile. */
#define IMU_DATABASE_USE "-use"

/** What lies beside a database while a restore puts it in its place, and after one that was broken
 * off there. */
#define IMU_DATABASE_RESTORING "-restoring"
/** What is to be done then. */
#define IMU_RESTORE_AGAIN                                                                          \
    "run invokemu restore with that backup again, which finishes it; what was there before lies "  \
    "in a folder before-restore-TIME"

/** Whether no restore was broken off in its middle. @return 409 "half_restored" */
imu_err *imu_database_complete(apr_pool_t *p, const char *database);

/**
 * Says that this process, and those that it forks, work on the database, until p ends. The folder
 * has to be there, the database need not.
 * @param alone  nobody else may, nor begin to
 * @return 409 "restoring" when a backup is being restored, "half_restored" when that was broken
 * off; alone: 409 "running" when somebody works on it
 */
imu_err *imu_database_hold(apr_pool_t *p, const char *database, int alone);

#endif
