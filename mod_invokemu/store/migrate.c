#include "mod_invokemu/store/migrate.h"

#include <apr_dbd.h>
#include <apr_strings.h>
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "mod_invokemu/util/ids.h"

/* What is written here is schema management: fixed text with nothing of a request in it, run before
 * any statement is prepared. */
#define VERSION_TABLE                                                                              \
    "CREATE TABLE IF NOT EXISTS schema_migrations (version INTEGER NOT NULL PRIMARY KEY, name "    \
    "TEXT NOT NULL, applied_at TEXT "                                                              \
    "NOT NULL)"

typedef struct migration_db {
    const apr_dbd_driver_t *driver;
    apr_dbd_t *handle;
    apr_pool_t *p;
    const char *path;
} migration_db;

static imu_err *run(migration_db *m, const char *sql)
{
    int nrows;
    int rv = apr_dbd_query(m->driver, m->handle, &nrows, sql);

    if (rv != 0)
        return imu_error_internal(m->p, "%s: %s", m->path, apr_dbd_error(m->driver, m->handle, rv));
    return NULL;
}

static imu_err *open_database(migration_db *m)
{
    const char *why = NULL;
    apr_status_t rv = apr_dbd_init(m->p);

    if (rv == APR_SUCCESS)
        rv = apr_dbd_get_driver(m->p, "sqlite3", &m->driver);
    if (rv != APR_SUCCESS)
        return imu_error_internal(
            m->p, "APR's sqlite3 driver is missing (Debian: libaprutil1-dbd-sqlite3)");
    rv = apr_dbd_open_ex(m->driver, m->p, m->path, &m->handle, &why);
    if (rv != APR_SUCCESS)
        return imu_error_internal(m->p, "cannot open the database %s: %s", m->path,
                                  why ? why : "no reason given");
    return NULL;
}

static imu_err *current_version(migration_db *m, int *version)
{
    apr_dbd_results_t *res = NULL;
    apr_dbd_row_t *row = NULL;
    const char *text;
    int rv = apr_dbd_select(m->driver, m->p, m->handle, &res,
                            "SELECT MAX(version) FROM schema_migrations LIMIT 1", 1);

    if (rv != 0)
        return imu_error_internal(m->p, "%s: %s", m->path, apr_dbd_error(m->driver, m->handle, rv));
    *version = 0;
    if (apr_dbd_get_row(m->driver, m->p, res, &row, -1) == 0 &&
        (text = apr_dbd_get_entry(m->driver, row, 0)))
        *version = (int)apr_atoi64(text);
    return NULL;
}

/* An empty file that only the database's owner may read, for SQLite to fill: by itself it would
 * make one that everybody may read, of whoever starts the server. */
static imu_err *make_private(migration_db *m, const char *path)
{
    struct stat of;
    int fd, failed;

    if (unlink(path) != 0 && errno != ENOENT)
        return imu_error_internal(m->p, "cannot remove %s: %s", path, strerror(errno));
    if (stat(m->path, &of) != 0 ||
        (fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600)) < 0)
        return imu_error_internal(m->p, "cannot make %s: %s", path, strerror(errno));
    failed = (of.st_uid != geteuid() || of.st_gid != getegid()) &&
             fchown(fd, of.st_uid, of.st_gid) != 0 && geteuid() == 0;
    if (close(fd) != 0 || failed)
        return imu_error_internal(m->p, "cannot give %s to the owner of the database", path);
    return NULL;
}

static imu_err *copy_into(migration_db *m, const char *to)
{
    imu_err *err = make_private(m, to);

    if (!err)
        err = run(m, apr_pstrcat(m->p, "VACUUM INTO '",
                                 apr_dbd_escape(m->driver, m->p, to, m->handle), "'", NULL));
    if (err)
        (void)unlink(to);
    return err;
}

/* One copy for each version, the last one: a start that fails again and again fills no disk. */
static imu_err *backup(migration_db *m, int version)
{
    const char *to = apr_psprintf(m->p, "%s-v%d.backup", m->path, version);
    const char *fresh = apr_pstrcat(m->p, to, ".new", NULL);
    imu_err *err = copy_into(m, fresh);

    if (!err && rename(fresh, to) != 0) {
        err = imu_error_internal(m->p, "cannot rename %s: %s", fresh, strerror(errno));
        (void)unlink(fresh);
    }
    return err;
}

/* Length of the first statement of a script: up to a ";" that ends a line, where the next line is
 * neither indented (the body of a trigger) nor the END of one. */
static apr_size_t statement_length(const char *sql)
{
    const char *end = sql;

    while ((end = strstr(end, ";\n"))) {
        end++;
        if (end[1] != ' ' && strncmp(end + 1, "END;", 4) != 0)
            return (apr_size_t)(end - sql);
    }
    return strlen(sql);
}

/* One statement at a time: given several, the driver goes on after one that failed. */
static imu_err *run_script(migration_db *m, const char *sql)
{
    imu_err *err = NULL;

    while (!err && *sql) {
        apr_size_t len = statement_length(sql);

        err = run(m, apr_pstrmemdup(m->p, sql, len));
        sql += len + (sql[len] == '\n');
    }
    return err;
}

/* Some pragmas answer with a row, which the driver takes for a failure of anything but a SELECT. */
static imu_err *run_pragma(migration_db *m, const char *sql)
{
    apr_dbd_results_t *res = NULL;
    int rv = apr_dbd_select(m->driver, m->p, m->handle, &res, sql, 1);

    if (rv != 0)
        return imu_error_internal(m->p, "%s: %s", m->path, apr_dbd_error(m->driver, m->handle, rv));
    return NULL;
}

static imu_err *apply(migration_db *m, const imu_migration *one)
{
    imu_err *err;

    if ((err = run(m, "BEGIN IMMEDIATE")))
        return err;
    err = run_script(m, one->sql);
    if (!err)
        err = run(
            m,
            apr_psprintf(
                m->p,
                "INSERT INTO schema_migrations (version, name, applied_at) VALUES (%d, '%s', '%s')",
                one->version, one->name, imu_now(m->p)));
    if (!err)
        return run(m, "COMMIT");
    (void)run(m, "ROLLBACK");
    return imu_error_internal(m->p, "migration %04d_%s failed: %s", one->version, one->name,
                              err->log);
}

int imu_migrations_newest(void)
{
    return imu_migrations[imu_migrations_count - 1].version;
}

static imu_err *migrate(migration_db *m, int *from, int *to)
{
    int newest = imu_migrations_newest();
    int version = 0;
    imu_err *err;

    /* At a graceful restart the children of before still close their connections. Waiting inside
     * SQLite is right here alone: no other thread of this process uses the driver. */
    if ((err = run_pragma(m, "PRAGMA busy_timeout=15000")) ||
        (err = run_pragma(m, "PRAGMA journal_mode=WAL")) || (err = run(m, VERSION_TABLE)) ||
        (err = current_version(m, &version)))
        return err;
    if (from)
        *from = version;
    if (to)
        *to = version;
    if (version > newest)
        return imu_error(m->p, 500, "db_newer",
                         "The database %s has version %d, made by a newer invokemu; this one knows "
                         "versions up to %d. Install the "
                         "newer program again, or restore the backup copy beside the database.",
                         m->path, version, newest);
    if (version == newest)
        return NULL;
    if (version > 0 && (err = backup(m, version)))
        return err;
    for (int i = 0; i < imu_migrations_count; i++) {
        if (imu_migrations[i].version <= version)
            continue;
        if ((err = apply(m, &imu_migrations[i])))
            return err;
        if (to)
            *to = imu_migrations[i].version;
    }
    return NULL;
}

/* Opens the database in a pool of its own, does what is wanted, and closes it again: the handle
 * must be closed before anybody prepares statements on a new schema. */
static imu_err *with_database(apr_pool_t *p, const char *path,
                              imu_err *(*what)(migration_db *m, void *baton), void *baton)
{
    migration_db m = {.path = path};
    imu_err *err;

    if (apr_pool_create(&m.p, p) != APR_SUCCESS)
        return imu_error_internal(p, "no memory");
    if ((err = open_database(&m)) || (err = what(&m, baton)))
        err = imu_error_keep(p, err);
    if (m.handle)
        apr_dbd_close(m.driver, m.handle);
    apr_pool_destroy(m.p);
    return err;
}

typedef struct versions {
    int *from, *to;
} versions;

static imu_err *migrate_between(migration_db *m, void *baton)
{
    versions *v = baton;

    return migrate(m, v->from, v->to);
}

imu_err *imu_migrate(apr_pool_t *p, const char *path, int *from, int *to)
{
    versions v = {from, to};

    return with_database(p, path, migrate_between, &v);
}

static imu_err *read_version(migration_db *m, void *baton)
{
    int *version = baton;

    if (current_version(m, version) || *version < 1)
        return imu_error(m->p, 422, "db_unknown", "%s is no database of invokemu", m->path);
    return NULL;
}

imu_err *imu_database_version(apr_pool_t *p, const char *path, int *version)
{
    return with_database(p, path, read_version, version);
}

static imu_err *copy_whole(migration_db *m, void *baton)
{
    imu_err *err = run_pragma(m, "PRAGMA busy_timeout=15000");

    return err ? err : copy_into(m, baton);
}

imu_err *imu_database_copy(apr_pool_t *p, const char *path, const char *to)
{
    return with_database(p, path, copy_whole, (void *)to);
}

typedef struct shaping {
    const imu_query *statements;
    int n;
} shaping;

static imu_err *shape(migration_db *m, void *baton)
{
    const shaping *s = baton;

    for (int i = 0; i < s->n; i++) {
        imu_err *err = run(m, s->statements[i].sql);

        if (err && !strstr(err->log, "duplicate column name"))
            return err;
    }
    return NULL;
}

imu_err *imu_database_shape(apr_pool_t *p, const char *path, const imu_query *statements, int n)
{
    shaping s = {statements, n};

    return with_database(p, path, shape, &s);
}
