/*
 * wal_index.h: a text that differs whenever anybody, in whatever process, has committed to a
 * database in between. Read where SQLite itself looks first whether what it has in memory is still
 * good: the header of the WAL's index, which all connections share. That takes no lock and no
 * statement, where "PRAGMA data_version" takes a tenth of the time of a small request. Source:
 * sqlite.org/walformat.html, section 2.1; wal.c, walIndexTryHdr.
 */
#ifndef IMU_WAL_INDEX_H
#define IMU_WAL_INDEX_H

#include <apr_pools.h>

typedef const volatile apr_uint32_t imu_wal_index;

/**
 * Finds the header.
 * @param sqlite  a sqlite3 * that has read from a database in WAL mode
 * @return what stays good as long as the connection, or NULL: no WAL, or not to be shared
 */
imu_wal_index *imu_wal_index_of(void *sqlite);
/** @return the version, or NULL while somebody writes the header */
const char *imu_wal_version(apr_pool_t *p, imu_wal_index *index);

#endif
