#include "mod_invokemu/validate.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include <apr_strings.h>

#include "mod_invokemu/util/ids.h"

struct imu_check {
    apr_pool_t *p;
    json_t *at; /* where the next field is: the beginning of its loc */
    json_t *faults;
};

/* A fault echoes what was sent only while that is short: errors are no way to make the server send
 * megabytes. */
#define MAX_ECHO   200
#define MAX_FAULTS 50

imu_check *imu_check_new(apr_pool_t *p, const char *where)
{
    imu_check *c = apr_pcalloc(p, sizeof *c);

    c->p = p;
    c->at = imu_json_own(p, json_pack("[s]", where));
    return c;
}

void imu_check_enter(imu_check *c, const char *field)
{
    json_array_append_new(c->at, json_string(field));
}

void imu_check_leave(imu_check *c)
{
    json_array_remove(c->at, json_array_size(c->at) - 1);
}

static json_t *echo(const json_t *input)
{
    char *text;
    size_t len;

    if (!input)
        return json_null();
    if (json_is_array(input) || json_is_object(input))
        return json_null();
    text = json_dumps(input, JSON_ENCODE_ANY);
    len = text ? strlen(text) : MAX_ECHO;
    free(text);
    return len < MAX_ECHO ? json_deep_copy(input) : json_null();
}

void imu_check_fault(imu_check *c, const char *field, const char *type, const char *msg,
                     const json_t *input)
{
    json_t *loc;

    if (!c->faults)
        c->faults = imu_json_own(c->p, json_array());
    if (json_array_size(c->faults) >= MAX_FAULTS)
        return;
    loc = json_copy(c->at);
    if (field)
        json_array_append_new(loc, json_string(field));
    json_array_append_new(c->faults, json_pack("{s:s, s:o, s:s, s:o}", "type", type, "loc", loc,
                                               "msg", msg, "input", echo(input)));
}

/* The field's value, or NULL when there is nothing to read (recorded as a fault where that is one).
 */
static json_t *present(imu_check *c, const json_t *body, const char *field, int flags)
{
    json_t *v = json_object_get(body, field);

    if (!v) {
        if (flags & IMU_REQUIRED)
            imu_check_fault(c, field, "missing", "Field required", NULL);
        return NULL;
    }
    if (json_is_null(v)) {
        if (!(flags & IMU_NULLABLE))
            imu_check_fault(c, field, "null_type", "Input should not be null", v);
        return NULL;
    }
    return v;
}

const char *imu_check_text(imu_check *c, const json_t *body, const char *field, int flags,
                           size_t min, size_t max)
{
    json_t *v = present(c, body, field, flags);
    size_t len;

    if (!v)
        return NULL;
    if (!json_is_string(v)) {
        imu_check_fault(c, field, "string_type", "Input should be a valid string", v);
        return NULL;
    }
    len = json_string_length(v);
    if (len < min)
        imu_check_fault(
            c, field, "string_too_short",
            apr_psprintf(c->p, "Text should have at least %lu characters", (unsigned long)min), v);
    else if (len > max)
        imu_check_fault(
            c, field, "string_too_long",
            apr_psprintf(c->p, "Text should have at most %lu characters", (unsigned long)max), v);
    else if (strlen(json_string_value(v)) != len || !imu_is_clean_text(json_string_value(v)))
        imu_check_fault(c, field, "value_error", "Text should hold no control characters", NULL);
    else
        return json_string_value(v);
    return NULL;
}

int imu_check_bool(imu_check *c, const json_t *body, const char *field, int flags, int def)
{
    json_t *v = present(c, body, field, flags);

    if (!v)
        return def;
    if (!json_is_boolean(v)) {
        imu_check_fault(c, field, "bool_type", "Input should be a valid boolean", v);
        return def;
    }
    return json_is_true(v);
}

json_int_t imu_check_int(imu_check *c, const json_t *body, const char *field, int flags,
                         json_int_t min, json_int_t max, json_int_t def)
{
    json_t *v = present(c, body, field, flags);
    json_int_t n;

    if (!v)
        return def;
    if (!json_is_integer(v)) {
        imu_check_fault(c, field, "int_type", "Input should be a valid integer", v);
        return def;
    }
    n = json_integer_value(v);
    if (n < min || n > max) {
        imu_check_fault(
            c, field, n < min ? "greater_than_equal" : "less_than_equal",
            apr_psprintf(c->p, "Input should be from %" APR_INT64_T_FMT " to %" APR_INT64_T_FMT,
                         (apr_int64_t)min, (apr_int64_t)max),
            v);
        return def;
    }
    return n;
}

double imu_check_number(imu_check *c, const json_t *body, const char *field, int flags, double min,
                        double max, double def)
{
    json_t *v = present(c, body, field, flags);
    double n;

    if (!v)
        return def;
    if (!json_is_number(v)) {
        imu_check_fault(c, field, "float_type", "Input should be a valid number", v);
        return def;
    }
    n = json_number_value(v);
    if (!isfinite(n) || n < min || n > max) {
        imu_check_fault(c, field, n < min ? "greater_than_equal" : "less_than_equal",
                        apr_psprintf(c->p, "Input should be from %g to %g", min, max), v);
        return def;
    }
    return n;
}

const char *imu_check_choice(imu_check *c, const json_t *body, const char *field, int flags,
                             const char *const *words)
{
    json_t *v = present(c, body, field, flags);
    const char *list = "";

    if (!v)
        return NULL;
    for (int i = 0; words[i]; i++) {
        if (json_is_string(v) && strcmp(json_string_value(v), words[i]) == 0)
            return words[i];
        list = apr_pstrcat(c->p, list, i ? ", " : "", "'", words[i], "'", NULL);
    }
    imu_check_fault(c, field, "literal_error",
                    apr_pstrcat(c->p, "Input should be one of ", list, NULL), v);
    return NULL;
}

json_t *imu_check_object(imu_check *c, const json_t *body, const char *field, int flags)
{
    json_t *v = present(c, body, field, flags);

    if (v && !json_is_object(v)) {
        imu_check_fault(c, field, "dict_type", "Input should be a valid object", v);
        return NULL;
    }
    return v;
}

json_t *imu_check_array(imu_check *c, const json_t *body, const char *field, int flags, size_t max)
{
    json_t *v = present(c, body, field, flags);

    if (!v)
        return NULL;
    if (!json_is_array(v)) {
        imu_check_fault(c, field, "list_type", "Input should be a valid list", v);
        return NULL;
    }
    if (json_array_size(v) > max) {
        imu_check_fault(
            c, field, "too_long",
            apr_psprintf(c->p, "List should have at most %lu items", (unsigned long)max), NULL);
        return NULL;
    }
    return v;
}

json_t *imu_check_texts(imu_check *c, const json_t *body, const char *field, int flags, size_t max,
                        size_t max_len)
{
    json_t *v = imu_check_array(c, body, field, flags, max);
    json_t *one;
    size_t i;

    if (!v)
        return NULL;
    json_array_foreach (v, i, one) {
        if (!json_is_string(one)) {
            imu_check_fault(c, field, "string_type", "List items should be valid strings", one);
            return NULL;
        }
        if (json_string_length(one) > max_len ||
            strlen(json_string_value(one)) != json_string_length(one) ||
            !imu_is_clean_text(json_string_value(one))) {
            imu_check_fault(c, field, "value_error",
                            "A list item is too long or holds control characters", NULL);
            return NULL;
        }
    }
    return v;
}

void imu_check_only(imu_check *c, const json_t *body, const char *const *fields)
{
    const char *key;
    json_t *v;

    json_object_foreach ((json_t *)body, key, v) {
        int known = 0;
        for (int i = 0; fields[i] && !known; i++)
            known = strcmp(fields[i], key) == 0;
        if (!known)
            imu_check_fault(c, apr_pstrdup(c->p, key), "extra_forbidden",
                            "Extra inputs are not permitted", v);
    }
}

imu_err *imu_check_end(imu_check *c)
{
    imu_err *err;

    if (!c->faults)
        return NULL;
    err = imu_error(c->p, 422, "invalid", "The request is not valid.");
    err->fields = c->faults;
    return err;
}

#undef imu_invalid

imu_err *imu_invalid(apr_pool_t *p, const char *where, const char *field, const char *type,
                     const char *msg)
{
    imu_check *c = imu_check_new(p, where);

    imu_check_fault(c, field, type, msg, NULL);
    return imu_check_end(c);
}
