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
#include "mod_invokemu/util/person.h"

#define MAX_PASSWORD_LINE 1024

#define VALUE_MAX 4000 /* bytes of a text */

/* What an option's argument may be. */
typedef enum kind {
    FLAG, /* there is none: the member becomes `value` */
    TEXT, /* as requests take it: it may end up in the database, or in what people read */
    PATH  /* whatever the file system takes */
} kind;

static const struct {
    const char *name;
    char letter; /* of upstream's tools */
    kind kind;
    const char *argument;
    size_t member;
    int value;
} options[CLI_OPT_COUNT] = {
#define AT(member) offsetof(cli_options, member)
    [CLI_OPT_ROOT] = {"root", 'r', PATH, "DIR", AT(root), 0},
    [CLI_OPT_DATABASE] = {"database", 0, PATH, "FILE", AT(database), 0},
    [CLI_OPT_JSON] = {"json", 'j', FLAG, NULL, AT(json), 1},
    [CLI_OPT_EMAIL] = {"email", 'e', TEXT, "EMAIL", AT(email), 0},
    [CLI_OPT_NAME] = {"name", 'n', TEXT, "NAME", AT(name), 0},
    [CLI_OPT_ADMIN] = {"admin", 'a', FLAG, NULL, AT(admin), 1},
    [CLI_OPT_NO_ADMIN] = {"no-admin", 0, FLAG, NULL, AT(admin), 0},
    [CLI_OPT_ACTIVE] = {"active", 0, FLAG, NULL, AT(active), 1},
    [CLI_OPT_INACTIVE] = {"inactive", 0, FLAG, NULL, AT(active), 0},
    [CLI_OPT_PASSWORD] = {"password", 'p', PATH, "PASSWORD", AT(password), 0},
    [CLI_OPT_PASSWORD_STDIN] = {"password-stdin", 0, FLAG, NULL, AT(password_stdin), 1},
    [CLI_OPT_MUST_CHANGE] = {"must-change", 0, FLAG, NULL, AT(must_change), 1},
    [CLI_OPT_NO_MUST_CHANGE] = {"no-must-change", 0, FLAG, NULL, AT(must_change), 0},
    [CLI_OPT_ALLOW_WEAK] = {"allow-weak", 0, FLAG, NULL, AT(weak), 1},
    [CLI_OPT_SESSION] = {"session", 0, TEXT, "ID", AT(session), 0},
    [CLI_OPT_USER] = {"user", 0, TEXT, "EMAIL", AT(user), 0},
    [CLI_OPT_ALL] = {"all", 0, FLAG, NULL, AT(all), 1},
    [CLI_OPT_STATUS] = {"status", 0, TEXT, "STATUS", AT(status), 0},
    [CLI_OPT_ACTION] = {"action", 0, TEXT, "WORD", AT(action), 0},
    [CLI_OPT_RESULT] = {"result", 0, TEXT, "ok|refused", AT(result), 0},
    [CLI_OPT_SEARCH] = {"search", 0, TEXT, "TEXT", AT(search), 0},
    [CLI_OPT_SINCE] = {"since", 0, TEXT, "TIME", AT(since), 0},
    [CLI_OPT_UNTIL] = {"until", 0, TEXT, "TIME", AT(until), 0},
    [CLI_OPT_LIMIT] = {"limit", 0, TEXT, "N", AT(limit), 0},
    [CLI_OPT_FORMAT] = {"format", 0, TEXT, "text|json|jsonl|csv", AT(format), 0},
    [CLI_OPT_URL] = {"url", 0, TEXT, "URL", AT(url), 0},
    [CLI_OPT_MODELS] = {"models", 0, TEXT, "DIR", AT(models), 0},
    [CLI_OPT_FIX] = {"fix", 0, FLAG, NULL, AT(fix), 1},
    [CLI_OPT_DRY_RUN] = {"dry-run", 0, FLAG, NULL, AT(dry_run), 1},
    [CLI_OPT_OWNER] = {"owner", 0, TEXT, "EMAIL", AT(owner), 0},
    [CLI_OPT_TRANSFER_TO] = {"transfer-to", 0, TEXT, "EMAIL", AT(transfer_to), 0},
    [CLI_OPT_COPY] = {"copy", 0, FLAG, NULL, AT(copy), 1},
    [CLI_OPT_MEDIA] = {"media", 0, PATH, "SOCKET", AT(media), 0},
    [CLI_OPT_HASH] = {"hash", 0, TEXT, "HASH", AT(hash), 0},
    [CLI_OPT_FORCE] = {"force", 'f', FLAG, NULL, AT(force), 1},
#undef AT
};

#define HELP_OPTION   (256 + CLI_OPT_COUNT)
#define EVERY_COMMAND (CLI_SET(CLI_OPT_ROOT) | CLI_SET(CLI_OPT_DATABASE) | CLI_SET(CLI_OPT_JSON))

/* What can't both be meant. */
static const cli_option excluding[][2] = {
    {CLI_OPT_ADMIN, CLI_OPT_NO_ADMIN},
    {CLI_OPT_ACTIVE, CLI_OPT_INACTIVE},
    {CLI_OPT_MUST_CHANGE, CLI_OPT_NO_MUST_CHANGE},
    {CLI_OPT_PASSWORD, CLI_OPT_PASSWORD_STDIN},
    {CLI_OPT_USER, CLI_OPT_ALL},
    {CLI_OPT_JSON, CLI_OPT_FORMAT},
};

const char *cli_option_name(cli_option option)
{
    return options[option].name;
}

const char *cli_option_argument(cli_option option)
{
    return options[option].argument;
}

char cli_option_letter(cli_option option)
{
    return options[option].letter;
}

cli_option_set cli_taken(const cli *c)
{
    cli_option_set takes = c->verb->takes | EVERY_COMMAND;

    return c->upstream && (takes & CLI_SET(CLI_OPT_PASSWORD_STDIN))
               ? takes | CLI_SET(CLI_OPT_PASSWORD)
               : takes;
}

static int of_letter(int option)
{
    for (int i = 0; option < 256 && i < CLI_OPT_COUNT; i++)
        if (options[i].letter == option)
            return 256 + i;
    return option;
}

static const char *refused(const cli *c, cli_option option)
{
    if (option == CLI_OPT_PASSWORD && (c->verb->takes & CLI_SET(CLI_OPT_PASSWORD_STDIN)))
        return "a password is not taken from the argument list, where others can read it; "
               "leave it out to be asked, or use --password-stdin";
    return apr_psprintf(c->p, "%s takes no --%s", cli_words(c), options[option].name);
}

static const char *take(cli *c, cli_option option)
{
    char *member = (char *)&c->opt + options[option].member;

    if (!(cli_taken(c) & CLI_SET(option)))
        return refused(c, option);
    c->opt.given |= CLI_SET(option);
    if (options[option].kind == FLAG) {
        *(int *)member = options[option].value;
        return NULL;
    }
    if (options[option].kind == TEXT &&
        (!imu_is_clean_text(optarg) || strlen(optarg) > VALUE_MAX || strpbrk(optarg, "\r\n")))
        return apr_psprintf(c->p,
                            "--%s takes a line of text in UTF-8, without control characters, of "
                            "at most %d bytes",
                            options[option].name, VALUE_MAX);
    *(const char **)member = optarg;
    return NULL;
}

static const char *does_not_go_together(const cli *c)
{
    for (size_t i = 0; i < sizeof excluding / sizeof excluding[0]; i++)
        if ((c->opt.given & CLI_SET(excluding[i][0])) && (c->opt.given & CLI_SET(excluding[i][1])))
            return apr_psprintf(c->p, "%s: --%s and --%s exclude each other", cli_words(c),
                                options[excluding[i][0]].name, options[excluding[i][1]].name);
    return c->verb->check ? c->verb->check(c) : NULL;
}

/* @param letters  with room for two characters of each option */
static void list_options(struct option *all, char *letters)
{
    for (int i = 0; i < CLI_OPT_COUNT; i++) {
        int has = options[i].kind == FLAG ? no_argument : required_argument;

        *all++ = (struct option){options[i].name, has, NULL, 256 + i};
        if (!options[i].letter)
            continue;
        *letters++ = options[i].letter;
        if (has == required_argument)
            *letters++ = ':';
    }
    *all++ = (struct option){"help", no_argument, NULL, HELP_OPTION};
    *all = (struct option){0};
    *letters++ = 'h';
    *letters = '\0';
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

/* The plain argument: of a command that has one, once. */
static const char *take_plain(cli *c, int argc, char **argv)
{
    const char *argument = c->verb->argument;
    int is_email = argument && strcmp(argument, "EMAIL") == 0;

    if (argument && optind < argc && !(is_email && c->opt.email)) {
        c->opt.plain = argv[optind++];
        if (is_email)
            c->opt.email = c->opt.plain;
    }
    if (optind < argc)
        return apr_psprintf(c->p, "%s: unexpected argument \"%s\"", cli_words(c), argv[optind]);
    if (argument && *argument != '[' && !(is_email ? c->opt.email : c->opt.plain))
        return apr_psprintf(c->p, "%s: the argument %s is missing", cli_words(c), argument);
    return NULL;
}

/* The same name as a request may give. */
static const char *check_name(cli *c)
{
    const char *why = imu_check_person_name(c->p, c->opt.name, &c->opt.name);

    return why ? apr_pstrcat(c->p, "--name: ", why, NULL) : NULL;
}

static const char *take_all(cli *c, int argc, char **argv, int *help)
{
    struct option long_options[CLI_OPT_COUNT + 2];
    char letters[2 * CLI_OPT_COUNT + 2];
    const char *why;
    int option;

    list_options(long_options, letters);
    /* getopt's own complaints begin with it. */
    argv[0] = apr_pstrcat(c->p, c->upstream ? "" : "invokemu ", cli_words(c), NULL);
    while ((option = of_letter(getopt_long(argc, argv, letters, long_options, NULL))) != -1) {
        *help = option == HELP_OPTION || option == 'h';
        if (*help)
            return NULL;
        if (option == '?')
            return "";
        if ((why = take(c, (cli_option)(option - 256))))
            return why;
    }
    return NULL;
}

const char *cli_parse(cli *c, int argc, char **argv, int *help)
{
    const char *env = getenv("INVOKEMU_ROOT"), *why;
    char *real;

    c->opt.admin = c->opt.active = c->opt.must_change = -1;
    c->opt.root = env && *env ? env : "/var/lib/invokemu";
    if ((why = take_all(c, argc, argv, help)) || *help)
        return why;
    if ((why = take_plain(c, argc, argv)) || (why = does_not_go_together(c)) ||
        (why = check_name(c)))
        return why;
    /* Whole paths: what lies below is compared, moved and written down. */
    if (!(c->opt.root = cli_whole_path(c->p, c->opt.root)))
        return "the folder behind --root can't be made a whole path";
    /* The links to it may lie where its owner, whose rights root takes, can't go. */
    if ((real = realpath(c->opt.root, NULL))) {
        c->opt.root = apr_pstrdup(c->p, real);
        free(real);
    }
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
        return imu_error(c->p, 422, CLI_NOT_UNDERSTOOD,
                         "--limit takes a number from 1 to %" APR_INT64_T_FMT, most);
    return NULL;
}

/* One line without its end, as Unix or Windows writes it. NULL for none, and for one that can't be
 * a password as a whole: too long, or with a NUL in it. */
static const char *read_line(cli *c, FILE *in)
{
    char *line = NULL;
    const char *taken = NULL;
    size_t room = 0;
    ssize_t len = getline(&line, &room, in);

    if (len > 0 && line[len - 1] == '\n')
        line[--len] = '\0';
    if (len > 0 && line[len - 1] == '\r')
        line[--len] = '\0';
    if (len >= 0 && len <= MAX_PASSWORD_LINE && strlen(line) == (size_t)len)
        taken = apr_pstrmemdup(c->p, line, (apr_size_t)len);
    free(line);
    return taken;
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
    if (c->opt.password_stdin && !isatty(STDIN_FILENO)) {
        first = read_line(c, stdin);
        if (!first)
            fputs("no password on standard input, or none that can be used\n", stderr);
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
