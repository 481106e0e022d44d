/*
 * backup.c: a consistent copy of a server that may run.
 *
 * Pictures are placed before the database is copied and once more after it: files are there before
 * their rows and go after them, so whatever has a row in the copy was found by one of the two, but
 * for a picture that was made and deleted in between. Its row is taken out of the copy.
 */
#include "cli/backup.h"

#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <apr_hash.h>
#include <apr_strings.h>

#include "mod_invokemu/store/files.h"
#include "mod_invokemu/store/images.h"
#include "mod_invokemu/store/migrate.h"
#include "mod_invokemu/store/picture_files.h"
#include "mod_invokemu/store/previews.h"
#include "mod_invokemu/util/ids.h"

/* Files that are named, of those that can't be read. */
#define SHOWN 20

const char *const cli_backup_folders[] = {IMU_PICTURES_DIR, IMU_THUMBNAILS_DIR,
                                          IMU_WORKFLOW_PREVIEWS_DIR, IMU_PRESET_PREVIEWS_DIR, NULL};

typedef struct backup {
    cli *c;
    apr_pool_t *p;
    const char *to, *work; /* the folder to be; it gets that name when it is whole */
    const char *into;      /* folder being filled */
    cli_how how;
    cli_placed placed;
    const char *database; /* the copy, below the root until it is consistent */
    const char *aside;    /* its folder there */
    imu_db *copy;
    apr_hash_t *named;      /* pictures in the copied database */
    apr_hash_t *unreadable; /* paths of files that were left out */
    int pictures, missing;
} backup;

/* One file that can't be read, say as root put it there, is no reason for no backup at all. */
static void leave_out(backup *b, const char *path, const imu_err *why)
{
    apr_pool_t *p = apr_hash_pool_get(b->unreadable);

    if (apr_hash_get(b->unreadable, path, APR_HASH_KEY_STRING))
        return;
    apr_hash_set(b->unreadable, apr_pstrdup(p, path), APR_HASH_KEY_STRING, "");
    if (apr_hash_count(b->unreadable) <= SHOWN)
        cli_complain(b->c, "left out: %s", why->detail);
}

static imu_err *place_one(void *baton, const char *path, const char *name)
{
    backup *b = baton;
    int gone;
    imu_err *err;

    /* Unfinished files are nobody's yet. */
    if (*name == '.' || !cli_is_file(path))
        return NULL;
    err = cli_place(b->p, path, apr_pstrcat(b->p, b->into, "/", name, NULL), b->how, &b->placed,
                    &gone);
    if (!imu_error_is(err, "unreadable"))
        return err;
    leave_out(b, path, err);
    return NULL;
}

static imu_err *place_all(backup *b)
{
    imu_err *err = NULL;
    apr_pool_t *p = b->p;

    for (size_t i = 0; !err && cli_backup_folders[i]; i++) {
        b->into = apr_pstrcat(p, b->work, "/", cli_backup_folders[i], NULL);
        if ((err = cli_make_folders(p, b->into, 0700)))
            break;
        apr_pool_create(&b->p, p);
        err = cli_each(p, apr_pstrcat(p, b->c->opt.root, "/", cli_backup_folders[i], NULL),
                       place_one, b);
        if (err)
            err = imu_error_keep(p, err);
        apr_pool_destroy(b->p);
        b->p = p;
    }
    return err;
}

static imu_err *copy_database(backup *b)
{
    imu_err *err;

    b->aside = apr_pstrcat(b->p, b->c->opt.root, "/tmp/backup-", imu_uuid4(b->p), NULL);
    err = cli_make_folders(b->p, b->aside, 0750);
    cli_at_work(b->aside);
    b->database = apr_pstrcat(b->p, b->aside, "/copy.db", NULL);
    if (!err)
        err = imu_database_copy(b->p, b->c->opt.database, b->database);
    if (!err)
        err = imu_db_open(b->p, b->database, NULL, &b->copy);
    /* Archives for download are not kept. */
    if (!err)
        err = imu_db_exec(b->copy, b->p, NULL, "bulk_download_forget", "s", "9");
    return err;
}

/* A row of the copy without its picture or thumbnail. Deleted since, or missing from the server
 * itself. */
static imu_err *row_without_file(backup *b, const char *name)
{
    json_t *names;
    imu_rows *rows;
    imu_err *err = imu_db_select(b->c->db, b->p, &rows, "image_exists", "s", name);

    if (err)
        return err;
    if (rows->count > 0) {
        b->missing += !cli_exists(imu_picture_path(b->p, b->work, name));
        return NULL;
    }
    apr_hash_set(b->named, name, APR_HASH_KEY_STRING, NULL);
    names = imu_json_own(b->p, json_pack("[s]", name));
    if (!(err = imu_images_delete(b->copy, b->p, names)))
        b->pictures--;
    return err;
}

static imu_err *check_rows(backup *b)
{
    const char *after = "", *name;
    imu_rows *rows;
    imu_err *err;

    b->named = apr_hash_make(b->p);
    do {
        if ((err = imu_db_select(b->copy, b->p, &rows, "images_names_after", "s", after)))
            return err;
        for (int i = 0; !err && i < rows->count; i++) {
            after = name = imu_text(rows, i, "image_name");
            b->pictures++;
            apr_hash_set(b->named, name, APR_HASH_KEY_STRING, name);
            if (!cli_exists(imu_picture_path(b->p, b->work, name)) ||
                !cli_exists(imu_thumbnail_path(b->p, b->work, name)))
                err = row_without_file(b, name);
        }
    } while (!err && rows->count > 0);
    return err;
}

/* A file that got its row after the database was copied, or lost it before. */
static imu_err *drop_unnamed(void *baton, const char *path, const char *name)
{
    backup *b = baton;
    const char *dot = strrchr(name, '.');
    const char *picture;

    if (!dot || (strcmp(dot, ".png") != 0 && strcmp(dot, ".webp") != 0))
        return NULL;
    picture = apr_pstrcat(b->p, apr_pstrmemdup(b->p, name, (apr_size_t)(dot - name)), ".png", NULL);
    if (!apr_hash_get(b->named, picture, APR_HASH_KEY_STRING) && cli_unlink(path) != 0)
        return imu_error(b->p, 500, "files", "can't remove %s: %s", path, strerror(errno));
    return NULL;
}

static imu_err *make_consistent(backup *b)
{
    imu_err *err = check_rows(b);

    if (!err)
        err =
            cli_each(b->p, apr_pstrcat(b->p, b->work, "/" IMU_PICTURES_DIR, NULL), drop_unnamed, b);
    if (!err)
        err = cli_each(b->p, apr_pstrcat(b->p, b->work, "/" IMU_THUMBNAILS_DIR, NULL), drop_unnamed,
                       b);
    return err;
}

static imu_err *write_manifest(backup *b)
{
    apr_int64_t files, bytes;
    imu_err *err = cli_backup_weigh(b->p, b->work, &files, &bytes);
    json_t *json;
    char *text;

    if (err)
        return err;
    json = imu_json_own(b->p,
                        json_pack("{s:i, s:i, s:s, s:i, s:i, s:I, s:I}", "invokemu_backup",
                                  CLI_BACKUP_FORMAT, "schema", imu_migrations_newest(), "made_at",
                                  imu_now(b->p), "pictures", b->pictures, "missing", b->missing,
                                  "files", (json_int_t)files, "bytes", (json_int_t)bytes));
    text = json_dumps(json, JSON_INDENT(1));
    err =
        text ? cli_write_file(b->p, apr_pstrcat(b->p, b->work, "/" CLI_BACKUP_MANIFEST, NULL), text)
             : imu_error(b->p, 500, "memory", "no memory");

    free(text);
    return err;
}

static imu_err *fill(backup *b)
{
    imu_err *err = cli_make_folders(b->p, b->work, 0700);

    cli_at_work(b->work);
    if (!err && !(err = place_all(b)) && !(err = copy_database(b)) && !(err = place_all(b)))
        err = make_consistent(b);
    if (b->copy)
        imu_db_close(b->copy);
    if (!err &&
        !(err = cli_make_folders(b->p, apr_pstrcat(b->p, b->work, "/databases", NULL), 0700)))
        err =
            cli_place(b->p, b->database, apr_pstrcat(b->p, b->work, "/" CLI_BACKUP_DATABASE, NULL),
                      CLI_COPY, &(cli_placed){0}, NULL);
    if (b->aside)
        (void)cli_remove_tree(b->p, b->aside);
    if (!err)
        err = write_manifest(b);
    return err ? err : cli_sync(b->p, b->work);
}

static imu_err *not_there(const backup *b)
{
    return cli_exists(b->to) ? imu_error(b->p, 409, "exists",
                                         "%s exists already: a backup overwrites nothing", b->to)
                             : NULL;
}

/* Of several backups with one name, the one that has made its part goes on, and the others touch
 * nothing. The name is looked for once more behind that: from here on no other backup gives it. */
static imu_err *has_begun(const backup *b, const char *part, int made)
{
    if (made)
        return not_there(b);
    if (errno != EEXIST)
        return cli_cannot(b->p, "make", part);
    return imu_error(b->p, 409, "unfinished",
                     "%s exists: another backup of that name is at work, or is left unfinished, as "
                     "it was broken off: remove it first then",
                     part);
}

static imu_err *give_name(const backup *b, const char *part)
{
    if (cli_rename_new(part, b->to) == 0)
        return NULL;
    return errno == EEXIST ? not_there(b) : cli_cannot(b->p, "rename", part);
}

static imu_err *into_folder(backup *b)
{
    imu_err *err;
    int made;

    b->work = apr_pstrcat(b->p, b->to, ".unfinished", NULL);
    if ((err = cli_make_folders(b->p, cli_folder_of(b->p, b->work), 0700)))
        return err;
    made = cli_mkdir(b->work, 0700) == 0;
    err = has_begun(b, b->work, made);
    if (!err && !(err = fill(b)) && !(err = give_name(b, b->work)))
        return cli_sync(b->p, b->to);
    /* Why it failed says more than why a part stays. */
    if (made)
        (void)cli_remove_tree(b->p, b->work);
    return err;
}

/* The pictures get second names beside the first ones meanwhile, which costs no room. */
static imu_err *into_tar(backup *b)
{
    const char *part = apr_pstrcat(b->p, b->to, ".unfinished", NULL);
    int fd = cli_open_new(part, 0600);
    imu_err *err = has_begun(b, part, fd >= 0), *left;

    if (fd < 0)
        return err;
    b->how = CLI_LINK_OR_COPY;
    b->work = apr_pstrcat(b->p, b->c->opt.root, "/tmp/backup-", imu_uuid4(b->p), NULL);
    if (!err && !(err = fill(b)))
        err = cli_tar_write(b->p, b->work, part, fd);
    close(fd);
    left = cli_remove_tree(b->p, b->work);
    err = err ? err : left;
    if (!err)
        err = give_name(b, part);
    if (err)
        (void)cli_unlink(part);
    return err;
}

static int is_tar(const char *path)
{
    size_t len = strlen(path);

    return len > 4 && strcmp(path + len - 4, ".tar") == 0;
}

/* Where a path leads, of which the last parts need not be there yet. */
static const char *real_path(apr_pool_t *p, const char *path)
{
    const char *there = cli_nearest(p, path);
    char real[PATH_MAX];
    int found;

    cli_as(there);
    found = realpath(there, real) != NULL;
    cli_as(NULL);
    return found ? apr_pstrcat(p, real, path + strlen(there), NULL) : path;
}

/* A folder of the server's own would be backed up into itself, swept by it, and moved aside by the
 * restore that needs it. Links on the way there count for where they lead. */
static imu_err *outside(cli *c, const char *to)
{
    static const char *const own[] = {"outputs", "databases", "tmp", "models"};
    const char *real = real_path(c->p, to);

    for (size_t i = 0; i < sizeof own / sizeof own[0]; i++) {
        const char *folder = apr_pstrcat(c->p, c->opt.root, "/", own[i], NULL);

        if (cli_is_below(real, real_path(c->p, folder)))
            return imu_error(c->p, 422, "where",
                             "%s is among the server's own files: name a place outside of %s", to,
                             folder);
    }
    return NULL;
}

static void tell(const backup *b)
{
    int linked = is_tar(b->to) ? 0 : b->placed.linked, more;
    int unreadable = (int)apr_hash_count(b->unreadable);

    if ((more = unreadable - SHOWN) > 0)
        cli_complain(b->c, "left out, as they can't be read either: %d more files", more);
    b->c->remarks = b->missing + unreadable > 0;
    cli_done(b->c,
             json_pack("{s:s, s:i, s:i, s:i, s:i}", "backup", b->to, "pictures", b->pictures,
                       "linked", linked, "missing", b->missing, "unreadable", unreadable),
             "%s: the database and %d pictures.%s%s", b->to, b->pictures,
             linked ? " The files have second names there, on the same disk; --copy copies them."
                    : "",
             b->missing ? apr_psprintf(b->p,
                                       " Of %d pictures there is no file here that could be read: "
                                       "see invokemu doctor.",
                                       b->missing)
                        : "");
}

imu_err *cli_backup(cli *c)
{
    backup b = {.c = c,
                .p = c->p,
                .how = c->opt.copy ? CLI_COPY : CLI_LINK_OR_COPY,
                .unreadable = apr_hash_make(c->p)};
    const char *to;
    imu_err *err;

    if (!(to = cli_whole_path(c->p, c->opt.plain)))
        return imu_error(c->p, 422, "where", "%s can't be made a whole path", c->opt.plain);
    b.to = to;
    if ((err = outside(c, to)))
        return err;
    if ((err = not_there(&b)))
        return err;
    if ((err = is_tar(to) ? into_tar(&b) : into_folder(&b)))
        return err;
    cli_note(c, (imu_audit_fact){.action = IMU_AUDIT_BACKED_UP,
                                 .target_name = to,
                                 .detail = json_pack("{s:i}", "pictures", b.pictures)});
    tell(&b);
    return NULL;
}
