#include "mod_invokemu/multipart.h"

#include <string.h>

#include <apr_lib.h>
#include <apr_strings.h>
#include <apr_tables.h>

#include "mod_invokemu/util/ids.h"
#include "mod_invokemu/validate.h"

#define MAX_BOUNDARY     70 /* RFC 2046 section 5.1.1 */
#define MAX_PADDING      256
#define MAX_HEADER_LINE  4096
#define MAX_HEADER_LINES 16
#define MAX_PART_NAME    128
#define MAX_FILE_NAME    1024
#define WINDOW           16384

enum state {
    PREAMBLE,  /* before the first delimiter: ignored */
    DELIMITED, /* after a delimiter: "--" ends the body, a line end begins a part */
    HEADERS,
    CONTENT,
    EPILOGUE /* after the closing delimiter: ignored */
};

struct imu_multipart {
    apr_pool_t *p;
    imu_multipart_limits limits;
    imu_multipart_sink *sink;
    void *ctx;
    char delimiter[MAX_BOUNDARY + 5]; /* CR LF - - boundary */
    apr_size_t delimiter_len;
    enum state state;
    apr_array_header_t *parts; /* imu_part */
    imu_part *part;            /* the one that is being read */
    int header_lines;
    int has_disposition;
    char *text; /* content of the current text part */
    apr_size_t text_room;
    apr_size_t text_total;
    apr_size_t padding;
    int has_file;
    char window[WINDOW]; /* bytes that are not understood yet */
    apr_size_t used;
};

static imu_err *invalid(imu_multipart *m, const char *why)
{
    return imu_invalid(m->p, "body", NULL, "multipart_invalid",
                       apr_pstrcat(m->p, "The upload could not be read: ", why, ".", NULL));
}

static imu_err *too_large(imu_multipart *m)
{
    return imu_error(m->p, 413, "upload_too_large",
                     "This upload is too large. At most %" APR_INT64_T_FMT " MiB are accepted.",
                     (m->limits.file + 1048575) / 1048576);
}

/* ---- parameters such as name="a" ---- */

static int is_token_char(char c)
{
    return c > 32 && c < 127 && !strchr("()<>@,;:\\\"/[]?=", c);
}

static const char *skip_space(const char *s)
{
    while (*s == ' ' || *s == '\t')
        s++;
    return s;
}

/* Reads a token or quoted string at *s. @return its value, or NULL when malformed */
static const char *read_value(apr_pool_t *p, const char **s)
{
    const char *at = *s;
    char *out, *to;

    if (*at != '"') {
        while (is_token_char(*at))
            at++;
        out = at > *s ? apr_pstrmemdup(p, *s, (apr_size_t)(at - *s)) : NULL;
        *s = at;
        return out;
    }
    out = to = apr_palloc(p, strlen(at) + 1);
    for (at++; *at && *at != '"'; at++) {
        /* Browsers escape only quotes this way, and send a backslash of a file name as it is. */
        if (*at == '\\' && at[1] == '"')
            at++;
        *to++ = *at;
    }
    if (*at != '"')
        return NULL;
    *to = '\0';
    *s = at + 1;
    return out;
}

/* Reads "; name=value" at *s. @return 1 read, 0 the end, -1 malformed */
static int read_parameter(apr_pool_t *p, const char **s, const char **name, const char **value)
{
    const char *at = skip_space(*s), *start;

    if (!*at)
        return 0;
    if (*at != ';')
        return -1;
    at = start = skip_space(at + 1);
    if (!*at) {
        *s = at;
        return 0;
    }
    while (is_token_char(*at))
        at++;
    if (at == start)
        return -1;
    *name = apr_pstrmemdup(p, start, (apr_size_t)(at - start));
    at = skip_space(at);
    if (*at != '=')
        return -1;
    at = skip_space(at + 1);
    *value = read_value(p, &at);
    *s = at;
    return *value ? 1 : -1;
}

static int is_boundary(const char *text)
{
    apr_size_t len = strlen(text);

    if (len < 1 || len > MAX_BOUNDARY || text[len - 1] == ' ')
        return 0;
    for (; *text; text++)
        if (!apr_isalnum(*text) && !strchr("'()+_,-./:=? ", *text))
            return 0;
    return 1;
}

/* ---- headers of a part ---- */

static imu_err *read_disposition(imu_multipart *m, const char *value)
{
    const char *param, *text;
    int more;

    if (m->has_disposition)
        return invalid(m, "a part says twice what it is");
    m->has_disposition = 1;
    if (strncasecmp(value, "form-data", 9) != 0)
        return invalid(m, "a part is no form field");
    value += 9;
    while ((more = read_parameter(m->p, &value, &param, &text)) > 0) {
        if (strcasecmp(param, "name") == 0) {
            if (m->part->name)
                return invalid(m, "a part has two names");
            if (strlen(text) > MAX_PART_NAME || !imu_is_clean_text(text))
                return invalid(m, "the name of a part is too long or not valid text");
            m->part->name = text;
        } else if (strcasecmp(param, "filename") == 0 || strcasecmp(param, "filename*") == 0) {
            /* Only that there is one counts: it makes the part a file. The name itself is nothing
             * to go by. */
            if (strlen(text) > MAX_FILE_NAME)
                return invalid(m, "the name of a file is too long");
            m->part->filename = imu_is_clean_text(text) ? text : "";
        }
    }
    return more < 0 ? invalid(m, "the head of a part is malformed") : NULL;
}

static imu_err *read_header(imu_multipart *m, const char *line)
{
    const char *colon = strchr(line, ':');
    apr_size_t len = colon ? (apr_size_t)(colon - line) : 0;

    if (++m->header_lines > MAX_HEADER_LINES)
        return invalid(m, "a part has too many header lines");
    for (apr_size_t i = 0; i < len; i++)
        if (!is_token_char(line[i]))
            return invalid(m, "the head of a part is malformed");
    if (len == 0)
        return invalid(m, "the head of a part is malformed");
    if (len == 19 && strncasecmp(line, "Content-Disposition", len) == 0)
        return read_disposition(m, skip_space(colon + 1));
    if (len == 12 && strncasecmp(line, "Content-Type", len) == 0)
        m->part->type = skip_space(colon + 1);
    else if (len == 25 && strncasecmp(line, "Content-Transfer-Encoding", len) == 0 &&
             strcasecmp(skip_space(colon + 1), "binary") != 0 &&
             strcasecmp(skip_space(colon + 1), "8bit") != 0 &&
             strcasecmp(skip_space(colon + 1), "7bit") != 0)
        return invalid(m, "a part is encoded in a way that RFC 7578 does not know");
    return NULL;
}

static imu_err *begin_part(imu_multipart *m)
{
    if (m->parts->nelts >= m->limits.parts)
        return invalid(m, "it has too many parts");
    m->part = apr_array_push(m->parts);
    memset(m->part, 0, sizeof *m->part);
    m->header_lines = 0;
    m->has_disposition = 0;
    m->text = NULL;
    m->text_room = 0;
    m->state = HEADERS;
    return NULL;
}

static imu_err *begin_content(imu_multipart *m)
{
    if (!m->has_disposition || !m->part->name)
        return invalid(m, "a part has no name");
    if (m->part->filename) {
        if (m->has_file)
            return invalid(m, "it holds more than one file");
        m->has_file = 1;
    }
    m->state = CONTENT;
    return NULL;
}

/* ---- content ---- */

static imu_err *keep_text(imu_multipart *m, const char *data, apr_size_t len)
{
    imu_part *part = m->part;

    if (len > m->limits.text - m->text_total)
        return imu_error(m->p, 413, "upload_too_large",
                         "A text field of this upload is too large.");
    if (part->text_len + len + 1 > m->text_room) {
        apr_size_t room = (part->text_len + len + 1) * 2;
        char *bigger = apr_palloc(m->p, room);

        if (part->text_len)
            memcpy(bigger, m->text, part->text_len);
        m->text = bigger;
        m->text_room = room;
    }
    memcpy(m->text + part->text_len, data, len);
    part->text_len += len;
    m->text_total += len;
    return NULL;
}

static imu_err *keep(imu_multipart *m, const char *data, apr_size_t len)
{
    if (len == 0)
        return NULL;
    if (!m->part->filename)
        return keep_text(m, data, len);
    if ((apr_int64_t)len > m->limits.file - m->part->file_bytes)
        return too_large(m);
    m->part->file_bytes += (apr_int64_t)len;
    return m->sink(m->ctx, data, len);
}

static void end_content(imu_multipart *m)
{
    if (!m->part->filename) {
        if (!m->text)
            m->text = apr_palloc(m->p, 1);
        m->text[m->part->text_len] = '\0';
        m->part->text = m->text;
    }
    m->part = NULL;
}

/* ---- the states ---- */

/* Where the delimiter begins in what is left, or how much of it certainly holds none. */
static int find_delimiter(const imu_multipart *m, const char *data, apr_size_t len, apr_size_t *at)
{
    const char *found = memmem(data, len, m->delimiter, m->delimiter_len);

    if (found) {
        *at = (apr_size_t)(found - data);
        return 1;
    }
    *at = len >= m->delimiter_len ? len - m->delimiter_len + 1 : 0;
    return 0;
}

/* Each step takes *eaten bytes from the window's start; *eaten 0 without an error means that more
 * bytes are needed. */
static imu_err *step_content(imu_multipart *m, const char *data, apr_size_t len, apr_size_t *eaten)
{
    apr_size_t at;
    int found = find_delimiter(m, data, len, &at);
    imu_err *err = m->state == CONTENT ? keep(m, data, at) : NULL;

    *eaten = at;
    if (err || !found)
        return err;
    *eaten = at + m->delimiter_len;
    if (m->state == CONTENT)
        end_content(m);
    m->padding = 0;
    m->state = DELIMITED;
    return NULL;
}

static imu_err *step_delimited(imu_multipart *m, const char *data, apr_size_t len,
                               apr_size_t *eaten)
{
    if (*data == ' ' || *data == '\t') {
        *eaten = 1;
        return ++m->padding > MAX_PADDING ? invalid(m, "a boundary line is too long") : NULL;
    }
    if (len < 2)
        return NULL;
    *eaten = 2;
    if (data[0] == '-' && data[1] == '-' && m->padding == 0) {
        m->state = EPILOGUE;
        return NULL;
    }
    if (data[0] == '\r' && data[1] == '\n')
        return begin_part(m);
    return invalid(m, "a boundary line is malformed");
}

static imu_err *step_headers(imu_multipart *m, const char *data, apr_size_t len, apr_size_t *eaten)
{
    const char *end = memmem(data, len, "\r\n", 2);
    apr_size_t line_len = end ? (apr_size_t)(end - data) : len;

    if (line_len > MAX_HEADER_LINE)
        return invalid(m, "a header line of a part is too long");
    if (!end)
        return NULL;
    *eaten = line_len + 2;
    if (line_len == 0)
        return begin_content(m);
    if (memchr(data, '\0', line_len))
        return invalid(m, "the head of a part is malformed");
    return read_header(m, apr_pstrmemdup(m->p, data, line_len));
}

static imu_err *step(imu_multipart *m, const char *data, apr_size_t len, apr_size_t *eaten)
{
    *eaten = 0;
    switch (m->state) {
    case PREAMBLE:
    case CONTENT:
        return step_content(m, data, len, eaten);
    case DELIMITED:
        return step_delimited(m, data, len, eaten);
    case HEADERS:
        return step_headers(m, data, len, eaten);
    case EPILOGUE:
        break;
    }
    *eaten = len;
    return NULL;
}

imu_err *imu_multipart_push(imu_multipart *m, const char *data, apr_size_t len)
{
    while (len > 0) {
        apr_size_t taken = len < WINDOW - m->used ? len : WINDOW - m->used;
        apr_size_t at = 0, eaten = 1;

        memcpy(m->window + m->used, data, taken);
        m->used += taken;
        data += taken;
        len -= taken;
        while (at < m->used && eaten > 0) {
            imu_err *err = step(m, m->window + at, m->used - at, &eaten);

            if (err)
                return err;
            at += eaten;
        }
        m->used -= at;
        memmove(m->window, m->window + at, m->used);
    }
    return NULL;
}

imu_err *imu_multipart_end(imu_multipart *m)
{
    return m->state == EPILOGUE ? NULL : invalid(m, "it broke off before its end");
}

const imu_part *imu_multipart_part(const imu_multipart *m, const char *name)
{
    for (int i = 0; i < m->parts->nelts; i++) {
        const imu_part *part = &APR_ARRAY_IDX(m->parts, i, imu_part);

        if (part->name && strcmp(part->name, name) == 0)
            return part;
    }
    return NULL;
}

/* The boundary parameter of the request's Content-Type, or NULL. */
static const char *boundary_of(apr_pool_t *p, const char *params)
{
    const char *name, *value, *boundary = NULL;
    int more;

    while ((more = read_parameter(p, &params, &name, &value)) > 0) {
        if (strcasecmp(name, "boundary") != 0)
            continue;
        if (boundary)
            return NULL;
        boundary = value;
    }
    return more == 0 && boundary && is_boundary(boundary) ? boundary : NULL;
}

imu_err *imu_multipart_new(apr_pool_t *p, const char *content_type,
                           const imu_multipart_limits *limits, imu_multipart_sink *sink, void *ctx,
                           imu_multipart **reader)
{
    static const char wanted[] = "multipart/form-data";
    imu_multipart *m = apr_pcalloc(p, sizeof *m);
    const char *boundary;

    m->p = p;
    if (!content_type || strncasecmp(content_type, wanted, sizeof wanted - 1) != 0 ||
        (content_type[sizeof wanted - 1] && !strchr("; \t", content_type[sizeof wanted - 1])))
        return imu_error(p, 415, "not_multipart", "Send this as multipart/form-data.");
    if (!(boundary = boundary_of(p, content_type + sizeof wanted - 1)))
        return invalid(m, "its boundary is missing or malformed");
    m->limits = *limits;
    m->sink = sink;
    m->ctx = ctx;
    m->parts = apr_array_make(p, 4, sizeof(imu_part));
    m->delimiter_len =
        (apr_size_t)apr_snprintf(m->delimiter, sizeof m->delimiter, "\r\n--%s", boundary);
    /* The first delimiter may stand at the very start, without the line end that precedes the
     * others. */
    memcpy(m->window, "\r\n", 2);
    m->used = 2;
    m->state = PREAMBLE;
    *reader = m;
    return NULL;
}
