#include "mod_invokemu/store/db.h"

#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <apr_strings.h>

#include "mod_invokemu/store/cache.h"
#include "mod_invokemu/store/wal_index.h"

#define MAX_ARGS 32

/* The driver asks SQLite to prepare without any retry; another connection's checkpoint may make it
 * busy for a moment. */
#define PREPARE_TRIES 50
#define PREPARE_PAUSE apr_time_from_msec(20)

struct imu_conn {
    apr_pool_t *pool;
    const imu_query *queries;
    int n_queries;
    apr_hash_t *prepared; /* name -> apr_dbd_prepared_t, of what was needed so far */
    imu_wal_index *index; /* NULL as long as it has not been needed */
    imu_cache *cache;
};

typedef struct bound_args {
    const void *values[MAX_ARGS];
    apr_int64_t ints[MAX_ARGS];
    int flags[MAX_ARGS];
    double doubles[MAX_ARGS];
} bound_args;

static imu_err *bind_args(apr_pool_t *p, bound_args *a, const char *name, const char *fmt,
                          va_list ap)
{
    memset(a->values, 0, sizeof a->values);
    for (int i = 0; fmt[i]; i++) {
        if (i >= MAX_ARGS)
            return imu_error_internal(p, "statement %s has too many arguments", name);
        switch (fmt[i]) {
        case 's':
            a->values[i] = va_arg(ap, const char *);
            break;
        case 'i':
            a->ints[i] = va_arg(ap, apr_int64_t);
            a->values[i] = &a->ints[i];
            break;
        case 'b':
            a->flags[i] = va_arg(ap, int) != 0;
            a->values[i] = &a->flags[i];
            break;
        case 'd':
            a->doubles[i] = va_arg(ap, double);
            a->values[i] = &a->doubles[i];
            break;
        default:
            return imu_error_internal(p, "statement %s: unknown argument letter '%c'", name,
                                      fmt[i]);
        }
    }
    return NULL;
}

static imu_err *failed(imu_db *db, apr_pool_t *p, const char *name, int code)
{
    const char *text = apr_dbd_error(db->driver, db->handle, code);

    if (text && strstr(text, "disk is full"))
        return imu_error_log(p, imu_error_disk_full(p), "%s: %s", name, text);
    if (text && strstr(text, "UNIQUE constraint failed"))
        return imu_error_log(p, imu_error(p, 409, "db_unique", "This exists already."), "%s: %s",
                             name, text);
    if (text && strstr(text, "constraint failed"))
        return imu_error_log(
            p, imu_error(p, 409, "db_constraint", "This does not fit what is stored."), "%s: %s",
            name, text);
    return imu_error_internal(p, "statement %s failed (%d): %s", name, code,
                              text ? text : "no text");
}

static imu_err *prepare_one(imu_db *db, const imu_query *query, apr_dbd_prepared_t **statement)
{
    struct imu_conn *conn = db->conn;
    int rv = 0;

    for (int t = 0; t < PREPARE_TRIES && !*statement; t++) {
        if (t > 0)
            apr_sleep(PREPARE_PAUSE);
        rv =
            apr_dbd_prepare(db->driver, conn->pool, db->handle, query->sql, query->name, statement);
    }
    if (rv != 0 || !*statement)
        return failed(db, db->pool, query->name, rv);
    apr_hash_set(conn->prepared, query->name, APR_HASH_KEY_STRING, *statement);
    return NULL;
}

imu_err *imu_db_prepare(imu_db *db, const char *name, apr_dbd_prepared_t **statement)
{
    const struct imu_conn *conn = db->conn;

    *statement = apr_hash_get(conn->prepared, name, APR_HASH_KEY_STRING);
    for (int i = 0; !*statement && i < conn->n_queries; i++)
        if (strcmp(conn->queries[i].name, name) == 0)
            return prepare_one(db, &conn->queries[i], statement);
    return *statement ? NULL : imu_error_internal(db->pool, "no statement named %s", name);
}

/* The statement of that name, and its arguments bound. */
static imu_err *ready(imu_db *db, apr_pool_t *p, apr_dbd_prepared_t **statement, bound_args *args,
                      const char *name, const char *fmt, va_list ap)
{
    imu_err *err = imu_db_prepare(db, name, statement);

    return err ? err : bind_args(p, args, name, fmt, ap);
}

imu_err *imu_db_select(imu_db *db, apr_pool_t *p, imu_rows **rows, const char *name,
                       const char *fmt, ...)
{
    apr_dbd_prepared_t *statement;
    apr_dbd_results_t *res = NULL;
    apr_dbd_row_t *row = NULL;
    bound_args args;
    imu_rows *out = apr_pcalloc(p, sizeof *out);
    va_list ap;
    imu_err *err;
    int rv;

    va_start(ap, fmt);
    err = ready(db, p, &statement, &args, name, fmt, ap);
    va_end(ap);
    if (err)
        return err;
    rv = apr_dbd_pbselect(db->driver, p, db->handle, &res, statement, 1, args.values);
    if (rv != 0)
        return failed(db, p, name, rv);
    out->columns = apr_dbd_num_cols(db->driver, res);
    out->count = apr_dbd_num_tuples(db->driver, res);
    if (out->count < 0)
        out->count = 0;
    out->names = apr_pcalloc(p, sizeof(char *) * (apr_size_t)(out->columns + 1));
    out->cells = apr_pcalloc(p, sizeof(char *) * (apr_size_t)(out->columns * out->count + 1));
    for (int c = 0; c < out->columns; c++)
        out->names[c] = apr_dbd_get_name(db->driver, res, c);
    for (int i = 0; i < out->count && apr_dbd_get_row(db->driver, p, res, &row, -1) == 0; i++)
        for (int c = 0; c < out->columns; c++)
            out->cells[i * out->columns + c] = apr_dbd_get_entry(db->driver, row, c);
    *rows = out;
    return NULL;
}

static imu_err *lock_writes(imu_db *db)
{
    apr_status_t rv = db->write_lock ? apr_global_mutex_lock(db->write_lock) : APR_SUCCESS;

    return rv == APR_SUCCESS
               ? NULL
               : imu_error_internal(db->pool, "the write lock cannot be taken (%d)", rv);
}

static imu_err *unlock_writes(imu_db *db)
{
    apr_status_t rv = db->write_lock ? apr_global_mutex_unlock(db->write_lock) : APR_SUCCESS;

    return rv == APR_SUCCESS
               ? NULL
               : imu_error_internal(db->pool, "the write lock cannot be given back (%d)", rv);
}

imu_err *imu_db_exec(imu_db *db, apr_pool_t *p, int *affected, const char *name, const char *fmt,
                     ...)
{
    apr_dbd_prepared_t *statement;
    bound_args args;
    va_list ap;
    imu_err *err, *unlock_err = NULL;
    int rv, rows = 0;

    va_start(ap, fmt);
    err = ready(db, p, &statement, &args, name, fmt, ap);
    va_end(ap);
    if (err)
        return err;
    if (db->depth == 0 && (err = lock_writes(db)))
        return err;
    rv = apr_dbd_pbquery(db->driver, p, db->handle, &rows, statement, args.values);
    if (rv != 0)
        err = failed(db, p, name, rv);
    if (db->depth == 0)
        unlock_err = unlock_writes(db);
    if (affected)
        *affected = rows;
    return err ? err : unlock_err;
}

imu_err *imu_db_begin(imu_db *db)
{
    imu_err *err;
    int rv;

    if (db->depth > 0) {
        db->depth++;
        return NULL;
    }
    if ((err = lock_writes(db)))
        return err;
    db->trans = NULL;
    rv = apr_dbd_transaction_start(db->driver, db->pool, db->handle, &db->trans);
    if (rv != 0) {
        err = failed(db, db->pool, "begin", rv);
        /* The driver marks the handle even when BEGIN failed; ending it clears the mark, its own
         * error says nothing new. */
        (void)apr_dbd_transaction_end(db->driver, db->pool, db->trans);
        db->trans = NULL;
        (void)unlock_writes(db);
        return err;
    }
    db->depth = 1;
    return NULL;
}

imu_err *imu_db_end(imu_db *db, imu_err *err)
{
    imu_err *unlock_err;
    int rv;

    if (db->depth > 1) {
        db->depth--;
        return err;
    }
    if (err)
        apr_dbd_transaction_mode_set(db->driver, db->trans, APR_DBD_TRANSACTION_ROLLBACK);
    rv = apr_dbd_transaction_end(db->driver, db->pool, db->trans);
    db->trans = NULL;
    db->depth = 0;
    if (rv != 0 && !err) {
        int n;

        err = failed(db, db->pool, "commit", rv);
        /* A commit without room may leave the transaction open; its own error says nothing new. */
        (void)apr_dbd_query(db->driver, db->handle, &n, "ROLLBACK");
    }
    unlock_err = unlock_writes(db);
    return err ? err : unlock_err;
}

/* NULL within a transaction too: what it has written itself is no version yet. */
static const char *version_of(imu_db *db, apr_pool_t *p)
{
    struct imu_conn *conn = db->conn;
    imu_rows *rows;

    if (db->depth > 0)
        return NULL;
    if (!conn->index && !imu_db_select(db, p, &rows, "database_open", ""))
        conn->index = imu_wal_index_of(apr_dbd_native_handle(db->driver, db->handle));
    return conn->index ? imu_wal_version(p, conn->index) : NULL;
}

const char *imu_db_recall(imu_db *db, apr_pool_t *p, const char *key, apr_size_t *len)
{
    /* Read before the data it stands for: newer data under an older version is only forgotten too
     * early. */
    db->version = version_of(db, p);
    return db->version ? imu_cache_get(db->conn->cache, p, key, db->version, len) : NULL;
}

void imu_db_remember(imu_db *db, const char *key, const char *data, apr_size_t len)
{
    if (db->version)
        imu_cache_put(db->conn->cache, key, db->version, data, len);
}

const char *imu_like_anywhere(apr_pool_t *p, const char *text)
{
    char *out = apr_palloc(p, 2 * strlen(text) + 3), *o = out;

    *o++ = '%';
    for (; *text; text++) {
        if (strchr("%_!", *text))
            *o++ = '!';
        *o++ = *text >= 'A' && *text <= 'Z' ? (char)(*text - 'A' + 'a') : *text;
    }
    *o++ = '%';
    *o = '\0';
    return out;
}

static int column_index(const imu_rows *rows, const char *column)
{
    for (int c = 0; c < rows->columns; c++)
        if (strcmp(rows->names[c], column) == 0)
            return c;
    return -1;
}

const char *imu_text(const imu_rows *rows, int row, const char *column)
{
    int c = row >= 0 && row < rows->count ? column_index(rows, column) : -1;

    return c < 0 ? NULL : rows->cells[row * rows->columns + c];
}

apr_int64_t imu_int(const imu_rows *rows, int row, const char *column)
{
    const char *text = imu_text(rows, row, column);

    return text ? apr_atoi64(text) : 0;
}

int imu_bool(const imu_rows *rows, int row, const char *column)
{
    return imu_int(rows, row, column) != 0;
}

json_t *imu_json_text(const imu_rows *rows, int row, const char *column)
{
    const char *text = imu_text(rows, row, column);
    json_t *v = text ? json_string(text) : NULL;

    return v ? v : json_null();
}

void imu_json_set_texts(json_t *object, const imu_rows *rows, int row, const char *const *columns)
{
    for (; *columns; columns++)
        json_object_set_new(object, *columns, imu_json_text(rows, row, *columns));
}

json_t *imu_json_parsed(const imu_rows *rows, int row, const char *column)
{
    const char *text = imu_text(rows, row, column);
    json_t *v = text ? json_loads(text, JSON_DECODE_ANY, NULL) : NULL;

    return v ? v : json_null();
}

static imu_err *set_up(imu_db *db, apr_pool_t *p, const imu_query *queries, int n)
{
    int nrows;

    db->conn = apr_pcalloc(p, sizeof *db->conn);
    db->conn->pool = p;
    db->conn->queries = queries;
    db->conn->n_queries = n;
    db->conn->prepared = apr_hash_make(p);
    db->conn->cache = imu_cache_new(p);
    if (apr_dbd_query(db->driver, db->handle, &nrows, "PRAGMA foreign_keys=ON") != 0)
        return imu_error_internal(db->pool, "cannot switch foreign keys on");
    return NULL;
}

imu_err *imu_db_adopt(imu_db *db, apr_pool_t *conn)
{
    void *known = NULL;
    imu_err *err;

    if (apr_pool_userdata_get(&known, "imu_conn", conn) == APR_SUCCESS && known) {
        db->conn = known;
        return NULL;
    }
    if ((err = set_up(db, conn, imu_queries, imu_queries_count)))
        return err;
    apr_pool_userdata_setn(db->conn, "imu_conn", apr_pool_cleanup_null, conn);
    return NULL;
}

static apr_status_t close_handle(void *data)
{
    imu_db *db = data;

    return apr_dbd_close(db->driver, db->handle);
}

static imu_err *open_with(apr_pool_t *p, const char *path, apr_global_mutex_t *lock,
                          const imu_query *queries, int n, imu_db **out)
{
    imu_db *db = apr_pcalloc(p, sizeof *db);
    apr_dbd_results_t *answer = NULL;
    const char *why = NULL;
    apr_status_t rv = apr_dbd_init(p);

    if (rv == APR_SUCCESS)
        rv = apr_dbd_get_driver(p, "sqlite3", &db->driver);
    if (rv != APR_SUCCESS)
        return imu_error_internal(
            p, "APR's sqlite3 driver is missing (Debian: libaprutil1-dbd-sqlite3): %d", rv);
    rv = apr_dbd_open_ex(db->driver, p, path, &db->handle, &why);
    if (rv != APR_SUCCESS)
        return imu_error_internal(p, "cannot open the database %s: %s", path,
                                  why ? why : "no reason given");
    apr_pool_cleanup_register(p, db, close_handle, apr_pool_cleanup_null);
    db->pool = p;
    db->write_lock = lock;
    *out = db;
    if (!lock && (rv = apr_dbd_select(db->driver, p, db->handle, &answer,
                                      "PRAGMA busy_timeout=15000", 0)) != 0)
        return failed(db, p, "busy_timeout", rv);
    return set_up(db, p, queries, n);
}

imu_err *imu_db_open(apr_pool_t *p, const char *path, apr_global_mutex_t *lock, imu_db **db)
{
    return open_with(p, path, lock, imu_queries, imu_queries_count, db);
}

/* What somebody else made may lack a table: that is told at once. */
imu_err *imu_db_open_foreign(apr_pool_t *p, const char *path, const imu_query *queries, int n,
                             imu_db **db)
{
    imu_err *err = open_with(p, path, NULL, queries, n, db);
    apr_dbd_prepared_t *statement;

    for (int i = 0; !err && i < n; i++)
        err = imu_db_prepare(*db, queries[i].name, &statement);
    return err;
}

void imu_db_close(imu_db *db)
{
    apr_pool_cleanup_run(db->pool, db, close_handle);
}
