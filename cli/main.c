/*
 * main.c: invokemu, the administrator's command line. Also answers to the names of upstream's four
 * account tools. What it can do is listed in commands.c.
 */
#include "cli/files.h"

#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include <apr_general.h>
#include <apr_strings.h>

#include "mod_invokemu/auth/core_password.h"
#include "mod_invokemu/store/database_use.h"
#include "mod_invokemu/store/migrate.h"
#include "mod_invokemu/util/ids.h"
#include "mod_invokemu/util/version.h"

imu_err *cli_migrate(cli *c)
{
    const char *slash = strrchr(c->opt.database, '/'), *folder = ".";
    int from, to;
    imu_err *err;

    if (slash)
        folder = apr_pstrmemdup(c->p, c->opt.database, (apr_size_t)(slash - c->opt.database));
    /* A root that is not there at all is more likely a slip of the pen. */
    if (strcmp(folder, apr_pstrcat(c->p, c->opt.root, "/databases", NULL)) == 0 &&
        access(c->opt.root, F_OK) == 0 && (err = cli_make_folders(c->p, folder, 0750)))
        return err;
    if (access(folder, F_OK) != 0)
        return imu_error(c->p, 404, "no_folder",
                         "there is no folder %s: name the server's with --root, or make it first",
                         access(c->opt.root, F_OK) == 0 ? folder : c->opt.root);
    if ((err = imu_database_hold(c->p, c->opt.database, 0)) ||
        (err = imu_migrate(c->p, c->opt.database, &from, &to)))
        return err;
    cli_done(c, json_pack("{s:i, s:i}", "from", from, "to", to),
             from == to ? "%s is at version %d already." : "%s went from version %d to %d.",
             c->opt.database, from, to);
    return NULL;
}

imu_err *cli_open(cli *c)
{
    imu_err *err = imu_db_open(c->p, c->opt.database, NULL, &c->db);

    if (!err)
        err = imu_server_settings_read(c->db, c->p, c->opt.database, &c->server);
    if (err)
        return err;
    imu_password_length_set(c->server.password_length);
    cli_tell_to(c->server.dispatcher, c->opt.root);
    return NULL;
}

/* It may be missing because a restore is moving it, or was broken off there. */
static imu_err *no_database(cli *c)
{
    imu_err *half = imu_database_complete(c->p, c->opt.database), *held;

    if (!half)
        return imu_error(c->p, 404, "no_database",
                         "%s can't be read and written: name the server's folder with --root, "
                         "and run as its user or root; Apache's start gives the file to that "
                         "user",
                         c->opt.database);
    held = imu_database_hold(c->p, c->opt.database, 0);
    return held ? held : half;
}

static imu_err *open_and_run(cli *c)
{
    imu_err *err = cli_work_for_owner(c);

    if (err)
        return err;
    if (!c->verb->closed) {
        if (eaccess(c->opt.database, R_OK | W_OK) != 0)
            return no_database(c);
        if ((err = imu_database_hold(c->p, c->opt.database, 0)) || (err = cli_open(c)))
            return err;
    }
    return c->verb->run(c);
}

static int run(cli *c, int argc, char **argv)
{
    int help = 0;
    const char *why = cli_parse(c, argc, argv, &help);
    imu_err *err;

    if (help) {
        cli_help_of(c);
        return CLI_OK;
    }
    if (why) {
        if (*why)
            cli_complain(c, "%s", why);
        return CLI_USAGE;
    }
    err = open_and_run(c);
    if (err)
        cli_complain(c, "%s", err->log ? err->log : err->detail);
    if (err)
        return imu_error_is(err, CLI_NOT_UNDERSTOOD) ? CLI_USAGE : CLI_FAILED;
    return c->remarks ? CLI_REMARKS : CLI_OK;
}

/* The command that was named, and how many words of the arguments that took; NULL for none. */
static const cli_verb *find(int argc, char **argv, int *words, int *upstream)
{
    const char *self = strrchr(argv[0], '/');

    self = self ? self + 1 : argv[0];
    *words = 0;
    *upstream = 1;
    for (int i = 0; i < cli_verbs_count; i++)
        if (cli_verbs[i].upstream && strcmp(self, cli_verbs[i].upstream) == 0)
            return &cli_verbs[i];
    *upstream = 0;
    for (int i = 0; i < cli_verbs_count; i++) {
        *words = cli_verbs[i].word ? 2 : 1;
        if (argc > *words && strcmp(argv[1], cli_verbs[i].group) == 0 &&
            (!cli_verbs[i].word || strcmp(argv[2], cli_verbs[i].word) == 0))
            return &cli_verbs[i];
    }
    return NULL;
}

static int asks_for_help(const char *word)
{
    return strcmp(word, "help") == 0 || strcmp(word, "--help") == 0 || strcmp(word, "-h") == 0;
}

/* What stands in place of a command. */
static int without_command(apr_pool_t *p, int argc, char **argv)
{
    const char *word = argc > 1 ? argv[1] : "", *second = argc > 2 ? argv[2] : "";
    int is_group = cli_is_group(word);

    if (asks_for_help(word) || (is_group && asks_for_help(second))) {
        cli_help(stdout, is_group ? word : NULL);
        return CLI_OK;
    }
    if (strcmp(word, "--version") == 0) {
        printf("invokemu, database version %d; its interface is that of InvokeAI %s\n",
               imu_migrations_newest(), IMU_API_VERSION);
        return CLI_OK;
    }
    if (!*word)
        cli_help(stderr, NULL);
    else if (is_group && (!*second || *second == '-'))
        fprintf(stderr, "invokemu %s: what is to be done? See invokemu %s --help\n", word, word);
    else
        fprintf(stderr, "invokemu: there is no command \"%s%s%s\": see invokemu %s%s--help\n",
                imu_visible_text(p, word), is_group ? " " : "",
                is_group ? imu_visible_text(p, second) : "", is_group ? word : "",
                is_group ? " " : "");
    return CLI_USAGE;
}

/* What was printed may not have got out, to a full disk for one. */
static int ended_with(int code)
{
    int lost = fflush(stdout) != 0 || ferror(stdout);

    if (lost)
        fputs("invokemu: the output could not be written, or not all of it\n", stderr);
    return lost ? CLI_FAILED : code;
}

int main(int argc, char **argv)
{
    cli c = {0};
    int words, code;

    if (apr_initialize() != APR_SUCCESS || apr_pool_create(&c.p, NULL) != APR_SUCCESS)
        return CLI_FAILED;
    c.verb = find(argc, argv, &words, &c.upstream);
    code = c.verb ? run(&c, argc - words, argv + words) : without_command(c.p, argc, argv);
    apr_pool_destroy(c.p);
    cli_work_is_done();
    return ended_with(code);
}
