#include "cli/import.h"

#include <string.h>

#include <apr_strings.h>

/* Quoted: up to the closing quote. Else up to a comment, without blanks at its end. */
static const char *scalar(apr_pool_t *p, const char *at, const char *end)
{
    const char *stop;

    while (at < end && (*at == ' ' || *at == '\t'))
        at++;
    if (at < end && (*at == '"' || *at == '\'')) {
        stop = memchr(at + 1, *at, (size_t)(end - at - 1));
        return stop ? apr_pstrmemdup(p, at + 1, (apr_size_t)(stop - at - 1)) : NULL;
    }
    for (stop = at; stop < end; stop++)
        if (*stop == '#' && (stop == at || stop[-1] == ' ' || stop[-1] == '\t'))
            break;
    while (stop > at && strchr(" \t\r", stop[-1]))
        stop--;
    return stop > at ? apr_pstrmemdup(p, at, (apr_size_t)(stop - at)) : NULL;
}

const char *cli_yaml_value(apr_pool_t *p, const char *text, const char *key)
{
    size_t len = strlen(key);

    while (*text) {
        const char *end = text + strcspn(text, "\n");

        if ((size_t)(end - text) > len && strncmp(text, key, len) == 0 && text[len] == ':')
            return scalar(p, text + len + 1, end);
        text = *end ? end + 1 : end;
    }
    return NULL;
}
