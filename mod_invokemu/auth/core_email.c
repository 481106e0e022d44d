#include "mod_invokemu/auth/core_email.h"

#include <string.h>
#include <apr_lib.h>
#include <apr_strings.h>

#include "mod_invokemu/util/person.h"

#define LOCAL_MAX 64
#define LABEL_MAX 63

static int local_char(unsigned char c)
{
    return c >= 0x80 || apr_isalnum(c) || strchr("!#$%&'*+/=?^_`{|}~-", c);
}

static int host_char(unsigned char c)
{
    return c >= 0x80 || apr_isalnum(c) || c == '-';
}

/** Words of allowed characters between single dots, each at most max bytes. */
static int dotted(const char *from, const char *to, int (*allowed)(unsigned char), long max)
{
    const char *word = from, *c;

    for (c = from; c < to; c++) {
        if (*c == '.') {
            if (c == word || c - word > max)
                return 0;
            word = c + 1;
        } else if (!allowed((unsigned char)*c)) {
            return 0;
        }
    }
    return to > word && to - word <= max;
}

static int hyphens_inside(const char *host)
{
    const char *c;

    for (c = host; *c; c++) {
        if (*c == '-' && (c == host || c[-1] == '.' || c[1] == '.' || c[1] == '\0'))
            return 0;
    }
    return 1;
}

const char *imu_email_normal(apr_pool_t *p, const char *text)
{
    const char *at;
    char *out, *c;

    if (strlen(text) > IMU_EMAIL_MAX || !imu_is_visible_word(text))
        return NULL;
    at = strchr(text, '@');
    if (!at || strchr(at + 1, '@') || at - text > LOCAL_MAX ||
        !dotted(text, at, local_char, LOCAL_MAX) ||
        !dotted(at + 1, at + strlen(at), host_char, LABEL_MAX) || !hyphens_inside(at + 1))
        return NULL;
    out = apr_pstrdup(p, text);
    for (c = out; *c; c++) {
        if (*c >= 'A' && *c <= 'Z')
            *c = (char)(*c - 'A' + 'a');
    }
    return out;
}

int imu_email_is_nobodys(const char *email)
{
    const char *at = strchr(email, '@');

    return at && strcmp(at, IMU_EMAIL_NOBODYS) == 0;
}
