#include "tests/unit/core/tempdb.h"

#include <stdlib.h>

#include <apr_dbd.h>
#include <apr_file_io.h>
#include <apr_general.h>
#include <apr_strings.h>

#include "mod_invokemu/store/migrate.h"

void assert_no_error(const imu_err *err)
{
    if (err)
        fail_msg("%d %s: %s (%s)", err->status, err->code, err->detail,
                 err->log ? err->log : "no log");
}

int tempdb_setup(void **state)
{
    tempdb *t = calloc(1, sizeof *t);
    char template[] = "/tmp/imu-unit-XXXXXX";

    if (!t || apr_initialize() != APR_SUCCESS || apr_pool_create(&t->pool, NULL) != APR_SUCCESS ||
        !mkdtemp(template))
        return -1;
    t->dir = apr_pstrdup(t->pool, template);
    t->path = apr_pstrcat(t->pool, t->dir, "/test.db", NULL);
    *state = t;
    assert_no_error(imu_migrate(t->pool, t->path, NULL, NULL));
    t->db = tempdb_another(t);
    return 0;
}

imu_db *tempdb_another(tempdb *t)
{
    imu_db *db = NULL;

    assert_no_error(imu_db_open(t->pool, t->path, NULL, &db));
    return db;
}

static void remove_folder(apr_pool_t *p, const char *path)
{
    apr_dir_t *dir;
    apr_finfo_t entry;

    if (apr_dir_open(&dir, path, p) != APR_SUCCESS)
        return;
    while (apr_dir_read(&entry, APR_FINFO_NAME | APR_FINFO_TYPE, dir) == APR_SUCCESS)
        if (entry.filetype == APR_REG)
            apr_file_remove(apr_pstrcat(p, path, "/", entry.name, NULL), p);
    apr_dir_close(dir);
    apr_dir_remove(path, p);
}

int tempdb_teardown(void **state)
{
    tempdb *t = *state;
    apr_pool_t *after;
    const char *dir;

    if (apr_pool_create(&after, NULL) != APR_SUCCESS)
        return -1;
    dir = apr_pstrdup(after, t->dir);
    apr_pool_destroy(t->pool);
    remove_folder(after, dir);
    apr_pool_destroy(after);
    free(t);
    return 0;
}
