/*
 * restore.c: a backup becomes the server's data again. What is there is moved aside, never removed.
 */
#include "cli/backup.h"

#include <errno.h>
#include <string.h>
#include <sys/stat.h>

#include <apr_file_io.h>
#include <apr_strings.h>

#include "mod_invokemu/store/database_use.h"
#include "mod_invokemu/store/migrate.h"
#include "mod_invokemu/util/ids.h"

#define MANIFEST_MAX 65536

typedef struct restore {
    cli *c;
    apr_pool_t *p;
    const char *from;  /* the backup as a folder */
    const char *stage; /* below the root: what is to be the data */
    const char *into;  /* folder being filled */
    cli_placed placed;
    cli_manifest manifest;
    int schema; /* of its database */
    int anew;   /* one that was broken off before can't be finished */
    cli_backup_faults faults;
} restore;

static imu_err *read_manifest(restore *r)
{
    const char *path = apr_pstrcat(r->p, r->from, "/" CLI_BACKUP_MANIFEST, NULL);
    char text[MANIFEST_MAX];
    apr_size_t len = 0;
    apr_file_t *file;
    apr_status_t rv;

    cli_as(path);
    rv = apr_file_open(&file, path, APR_READ, 0, r->p);
    cli_as(NULL);
    if (rv != APR_SUCCESS)
        return imu_error(r->p, 422, "no_backup", "%s is no backup of invokemu, or not a whole one",
                         r->from);
    rv = apr_file_read_full(file, text, sizeof text, &len);
    apr_file_close(file);
    if (len == sizeof text)
        return imu_error(r->p, 422, "no_backup", "the manifest of %s is too long for one", r->from);
    if (rv != APR_SUCCESS && rv != APR_EOF)
        return imu_error(r->p, 500, "files", "can't read %s", path);
    return cli_manifest_read(r->p, text, len, &r->manifest);
}

/* What the database itself says counts. */
static imu_err *check_version(restore *r)
{
    const char *path = apr_pstrcat(r->p, r->stage, "/" CLI_BACKUP_DATABASE, NULL);
    imu_err *err = imu_database_version(r->p, path, &r->schema);

    if (err)
        return err;
    if (r->schema > imu_migrations_newest() || r->manifest.schema > imu_migrations_newest())
        return imu_error(r->p, 422, "db_newer",
                         "this backup has version %d, made by a newer invokemu; this one knows "
                         "versions up to %d: install the newer program first",
                         r->schema > r->manifest.schema ? r->schema : r->manifest.schema,
                         imu_migrations_newest());
    return NULL;
}

/* One that holds what its manifest says is as it was made, with what it may have lacked then. */
static imu_err *check_whole(restore *r)
{
    cli_backup_faults *f = &r->faults;
    imu_err *err = cli_backup_check(r->p, r->c->opt.plain, r->stage, &r->schema, f);
    int told = r->manifest.files >= 0;

    if (err || r->c->opt.force ||
        (told ? f->files == r->manifest.files && f->bytes == r->manifest.bytes
              : f->missing + f->torn == 0))
        return err;
    return imu_error(
        r->p, 422, "not_whole",
        "%s is not whole: %d pictures have no file in it and %d are cut short%s%s%s%s. "
        "Nothing was changed; --force restores what there is",
        r->c->opt.plain, f->missing, f->torn, f->first ? " (" : "", f->first ? f->first : "",
        f->first ? " for one)" : "",
        told ? apr_psprintf(r->p,
                            "; of %" APR_INT64_T_FMT " files with %" APR_INT64_T_FMT
                            " bytes there are %" APR_INT64_T_FMT " with %" APR_INT64_T_FMT,
                            r->manifest.files, r->manifest.bytes, f->files, f->bytes)
             : "");
}

static imu_err *place_one(void *baton, const char *path, const char *name)
{
    restore *r = baton;
    if (!cli_is_file(path))
        return NULL;
    return cli_place(r->p, path, apr_pstrcat(r->p, r->into, "/", name, NULL), CLI_COPY, &r->placed,
                     NULL);
}

static imu_err *copy_folder(restore *r, const char *folder)
{
    apr_pool_t *p = r->p;
    imu_err *err;

    r->into = apr_pstrcat(p, r->stage, "/", folder, NULL);
    if ((err = cli_make_folders(p, r->into, 0750)))
        return err;
    apr_pool_create(&r->p, p);
    err = cli_each(p, apr_pstrcat(p, r->from, "/", folder, NULL), place_one, r);
    if (err)
        err = imu_error_keep(p, err);
    apr_pool_destroy(r->p);
    r->p = p;
    return err;
}

/* Copies, rather than second names: the backup stays as it is, whatever happens to its owner. */
static imu_err *stage_folder(restore *r)
{
    imu_err *err = copy_folder(r, "databases");

    if (!err)
        err = check_version(r);
    for (size_t i = 0; !err && cli_backup_folders[i]; i++)
        err = copy_folder(r, cli_backup_folders[i]);
    return err;
}

static imu_err *stage(restore *r)
{
    struct stat st;
    imu_err *err;
    int rc;

    cli_as(r->c->opt.plain);
    rc = stat(r->c->opt.plain, &st);
    cli_as(NULL);
    if (rc != 0)
        return imu_error(r->p, 404, "no_backup", "%s: %s", r->c->opt.plain, strerror(errno));
    /* A pipe may have no other end, and no end at all. */
    if (!S_ISDIR(st.st_mode) && !S_ISREG(st.st_mode))
        return imu_error(r->p, 422, "no_backup", "%s is neither a file nor a folder",
                         r->c->opt.plain);
    if ((err = cli_make_folders(r->p, r->stage, 0700)))
        return err;
    if (S_ISDIR(st.st_mode)) {
        r->from = r->c->opt.plain;
        if ((err = read_manifest(r)))
            return err;
        return stage_folder(r);
    }
    r->from = r->stage;
    if ((err = cli_tar_read(r->p, r->c->opt.plain, r->stage)) || (err = read_manifest(r)))
        return err;
    if (cli_unlink(apr_pstrcat(r->p, r->stage, "/" CLI_BACKUP_MANIFEST, NULL)) != 0)
        return imu_error(r->p, 500, "files", "can't tidy up %s", r->stage);
    return check_version(r);
}

/* A program of before there was a lock has the database open all the same. */
static imu_err *check_unused(const restore *r)
{
    if (!cli_database_in_use(r->p, r->c->opt.database))
        return NULL;
    return imu_error(r->p, 409, "running",
                     "%s is in use: stop Apache first, or name another folder with --root",
                     r->c->opt.database);
}

/* From here on nobody begins to work on what is about to be exchanged, until p ends. */
static imu_err *keep_others_out(const restore *r, apr_pool_t *p)
{
    const char *db = r->c->opt.database;
    imu_err *err = cli_make_folders(p, cli_folder_of(p, db), 0750);

    return err ? err : imu_database_hold(p, db, 1);
}

static imu_err *may_overwrite(restore *r)
{
    imu_err *err;

    if (!cli_exists(r->c->opt.database))
        return NULL;
    if ((err = check_unused(r)))
        return err;
    if (!cli_confirm(r->c, apr_psprintf(r->p,
                                        "There is a database already. It and the pictures "
                                        "are moved to a new folder %s/before-restore-TIME, and the "
                                        "backup takes their place.",
                                        r->c->opt.root)))
        return imu_error(r->p, 400, "not_confirmed", "nothing was changed");
    return NULL;
}

static void tell(cli *c, const cli_exchange *e)
{
    int lost = e->missing + e->torn;
    const char *aside = e->aside ? apr_pstrcat(c->p, c->opt.root, "/", e->aside, NULL) : NULL;

    c->remarks = lost > 0;
    cli_done(c,
             json_pack("{s:s, s:i, s:i, s:i, s:i, s:s?}", "made_at", e->made_at, "pictures",
                       e->pictures, "missing", e->missing, "torn", e->torn, "schema", e->schema,
                       "moved_to", aside),
             "Restored what was there at %s, %d pictures.%s%s%s", e->made_at, e->pictures,
             lost ? apr_psprintf(c->p,
                                 " Of %d of them the files are missing, and of %d cut short: see "
                                 "invokemu doctor.",
                                 e->missing, e->torn)
                  : "",
             aside ? " What was here before lies in " : "", aside ? aside : "");
}

/* The exchange, and what is left to do once it is done. */
static imu_err *put_in_place(restore *r, cli_exchange *e)
{
    imu_err *err = cli_exchange_do(r->c, e);

    if (err ||
        (err = cli_remove_tree(r->p, apr_pstrcat(r->p, r->c->opt.root, "/tmp/", e->stage, NULL))) ||
        (err = cli_open(r->c)))
        return err;
    cli_note(r->c, (imu_audit_fact){.action = IMU_AUDIT_RESTORED_DATA,
                                    .target_name = e->backup,
                                    .detail = json_pack("{s:s}", "made_at", e->made_at)});
    return NULL;
}

static imu_err *finish_other(restore *r, cli_exchange *e)
{
    imu_err *err = put_in_place(r, e);

    if (err)
        return err;
    imu_db_close(r->c->db);
    r->c->db = NULL;
    cli_complain(r->c, "the restore of %s, which was broken off, is finished now", e->backup);
    return NULL;
}

static void tell_lost(const restore *r, const cli_exchange *e)
{
    cli_complain(r->c,
                 "what the restore of %s, which was broken off, had made ready is gone from "
                 "%s/tmp/%s: it was not finished, and a restore has to be begun anew%s%s%s",
                 e->backup, r->c->opt.root, e->stage,
                 e->aside ? "; what was there before it may lie in " : "",
                 e->aside ? apr_pstrcat(r->p, r->c->opt.root, "/", NULL) : "",
                 e->aside ? e->aside : "");
}

/* One that was broken off in its middle is finished first, unless that can't be done any more.
 * @param done  when it was of the same backup */
static imu_err *finish_earlier(restore *r, int *done)
{
    apr_pool_t *held;
    cli_exchange e;
    imu_err *err = cli_exchange_look(r->c, &e);

    *done = 0;
    if (err || !e.begun)
        return err;
    if (!cli_exchange_can_end(r->c, &e)) {
        r->anew = 1;
        tell_lost(r, &e);
        return NULL;
    }
    apr_pool_create(&held, r->p);
    if (!(err = check_unused(r)) && !(err = keep_others_out(r, held))) {
        *done = strcmp(e.backup, imu_visible_text(r->p, r->c->opt.plain)) == 0;
        err = *done ? put_in_place(r, &e) : finish_other(r, &e);
    }
    if (err)
        err = imu_error_keep(r->p, err);
    apr_pool_destroy(held);
    if (!err && *done)
        tell(r->c, &e);
    return err;
}

static imu_err *make_ready(restore *r)
{
    imu_err *err = stage(r);

    /* Even of a backup without any picture: what is there has to make room for it. */
    if (!err)
        err = cli_make_folders(r->p, apr_pstrcat(r->p, r->stage, "/outputs", NULL), 0750);
    if (err || (err = check_whole(r)) || (err = cli_sync(r->p, r->stage)))
        return err;
    return check_unused(r);
}

static imu_err *restore_it(restore *r)
{
    cli_exchange e = {.backup = imu_visible_text(r->p, r->c->opt.plain), .anew = r->anew};
    imu_err *err = make_ready(r);

    if (err) {
        /* Why it failed says more than why a part stays. */
        (void)cli_remove_tree(r->p, r->stage);
        return err;
    }
    e.stage = strrchr(r->stage, '/') + 1;
    e.made_at = r->manifest.made_at;
    e.pictures = r->manifest.pictures;
    e.missing = r->faults.missing;
    e.torn = r->faults.torn;
    e.schema = r->schema;
    err = put_in_place(r, &e);
    if (err && !e.begun)
        (void)cli_remove_tree(r->p, r->stage);
    if (err)
        return err;
    tell(r->c, &e);
    return NULL;
}

imu_err *cli_restore(cli *c)
{
    restore r = {.c = c, .p = c->p};
    imu_err *err;
    int done;

    if (!(c->opt.plain = cli_whole_path(c->p, c->opt.plain)))
        return imu_error(c->p, 422, "which", "this can't be made a whole path");
    /* That needs no backup any more. */
    if ((err = finish_earlier(&r, &done)) || done)
        return err;
    if (!cli_exists(c->opt.plain))
        return imu_error(c->p, 404, "no_backup", "there is no backup %s", c->opt.plain);
    r.stage = apr_pstrcat(c->p, c->opt.root, "/tmp/restore-", imu_uuid4(c->p), NULL);
    if ((err = cli_make_folders(c->p, c->opt.root, 0750)) || (err = cli_exchange_possible(c)) ||
        (err = may_overwrite(&r)) || (err = keep_others_out(&r, c->p)))
        return err;
    return restore_it(&r);
}
