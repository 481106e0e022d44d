/*
 * main.c: invokemu, the administrator's command line. Also answers to the names of upstream's four
 * account tools.
 */
#include "cli/files.h"

#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include <apr_general.h>
#include <apr_strings.h>

#include "mod_invokemu/auth/core_password.h"
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
    {"users", "list", cli_users_list, 0, "invoke-userlist", "[--search TEXT]"},
    {"users", "mod", cli_users_mod, 0, "invoke-usermod",
     "EMAIL [--name NAME] [--admin|--no-admin] [--active|--inactive] [--must-change] "
     "[--password-stdin]"},
    {"users", "del", cli_users_del, 0, "invoke-userdel",
     "EMAIL [--transfer-to EMAIL] [--force]: the data goes too, or to that account"},
    {"invite", NULL, cli_invite, 0, NULL,
     "EMAIL [--name NAME] [--admin] [--url URL]: a link to choose a password by"},
    {"reset", NULL, cli_reset, 0, NULL,
     "EMAIL [--url URL]: a link to choose a new password by; the old one holds until then"},
    {"links", "list", cli_links_list, 0, NULL, ": invitations and resets that nobody has used"},
    {"links", "end", cli_links_end, 0, NULL, "ID: the link works no more"},
    {"sessions", "list", cli_sessions_list, 0, NULL, "EMAIL"},
    {"sessions", "end", cli_sessions_end, 0, NULL,
     "EMAIL [--session ID]: sign a person out everywhere, or there"},
    {"queue", "status", cli_queue_status, 0, NULL, ": how many jobs wait, run and ended"},
    {"queue", "list", cli_queue_list, 0, NULL,
     "[--user EMAIL] [--status STATUS] [--limit N]: latest first"},
    {"queue", "pause", cli_queue_pause, 0, NULL, ": start no more jobs"},
    {"queue", "resume", cli_queue_resume, 0, NULL, ": start jobs again"},
    {"queue", "cancel", cli_queue_cancel, 0, NULL,
     "ITEM_ID | --user EMAIL | --all: what waits and what runs"},
    {"queue", "clear", cli_queue_clear, 0, NULL, "[--force]: delete every job, with its history"},
    {"queue", "prune", cli_queue_prune, 0, NULL, ": delete jobs that have ended"},
    {"audit", NULL, cli_audit, 0, NULL,
     "[--action WORD] [--result ok|refused] [--user EMAIL] [--search TEXT] [--since TIME] [--until "
     "TIME] [--limit N] [--format text|jsonl|csv]"},
    {"models", "list", cli_models_list, 0, NULL, ": every model, and whether it can be used"},
    {"models", "remove", cli_models_remove, 0, NULL,
     "KEY_OR_NAME: off everybody's list; its files stay"},
    {"models", "restore", cli_models_restore, 0, NULL, "KEY_OR_NAME: back on the list"},
    {"models", "scan", cli_models_scan, 0, NULL,
     "[--models DIR]: reads new and mended folders (default ROOT/models)"},
    {"backup", NULL, cli_backup, 0, NULL,
     "FOLDER | FILE.tar [--copy]: database and pictures as of one moment"},
    {"restore", NULL, cli_restore, 1, NULL,
     "FOLDER | FILE.tar [--force]: while Apache is stopped; what is there is moved aside"},
    {"doctor", NULL, cli_doctor_command, 0, NULL,
     "[--fix] [--media SOCKET]: find what is amiss with rows and files, and mend it"},
    {"import", NULL, cli_import, 0, NULL,
     "INVOKEAI_ROOT [--dry-run] [--owner EMAIL] [--copy] [--media SOCKET]: take in an InvokeAI"},
    {"legacy", NULL, cli_legacy, 0, NULL,
     "[--owner EMAIL]: what was made before there were accounts; hand it to one"},
    {"migrate", NULL, cli_migrate, 1, NULL,
     ": bring the database to this version (the server does so at its start)"},
};
#define N_COMMANDS (sizeof commands / sizeof commands[0])

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
    if ((err = imu_migrate(c->p, c->opt.database, &from, &to)))
        return err;
    cli_done(c, json_pack("{s:i, s:i}", "from", from, "to", to),
             from == to ? "%s is at version %d already." : "%s went from version %d to %d.",
             c->opt.database, from, to);
    return NULL;
}

static int usage(FILE *out)
{
    fputs("invokemu: administers an invokemu server, also while it runs.\n\n", out);
    for (unsigned i = 0; i < N_COMMANDS; i++)
        fprintf(out, "  invokemu %s%s%s%s%s\n", commands[i].group, commands[i].verb ? " " : "",
                commands[i].verb ? commands[i].verb : "", *commands[i].help == ':' ? "" : " ",
                commands[i].help);
    fputs("\nEverywhere: --root DIR (default /var/lib/invokemu, or $INVOKEMU_ROOT) or --database "
          "FILE, and\n--json for output that programs read.\n"
          "Exit codes: 0 done, 1 refused or failed, 2 not understood, 3 done but for what was "
          "printed.\n",
          out);
    return out == stdout ? CLI_OK : CLI_USAGE;
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

static imu_err *open_and_run(cli *c, unsigned command)
{
    imu_err *err = cli_work_for_owner(c);

    if (err)
        return err;
    if (!commands[command].closed) {
        if (eaccess(c->opt.database, R_OK | W_OK) != 0)
            return imu_error(c->p, 404, "no_database",
                             "%s can't be read and written: name the server's folder with --root, "
                             "and run as its user or root; Apache's start gives the file to that "
                             "user",
                             c->opt.database);
        if ((err = cli_open(c)))
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
            cli_complain(&c, "%s", why);
        return CLI_USAGE;
    }
    err = open_and_run(&c, command);
    if (err)
        cli_complain(&c, "%s", err->log ? err->log : err->detail);
    apr_pool_destroy(c.p);
    cli_work_is_done();
    if (fflush(stdout) != 0)
        return CLI_FAILED;
    return err ? CLI_FAILED : c.remarks ? CLI_REMARKS : CLI_OK;
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
