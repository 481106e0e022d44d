/*
 * main.c: invokemu, the administrator's command line. Also answers to the names of upstream's four
 * account tools.
 */
#include "cli/cli.h"

#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include <apr_general.h>
#include <apr_strings.h>

#include "mod_invokemu/store/migrate.h"

static const struct {
    const char *group;
    const char *verb;
    cli_command *run;
    int closed; /* runs without an open database */
    const char *upstream;
    const char *help;
} commands[] = {
    {"users", "add", cli_users_add, 0, "invoke-useradd",
     "EMAIL [--name NAME] [--admin] [--must-change] [--password-stdin]"},
    {"users", "list", cli_users_list, 0, "invoke-userlist", "[--json]"},
    {"users", "mod", cli_users_mod, 0, "invoke-usermod",
     "EMAIL [--name NAME] [--admin|--no-admin] [--active|--inactive] [--must-change] "
     "[--password-stdin]"},
    {"users", "del", cli_users_del, 0, "invoke-userdel", "EMAIL [--force]"},
    {"sessions", "list", cli_sessions_list, 0, NULL, "EMAIL [--json]"},
    {"sessions", "end", cli_sessions_end, 0, NULL, "EMAIL: sign a person out everywhere"},
    {"models", "list", cli_models_list, 0, NULL, "[--json]"},
    {"models", "remove", cli_models_remove, 0, NULL,
     "KEY_OR_NAME: off everybody's list; its files stay"},
    {"models", "restore", cli_models_restore, 0, NULL, "KEY_OR_NAME: back on the list"},
    {"models", "scan", cli_models_scan, 0, NULL,
     "[--models DIR]: reads new and mended folders (default ROOT/models)"},
    {"migrate", NULL, cli_migrate, 1, NULL,
     "bring the database to this version (the server does so at its start)"},
};
#define N_COMMANDS (sizeof commands / sizeof commands[0])

imu_err *cli_migrate(cli *c)
{
    int from, to;
    imu_err *err = imu_migrate(c->p, c->opt.database, &from, &to);

    if (err)
        return err;
    if (from == to)
        printf("%s is at version %d already.\n", c->opt.database, to);
    else
        printf("%s went from version %d to %d.\n", c->opt.database, from, to);
    return NULL;
}

static int usage(FILE *out)
{
    fputs("invokemu: administers an invokemu server, also while it runs.\n\n", out);
    for (unsigned i = 0; i < N_COMMANDS; i++)
        fprintf(out, "  invokemu %s%s%s %s\n", commands[i].group, commands[i].verb ? " " : "",
                commands[i].verb ? commands[i].verb : "", commands[i].help);
    fputs("\nEverywhere: --root DIR (default /var/lib/invokemu, or $INVOKEMU_ROOT) or --database "
          "FILE.\n"
          "Exit codes: 0 done, 1 refused or failed, 2 not understood.\n",
          out);
    return out == stdout ? CLI_OK : CLI_USAGE;
}

static imu_err *open_and_run(cli *c, unsigned command)
{
    imu_err *err;

    if (!commands[command].closed) {
        if (access(c->opt.database, R_OK | W_OK) != 0)
            return imu_error(c->p, 404, "no_database",
                             "%s can't be read and written: name the server's folder with --root, "
                             "and run as its user or root",
                             c->opt.database);
        if ((err = imu_db_open(c->p, c->opt.database, NULL, &c->db)))
            return err;
    }
    return commands[command].run(c);
}

static int run(unsigned command, int argc, char **argv, int upstream)
{
    cli c = {0};
    const char *why;
    imu_err *err;

    if (apr_pool_create(&c.p, NULL) != APR_SUCCESS)
        return CLI_FAILED;
    if ((why = cli_parse(&c, argc, argv, upstream))) {
        if (*why)
            fprintf(stderr, "invokemu: %s\n", why);
        return CLI_USAGE;
    }
    err = open_and_run(&c, command);
    if (err)
        fprintf(stderr, "invokemu: %s\n", err->log ? err->log : err->detail);
    apr_pool_destroy(c.p);
    return err ? CLI_FAILED : CLI_OK;
}

int main(int argc, char **argv)
{
    const char *self = strrchr(argv[0], '/');

    self = self ? self + 1 : argv[0];
    if (apr_initialize() != APR_SUCCESS)
        return CLI_FAILED;
    for (unsigned i = 0; i < N_COMMANDS; i++)
        if (commands[i].upstream && strcmp(self, commands[i].upstream) == 0)
            return run(i, argc, argv, 1);
    if (argc > 1 && (strcmp(argv[1], "help") == 0 || strcmp(argv[1], "--help") == 0))
        return usage(stdout);
    for (unsigned i = 0; i < N_COMMANDS; i++) {
        int words = commands[i].verb ? 2 : 1;

        if (argc > words && strcmp(argv[1], commands[i].group) == 0 &&
            (!commands[i].verb || strcmp(argv[2], commands[i].verb) == 0))
            return run(i, argc - words, argv + words, 0);
    }
    return usage(stderr);
}
