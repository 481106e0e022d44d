#include "mod_invokemu/mail/message.h"

#include <string.h>
#include <apr_base64.h>
#include <apr_lib.h>
#include <apr_strings.h>
#include <apr_tables.h>

#include "mod_invokemu/auth/core_email.h"

/* An encoded word is at most 75 characters (RFC 2047 section 2): 45 bytes make 60 of base64. */
#define WORD_BYTES  45
#define HEADER_MAX  256 /* bytes of a name or subject */
#define LINE_BASE64 57  /* bytes that make a line of 76 */
#define BODY_LINE   900
#define SEAM        '\x1f' /* a control character, which no text keeps */

int imu_mail_address_ok(const char *address)
{
    const char *at = strrchr(address, '@');

    if (!at || at == address || !at[1] || strlen(address) > IMU_EMAIL_MAX)
        return 0;
    for (const unsigned char *c = (const unsigned char *)address; *c; c++)
        if (*c <= ' ' || *c == 0x7f || strchr("<>()[]\\,;:\"", *c))
            return 0;
    return 1;
}

/* Bytes of text, at most max, that end between two characters of UTF-8. */
static apr_size_t whole(const char *text, apr_size_t max)
{
    apr_size_t len = strlen(text);

    if (len <= max)
        return len;
    for (len = max; len > 0 && ((unsigned char)text[len] & 0xc0) == 0x80;)
        len--;
    return len ? len : max;
}

/* Words of letters, digits and blanks mean themselves everywhere in a header. */
static int is_plain(const char *text)
{
    for (const char *c = text; *c; c++)
        if (!apr_isalnum(*c) && !(*c == ' ' && c > text && c[1]))
            return 0;
    return *text != '\0';
}

/* Text as it stands in a header: plain where that is safe, else encoded words with SEAM between
 * them. */
static const char *encoded(apr_pool_t *p, const char *text)
{
    apr_array_header_t *words = apr_array_make(p, 4, sizeof(const char *));
    char *clean = apr_pstrmemdup(p, text, whole(text, HEADER_MAX));

    for (char *c = clean; *c; c++)
        if (apr_iscntrl(*c))
            *c = ' ';
    if (is_plain(clean) && strlen(clean) < LINE_BASE64)
        return clean;
    for (const char *at = clean; *at;) {
        apr_size_t len = whole(at, WORD_BYTES);
        char *code = apr_palloc(p, (apr_size_t)apr_base64_encode_len((int)len));

        apr_base64_encode(code, at, (int)len);
        APR_ARRAY_PUSH(words, const char *) = apr_pstrcat(p, "=?UTF-8?B?", code, "?=", NULL);
        at += len;
    }
    return apr_array_pstrcat(p, words, SEAM);
}

/* Each encoded word on a line of its own: blanks between them are not part of the text. */
static const char *field(apr_pool_t *p, const char *name, const char *text, const char *after)
{
    apr_array_header_t *lines = apr_array_make(p, 4, sizeof(const char *));
    char *rest = apr_pstrdup(p, encoded(p, text)), *end;

    for (; (end = strchr(rest, SEAM)); rest = end + 1) {
        *end = '\0';
        APR_ARRAY_PUSH(lines, const char *) = apr_pstrcat(p, rest, "\r\n ", NULL);
    }
    APR_ARRAY_PUSH(lines, const char *) = rest;
    return apr_pstrcat(p, name, ": ", apr_array_pstrcat(p, lines, '\0'), after, "\r\n", NULL);
}

static const char *mailbox_field(apr_pool_t *p, const char *field_name, const char *name,
                                 const char *address)
{
    if (!name || !*name)
        return apr_pstrcat(p, field_name, ": ", address, "\r\n", NULL);
    return field(p, field_name, name, apr_pstrcat(p, "\r\n <", address, ">", NULL));
}

/* The body with CRLF at the end of each line; NULL when it holds what has to be encoded. */
static const char *plain_body(apr_pool_t *p, const char *body)
{
    char *out = apr_palloc(p, 2 * strlen(body) + 3), *o = out;
    apr_size_t column = 0;

    for (const char *c = body; *c; c++) {
        if (*c == '\r' && c[1] == '\n')
            continue;
        if (*c == '\n') {
            *o++ = '\r';
            column = 0;
        } else if ((unsigned char)*c >= 0x7f || (apr_iscntrl(*c) && *c != '\t') ||
                   ++column > BODY_LINE) {
            return NULL;
        }
        *o++ = *c;
    }
    if (column) {
        *o++ = '\r';
        *o++ = '\n';
    }
    *o = '\0';
    return out;
}

static const char *base64_body(apr_pool_t *p, const char *body)
{
    apr_size_t len = strlen(body), room = (len / LINE_BASE64 + 1) * 80 + 1;
    char *out = apr_palloc(p, room), *o = out;

    for (apr_size_t done = 0; done < len; done += LINE_BASE64) {
        int bytes = (int)(len - done < LINE_BASE64 ? len - done : LINE_BASE64);

        o += apr_base64_encode(o, body + done, bytes) - 1;
        *o++ = '\r';
        *o++ = '\n';
    }
    *o = '\0';
    return out;
}

static const char *date_field(apr_pool_t *p, apr_time_t date)
{
    char text[APR_RFC822_DATE_LEN];

    apr_rfc822_date(text, date);
    /* RFC 5322 has numbers for zones; "GMT" is its obsolete form. */
    text[APR_RFC822_DATE_LEN - 4] = '\0';
    return apr_pstrcat(p, "Date: ", text, "+0000\r\n", NULL);
}

imu_err *imu_mail_message(apr_pool_t *p, const imu_mail_parts *m, const char **text)
{
    const char *body, *encoding = "7bit";

    if (!imu_mail_address_ok(m->from_address) || !imu_mail_address_ok(m->to_address))
        return imu_error(p, 500, "mail_address", "The address can't stand in a mail.");
    if (strlen(m->body) > IMU_MAIL_BODY_MAX)
        return imu_error(p, 500, "mail_long", "The mail is too long.");
    if (!(body = plain_body(p, m->body))) {
        body = base64_body(p, m->body);
        encoding = "base64";
    }
    *text = apr_pstrcat(
        p, date_field(p, m->date), mailbox_field(p, "From", m->from_name, m->from_address),
        mailbox_field(p, "To", m->to_name, m->to_address), field(p, "Subject", m->subject, ""),
        "Message-ID: <", m->id, strrchr(m->from_address, '@'),
        ">\r\nMIME-Version: 1.0\r\nContent-Type: text/plain; charset=utf-8\r\n"
        "Content-Transfer-Encoding: ",
        encoding, "\r\nAuto-Submitted: auto-generated\r\n\r\n", body, NULL);
    return NULL;
}

int imu_mail_mailbox(apr_pool_t *p, const char *text, const char **name, const char **address)
{
    const char *open = strrchr(text, '<');
    apr_size_t len = strlen(text);

    *name = NULL;
    *address = text;
    if (open) {
        if (text[len - 1] != '>')
            return 0;
        *address = apr_pstrmemdup(p, open + 1, len - 2 - (apr_size_t)(open - text));
        for (len = (apr_size_t)(open - text); len > 0 && text[len - 1] == ' ';)
            len--;
        *name = len ? apr_pstrmemdup(p, text, len) : NULL;
    }
    for (const char *c = text; *c; c++)
        if (apr_iscntrl(*c))
            return 0;
    return imu_mail_address_ok(*address);
}
