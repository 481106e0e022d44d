#include "mod_invokemu/request.h"

#include <http_core.h>
#include <http_log.h>
#include <http_main.h>
#include <http_protocol.h>
#include <mod_dbd.h>
#include <apr_lib.h>
#include <apr_optional.h>
#include <apr_strings.h>

#include "mod_invokemu/routes.h"
#include "mod_invokemu/store/disk.h"
#include "mod_invokemu/validate.h"
#include "mod_invokemu/util/query.h"

APLOG_USE_MODULE(invokemu);

#define MAX_QUERY_ARGS 600
#define OPEN_TRIES     5
#define OPEN_PAUSE     apr_time_from_msec(50)

/* ---- database ---- */

imu_err *imu_req_db(imu_req *req, imu_db **db)
{
    static APR_OPTIONAL_FN_TYPE(ap_dbd_open) * dbd_open;
    ap_dbd_t *lease = NULL;

    if (req->db) {
        *db = req->db;
        return NULL;
    }
    if (!dbd_open)
        dbd_open = APR_RETRIEVE_OPTIONAL_FN(ap_dbd_open);
    for (int i = 0; dbd_open && !lease && i < OPEN_TRIES; i++) {
        if (i > 0)
            apr_sleep(OPEN_PAUSE);
        lease = dbd_open(req->p, ap_server_conf);
    }
    if (!lease)
        return imu_error_internal(req->p, "no database connection from mod_dbd");
    req->db_lease = lease;
    req->db = apr_pcalloc(req->p, sizeof *req->db);
    req->db->driver = lease->driver;
    req->db->handle = lease->handle;
    req->db->pool = req->p;
    req->db->write_lock = req->inst->write_lock;
    *db = req->db;
    return imu_db_adopt(req->db, lease->pool);
}

void imu_req_db_release(imu_req *req)
{
    static APR_OPTIONAL_FN_TYPE(ap_dbd_close) * dbd_close;

    if (!req->db_lease)
        return;
    if (!dbd_close)
        dbd_close = APR_RETRIEVE_OPTIONAL_FN(ap_dbd_close);
    dbd_close(ap_server_conf, req->db_lease);
    req->db_lease = NULL;
    req->db = NULL;
}

imu_err *imu_req_disk(imu_req *req)
{
    return imu_disk_check(req->p, req->inst->root, req->inst->database, req->inst->min_free);
}

/* ---- path and query ---- */

const char *imu_param(const imu_req *req, const char *name)
{
    for (int i = 0; i < req->n_params; i++)
        if (strcmp(req->param_names[i], name) == 0)
            return req->param_values[i];
    return NULL;
}

static int parse_int(const char *text, apr_int64_t *value)
{
    char *end;

    errno = 0;
    *value = apr_strtoi64(text, &end, 10);
    return !errno && end != text && !*end && !apr_isspace(*text);
}

imu_err *imu_param_int(imu_req *req, const char *name, apr_int64_t *value)
{
    const char *text = imu_param(req, name);

    if (!text || !parse_int(text, value) || *value < 0)
        return imu_invalid(req->p, "path", name, "int_parsing",
                           "Input should be a valid integer, unable to parse string as an integer");
    return NULL;
}

/* Splits the query string once. @return 422 for text that is not UTF-8, or too many parameters */
static imu_err *read_query(imu_req *req)
{
    int n = req->query ? 0 : imu_query_split(req->p, req->r->args, MAX_QUERY_ARGS, &req->query);

    if (n == IMU_QUERY_MANY)
        return imu_invalid(req->p, "query", NULL, "too_long", "Too many query parameters");
    if (n == IMU_QUERY_BROKEN)
        return imu_invalid(req->p, "query", NULL, "value_error",
                           "Query parameters should be valid text");
    if (n > 0)
        req->n_query = n;
    return NULL;
}

static imu_err *query_value(imu_req *req, const char *name, const char **value)
{
    imu_err *err = read_query(req);

    *value = NULL;
    for (int i = 0; !err && i < req->n_query; i++)
        if (strcmp(req->query[i].name, name) == 0)
            *value = req->query[i].value;
    return err;
}

imu_err *imu_query_once(imu_req *req, const char *name)
{
    imu_err *err = read_query(req);
    int times = 0;

    for (int i = 0; !err && i < req->n_query; i++)
        times += strcmp(req->query[i].name, name) == 0;
    if (times > 1)
        err = imu_invalid(req->p, "query", name, "value_error", "This may be given only once");
    return err;
}

imu_err *imu_query_text(imu_req *req, const char *name, apr_size_t max_len, const char *def,
                        const char **value)
{
    imu_err *err = query_value(req, name, value);

    if (err)
        return err;
    if (!*value)
        *value = def;
    else if (strlen(*value) > max_len)
        return imu_invalid(req->p, "query", name, "string_too_long",
                           apr_psprintf(req->p,
                                        "Text should have at most %" APR_SIZE_T_FMT " characters",
                                        max_len));
    return NULL;
}

imu_err *imu_query_required(imu_req *req, const char *name, apr_size_t max_len, const char **value)
{
    imu_err *err = imu_query_text(req, name, max_len, NULL, value);

    if (!err && !*value)
        err = imu_invalid(req->p, "query", name, "missing", "Field required");
    return err;
}

imu_err *imu_query_int(imu_req *req, const char *name, apr_int64_t min, apr_int64_t max,
                       apr_int64_t def, apr_int64_t *value)
{
    const char *text;
    imu_err *err = query_value(req, name, &text);

    *value = def;
    if (err || !text)
        return err;
    if (!parse_int(text, value))
        return imu_invalid(req->p, "query", name, "int_parsing",
                           "Input should be a valid integer, unable to parse string as an integer");
    if (*value < min || *value > max)
        return imu_invalid(
            req->p, "query", name, *value < min ? "greater_than_equal" : "less_than_equal",
            apr_psprintf(req->p, "Input should be from %" APR_INT64_T_FMT " to %" APR_INT64_T_FMT,
                         min, max));
    return NULL;
}

static int one_of(const char *text, const char *const *words)
{
    for (; *words; words++)
        if (ap_cstr_casecmp(text, *words) == 0)
            return 1;
    return 0;
}

imu_err *imu_query_bool(imu_req *req, const char *name, int def, int *value)
{
    static const char *const yes[] = {"true", "1", "yes", "on", "t", "y", NULL};
    static const char *const no[] = {"false", "0", "no", "off", "f", "n", NULL};
    const char *text;
    imu_err *err = query_value(req, name, &text);

    *value = def;
    if (err || !text)
        return err;
    if (one_of(text, yes))
        *value = 1;
    else if (one_of(text, no))
        *value = 0;
    else
        return imu_invalid(req->p, "query", name, "bool_parsing",
                           "Input should be a valid boolean, unable to interpret input");
    return NULL;
}

imu_err *imu_query_choice(imu_req *req, const char *name, const char *const *words, const char *def,
                          const char **value)
{
    imu_err *err = query_value(req, name, value);

    if (err)
        return err;
    if (!*value) {
        *value = def;
        return NULL;
    }
    for (int i = 0; words[i]; i++)
        if (strcmp(words[i], *value) == 0)
            return NULL;
    return imu_invalid(req->p, "query", name, "enum", "Input should be one of the known values");
}

imu_err *imu_query_list(imu_req *req, const char *name, json_t **list)
{
    imu_err *err = read_query(req);

    *list = imu_json_own(req->p, json_array());
    for (int i = 0; !err && i < req->n_query; i++)
        if (strcmp(req->query[i].name, name) == 0)
            json_array_append_new(*list, json_string(req->query[i].value));
    return err;
}

/* ---- who asks ---- */

const char *imu_bearer_token(imu_req *req)
{
    const char *value = apr_table_get(req->r->headers_in, "Authorization");

    if (!value || strncasecmp(value, "Bearer ", 7) != 0)
        return NULL;
    value += 7;
    while (*value == ' ')
        value++;
    return *value ? value : NULL;
}

/* ---- replies ---- */

imu_err *imu_reply_json(imu_req *req, int status, json_t *json)
{
    char *text = json ? json_dumps(json, JSON_COMPACT | JSON_ENCODE_ANY) : NULL;

    json_decref(json);
    if (!text)
        return imu_error_internal(req->p, "a reply could not be written as JSON");
    return imu_reply_malloced(req, status, "application/json", text, strlen(text));
}

static const char *recall_key(imu_req *req)
{
    return apr_pstrcat(req->p, req->who.user_id, req->who.is_admin ? " admin " : " user ",
                       req->r->unparsed_uri, NULL);
}

int imu_reply_recalled(imu_req *req)
{
    apr_size_t len;
    const char *text;

    if (!req->db)
        return 0;
    text = imu_db_recall(req->db, req->p, recall_key(req), &len);
    if (!text)
        return 0;
    imu_reply_bytes(req, 200, "application/json", text, len);
    return 1;
}

imu_err *imu_reply_remembered(imu_req *req, json_t *json)
{
    imu_err *err = imu_reply_json(req, 200, json);

    if (!err && req->db)
        imu_db_remember(req->db, recall_key(req), req->reply.body, req->reply.length);
    return err;
}

imu_err *imu_reply_empty(imu_req *req, int status)
{
    return imu_reply_bytes(req, status, NULL, "", 0);
}

imu_err *imu_reply_bytes(imu_req *req, int status, const char *type, const char *data,
                         apr_size_t len)
{
    req->reply.status = status;
    req->reply.type = type;
    req->reply.body = data;
    req->reply.length = len;
    req->reply.file = NULL;
    return NULL;
}

imu_err *imu_reply_malloced(imu_req *req, int status, const char *type, char *data, apr_size_t len)
{
    apr_pool_cleanup_register(req->p, data, (apr_status_t(*)(void *))(void (*)(void))free,
                              apr_pool_cleanup_null);
    return imu_reply_bytes(req, status, type, data, len);
}

imu_err *imu_reply_file(imu_req *req, const char *path, const char *type, const char *etag,
                        const char *cache)
{
    req->reply.status = 200;
    req->reply.type = type;
    req->reply.body = NULL;
    req->reply.file = path;
    req->reply.etag = etag;
    req->reply.cache = cache;
    return NULL;
}

void imu_reply_header(imu_req *req, const char *name, const char *value)
{
    apr_table_setn(req->r->err_headers_out, name, value);
}
