#include "mod_invokemu/mail/template.h"

#include <stddef.h>
#include <string.h>
#include <apr_file_io.h>
#include <apr_lib.h>
#include <apr_strings.h>
#include <apr_tables.h>

#include "mod_invokemu/util/ids.h"

#define FILE_MAX_BYTES 16384
#define WORD_MAX       400 /* bytes that a word becomes; a link is the longest */

static const struct {
    const char *kind, *file, *valid;
} kinds[] = {
    {"invitation", "invitation.txt", "7 days"},
    {"reset", "reset.txt", "24 hours"},
    {"email_change", "email-change.txt", "24 hours"},
    {"email_changed", "email-changed.txt", ""},
};

static const struct {
    const char *name;
    apr_size_t at;
} known[] = {
    {"name", offsetof(imu_mail_words, name)},     {"email", offsetof(imu_mail_words, email)},
    {"server", offsetof(imu_mail_words, server)}, {"link", offsetof(imu_mail_words, link)},
    {"valid", offsetof(imu_mail_words, valid)},   {"admin", offsetof(imu_mail_words, admin)},
};

const char *imu_mail_template_file(const char *kind)
{
    for (size_t i = 0; i < sizeof kinds / sizeof kinds[0]; i++)
        if (strcmp(kinds[i].kind, kind) == 0)
            return kinds[i].file;
    return NULL;
}

const char *imu_mail_validity(const char *kind)
{
    for (size_t i = 0; i < sizeof kinds / sizeof kinds[0]; i++)
        if (strcmp(kinds[i].kind, kind) == 0)
            return kinds[i].valid;
    return "24 hours";
}

static imu_err *bad(apr_pool_t *p, const char *why)
{
    return imu_error(p, 500, "mail_template", "%s", why);
}

imu_err *imu_mail_template_read(apr_pool_t *p, const char *folder, const char *kind,
                                const char **text)
{
    const char *name = imu_mail_template_file(kind);
    const char *path = name ? apr_pstrcat(p, folder, "/", name, NULL) : NULL;
    char *buffer = apr_pcalloc(p, FILE_MAX_BYTES + 2);
    apr_size_t len = 0;
    apr_file_t *file;
    apr_status_t rv;
    char why[120];

    if (!path)
        return bad(p, "There is no template for this kind of mail.");
    if ((rv = apr_file_open(&file, path, APR_READ, APR_OS_DEFAULT, p)) == APR_SUCCESS) {
        rv = apr_file_read_full(file, buffer, FILE_MAX_BYTES + 1, &len);
        apr_file_close(file);
    }
    if (rv != APR_SUCCESS && rv != APR_EOF)
        return bad(p, apr_psprintf(p, "The template %s can't be read: %s", path,
                                   apr_strerror(rv, why, sizeof why)));
    if (len > FILE_MAX_BYTES)
        return bad(
            p, apr_psprintf(p, "The template %s is longer than %d bytes", path, FILE_MAX_BYTES));
    if (strlen(buffer) != len || !imu_is_clean_text(buffer))
        return bad(p, apr_psprintf(p, "The template %s is not a text in UTF-8", path));
    *text = buffer;
    return NULL;
}

/* A word as it may stand in a mail: whole letters, on one line. */
static const char *plain(apr_pool_t *p, const char *word)
{
    apr_size_t len = strlen(word);
    char *value;

    if (len > WORD_MAX)
        for (len = WORD_MAX; len > 0 && (word[len] & 0xc0) == 0x80; len--)
            ;
    value = apr_pstrmemdup(p, word, len);
    for (char *c = value; *c; c++)
        if (apr_iscntrl(*c))
            *c = ' ';
    return value;
}

static const char *value_of(apr_pool_t *p, const imu_mail_words *words, const char *name,
                            apr_size_t len)
{
    for (size_t i = 0; i < sizeof known / sizeof known[0]; i++) {
        const char *word = *(const char *const *)((const char *)words + known[i].at);

        if (word && strlen(known[i].name) == len && memcmp(known[i].name, name, len) == 0)
            return plain(p, word);
    }
    return NULL;
}

static imu_err *fill(apr_pool_t *p, const char *text, const imu_mail_words *words,
                     const char **filled)
{
    apr_array_header_t *parts = apr_array_make(p, 16, sizeof(const char *));
    const char *open, *value;

    for (; (open = strchr(text, '{')); text = open) {
        apr_size_t len = strspn(++open, "abcdefghijklmnopqrstuvwxyz");

        APR_ARRAY_PUSH(parts, const char *) =
            apr_pstrmemdup(p, text, (apr_size_t)(open - 1 - text));
        if (open[len] != '}' || !(value = value_of(p, words, open, len)))
            return bad(p, apr_psprintf(p,
                                       "\"{%.*s\" is none of {name}, {email}, {server}, {link}, "
                                       "{valid}, {admin}",
                                       (int)(len < 30 ? len + (open[len] != '\0') : 30), open));
        APR_ARRAY_PUSH(parts, const char *) = value;
        open += len + 1;
    }
    APR_ARRAY_PUSH(parts, const char *) = text;
    *filled = apr_array_pstrcat(p, parts, '\0');
    return NULL;
}

/* The line at *text, without its end; *text moves behind it. */
static const char *next_line(apr_pool_t *p, const char **text)
{
    apr_size_t len = strcspn(*text, "\n");
    const char *line = apr_pstrmemdup(p, *text, len && (*text)[len - 1] == '\r' ? len - 1 : len);

    *text += len + ((*text)[len] == '\n');
    return line;
}

imu_err *imu_mail_template_fill(apr_pool_t *p, const char *text, const imu_mail_words *words,
                                const char **subject, const char **body)
{
    const char *line;
    imu_err *err;

    while (*text == '#')
        next_line(p, &text);
    line = next_line(p, &text);
    if (strncmp(line, "Subject: ", 9) != 0 || !line[9])
        return bad(p, "The first line without a # must be \"Subject: \" and the subject");
    if (*next_line(p, &text))
        return bad(p, "An empty line must follow the subject");
    if (words->link && !strstr(text, "{link}"))
        return bad(p, "{link} is missing: the mail would be of no use");
    err = fill(p, line + 9, words, subject);
    return err ? err : fill(p, text, words, body);
}
