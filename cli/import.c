/*
 * import.c: the command, its report, and what all parts of an import share.
 */
#include "cli/import.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <apr_strings.h>

#include "mod_invokemu/auth/identity.h"
#include "mod_invokemu/store/legacy.h"
#include "mod_invokemu/store/migrate.h"
#include "mod_invokemu/store/picture_files.h"
#include "mod_invokemu/util/ids.h"

#define SETTINGS_MAX 65536
/* Bytes of what people called something, and of a key. */
#define NAME_MAX_BYTES 1000
#define KEY_MAX_BYTES  600
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

imu_err *cli_import_audit(cli_importer *im, imu_audit_fact fact)
{
    if (!im->dry)
        return cli_note_with(im->c, fact);
    json_decref(fact.detail);
    return NULL;
}

const char *cli_import_nobody(cli_importer *im, apr_pool_t *p, const imu_rows *r, int i)
{
    const char *user_id = imu_text(r, i, "user_id");
    const char *who = user_id ? apr_hash_get(im->left_out, user_id, APR_HASH_KEY_STRING) : NULL;

    return who && !im->owner ? apr_psprintf(p, "%s, who owns it, got no account here", who) : NULL;
}

const char *cli_import_time_or_none(apr_pool_t *p, const char *text)
{
    apr_time_t t;

    if (text && strlen(text) == 19)
        text = apr_pstrcat(p, text, ".000", NULL);
    if (text && strlen(text) > 23)
        text = apr_pstrmemdup(p, text, 23);
    t = imu_time_parse(text);
    return t ? imu_time_text(p, t) : NULL;
}

const char *cli_import_time(apr_pool_t *p, const char *text)
{
    const char *time = cli_import_time_or_none(p, text);

    return time ? time : imu_now(p);
}

/* What the things are called that a named read finds, whether its key becomes an id of ours, and
 * whether its user_id is the owner. */
static const struct kind {
    const char *read, *name;
    int is_id, is_owned;
} kinds[] = {{"old_users", "account", 1, 0},
             {"old_strangers", "account", 1, 0},
             {"old_boards", "board", 1, 1},
             {"old_shares", "share", 0, 0},
             {"old_images", "picture", 0, 1},
             {"old_workflows", "workflow", 1, 1},
             {"old_presets", "style preset", 1, 1},
             {"old_states", "setting of a person", 0, 0},
             {"old_models", "model", 1, 0},
             {"old_relations", "relation of models", 0, 0},
             {"old_jobs", "job", 0, 1}};

static const struct kind *kind_of(const char *read)
{
    static const struct kind other = {NULL, "row", 0, 0};

    for (size_t i = 0; i < sizeof kinds / sizeof kinds[0]; i++)
        if (strcmp(kinds[i].read, read) == 0)
            return &kinds[i];
    return &other;
}

static const char *key_of(const imu_rows *rows, int i)
{
    return rows->cells[i * rows->columns];
}

const char *cli_import_name(cli_importer *im, apr_pool_t *p, const char *kind, const char *id,
                            const char *name)
{
    const char *shown = name ? imu_visible_text(p, name) : "";
    apr_size_t len = strlen(shown);

    if (!name || !*name) {
        cli_import_left(im, apr_psprintf(p, "name of a %s", kind), id,
                        "there is none; here it is called Unnamed");
        return "Unnamed";
    }
    if (len > NAME_MAX_BYTES)
        for (len = NAME_MAX_BYTES; ((unsigned char)shown[len] & 0xC0) == 0x80;)
            len--;
    else if (imu_is_clean_text(name))
        return name;
    shown = apr_pstrmemdup(p, shown, len);
    cli_import_left(im, apr_psprintf(p, "name of a %s", kind), id,
                    "it is too long or holds what is no text; here it is changed");
    return shown;
}

/* An id has to be a text that can be named in an address, and a part of a file's name. */
static int has_key(cli_importer *im, const imu_rows *rows, int i, const struct kind *kind)
{
    const char *key = key_of(rows, i);

    if (!kind->is_id ||
        (imu_is_clean_text(key) && strlen(key) <= KEY_MAX_BYTES && !strpbrk(key, "/\\")))
        return 1;
    cli_import_left(im, kind->name,
                    imu_visible_text(im->p, apr_pstrndup(im->p, key, KEY_MAX_BYTES)),
                    "its id can't be one here");
    return 0;
}

static imu_err *each_row(cli_importer *im, apr_pool_t *p, const imu_rows *rows,
                         cli_import_row *what)
{
    imu_err *err = NULL;

    for (int i = 0; what && !err && i < rows->count; i++)
        err = what(im, p, rows, i);
    return err;
}

const char *cli_import_odd_text(const imu_rows *rows, int i)
{
    /* These are looked at where they are used, and repaired; a board of that id there is none. */
    static const char *const repaired[] = {"name",     "display_name", "board_name",
                                           "metadata", "board_id",     NULL};

    for (int k = 0; k < rows->columns; k++) {
        const char *text = rows->cells[i * rows->columns + k];
        const char *const *known = repaired;
        unsigned code;
        int n = 1;

        while (*known && strcmp(*known, rows->names[k]) != 0)
            known++;
        if (*known)
            continue;
        for (; text && *text && n > 0; text += n)
            n = imu_utf8_next(text, &code);
        if (n == 0)
            return rows->names[k];
    }
    return NULL;
}

static imu_err *take_row(cli_importer *im, apr_pool_t *p, const imu_rows *rows, int i,
                         cli_import_row *take, const struct kind *kind)
{
    const char *odd, *why;

    if (!has_key(im, rows, i, kind))
        return NULL;
    if ((odd = cli_import_odd_text(rows, i)))
        why = apr_psprintf(p, "what it holds is no UTF-8 (%s)", odd);
    else
        why = kind->is_owned ? cli_import_nobody(im, p, rows, i) : NULL;
    if (!why)
        return take(im, p, rows, i);
    /* Pictures have said so when their files came. */
    if (strcmp(kind->name, "picture") != 0)
        cli_import_left(im, kind->name, key_of(rows, i), why);
    return NULL;
}

static imu_err *take_all_rows(cli_importer *im, apr_pool_t *p, const imu_rows *rows,
                              cli_import_row *take, const struct kind *kind)
{
    imu_err *err = imu_db_begin(im->db);

    if (err)
        return err;
    for (int i = 0; !err && i < rows->count; i++)
        err = take_row(im, p, rows, i, take, kind);
    return imu_db_end(im->db, err);
}

static int does_not_fit(const imu_err *err)
{
    return imu_error_is(err, "db_constraint") || imu_error_is(err, "db_unique");
}

/* What a page that was rolled back has added to the report. */
static void forget(cli_importer *im, const json_t *counts, size_t left, size_t notes)
{
    json_object_clear(im->counts);
    json_object_update(im->counts, (json_t *)counts);
    while (json_array_size(im->left) > left)
        json_array_remove(im->left, left);
    while (json_array_size(im->notes) > notes)
        json_array_remove(im->notes, notes);
}

/* All of a page at once; where one row does not fit, one by one, and that one is left out. */
imu_err *cli_import_take(cli_importer *im, apr_pool_t *p, const imu_rows *rows, const char *read,
                         cli_import_row *take)
{
    json_t *counts = imu_json_own(p, json_deep_copy(im->counts));
    size_t left = json_array_size(im->left), notes = json_array_size(im->notes);
    const struct kind *kind = kind_of(read);
    imu_err *err = take_all_rows(im, p, rows, take, kind);

    if (!does_not_fit(err))
        return err;
    forget(im, counts, left, notes);
    err = NULL;
    for (int i = 0; !err && i < rows->count; i++) {
        counts = imu_json_own(p, json_deep_copy(im->counts));
        if ((err = imu_db_begin(im->db)))
            return err;
        err = imu_db_end(im->db, take_row(im, p, rows, i, take, kind));
        if (does_not_fit(err)) {
            forget(im, counts, json_array_size(im->left), json_array_size(im->notes));
            cli_import_left(im, kind->name, key_of(rows, i),
                            "its row does not fit what is kept here");
            err = NULL;
        }
    }
    return err;
}

static imu_err *one_page(cli_importer *im, apr_pool_t *p, const imu_rows *rows, const char *read,
                         const cli_import_steps *steps)
{
    imu_err *err = each_row(im, p, rows, steps->prepare);

    if (!err && steps->settle)
        err = steps->settle(im);
    return err || !steps->take ? err : cli_import_take(im, p, rows, read, steps->take);
}

/* The key that the next page begins behind: that of the last row, which has to be larger than the
 * last page's, or the pages would have no end. */
static imu_err *next_page(cli_importer *im, const char *read, const imu_rows *rows,
                          const char **after)
{
    const char *key = key_of(rows, rows->count - 1);

    if (!key || strcmp(key, *after) <= 0)
        return imu_error(im->p, 422, "no_root",
                         "the database of %s is damaged: its keys are in no order (%s)", im->from,
                         read);
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
        err = one_page(im, sub, rows, read, steps);
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
    ssize_t n;
    int fd;

    cli_as(im->from);
    /* A link may lead to it; what is no file, such as a pipe, has no settings and no end. */
    fd = open(apr_pstrcat(im->p, im->from, "/invokeai.yaml", NULL),
              O_RDONLY | O_NONBLOCK | O_CLOEXEC);
    cli_as(NULL);
    while (fd >= 0 && len < sizeof text && (n = read(fd, text + len, sizeof text - len)) > 0)
        len += (apr_size_t)n;
    if (fd >= 0)
        close(fd);
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

/* What can't even be named. */
static imu_err *note_odd(cli_importer *im)
{
    imu_rows *rows;
    imu_err *err = imu_db_select(im->old, im->p, &rows, "old_odd", "");

    for (int i = 0; !err && i < rows->count; i++)
        cli_import_left(im, imu_text(rows, i, "what"),
                        apr_psprintf(im->p, "(%s of them)", imu_text(rows, i, "n")),
                        "the key in the database is no text");
    return err;
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
    return note_odd(im);
}

/* Their database is copied with its log, and the copy brought into one shape. */
static imu_err *open_old(cli_importer *im, const char *folder, const char *database)
{
    const char *copy = apr_pstrcat(im->p, folder, "/old.db", NULL);
    cli_placed placed = {0};
    char real[PATH_MAX];
    int gone;
    imu_err *err;

    /* The file itself, wherever a link says it lies: its log is beside it. */
    cli_as(database);
    if (realpath(database, real))
        database = apr_pstrdup(im->p, real);
    cli_as(NULL);
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

/* What came once without an owner keeps having none. */
static imu_err *note_nobodys(cli_importer *im)
{
    imu_rows *counts;
    imu_err *err = imu_legacy_count(im->db, im->p, &counts);

    if (err || !imu_legacy_any(counts) || !(im->owner || im->nobodys))
        return err;
    cli_import_note(im,
                    "%s were here before this import and belong to nobody; it changes no owner. "
                    "invokemu legacy --owner EMAIL hands them to an account",
                    cli_legacy_words(im->c, counts));
    return NULL;
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
        (err = cli_import_jobs(im)) || (err = note_nobodys(im)))
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
                cli_in_number(im->p, what, json_integer_value(json_object_get(one, "taken"))),
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
                       .holders = apr_hash_make(c->p),
                       .left_out = apr_hash_make(c->p),
                       .left_pictures = apr_hash_make(c->p),
                       .counts = imu_json_own(c->p, json_object()),
                       .left = imu_json_own(c->p, json_array()),
                       .notes = imu_json_own(c->p, json_array())};
    const char *folder = apr_pstrcat(c->p, c->opt.root, "/tmp/import", NULL);
    imu_err *err, *left;

    if (!(im.from = cli_whole_path(c->p, c->opt.plain)))
        return imu_error(c->p, 422, "which", "%s can't be made a whole path", c->opt.plain);
    /* One that was killed left its copies. */
    if ((err = cli_make_folders(c->p, apr_pstrcat(c->p, c->opt.root, "/tmp", NULL), 0750)) ||
        (err = cli_alone(c->p, apr_pstrcat(c->p, folder, ".lock", NULL))) ||
        (err = cli_remove_tree(c->p, folder)) || (err = cli_make_folders(c->p, folder, 0700)))
        return err;
    cli_at_work(folder);
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
