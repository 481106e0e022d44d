/*
 * db.h: one open database connection over APR DBD, and the named statements of sql/queries.
 *
 * Statements go by their names; each is prepared when a connection first needs it, since all of
 * them take 2 MiB, in each connection of each child. Nothing else can be run through this header.
 * Arguments are given by a format string, one letter each: s text (NULL is NULL), i apr_int64_t, b
 * int used as 0/1, d double. A connection belongs to one thread at a time. Writes take the
 * instance's global write lock (see design: one writer, no SQLite busy timeout), so keep write
 * transactions tiny and never wait for anything else inside one.
 */
#ifndef IMU_DB_H
#define IMU_DB_H

#include <apr_dbd.h>
#include <apr_global_mutex.h>
#include <apr_hash.h>

#include "mod_invokemu/util/err.h"

typedef struct imu_db {
    const apr_dbd_driver_t *driver;
    apr_dbd_t *handle;
    struct imu_conn *conn; /**< what stays with the connection: statements, remembered answers */
    apr_global_mutex_t *write_lock; /**< may be NULL: the process writes alone */
    apr_dbd_transaction_t *trans;
    apr_pool_t *pool; /**< lives as long as this use of the connection */
    int depth;
    const char *version; /**< of the database when imu_db_recall was called */
} imu_db;

/** Rows of a SELECT, all of them in memory: every query carries a LIMIT. */
typedef struct imu_rows {
    int count;
    int columns;
    const char **names;
    const char **cells;
} imu_rows;

/** A named statement of sql/queries, generated at build time into queries.c. */
typedef struct imu_query {
    const char *name;
    const char *sql;
} imu_query;
extern const imu_query imu_queries[];
extern const int imu_queries_count;

/**
 * Opens a connection of its own (dispatcher, command line, tests; httpd children borrow from
 * mod_dbd instead). It ends with p, also when setting it up failed.
 * @param path  SQLite file, must exist and be migrated
 * @param lock  global write lock; NULL for a process of one thread that writes beside others (the
 * command line): it waits for them inside SQLite
 */
imu_err *imu_db_open(apr_pool_t *p, const char *path, apr_global_mutex_t *lock, imu_db **db);
/** The same for a database that is none of ours, with statements of its own. */
imu_err *imu_db_open_foreign(apr_pool_t *p, const char *path, const imu_query *queries, int n,
                             imu_db **db);
/** Ends a connection of imu_db_open before its pool does. */
void imu_db_close(imu_db *db);

/**
 * Makes a connection that mod_dbd opened ready for use, once a connection: foreign keys on, before
 * any statement is prepared. The order matters: switching a pragma expires statements that were
 * prepared before it, and the driver's old-style statements do not prepare themselves again, so
 * mod_dbd's own preparing can't be used.
 * @param db    driver and handle set; conn is filled
 * @param conn  the connection's pool
 */
imu_err *imu_db_adopt(imu_db *db, apr_pool_t *conn);

/** The statement of that name, prepared. Only tests call it besides db.c. */
imu_err *imu_db_prepare(imu_db *db, const char *name, apr_dbd_prepared_t **statement);
/** Runs a SELECT by name. Rows live in p. */
imu_err *imu_db_select(imu_db *db, apr_pool_t *p, imu_rows **rows, const char *name,
                       const char *fmt, ...);
/**
 * Runs an INSERT, UPDATE or DELETE by name, in its own transaction unless one is open.
 * @param affected  may be NULL; number of rows changed
 * @return error code "db_unique" or "db_constraint" (status 409) for a violated constraint, else
 * 500
 */
imu_err *imu_db_exec(imu_db *db, apr_pool_t *p, int *affected, const char *name, const char *fmt,
                     ...);
/** Starts a write transaction (takes the write lock; nests by counting). */
imu_err *imu_db_begin(imu_db *db);
/**
 * Ends it: commits when err is NULL, rolls back otherwise.
 * @return err, or what the commit failed with. Typical use: `return imu_db_end(db, err);`
 */
imu_err *imu_db_end(imu_db *db, imu_err *err);

/**
 * An answer remembered on this connection, if nobody has changed the database since (wal_index.h).
 * Call it before reading what the answer is made of; hand the new answer to imu_db_remember.
 * @return a copy in p, or NULL
 */
const char *imu_db_recall(imu_db *db, apr_pool_t *p, const char *key, apr_size_t *len);
/** Remembers an answer made from data read after imu_db_recall with the same key. Large ones are
 * not kept. */
void imu_db_remember(imu_db *db, const char *key, const char *data, apr_size_t len);

/** A LIKE pattern (escape character !) that finds text as it stands anywhere in a text of lower
 * case. */
const char *imu_like_anywhere(apr_pool_t *p, const char *text);

/** Cell by column name; NULL for SQL NULL. Dies in debug and returns NULL for an unknown column. */
const char *imu_text(const imu_rows *rows, int row, const char *column);
/** The same as a number; 0 for NULL. */
apr_int64_t imu_int(const imu_rows *rows, int row, const char *column);
/** True for a non-zero number. */
int imu_bool(const imu_rows *rows, int row, const char *column);
/** The cell as JSON string, or JSON null. */
json_t *imu_json_text(const imu_rows *rows, int row, const char *column);
/** Sets a member of the object for each column of a NULL-terminated list, as imu_json_text. */
void imu_json_set_texts(json_t *object, const imu_rows *rows, int row, const char *const *columns);
/** The cell's text parsed as JSON, or JSON null when absent or broken. */
json_t *imu_json_parsed(const imu_rows *rows, int row, const char *column);

#endif
