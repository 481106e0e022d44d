/*
 * say.c: what people read, line by line. Names of people, boards, models and files come from
 * strangers: what would steer a terminal, or make one line look like two, is shown instead.
 */
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <apr_strings.h>

#include "cli/cli.h"
#include "mod_invokemu/util/ids.h"

static const char *line_of(cli *c, const char *fmt, va_list ap)
{
    const char *line = "(no memory)";
    char *text;

    if (vasprintf(&text, fmt, ap) >= 0) {
        line = imu_visible_text(c->p, text);
        free(text);
    }
    return line;
}

void cli_say(cli *c, const char *fmt, ...)
{
    va_list ap;

    va_start(ap, fmt);
    puts(line_of(c, fmt, ap));
    va_end(ap);
}

void cli_complain(cli *c, const char *fmt, ...)
{
    va_list ap;

    va_start(ap, fmt);
    fprintf(stderr, "invokemu: %s\n", line_of(c, fmt, ap));
    va_end(ap);
}

void cli_done(cli *c, json_t *json, const char *fmt, ...)
{
    va_list ap;

    va_start(ap, fmt);
    if (c->opt.json)
        cli_print_json(json);
    else
        puts(line_of(c, fmt, ap));
    va_end(ap);
    json_decref(json);
}

const char *cli_in_number(apr_pool_t *p, const char *what, json_int_t count)
{
    const char *end = what;

    /* the first word in the plural is what is counted: "style presets", "boards of an account" */
    do {
        const char *word = end + strspn(end, " ");

        end = word + strcspn(word, " ");
        if (end - word >= 4 && end[-1] == 's') {
            const char *one = end - (strncmp(end - 4, "sses", 4) ? 1 : 2);

            return count == 1 ? apr_pstrcat(p, apr_pstrmemdup(p, what, (apr_size_t)(one - what)),
                                            end, NULL)
                              : what;
        }
    } while (*end);
    return what;
}

json_t *cli_json_name(apr_pool_t *p, const char *name)
{
    json_t *json = name ? json_string(name) : json_null();

    return json ? json : json_string(imu_visible_text(p, name));
}

void cli_print_json(const json_t *json)
{
    /* JSON itself hides C0 controls alone, and is not asked to hide DEL. */
    size_t ascii = isatty(STDOUT_FILENO) ? JSON_ENSURE_ASCII : 0;
    char *text = json_dumps(json, JSON_INDENT(2) | ascii);

    for (const char *c = text; c && *c; c++)
        if (ascii && *c == 0x7f)
            fputs("\\u007f", stdout);
        else
            putchar(*c);
    putchar('\n');
    free(text);
}

void cli_print_lines(cli *c, char *text)
{
    char *state;

    if (!isatty(STDOUT_FILENO)) {
        fputs(text, stdout);
        return;
    }
    for (char *line = apr_strtok(text, "\n", &state); line; line = apr_strtok(NULL, "\n", &state))
        puts(imu_visible_text(c->p, line));
}
