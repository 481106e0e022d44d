#include "cli/cli.h"

#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <termios.h>
#include <unistd.h>

#include <apr_strings.h>

#define MAX_PASSWORD_LINE 1024

enum {
    OPT_PASSWORD = 256,
    OPT_PASSWORD_STDIN,
    OPT_NO_ADMIN,
    OPT_ACTIVE,
    OPT_INACTIVE,
    OPT_MUST_CHANGE,
    OPT_WEAK,
    OPT_DATABASE,
    OPT_MODELS
};

static const struct option long_options[] = {
    {"root", required_argument, NULL, 'r'},
    {"database", required_argument, NULL, OPT_DATABASE},
    {"models", required_argument, NULL, OPT_MODELS},
    {"email", required_argument, NULL, 'e'},
    {"name", required_argument, NULL, 'n'},
    {"password", required_argument, NULL, OPT_PASSWORD},
    {"password-stdin", no_argument, NULL, OPT_PASSWORD_STDIN},
    {"admin", no_argument, NULL, 'a'},
    {"no-admin", no_argument, NULL, OPT_NO_ADMIN},
    {"active", no_argument, NULL, OPT_ACTIVE},
    {"inactive", no_argument, NULL, OPT_INACTIVE},
    {"must-change", no_argument, NULL, OPT_MUST_CHANGE},
    {"allow-weak", no_argument, NULL, OPT_WEAK},
    {"json", no_argument, NULL, 'j'},
    {"force", no_argument, NULL, 'f'},
    {NULL, 0, NULL, 0},
};

static const char *take(cli *c, int option, int upstream)
{
    cli_options *o = &c->opt;

    switch (option) {
    case 'r':
        o->root = optarg;
        break;
    case OPT_DATABASE:
        o->database = optarg;
        break;
    case OPT_MODELS:
        o->models = optarg;
        break;
    case 'e':
        o->email = optarg;
        break;
    case 'n':
        o->name = optarg;
        break;
    case OPT_PASSWORD:
        if (!upstream)
            return "a password is not taken from the argument list, where others can read it; "
                   "leave it out to be asked, or use --password-stdin";
        o->password = optarg;
        break;
    case OPT_PASSWORD_STDIN:
        o->password_stdin = 1;
        break;
    case 'a':
        o->admin = 1;
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
    case OPT_MUST_CHANGE:
        o->must_change = 1;
        break;
    case OPT_WEAK:
        o->weak = 1;
        break;
    case 'j':
        o->json = 1;
        break;
    case 'f':
        o->force = 1;
        break;
    default:
        return "";
    }
    return NULL;
}

const char *cli_parse(cli *c, int argc, char **argv, int upstream)
{
    const char *env = getenv("INVOKEMU_ROOT"), *why;
    int option;

    c->opt.admin = c->opt.active = -1;
    c->opt.root = env && *env ? env : "/var/lib/invokemu";
    while ((option = getopt_long(argc, argv, "r:e:n:ajf", long_options, NULL)) != -1)
        if ((why = take(c, option, upstream)))
            return why;
    if (optind < argc && !c->opt.email)
        c->opt.email = c->opt.plain = argv[optind++];
    if (optind < argc)
        return apr_psprintf(c->p, "unexpected argument \"%s\"", argv[optind]);
    if (!c->opt.database)
        c->opt.database = apr_pstrcat(c->p, c->opt.root, "/databases/invokemu.db", NULL);
    if (!c->opt.models)
        c->opt.models = apr_pstrcat(c->p, c->opt.root, "/models", NULL);
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
    fputs(prompt, stderr);
    fflush(stderr);
    if (tcsetattr(STDIN_FILENO, TCSAFLUSH, &quiet) != 0)
        return NULL;
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
    fprintf(stderr, "%s Type yes: ", question);
    answer = read_line(c, stdin);
    return answer && strcmp(answer, "yes") == 0;
}

void cli_print_json(const json_t *json)
{
    char *text = json_dumps(json, JSON_INDENT(2));

    if (text)
        puts(text);
    free(text);
}
