#include "mod_invokemu/util/query.h"

#include <string.h>

#include <apr_lib.h>

#include "mod_invokemu/util/ids.h"

static int hex_value(char c)
{
    if (c >= '0' && c <= '9')
        return c - '0';
    c = (char)apr_tolower(c);
    return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

/* @return NULL for a broken escape, an encoded NUL, and what is no clean text: no value to trust */
static const char *decode(apr_pool_t *p, const char *text, apr_size_t len)
{
    char *out = apr_palloc(p, len + 1), *to = out;

    for (apr_size_t i = 0; i < len; i++) {
        if (text[i] == '%') {
            int high = i + 2 < len ? hex_value(text[i + 1]) : -1;
            int low = high >= 0 ? hex_value(text[i + 2]) : -1;

            if (low < 0 || high + low == 0)
                return NULL;
            *to++ = (char)(high << 4 | low);
            i += 2;
        } else {
            *to++ = text[i] == '+' ? ' ' : text[i];
        }
    }
    *to = '\0';
    return imu_is_clean_text(out) ? out : NULL;
}

int imu_query_split(apr_pool_t *p, const char *text, int max, const imu_query_arg **list)
{
    imu_query_arg *args;
    int parts = 1, n = 0;

    for (const char *c = text; c && *c; c++)
        parts += *c == '&';
    if (parts > max)
        return IMU_QUERY_MANY;
    args = apr_pcalloc(p, sizeof *args * (apr_size_t)parts);
    while (text && *text) {
        apr_size_t len = strcspn(text, "&");
        const char *eq = memchr(text, '=', len);
        apr_size_t name_len = eq ? (apr_size_t)(eq - text) : len;

        args[n].name = decode(p, text, name_len);
        args[n].value = eq ? decode(p, eq + 1, len - name_len - 1) : "";
        if (!args[n].name || !args[n].value)
            return IMU_QUERY_BROKEN;
        n += *args[n].name != '\0';
        text += len + (text[len] == '&');
    }
    *list = args;
    return n;
}
