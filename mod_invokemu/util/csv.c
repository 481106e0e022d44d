#include "mod_invokemu/util/csv.h"

#include <string.h>

#include <apr_strings.h>
#include <apr_tables.h>

#define MAX_COLUMNS     64
#define BYTE_ORDER_MARK "\xef\xbb\xbf"

/* Whether a spreadsheet would take it for a formula, if it were not for apostrophes before it. */
static int is_formula(const char *text)
{
    text += strspn(text, "'");
    return *text && strchr("=+-@\t\r", *text);
}

const char *imu_csv_cell(apr_pool_t *p, const char *text)
{
    apr_size_t len = strlen(text), at = 0;
    char *out;

    if (is_formula(text)) {
        text = apr_pstrcat(p, "'", text, NULL);
        len++;
    }
    if (!strpbrk(text, "\",\r\n"))
        return text;
    out = apr_palloc(p, 2 * len + 3);
    out[at++] = '"';
    for (; *text; text++) {
        if (*text == '"')
            out[at++] = '"';
        out[at++] = *text;
    }
    out[at++] = '"';
    out[at] = '\0';
    return out;
}

/* Reads the quoted cell that *s stands at. @return NULL when its quotes do not match */
static const char *read_quoted(apr_pool_t *p, const char **s)
{
    const char *at = *s + 1, *end = at;
    char *out, *to;

    while ((end = strchr(end, '"')) && end[1] == '"')
        end += 2;
    if (!end || (end[1] && !strchr(",\r\n", end[1])))
        return NULL;
    out = to = apr_palloc(p, (apr_size_t)(end - at) + 1);
    for (; at < end; at++) {
        if (*at == '"')
            at++;
        *to++ = *at;
    }
    *to = '\0';
    *s = end + 1;
    return out;
}

static const char *read_cell(apr_pool_t *p, const char **s)
{
    apr_size_t len = strcspn(*s, ",\r\n");
    const char *cell;

    if (**s == '"') {
        cell = read_quoted(p, s);
    } else {
        cell = apr_pstrmemdup(p, *s, len);
        *s += len;
    }
    return cell && *cell == '\'' && is_formula(cell) ? cell + 1 : cell;
}

/* Reads one row and the end of its line. @return what is wrong, or NULL */
static const char *read_row(apr_pool_t *p, const char **s, apr_array_header_t *row)
{
    apr_array_clear(row);
    for (;;) {
        const char *cell = row->nelts < MAX_COLUMNS ? read_cell(p, s) : NULL;

        if (!cell)
            return row->nelts < MAX_COLUMNS ? "its quotation marks do not match"
                                            : "it has too many columns";
        APR_ARRAY_PUSH(row, const char *) = cell;
        if (**s != ',')
            break;
        ++*s;
    }
    if (**s == '\r')
        ++*s;
    if (**s == '\n')
        ++*s;
    return NULL;
}

static int is_blank(const apr_array_header_t *row)
{
    return row->nelts == 1 && !*APR_ARRAY_IDX(row, 0, const char *);
}

static json_t *as_object(const apr_array_header_t *names, const apr_array_header_t *row)
{
    json_t *object = json_object();

    for (int i = 0; i < row->nelts; i++)
        json_object_set_new(object, APR_ARRAY_IDX(names, i, const char *),
                            json_string(APR_ARRAY_IDX(row, i, const char *)));
    return object;
}

json_t *imu_csv_objects(apr_pool_t *p, const char *text, size_t max_rows, const char **why)
{
    apr_array_header_t *names = apr_array_make(p, 8, sizeof(const char *));
    apr_array_header_t *row = apr_array_make(p, 8, sizeof(const char *));
    json_t *rows = json_array();

    if (strncmp(text, BYTE_ORDER_MARK, 3) == 0)
        text += 3;
    *why = read_row(p, &text, names);
    while (!*why && *text) {
        if ((*why = read_row(p, &text, row)) || is_blank(row))
            continue;
        if (row->nelts > names->nelts)
            *why = "a row has more cells than there are columns";
        else if (json_array_size(rows) >= max_rows)
            *why = "it has too many rows";
        else
            json_array_append_new(rows, as_object(names, row));
    }
    if (!*why)
        return rows;
    json_decref(rows);
    return NULL;
}
