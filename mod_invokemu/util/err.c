#include "mod_invokemu/util/err.h"

#include <stdarg.h>
#include <string.h>

#include <apr_strings.h>

static apr_status_t json_release(void *json)
{
    json_decref(json);
    return APR_SUCCESS;
}

json_t *imu_json_own(apr_pool_t *p, json_t *json)
{
    if (json)
        apr_pool_cleanup_register(p, json, json_release, apr_pool_cleanup_null);
    return json;
}

#undef imu_error
#undef imu_error_internal

imu_err *imu_error(apr_pool_t *p, int status, const char *code, const char *detail, ...)
{
    imu_err *err = apr_pcalloc(p, sizeof *err);
    va_list ap;

    err->status = status;
    err->code = code;
    va_start(ap, detail);
    err->detail = apr_pvsprintf(p, detail, ap);
    va_end(ap);
    return err;
}

imu_err *imu_error_internal(apr_pool_t *p, const char *log, ...)
{
    imu_err *err =
        imu_error(p, 500, "internal",
                  "The server could not do this. Try again; if it stays, ask the administrator to "
                  "look at the server's error log.");
    va_list ap;

    va_start(ap, log);
    err->log = apr_pvsprintf(p, log, ap);
    va_end(ap);
    return err;
}

imu_err *imu_error_disk_full(apr_pool_t *p)
{
    return imu_error(p, 507, "disk_full",
                     "The server's disk is full. Please tell the administrator.");
}

imu_err *imu_error_keep(apr_pool_t *p, const imu_err *err)
{
    imu_err *copy = apr_pmemdup(p, err, sizeof *err);

    copy->code = apr_pstrdup(p, err->code);
    copy->detail = apr_pstrdup(p, err->detail);
    copy->log = apr_pstrdup(p, err->log);
    copy->fields = NULL;
    return copy;
}

imu_err *imu_error_log(apr_pool_t *p, imu_err *err, const char *log, ...)
{
    va_list ap;

    va_start(ap, log);
    err->log = apr_pvsprintf(p, log, ap);
    va_end(ap);
    return err;
}

int imu_error_is(const imu_err *err, const char *code)
{
    return err && strcmp(err->code, code) == 0;
}
