/*
 * tempdb.h: a migrated database in a temporary folder for one test, gone with it. Include it before
 * anything else: cmocka wants its headers in this order.
 */
#ifndef IMU_TEST_TEMPDB_H
#define IMU_TEST_TEMPDB_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "mod_invokemu/store/db.h"

typedef struct tempdb {
    apr_pool_t *pool;
    const char *dir;
    const char *path;
    imu_db *db;
} tempdb;

/** cmocka set-up and tear-down: *state becomes a tempdb. */
int tempdb_setup(void **state);
int tempdb_teardown(void **state);
/** A second connection to the same file. */
imu_db *tempdb_another(tempdb *t);
/** Fails the test with the error's own words. */
void assert_no_error(const imu_err *err);

#endif
