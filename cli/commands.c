/*
 * commands.c: every command, with what it takes. Help is written from this table.
 */
#include <stdio.h>
#include <string.h>

#include <apr_strings.h>

#include "cli/cli.h"

#define S(option) CLI_SET(CLI_OPT_##option)
#define PASSWORD  (S(PASSWORD_STDIN) | S(MUST_CHANGE) | S(NO_MUST_CHANGE) | S(ALLOW_WEAK))

static const char *check_change(const cli *c)
{
    const cli_option_set changes = S(NAME) | S(ADMIN) | S(NO_ADMIN) | S(ACTIVE) | S(INACTIVE) |
                                   S(MUST_CHANGE) | S(NO_MUST_CHANGE) | S(PASSWORD) |
                                   S(PASSWORD_STDIN);

    if (!(c->opt.given & changes))
        return "what is to be changed? Nothing was named: see invokemu users mod --help";
    if (c->opt.weak && !(c->opt.given & (S(PASSWORD) | S(PASSWORD_STDIN))))
        return "--allow-weak is about a new password: add --password-stdin";
    return NULL;
}

static const char *check_jobs(const cli *c)
{
    return (c->opt.plain != NULL) + (c->opt.user != NULL) + c->opt.all == 1
               ? NULL
               : "which jobs? Give the number of one, --user EMAIL or --all";
}

static const char *check_mending(const cli *c)
{
    return c->opt.force && !c->opt.fix ? "doctor: --force is about what --fix does: add that"
                                       : NULL;
}

const cli_verb cli_verbs[] = {
    {"users", "add", cli_users_add, 0, "invoke-useradd", "EMAIL",
     S(EMAIL) | S(NAME) | S(ADMIN) | PASSWORD, NULL,
     "the password has to be changed at the first sign-in, but for --no-must-change"},
    {"users", "list", cli_users_list, 0, "invoke-userlist", NULL, S(SEARCH), NULL,
     "every account, and whether it can sign in"},
    {"users", "mod", cli_users_mod, 0, "invoke-usermod", "EMAIL",
     S(EMAIL) | S(NAME) | S(ADMIN) | S(NO_ADMIN) | S(ACTIVE) | S(INACTIVE) | PASSWORD, check_change,
     "a new password likewise; --inactive suspends"},
    {"users", "del", cli_users_del, 0, "invoke-userdel", "EMAIL",
     S(EMAIL) | S(TRANSFER_TO) | S(FORCE), NULL, "the data goes too, or to that account"},
    {"invite", NULL, cli_invite, 0, NULL, "EMAIL", S(EMAIL) | S(NAME) | S(ADMIN) | S(URL), NULL,
     "a link to choose a password by"},
    {"reset", NULL, cli_reset, 0, NULL, "EMAIL", S(EMAIL) | S(URL), NULL,
     "a link to choose a new password by; the old one holds until then"},
    {"links", "list", cli_links_list, 0, NULL, NULL, 0, NULL,
     "invitations and resets that nobody has used"},
    {"links", "end", cli_links_end, 0, NULL, "ID", 0, NULL, "the link works no more"},
    {"sessions", "list", cli_sessions_list, 0, NULL, "EMAIL", S(EMAIL), NULL,
     "where a person is signed in"},
    {"sessions", "end", cli_sessions_end, 0, NULL, "EMAIL", S(EMAIL) | S(SESSION), NULL,
     "sign a person out everywhere, or there"},
    {"queue", "status", cli_queue_status, 0, NULL, NULL, 0, NULL,
     "how many jobs wait, run and ended"},
    {"queue", "list", cli_queue_list, 0, NULL, NULL, S(USER) | S(STATUS) | S(LIMIT), NULL,
     "latest first"},
    {"queue", "pause", cli_queue_pause, 0, NULL, NULL, 0, NULL, "start no more jobs"},
    {"queue", "resume", cli_queue_resume, 0, NULL, NULL, 0, NULL, "start jobs again"},
    {"queue", "cancel", cli_queue_cancel, 0, NULL, "[ITEM_ID]", S(USER) | S(ALL), check_jobs,
     "that one, a person's or all: what waits and what runs"},
    {"queue", "clear", cli_queue_clear, 0, NULL, NULL, S(FORCE), NULL,
     "delete everybody's jobs, with their history"},
    {"queue", "prune", cli_queue_prune, 0, NULL, NULL, 0, NULL, "delete jobs that have ended"},
    {"audit", NULL, cli_audit, 0, NULL, NULL,
     S(ACTION) | S(RESULT) | S(USER) | S(SEARCH) | S(SINCE) | S(UNTIL) | S(LIMIT) | S(FORMAT), NULL,
     "the audit log, latest first"},
    {"models", "list", cli_models_list, 0, NULL, NULL, 0, NULL,
     "every model, and whether it can be used"},
    {"models", "remove", cli_models_remove, 0, NULL, "KEY_OR_NAME", 0, NULL,
     "off everybody's list; its files stay"},
    {"models", "restore", cli_models_restore, 0, NULL, "KEY_OR_NAME", 0, NULL, "back on the list"},
    {"models", "scan", cli_models_scan, 0, NULL, NULL, S(MODELS), NULL,
     "reads new and mended folders (default ROOT/models)"},
    {"models", "tokenizer", cli_models_tokenizer, 0, NULL, "FOLDER", S(HASH), cli_check_hash,
     "vocab.json and merges.txt for models of one file"},
    {"backup", NULL, cli_backup, 0, NULL, "FOLDER|FILE.tar", S(COPY), NULL,
     "database and pictures as of one moment"},
    {"restore", NULL, cli_restore, 1, NULL, "FOLDER|FILE.tar", S(FORCE), NULL,
     "while Apache is stopped; what is there is moved aside"},
    {"doctor", NULL, cli_doctor_command, 0, NULL, NULL, S(FIX) | S(MEDIA) | S(FORCE), check_mending,
     "find what is amiss with rows and files, and mend it"},
    {"import", NULL, cli_import, 0, NULL, "INVOKEAI_ROOT",
     S(DRY_RUN) | S(OWNER) | S(COPY) | S(MEDIA), NULL, "take in an InvokeAI"},
    {"legacy", NULL, cli_legacy, 0, NULL, NULL, S(OWNER), NULL,
     "what was made before there were accounts; hand it to one"},
    {"migrate", NULL, cli_migrate, 1, NULL, NULL, 0, NULL,
     "bring the database to this version (the server does so at its start)"},
};
const int cli_verbs_count = sizeof cli_verbs / sizeof cli_verbs[0];

const char *cli_words(const cli *c)
{
    const cli_verb *v = c->verb;

    if (c->upstream)
        return v->upstream;
    return v->word ? apr_pstrcat(c->p, v->group, " ", v->word, NULL) : v->group;
}

/* @param letters  those of upstream's tools are shown too */
static void print_options(FILE *out, cli_option_set takes, int letters)
{
    for (int i = 0; i < CLI_OPT_COUNT; i++) {
        const char *argument = cli_option_argument((cli_option)i);
        char letter = cli_option_letter((cli_option)i);

        if (!(takes & CLI_SET(i)))
            continue;
        fputs(" [", out);
        if (letters && letter)
            fprintf(out, "-%c|", letter);
        fprintf(out, "--%s%s%s]", cli_option_name((cli_option)i), argument ? " " : "",
                argument ? argument : "");
    }
}

static void help_line(FILE *out, const cli_verb *v)
{
    fprintf(out, "  invokemu %s%s%s", v->group, v->word ? " " : "", v->word ? v->word : "");
    if (v->argument)
        fprintf(out, " %s", v->argument);
    print_options(out, v->takes, 0);
    fprintf(out, "\n      %s\n", v->help);
}

/* Under upstream's name a command takes the address as an option, a password too, and asks for no
 * change of that by itself. */
static void help_line_upstream(FILE *out, const cli *c)
{
    cli_option_set takes = cli_taken(c);

    fprintf(out, "  %s", c->verb->upstream);
    print_options(out, takes, 1);
    fprintf(out, "\n      %s\n",
            takes & S(PASSWORD)
                ? "a password behind --password can be read by other users of the machine; it has\n"
                  "      to be changed at the first sign-in only with --must-change"
                : c->verb->help);
}

static void help_end(FILE *out)
{
    fputs("\nEverywhere: --root DIR (default /var/lib/invokemu, or $INVOKEMU_ROOT) or --database "
          "FILE, and\n--json for output that programs read. What a command does not take is not "
          "understood.\n"
          "Exit codes: 0 done, 1 refused or failed, 2 not understood, 3 done but for what was "
          "printed.\n",
          out);
}

void cli_help_of(const cli *c)
{
    if (c->upstream)
        help_line_upstream(stdout, c);
    else
        help_line(stdout, c->verb);
    help_end(stdout);
}

int cli_is_group(const char *word)
{
    for (int i = 0; i < cli_verbs_count; i++)
        if (strcmp(cli_verbs[i].group, word) == 0)
            return 1;
    return 0;
}

void cli_help(FILE *out, const char *group)
{
    if (!group)
        fputs("invokemu: administers an invokemu server, also while it runs.\n\n", out);
    for (int i = 0; i < cli_verbs_count; i++)
        if (!group || strcmp(cli_verbs[i].group, group) == 0)
            help_line(out, &cli_verbs[i]);
    help_end(out);
}
