/*
 * migrate.h: brings a database file to the schema this program knows.
 * Runs in the parent at start-up, or from the command line, never beside open prepared statements.
 */
#ifndef IMU_MIGRATE_H
#define IMU_MIGRATE_H

#include "mod_invokemu/store/db.h"

typedef struct imu_migration {
    int version;
    const char *name;
    const char *sql;
} imu_migration;
extern const imu_migration imu_migrations[];
extern const int imu_migrations_count;

/**
 * Creates the file when missing, switches it to WAL, and runs the migrations it lacks, each in a
 * transaction, after a backup copy beside it (name-vN.backup) when it already held
 * data.
 * @param from, to  may be NULL: versions before and after
 * @return code "db_newer" when the file was made by a newer program
 */
imu_err *imu_migrate(apr_pool_t *p, const char *path, int *from, int *to);

/** The version that imu_migrate brings a database to. */
int imu_migrations_newest(void);
/** Version of the database in that file. @return "db_unknown" when it is none of ours */
imu_err *imu_database_version(apr_pool_t *p, const char *path, int *version);
/** A copy of the database as it stands at one moment, also while others write, in a new file that
 * only the database's owner may read. A file that is there already is replaced. */
imu_err *imu_database_copy(apr_pool_t *p, const char *path, const char *to);

/** Runs statements one after another on a database that is none of ours. Those that find their work
 * done already (a column or table that is there) are passed over. */
imu_err *imu_database_shape(apr_pool_t *p, const char *path, const imu_query *statements, int n);

#endif
