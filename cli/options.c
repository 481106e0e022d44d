#include "cli/cli.h"

#include <getopt.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <termios.h>
#include <unistd.h>

#include <apr_file_info.h>
#include <apr_strings.h>

#include "mod_invokemu/util/ids.h"

#define MAX_PASSWORD_LINE 1024

/* Numbers of options without a letter; options that are the plain value of a member have a place in
 * the table of texts or flags instead. */
enum {
    OPT_PASSWORD = 256,
    OPT_NO_ADMIN,
    OPT_ACTIVE,
    OPT_INACTIVE,
    OPT_TEXT,
    OPT_FLAG = OPT_TEXT + 64
};

/* Options that put their argument into a member. */
static const struct {
    const char *name;
    size_t member;
} texts[] = {
    {"root", offsetof(cli_options, root)},
    {"database", offsetof(cli_options, database)},
    {"models", offsetof(cli_options, models)},
    {"media", offsetof(cli_options, media)},
    {"email", offsetof(cli_options, email)},
    {"name", offsetof(cli_options, name)},
    {"url", offsetof(cli_options, url)},
    {"transfer-to", offsetof(cli_options, transfer_to)},
    {"session", offsetof(cli_options, session)},
    {"user", offsetof(cli_options, user)},
    {"status", offsetof(cli_options, status)},
    {"action", offsetof(cli_options, action)},
    {"result", offsetof(cli_options, result)},
    {"search", offsetof(cli_options, search)},
    {"since", offsetof(cli_options, since)},
    {"until", offsetof(cli_options, until)},
    {"format", offsetof(cli_options, format)},
    {"limit", offsetof(cli_options, limit)},
    {"owner", offsetof(cli_options, owner)},
};
#define N_TEXTS (sizeof texts / sizeof texts[0])

/* Options that set a member to 1. */
static const struct {
    const char *name;
    size_t member;
} flags[] = {
    {"password-stdin", offsetof(cli_options, password_stdin)},
    {"admin", offsetof(cli_options, admin)},
    {"must-change", offsetof(cli_options, must_change)},
    {"allow-weak", offsetof(cli_options, weak)},
    {"json", offsetof(cli_options, json)},
    {"force", offsetof(cli_options, force)},
    {"all", offsetof(cli_options, all)},
    {"dry-run", offsetof(cli_options, dry_run)},
    {"fix", offsetof(cli_options, fix)},
    {"copy", offsetof(cli_options, copy)},
};
#define N_FLAGS (sizeof flags / sizeof flags[0])

static const struct option others[] = {
    {"password", required_argument, NULL, OPT_PASSWORD},
    {"no-admin", no_argument, NULL, OPT_NO_ADMIN},
    {"active", no_argument, NULL, OPT_ACTIVE},
    {"inactive", no_argument, NULL, OPT_INACTIVE},
    {NULL, 0, NULL, 0},
};
#define N_OTHERS (sizeof others / sizeof others[0])

/* The letters of upstream's tools. */
static int of_letter(int option)
{
    static const struct {
        char letter;
        const char *name;
    } letters[] = {{'r', "root"},  {'e', "email"}, {'n', "name"},
                   {'a', "admin"}, {'j', "json"},  {'f', "force"}};

    for (size_t i = 0; i < sizeof letters / sizeof letters[0]; i++) {
        if (letters[i].letter != option)
            continue;
        for (size_t k = 0; k < N_TEXTS; k++)
            if (strcmp(texts[k].name, letters[i].name) == 0)
                return OPT_TEXT + (int)k;
        for (size_t k = 0; k < N_FLAGS; k++)
            if (strcmp(flags[k].name, letters[i].name) == 0)
                return OPT_FLAG + (int)k;
    }
    return option;
}

static const char *take(cli *c, int option, int upstream)
{
    cli_options *o = &c->opt;

    option = of_letter(option);
    if (option >= OPT_FLAG) {
        *(int *)((char *)o + flags[option - OPT_FLAG].member) = 1;
        return NULL;
    }
    if (option >= OPT_TEXT) {
        *(const char **)((char *)o + texts[option - OPT_TEXT].member) = optarg;
        return NULL;
    }
    switch (option) {
    case OPT_PASSWORD:
        if (!upstream)
            return "a password is not taken from the argument list, where others can read it; "
                   "leave it out to be asked, or use --password-stdin";
        o->password = optarg;
        break;
    case OPT_NO_ADMIN:
        o->admin = 0;
        break;
    case OPT_ACTIVE:
        o->active = 1;
        break;
    case OPT_INACTIVE:
        o->active = 0;
        break;
    default:
        return "";
    }
    return NULL;
}

static void list_options(struct option *all)
{
    for (size_t i = 0; i < N_TEXTS; i++)
        *all++ = (struct option){texts[i].name, required_argument, NULL, OPT_TEXT + (int)i};
    for (size_t i = 0; i < N_FLAGS; i++)
        *all++ = (struct option){flags[i].name, no_argument, NULL, OPT_FLAG + (int)i};
    memcpy(all, others, sizeof others);
}

const char *cli_whole_path(apr_pool_t *p, const char *path)
{
    char *whole;

    if (apr_filepath_merge(&whole, NULL, path, 0, p) != APR_SUCCESS)
        return NULL;
    for (size_t len = strlen(whole); len > 1 && whole[len - 1] == '/'; len--)
        whole[len - 1] = '\0';
    return whole;
}

const char *cli_parse(cli *c, int argc, char **argv, int upstream)
{
    const char *env = getenv("INVOKEMU_ROOT"), *why;
    struct option long_options[N_TEXTS + N_FLAGS + N_OTHERS];
    int option;

    list_options(long_options);
    c->opt.admin = c->opt.active = -1;
    c->opt.root = env && *env ? env : "/var/lib/invokemu";
    while ((option = getopt_long(argc, argv, "r:e:n:ajf", long_options, NULL)) != -1)
        if ((why = take(c, option, upstream)))
            return why;
    if (optind < argc && !c->opt.email)
        c->opt.email = c->opt.plain = argv[optind++];
    if (optind < argc)
        return apr_psprintf(c->p, "unexpected argument \"%s\"", argv[optind]);
    /* Whole paths: what lies below is compared, moved and written down. */
    if (!(c->opt.root = cli_whole_path(c->p, c->opt.root)))
        return "the folder behind --root can't be made a whole path";
    if (!c->opt.database)
        c->opt.database = apr_pstrcat(c->p, c->opt.root, "/databases/invokemu.db", NULL);
    return NULL;
}

imu_err *cli_limit(cli *c, apr_int64_t normal, apr_int64_t most, apr_int64_t *limit)
{
    char *end;

    *limit = normal;
    if (!c->opt.limit)
        return NULL;
    *limit = apr_strtoi64(c->opt.limit, &end, 10);
    if (*end || *limit < 1 || *limit > most)
        return imu_error(c->p, 422, "limit", "--limit takes a number from 1 to %" APR_INT64_T_FMT,
                         most);
    return NULL;
}

static const char *read_line(cli *c, FILE *in)
{
    char line[MAX_PASSWORD_LINE];
    size_t len;

    if (!fgets(line, sizeof line, in))
        return NULL;
    len = strlen(line);
    if (len > 0 && line[len - 1] == '\n')
        line[--len] = '\0';
    return apr_pstrmemdup(c->p, line, len);
}

/* One line from the terminal without showing it. */
static const char *ask_hidden(cli *c, const char *prompt)
{
    struct termios before, quiet;
    const char *line;

    if (tcgetattr(STDIN_FILENO, &before) != 0)
        return NULL;
    quiet = before;
    quiet.c_lflag &= ~(tcflag_t)ECHO;
    /* The question comes once nothing that is typed shows any more, or gets lost. */
    if (tcsetattr(STDIN_FILENO, TCSAFLUSH, &quiet) != 0)
        return NULL;
    fputs(prompt, stderr);
    fflush(stderr);
    line = read_line(c, stdin);
    /* Whatever was typed, the terminal must show what comes next. */
    if (tcsetattr(STDIN_FILENO, TCSAFLUSH, &before) != 0)
        perror("terminal");
    fputc('\n', stderr);
    return line;
}

const char *cli_new_password(cli *c)
{
    const char *first, *second;

    if (c->opt.password)
        return c->opt.password;
    if (c->opt.password_stdin) {
        first = read_line(c, stdin);
        if (!first)
            fputs("no password on standard input\n", stderr);
        return first;
    }
    if (!isatty(STDIN_FILENO)) {
        fputs("no terminal to ask for the password: use --password-stdin\n", stderr);
        return NULL;
    }
    first = ask_hidden(c, "New password: ");
    second = first ? ask_hidden(c, "Again: ") : NULL;
    if (!second)
        return NULL;
    if (strcmp(first, second) != 0) {
        fputs("the two passwords differ\n", stderr);
        return NULL;
    }
    return first;
}

int cli_confirm(cli *c, const char *question)
{
    const char *answer;

    if (c->opt.force)
        return 1;
    if (!isatty(STDIN_FILENO)) {
        fputs("no terminal to ask on: add --force if you are sure\n", stderr);
        return 0;
    }
    fprintf(stderr, "%s Type yes: ", imu_visible_text(c->p, question));
    answer = read_line(c, stdin);
    return answer && strcmp(answer, "yes") == 0;
}
