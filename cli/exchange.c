/*
 * exchange.c: what a restore has made ready takes the place of what is there. While that goes on, a
 * mark lies beside the database: whoever finds it begins nothing, and the next restore goes on
 * where this one was broken off.
 */
#include "cli/backup.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <apr_strings.h>

#include "mod_invokemu/store/database_use.h"
#include "mod_invokemu/store/files.h"
#include "mod_invokemu/util/jsons.h"

#define ASIDE_PREFIX "before-restore-"
#define STAGE_PREFIX "restore-"
#define MARK_MAX     65536
#define MOVES_MAX    8 /* three files and a folder away, one of each in their place */

typedef struct exchange {
    cli *c;
    apr_pool_t *p;
    cli_exchange *e;
    struct {
        const char *from, *to;
    } moves[MOVES_MAX]; /* that were made */
    int n;
    int resumed; /* an exchange of an earlier process */
} exchange;

static const char *mark_of(const cli *c)
{
    return apr_pstrcat(c->p, c->opt.database, IMU_DATABASE_RESTORING, NULL);
}

static const char *stage_of(const cli *c, const cli_exchange *e, const char *path)
{
    return apr_pstrcat(c->p, c->opt.root, "/tmp/", e->stage, path, NULL);
}

static const char *outputs_of(const cli *c)
{
    return apr_pstrcat(c->p, c->opt.root, "/outputs", NULL);
}

/* By which the disk knows a file or folder; 0 for none. */
static apr_int64_t number_of(const char *path)
{
    struct stat st;

    return cli_look(path, &st) == 0 ? (apr_int64_t)st.st_ino : 0;
}

/* ---- the mark ---- */

static imu_err *write_mark(const exchange *x)
{
    const cli_exchange *e = x->e;
    const char *mark = mark_of(x->c);
    json_t *json = imu_json_own(
        x->p, json_pack("{s:s, s:s*, s:s, s:s, s:i, s:i, s:i, s:i, s:I, s:I}", "stage", e->stage,
                        "aside", e->aside, "backup", e->backup, "made_at", e->made_at, "pictures",
                        e->pictures, "missing", e->missing, "torn", e->torn, "schema", e->schema,
                        "database", (json_int_t)e->database, "outputs", (json_int_t)e->outputs));
    const char *text = imu_json_compact(x->p, json);
    imu_err *err = text ? cli_write_file(x->p, mark, text)
                        : imu_error(x->p, 422, "which", "the backup's path is no text");

    return err ? err : cli_sync(x->p, cli_folder_of(x->p, mark));
}

static imu_err *take_mark_away(const exchange *x)
{
    const char *mark = mark_of(x->c);

    if (cli_unlink(mark) != 0 && errno != ENOENT)
        return imu_error(x->p, 500, "files", "can't remove %s: %s", mark, strerror(errno));
    return NULL;
}

/* A name of ours, which can't lead elsewhere. */
static int is_ours(const char *name, const char *prefix)
{
    return strncmp(name, prefix, strlen(prefix)) == 0 && !strchr(name, '/');
}

static int read_words(json_t *json, cli_exchange *e)
{
    json_int_t database = 0, outputs = 0; /* which earlier programs did not write */
    int rc =
        json_unpack(json, "{s:s, s?s, s:s, s:s, s:i, s:i, s:i, s:i, s?I, s?I}", "stage", &e->stage,
                    "aside", &e->aside, "backup", &e->backup, "made_at", &e->made_at, "pictures",
                    &e->pictures, "missing", &e->missing, "torn", &e->torn, "schema", &e->schema,
                    "database", &database, "outputs", &outputs);

    e->database = database;
    e->outputs = outputs;
    return rc == 0 && is_ours(e->stage, STAGE_PREFIX) &&
           (!e->aside || is_ours(e->aside, ASIDE_PREFIX));
}

imu_err *cli_exchange_look(cli *c, cli_exchange *e)
{
    const char *mark = mark_of(c);
    char text[MARK_MAX];
    ssize_t len;
    int fd;

    memset(e, 0, sizeof *e);
    if (!cli_exists(mark))
        return NULL;
    e->begun = 1;
    if ((fd = cli_open_file(mark)) < 0)
        return imu_error(c->p, 500, "files", "can't read %s: %s", mark, strerror(errno));
    len = imu_read_at(fd, text, sizeof text, 0);
    close(fd);
    if (len < 0 || !read_words(imu_json_own(c->p, json_loadb(text, (size_t)len, 0, NULL)), e))
        return imu_error(c->p, 422, "half_restored",
                         "%s does not say what it should: look whether database and pictures are "
                         "in their place, and remove it then",
                         mark);
    return NULL;
}

/* ---- moving ---- */

static imu_err *move(exchange *x, const char *from, const char *to)
{
    imu_err *err = cli_make_folders(x->p, cli_folder_of(x->p, to), 0750);
    int rc, code;

    if (err)
        return err;
    rc = cli_rename_new(from, to);
    code = errno;
    if (rc != 0)
        return imu_error(x->p, code == EEXIST ? 409 : 500, code == EEXIST ? "exists" : "files",
                         "can't move %s to %s: %s", from, to, strerror(code));
    x->moves[x->n].from = from;
    x->moves[x->n++].to = to;
    return NULL;
}

/* A folder that nothing lies in yet, whoever else restores in this second. */
static imu_err *make_aside(exchange *x)
{
    apr_int64_t now = apr_time_sec(apr_time_now());
    const char *path = NULL;
    int rc = -1;

    for (int n = 1; rc != 0 && n < 1000; n++) {
        x->e->aside = apr_psprintf(x->p, ASIDE_PREFIX "%" APR_INT64_T_FMT "%s", now,
                                   n > 1 ? apr_psprintf(x->p, "-%d", n) : "");
        path = apr_pstrcat(x->p, x->c->opt.root, "/", x->e->aside, NULL);
        rc = cli_mkdir(path, 0750);
        if (rc != 0 && errno != EEXIST)
            break;
    }
    return rc == 0 ? NULL
                   : imu_error(x->p, 500, "files", "can't make %s: %s", path, strerror(errno));
}

static imu_err *move_aside(exchange *x, const char *from, const char *name)
{
    imu_err *err = NULL;

    if (!cli_exists(from))
        return NULL;
    if (!x->e->aside && (err = make_aside(x)))
        return err;
    return move(x, from, apr_pstrcat(x->p, x->c->opt.root, "/", x->e->aside, "/", name, NULL));
}

/* Whatever of it was done already stays: what has left the stage is in its place. The database
 * comes last. */
static imu_err *move_all(exchange *x)
{
    static const char *const tails[] = {"", "-wal", "-shm"};
    const char *db = x->c->opt.database, *new_db = stage_of(x->c, x->e, "/" CLI_BACKUP_DATABASE);
    const char *outputs = outputs_of(x->c);
    const char *new_outputs = stage_of(x->c, x->e, "/outputs");
    imu_err *err = NULL;

    if (!cli_exists(new_db))
        return NULL;
    for (size_t i = 0; !err && i < sizeof tails / sizeof tails[0]; i++)
        err = move_aside(x, apr_pstrcat(x->p, db, tails[i], NULL),
                         apr_pstrcat(x->p, CLI_BACKUP_DATABASE, tails[i], NULL));
    if (!err && cli_exists(new_outputs) && !(err = move_aside(x, outputs, "outputs")))
        err = move(x, new_outputs, outputs);
    return err ? err : move(x, new_db, db);
}

/* Takes back what this process did. @return whether it could */
static int undo(exchange *x)
{
    int rc = 0;

    while (rc == 0 && x->n > 0) {
        x->n--;
        rc = cli_rename_new(x->moves[x->n].to, x->moves[x->n].from);
    }
    return rc == 0;
}

/* Nothing was changed after all: then no mark has to say so, and no empty folders. */
static imu_err *give_up(exchange *x, imu_err *why)
{
    const char *aside;

    /* What one left that can't be finished is still half of it. */
    if (!undo(x) || x->resumed || x->e->anew)
        return imu_error(x->p, why->status, why->code, "%s; " IMU_RESTORE_AGAIN,
                         why->log ? why->log : why->detail);
    if (x->e->aside) {
        aside = apr_pstrcat(x->p, x->c->opt.root, "/", x->e->aside, NULL);
        cli_as(aside);
        (void)rmdir(apr_pstrcat(x->p, aside, "/databases", NULL));
        (void)rmdir(aside);
        cli_as(NULL);
    }
    x->e->begun = take_mark_away(x) != NULL;
    return why;
}

static imu_err *begin(exchange *x)
{
    imu_err *err = NULL;

    x->e->database = number_of(stage_of(x->c, x->e, "/" CLI_BACKUP_DATABASE));
    x->e->outputs = number_of(stage_of(x->c, x->e, "/outputs"));
    if (cli_exists(x->c->opt.database) || cli_exists(outputs_of(x->c)))
        err = make_aside(x);
    if (err || (err = write_mark(x)))
        return err;
    x->e->begun = 1;
    return NULL;
}

imu_err *cli_exchange_do(cli *c, cli_exchange *e)
{
    exchange x = {.c = c, .p = c->p, .e = e, .resumed = e->begun};
    /* Once more: making it ready took its time. */
    imu_err *err = cli_exchange_possible(c);

    if (err)
        return err;
    if (!x.resumed)
        err = begin(&x);
    if (!err)
        err = move_all(&x);
    if (err)
        return give_up(&x, err);
    if ((err = cli_sync(c->p, c->opt.root)) ||
        (err = cli_sync(c->p, cli_folder_of(c->p, c->opt.database))))
        return err;
    return take_mark_away(&x);
}

/* Moving leaves a file its number: what has left the stage is known by that where it is now. */
static int is_kept(const char *ready, const char *place, apr_int64_t number)
{
    return cli_exists(ready) || (number ? number_of(place) == number : cli_exists(place));
}

int cli_exchange_can_end(cli *c, const cli_exchange *e)
{
    return is_kept(stage_of(c, e, "/" CLI_BACKUP_DATABASE), c->opt.database, e->database) &&
           (!e->outputs || is_kept(stage_of(c, e, "/outputs"), outputs_of(c), e->outputs));
}
