/*
 * import.c: the command, its report, and what all parts of an import share.
 */
#include "cli/import.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <apr_file_io.h>
#include <apr_strings.h>

#include "mod_invokemu/auth/identity.h"
#include "mod_invokemu/store/migrate.h"
#include "mod_invokemu/store/picture_files.h"
#include "mod_invokemu/util/ids.h"

#define SETTINGS_MAX 65536
/* Versions of their database that are known; the first is that of 5.0. */
#define OLD_LEAST 15
#define OLD_MOST  33

extern const imu_query imu_import_reads[], imu_import_shape[];
extern const int imu_import_reads_count, imu_import_shape_count;

void cli_import_count(cli_importer *im, const char *what, int taken)
{
    json_t *one = json_object_get(im->counts, what);
    const char *key = taken ? "taken" : "there";

    if (!one) {
        one = json_pack("{s:i, s:i}", "taken", 0, "there", 0);
        json_object_set_new(im->counts, what, one);
    }
    json_object_set_new(one, key, json_integer(json_integer_value(json_object_get(one, key)) + 1));
}

void cli_import_left(cli_importer *im, const char *what, const char *name, const char *reason)
{
    json_array_append_new(im->left, json_pack("{s:s, s:o, s:o}", "what", what, "name",
                                              cli_json_name(im->p, name), "reason",
                                              cli_json_name(im->p, reason)));
}

void cli_import_note(cli_importer *im, const char *fmt, ...)
{
    va_list ap;

    va_start(ap, fmt);
    json_array_append_new(im->notes, cli_json_name(im->p, apr_pvsprintf(im->p, fmt, ap)));
    va_end(ap);
}

const char *cli_import_owner(cli_importer *im, const char *user_id)
{
    const char *ours = apr_hash_get(im->accounts, user_id, APR_HASH_KEY_STRING);

    if (ours)
        return ours;
    return im->owner ? im->owner : IMU_SYSTEM_USER;
}

const char *cli_import_time(apr_pool_t *p, const char *text)
{
    apr_time_t t;

    if (text && strlen(text) == 19)
        text = apr_pstrcat(p, text, ".000", NULL);
    if (text && strlen(text) > 23)
        text = apr_pstrmemdup(p, text, 23);
    t = imu_time_parse(text);
    return t ? imu_time_text(p, t) : imu_now(p);
}

static imu_err *each_row(cli_importer *im, apr_pool_t *p, const imu_rows *rows,
                         cli_import_row *what)
{
    imu_err *err = NULL;

    for (int i = 0; what && !err && i < rows->count; i++)
        err = what(im, p, rows, i);
    return err;
}

static imu_err *one_page(cli_importer *im, apr_pool_t *p, const imu_rows *rows,
                         const cli_import_steps *steps)
{
    imu_err *err = each_row(im, p, rows, steps->prepare);

    if (!err && steps->settle)
        err = steps->settle(im);
    if (err || !steps->take || (err = imu_db_begin(im->db)))
        return err;
    return imu_db_end(im->db, each_row(im, p, rows, steps->take));
}

/* The key that the next page begins behind: that of the last row, which has to be larger than the
 * last page's. One that is no text is larger than any text to SQLite, and would come for ever. */
static imu_err *next_page(cli_importer *im, const char *read, const imu_rows *rows,
                          const char **after)
{
    const char *key = rows->cells[(rows->count - 1) * rows->columns];

    if (!key || strcmp(key, *after) <= 0)
        return imu_error(im->p, 422, "no_root",
                         "the database of %s is damaged: a key is no text (%s)", im->from, read);
    *after = apr_pstrdup(im->p, key);
    return NULL;
}

imu_err *cli_import_pages(cli_importer *im, const char *read, const cli_import_steps *steps)
{
    const char *after = "";
    apr_pool_t *sub;
    imu_rows *rows;
    imu_err *err;

    apr_pool_create(&sub, im->p);
    do {
        apr_pool_clear(sub);
        if ((err = imu_db_select(im->old, sub, &rows, read, "s", after)) || !rows->count ||
            (err = next_page(im, read, rows, &after)))
            break;
        err = one_page(im, sub, rows, steps);
    } while (!err);
    if (err)
        err = imu_error_keep(im->p, err);
    apr_pool_destroy(sub);
    return err;
}

imu_err *cli_import_each(cli_importer *im, const char *read, cli_import_row *take)
{
    return cli_import_pages(im, read, &(cli_import_steps){.take = take});
}

/* ---- the other root ---- */

static const char *settings_text(cli_importer *im)
{
    char text[SETTINGS_MAX];
    apr_size_t len = 0;
    apr_file_t *file;

    if (apr_file_open(&file, apr_pstrcat(im->p, im->from, "/invokeai.yaml", NULL), APR_READ, 0,
                      im->p) != APR_SUCCESS)
        return "";
    (void)apr_file_read_full(file, text, sizeof text - 1, &len);
    apr_file_close(file);
    return apr_pstrmemdup(im->p, text, len);
}

/* A folder of theirs, which the settings may name. */
static const char *folder_of(cli_importer *im, const char *settings, const char *key,
                             const char *usual)
{
    const char *value = cli_yaml_value(im->p, settings, key);

    value = value ? value : usual;
    return *value == '/' ? value : apr_pstrcat(im->p, im->from, "/", value, NULL);
}

/* What each of their settings is called here. */
static void note_settings(cli_importer *im, const char *settings)
{
    static const struct {
        const char *key, *value, *directive;
    } known[] = {
        {"multiuser", "true", "InvokeMUMultiUser On"},
        {"multiuser", "false", "InvokeMUMultiUser Off"},
        {"strict_password_checking", "true", "InvokeMUStrictPasswords On"},
        {"strict_password_checking", "false", "InvokeMUStrictPasswords Off"},
        {"session_queue_mode", "round_robin", "InvokeMUQueueMode RoundRobin"},
        {"session_queue_mode", "FIFO", "InvokeMUQueueMode FIFO"},
        {"host", NULL, "Listen ADDRESS:PORT, in the virtual host"},
        {"port", NULL, "Listen ADDRESS:PORT, in the virtual host"},
        {"max_queue_history", NULL, "InvokeMUQueueHistory NUMBER"},
    };

    for (size_t i = 0; i < sizeof known / sizeof known[0]; i++) {
        const char *value = cli_yaml_value(im->p, settings, known[i].key);

        if (value && (!known[i].value || strcmp(known[i].value, value) == 0))
            cli_import_note(im, "invokeai.yaml says \"%s: %s\"; here that is %s", known[i].key,
                            value, known[i].directive);
    }
}

static imu_err *check_old(cli_importer *im)
{
    imu_rows *rows;
    int version;
    imu_err *err = imu_db_select(im->old, im->p, &rows, "old_version", "");

    if (err)
        return err;
    version = (int)imu_int(rows, 0, "version");
    if (version < OLD_LEAST)
        return imu_error(im->p, 422, "too_old",
                         "%s is of InvokeAI before 5.0: start the last InvokeAI 5 on it once",
                         im->from);
    if (version > OLD_MOST)
        return imu_error(im->p, 422, "too_new",
                         "%s is of a newer InvokeAI than this program knows (its database has "
                         "version %d, not at most %d)",
                         im->from, version, OLD_MOST);
    return NULL;
}

/* Their database is copied with its log, and the copy brought into one shape. */
static imu_err *open_old(cli_importer *im, const char *folder, const char *database)
{
    const char *copy = apr_pstrcat(im->p, folder, "/old.db", NULL);
    cli_placed placed = {0};
    int gone;
    imu_err *err;

    if (!cli_exists(database))
        return imu_error(im->p, 404, "no_root", "%s is no root of InvokeAI: it has no %s", im->from,
                         database);
    if (cli_database_in_use(im->p, database))
        return imu_error(im->p, 409, "running", "%s is in use: stop InvokeAI first", database);
    if ((err = cli_place(im->p, database, copy, CLI_COPY, &placed, NULL)) ||
        (err = cli_place(im->p, apr_pstrcat(im->p, database, "-wal", NULL),
                         apr_pstrcat(im->p, copy, "-wal", NULL), CLI_COPY, &placed, &gone)))
        return err;
    err = imu_database_shape(im->p, copy, imu_import_shape, imu_import_shape_count);
    if (!err)
        err = imu_db_open_foreign(im->p, copy, imu_import_reads, imu_import_reads_count, &im->old);
    if (err)
        return imu_error(im->p, 422, "no_root", "%s is no database of InvokeAI (%s)", database,
                         err->log ? err->log : err->detail);
    return check_old(im);
}

static imu_err *open_ours(cli_importer *im, const char *folder)
{
    const char *copy = apr_pstrcat(im->p, folder, "/ours.db", NULL);
    imu_err *err;

    im->db = im->c->db;
    if (!im->dry)
        return imu_picture_folders(im->p, im->c->opt.root, (uid_t)-1, (gid_t)-1);
    err = imu_database_copy(im->p, im->c->opt.database, copy);
    return err ? err : imu_db_open(im->p, copy, NULL, &im->db);
}

static imu_err *take_all(cli_importer *im, const char *folder)
{
    const char *settings = settings_text(im);
    imu_err *err;

    im->outputs = folder_of(im, settings, "outputs_dir", "outputs");
    im->models = folder_of(im, settings, "models_dir", "models");
    if ((err = open_old(im, folder,
                        apr_pstrcat(im->p, folder_of(im, settings, "db_dir", "databases"),
                                    "/invokeai.db", NULL))) ||
        (err = open_ours(im, folder)) || (err = cli_import_people(im)) ||
        (err = cli_import_boards(im)) || (err = cli_import_pictures(im)) ||
        (err = cli_import_library(im)) || (err = cli_import_models(im)) ||
        (err = cli_import_jobs(im)))
        return err;
    note_settings(im, settings);
    return im->dry ? NULL : cli_sync(im->p, im->c->opt.root);
}

/* ---- the report ---- */

static void print_report(cli_importer *im)
{
    const char *what;
    json_t *one;
    size_t i;

    cli_say(im->c, im->dry ? "What an import would do:" : "Taken in:");
    json_object_foreach (im->counts, what, one)
        cli_say(im->c, "%8lld %s%s", (long long)json_integer_value(json_object_get(one, "taken")),
                what,
                json_integer_value(json_object_get(one, "there"))
                    ? apr_psprintf(im->p, " (%" APR_INT64_T_FMT " more are here already)",
                                   (apr_int64_t)json_integer_value(json_object_get(one, "there")))
                    : "");
    if (json_array_size(im->left))
        cli_say(im->c, "Left out:");
    json_array_foreach (im->left, i, one) {
        const char *name = json_string_value(json_object_get(one, "name"));

        cli_say(im->c, "    %s%s%s: %s", json_string_value(json_object_get(one, "what")),
                name ? " " : "", name ? name : "",
                json_string_value(json_object_get(one, "reason")));
    }
    json_array_foreach (im->notes, i, one)
        cli_say(im->c, "Note: %s", json_string_value(one));
}

static void report(cli_importer *im)
{
    if (im->c->opt.json)
        cli_print_json(imu_json_own(
            im->p,
            json_pack("{s:s, s:b, s:O, s:O, s:O, s:{s:i, s:i}}", "from", im->from, "dry_run",
                      im->dry, "counts", im->counts, "left_out", im->left, "notes", im->notes,
                      "files", "linked", im->placed.linked, "copied", im->placed.copied)));
    else
        print_report(im);
    im->c->remarks = json_array_size(im->left) > 0;
}

imu_err *cli_import(cli *c)
{
    cli_importer im = {.c = c,
                       .p = c->p,
                       .dry = c->opt.dry_run,
                       .how = c->opt.copy ? CLI_COPY : CLI_LINK_OR_COPY,
                       .accounts = apr_hash_make(c->p),
                       .counts = imu_json_own(c->p, json_object()),
                       .left = imu_json_own(c->p, json_array()),
                       .notes = imu_json_own(c->p, json_array())};
    const char *folder = apr_pstrcat(c->p, c->opt.root, "/tmp/import", NULL);
    imu_err *err, *left;

    if (!c->opt.plain || !(im.from = cli_whole_path(c->p, c->opt.plain)))
        return imu_error(c->p, 422, "which", "which root? Give the folder of an InvokeAI");
    /* One that was killed left its copies. */
    if ((err = cli_make_folders(c->p, apr_pstrcat(c->p, c->opt.root, "/tmp", NULL), 0750)) ||
        (err = cli_alone(c->p, apr_pstrcat(c->p, folder, ".lock", NULL))) ||
        (err = cli_remove_tree(c->p, folder)) || (err = cli_make_folders(c->p, folder, 0700)))
        return err;
    err = take_all(&im, folder);
    if (im.old)
        imu_db_close(im.old);
    if (im.dry && im.db && im.db != c->db)
        imu_db_close(im.db);
    left = cli_remove_tree(c->p, folder);
    (void)unlink(apr_pstrcat(c->p, folder, ".lock", NULL));
    if (err || (err = left))
        return err;
    if (!im.dry)
        cli_note(c, (imu_audit_fact){.action = IMU_AUDIT_IMPORTED,
                                     .target_name = im.from,
                                     .detail = json_incref(im.counts)});
    report(&im);
    return NULL;
}
