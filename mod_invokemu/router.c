/*
 * router.c: finds the row of the route table for a request, runs its handler behind authentication,
 * and sends the answer.
 */
#include "mod_invokemu/routes.h"

#include <http_core.h>
#include <http_log.h>
#include <http_protocol.h>
#include <apr_strings.h>

#include "mod_invokemu/api/audit.h"
#include "mod_invokemu/arrival.h"
#include "mod_invokemu/auth/authenticate.h"
#include "mod_invokemu/client.h"
#include "mod_invokemu/edge.h"
#include "mod_invokemu/events/endpoint.h"
#include "mod_invokemu/hosts.h"
#include "mod_invokemu/store/disk.h"
#include "mod_invokemu/util/ids.h"

APLOG_USE_MODULE(invokemu);

/* Matches uri against a template; {name} takes one non-empty segment. Fills the request's
 * parameters. */
static int match(imu_req *req, const char *template, const char *uri)
{
    for (req->n_params = 0;; req->n_params++) {
        const char *name = strchrnul(template, '{'), *end;
        apr_size_t len = (apr_size_t)(name - template);

        if (strncmp(uri, template, len) != 0)
            return 0;
        uri += len;
        if (!*name)
            return *uri == '\0';
        end = strchr(name, '}');
        len = strcspn(uri, "/");
        if (len == 0 || req->n_params >= IMU_MAX_PARAMS)
            return 0;
        req->param_names[req->n_params] =
            apr_pstrmemdup(req->p, name + 1, (apr_size_t)(end - name - 1));
        req->param_values[req->n_params] = apr_pstrmemdup(req->p, uri, len);
        /* What is no text names nothing, and could not be put into an answer either. */
        if (!imu_is_clean_text(req->param_values[req->n_params]))
            return 0;
        uri += len;
        template = end + 1;
    }
}

/* How much of a template is fixed text: "/i/names" wins over "/i/{name}". */
static int fixed_length(const char *template)
{
    int n = 0, inside = 0;

    for (; *template; template ++) {
        if (*template == '{')
            inside = 1;
        else if (*template == '}')
            inside = 0;
        else if (!inside)
            n++;
    }
    return n;
}

/* The most specific row for this path and method; *methods collects what the path knows at all. */
static const imu_route *find(imu_req *req, const char *uri, int method, apr_int64_t *methods)
{
    const imu_route *best = NULL;
    int best_fixed = -1;

    *methods = 0;
    for (int i = 0; i < imu_routes_count; i++) {
        const imu_route *one = &imu_routes[i];
        int fixed;

        if (!match(req, one->path, uri))
            continue;
        *methods |= AP_METHOD_BIT << one->method;
        fixed = fixed_length(one->path);
        if (one->method == method && fixed > best_fixed) {
            best = one;
            best_fixed = fixed;
        }
    }
    if (best)
        match(req, best->path, uri);
    return best;
}

static const char *allow_text(apr_pool_t *p, apr_int64_t methods)
{
    static const struct {
        int method;
        const char *name;
    } names[] = {{M_GET, "GET, HEAD"},
                 {M_POST, "POST"},
                 {M_PUT, "PUT"},
                 {M_PATCH, "PATCH"},
                 {M_DELETE, "DELETE"}};
    const char *text = "OPTIONS";

    for (unsigned i = 0; i < sizeof names / sizeof names[0]; i++)
        if (methods & (AP_METHOD_BIT << names[i].method))
            text = apr_pstrcat(p, text, ", ", names[i].name, NULL);
    return text;
}

/* The same path with or without its last slash, when that one is known: upstream redirects there
 * and keeps the method. */
static const char *other_slash(imu_req *req, const char *uri)
{
    apr_size_t len = strlen(uri);
    const char *other = len > 1 && uri[len - 1] == '/' ? apr_pstrmemdup(req->p, uri, len - 1)
                                                       : apr_pstrcat(req->p, uri, "/", NULL);
    apr_int64_t methods;

    find(req, other, req->r->method_number, &methods);
    return methods ? other : NULL;
}

static int redirect(imu_req *req, const char *uri)
{
    const char *to = ap_escape_uri(req->p, uri);

    if (req->r->args)
        to = apr_pstrcat(req->p, to, "?", req->r->args, NULL);
    apr_table_setn(req->r->headers_out, "Location", to);
    imu_reply_empty(req, 307);
    return imu_edge_send(req);
}

/* What no row names is closed like any other route: who is not signed in learns nothing about it,
 * unless its path is public. */
static imu_err *closed(imu_req *req, const char *uri)
{
    static const imu_route nothing = {.method = M_GET, .path = "", .access = IMU_ACCESS_USER};

    for (int i = 0; i < imu_routes_count; i++)
        if (imu_routes[i].access == IMU_ACCESS_PUBLIC && match(req, imu_routes[i].path, uri))
            return NULL;
    req->route = &nothing;
    return imu_authenticate(req);
}

static int no_route(imu_req *req, const char *uri, apr_int64_t methods)
{
    const char *other = methods ? NULL : other_slash(req, uri);
    imu_err *err;

    if (other)
        return redirect(req, other);
    if (req->r->method_number != M_OPTIONS && (err = closed(req, uri)))
        return imu_edge_send_error(req, err);
    if (methods) {
        apr_table_setn(req->r->err_headers_out, "Allow", allow_text(req->p, methods));
        if (req->r->method_number == M_OPTIONS) {
            imu_reply_empty(req, 204);
            return imu_edge_send(req);
        }
        return imu_edge_send_error(
            req, imu_error(req->p, 405, "method_not_allowed", "Method Not Allowed"));
    }
    return imu_edge_send_error(req, imu_error(req->p, 404, "no_such_route", "Not Found"));
}

/** A row may not fit, or not be there, because the account or session that asks for it has gone
 * since it was looked at. Then that is the answer. */
static imu_err *explained(imu_req *req, imu_err *err)
{
    int doubtful = imu_error_is(err, "db_constraint") || imu_error_is(err, "user_not_found");
    imu_err *gone = doubtful && req->who.session_id ? imu_authenticate(req) : NULL;

    return gone ? gone : err;
}

static void make_room(const imu_req *req)
{
    if (req->route->frees && imu_disk_release(req->p, req->inst->database, IMU_DISK_TIGHT))
        ap_log_rerror(APLOG_MARK, APLOG_WARNING, 0, req->r,
                      "IMU0433: the disk is full: the reserve beside the database is given up, so "
                      "that something can be deleted");
}

static int serve(imu_req *req)
{
    request_rec *r = req->r;
    apr_int64_t methods;
    imu_err *err;

    req->route = find(req, r->uri, r->method_number, &methods);
    if (!req->route)
        return no_route(req, r->uri, methods);
    err = imu_authenticate(req);
    if (req->who.via != IMU_VIA_NONE)
        imu_seat_known(imu_arrival_seat(r->connection), req->who.user_id);
    if (!err) {
        make_room(req);
        err = explained(req, req->route->handler(req));
    }
    if (err)
        imu_audit_refusal(req, err);
    else
        err = imu_authenticate_after(req);
    return err ? imu_edge_send_error(req, err) : imu_edge_send(req);
}

static int is_api(const char *uri)
{
    return strncmp(uri, "/api/", 5) == 0 || strcmp(uri, "/api") == 0 ||
           strcmp(uri, "/openapi.json") == 0;
}

int imu_handle(request_rec *r)
{
    imu_req *req = apr_pcalloc(r->pool, sizeof *req);
    imu_err *err;

    req->r = r;
    req->p = r->pool;
    req->inst = imu_instance_get();
    req->conf = imu_server_conf_of(r->server);
    if (!req->inst->multiuser && (err = imu_host_check(req)))
        return imu_edge_send_error(req, err);
    if (strncmp(r->uri, "/ws/", 4) == 0)
        return imu_events_handle(r);
    return is_api(r->uri) ? serve(req) : imu_client_serve(req);
}
