/*
 * backup_check.c: whether a backup still holds what it held.
 */
#include "cli/backup.h"

#include <string.h>
#include <sys/stat.h>

#include <apr_strings.h>

#include "mod_invokemu/store/migrate.h"
#include "mod_invokemu/store/picture_check.h"
#include "mod_invokemu/store/picture_files.h"

typedef struct scale {
    apr_int64_t *files, *bytes;
} scale;

static imu_err *weigh_one(void *baton, const char *path, const char *name)
{
    scale *s = baton;
    struct stat st;

    (void)name;
    if (cli_look(path, &st) == 0 && S_ISREG(st.st_mode)) {
        ++*s->files;
        *s->bytes += st.st_size;
    }
    return NULL;
}

imu_err *cli_backup_weigh(apr_pool_t *p, const char *top, apr_int64_t *files, apr_int64_t *bytes)
{
    scale s = {files, bytes};
    imu_err *err = NULL;

    *files = *bytes = 0;
    for (size_t i = 0; !err && cli_backup_folders[i]; i++)
        err = cli_each(p, apr_pstrcat(p, top, "/", cli_backup_folders[i], NULL), weigh_one, &s);
    return err;
}

/* A thumbnail is not looked at: it can be made anew. */
static void look_at_picture(apr_pool_t *p, apr_pool_t *sub, const char *top, const char *name,
                            cli_backup_faults *faults)
{
    const char *png = imu_picture_path(sub, top, name);

    if (cli_is_whole(png, imu_png_is_whole))
        return;
    if (cli_exists(png))
        faults->torn++;
    else
        faults->missing++;
    if (!faults->first)
        faults->first = apr_pstrdup(p, name);
}

static imu_err *look_at_pictures(imu_db *db, apr_pool_t *p, const char *top,
                                 cli_backup_faults *faults)
{
    const char *after = "";
    apr_pool_t *sub;
    imu_rows *rows;
    imu_err *err;

    if (apr_pool_create(&sub, p) != APR_SUCCESS)
        return imu_error(p, 500, "memory", "no memory");
    do {
        if ((err = imu_db_select(db, p, &rows, "images_names_after", "s", after)))
            break;
        for (int i = 0; i < rows->count; i++) {
            apr_pool_clear(sub);
            after = imu_text(rows, i, "image_name");
            if (imu_picture_file_ok(after))
                look_at_picture(p, sub, top, after, faults);
        }
    } while (rows->count > 0);
    apr_pool_destroy(sub);
    return err;
}

static imu_err *look_at_database(imu_db *db, apr_pool_t *p, const char *from)
{
    imu_rows *rows;
    imu_err *err = imu_db_select(db, p, &rows, "doctor_damage", "");

    if (!err && (rows->count != 1 || strcmp(imu_text(rows, 0, "problem"), "ok") != 0))
        err = imu_error(p, 422, "no_backup", "the database of %s is damaged: %s", from,
                        rows->count ? imu_text(rows, 0, "problem") : "it can't be read");
    return err;
}

imu_err *cli_backup_check(apr_pool_t *p, const char *from, const char *top, int *schema,
                          cli_backup_faults *faults)
{
    const char *path = apr_pstrcat(p, top, "/" CLI_BACKUP_DATABASE, NULL);
    imu_db *db = NULL;
    imu_err *err;

    memset(faults, 0, sizeof *faults);
    if ((err = imu_migrate(p, path, NULL, schema)) || (err = imu_db_open(p, path, NULL, &db)))
        return imu_error(p, 422, "no_backup", "the database of %s can't be used: %s", from,
                         err->log ? err->log : err->detail);
    if (!(err = look_at_database(db, p, from)) && !(err = look_at_pictures(db, p, top, faults)))
        err = cli_backup_weigh(p, top, &faults->files, &faults->bytes);
    imu_db_close(db);
    return err;
}
