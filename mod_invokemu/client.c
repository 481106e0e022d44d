#include "mod_invokemu/client.h"

#include <http_core.h>
#include <http_log.h>
#include <http_protocol.h>
#include <http_request.h>
#include <apr_strings.h>

#include "mod_invokemu/edge.h"

APLOG_USE_MODULE(invokemu);

/* Files below assets/ carry a hash of their content in their name. */
#define CACHE_HASHED "public, max-age=31536000, immutable"
#define CACHE_PAGE   "no-cache"

static const struct {
    const char *ending;
    const char *type;
} types[] = {
    {".html", "text/html; charset=utf-8"},
    {".js", "text/javascript; charset=utf-8"},
    {".mjs", "text/javascript; charset=utf-8"},
    {".css", "text/css; charset=utf-8"},
    {".json", "application/json"},
    {".svg", "image/svg+xml"},
    {".png", "image/png"},
    {".webp", "image/webp"},
    {".jpg", "image/jpeg"},
    {".ico", "image/x-icon"},
    {".woff2", "font/woff2"},
    {".txt", "text/plain; charset=utf-8"},
    {".webmanifest", "application/manifest+json"},
    {".map", "application/json"},
    {".wasm", "application/wasm"},
};

static const char *type_of(const char *path)
{
    const char *dot = strrchr(path, '.');

    for (unsigned i = 0; dot && i < sizeof types / sizeof types[0]; i++)
        if (strcmp(dot, types[i].ending) == 0)
            return types[i].type;
    return "application/octet-stream";
}

/* What a browser may open as a page of its own. Scripts and styles obey the policy of the page that
 * loads them, and stand in no frame; the headers would be most of what a small one costs. */
static int is_page(const char *type)
{
    return strncmp(type, "text/html", 9) == 0 || strcmp(type, "image/svg+xml") == 0;
}

static int is_file(apr_pool_t *p, const char *path, apr_finfo_t *info)
{
    return apr_stat(info, path, APR_FINFO_TYPE | APR_FINFO_SIZE | APR_FINFO_MTIME, p) ==
               APR_SUCCESS &&
           info->filetype == APR_REG;
}

/* The file for a path of the client folder, or NULL. Never leaves the folder. */
static const char *find_file(imu_req *req, const char *uri, apr_finfo_t *info)
{
    char *path = NULL;

    while (*uri == '/')
        uri++;
    if (!*uri)
        return NULL;
    if (apr_filepath_merge(&path, req->conf->client_dir, uri, APR_FILEPATH_SECUREROOT, req->p) !=
        APR_SUCCESS)
        return NULL;
    return is_file(req->p, path, info) ? path : NULL;
}

/* A variant compressed when the client was built, if the browser takes it. */
static const char *compressed(imu_req *req, const char *path, apr_finfo_t *info)
{
    const char *accept = apr_table_get(req->r->headers_in, "Accept-Encoding");
    static const char *const kinds[][2] = {{"br", ".br"}, {"gzip", ".gz"}};

    for (unsigned i = 0; accept && i < 2; i++) {
        const char *variant = apr_pstrcat(req->p, path, kinds[i][1], NULL);
        apr_finfo_t found;

        if (ap_strcasestr(accept, kinds[i][0]) && is_file(req->p, variant, &found)) {
            *info = found;
            apr_table_setn(req->r->headers_out, "Content-Encoding", kinds[i][0]);
            return variant;
        }
    }
    return path;
}

static int serve_file(imu_req *req, const char *path, apr_finfo_t *info, int hashed)
{
    const char *type = type_of(path);
    const char *file = compressed(req, path, info);

    apr_table_mergen(req->r->headers_out, "Vary", "Accept-Encoding");
    if (is_page(type))
        apr_table_setn(req->r->headers_out, "Content-Security-Policy", req->conf->csp);
    imu_reply_file(req, file, type,
                   apr_psprintf(req->p, "\"%" APR_UINT64_T_HEX_FMT "-%" APR_UINT64_T_HEX_FMT "%s\"",
                                (apr_uint64_t)info->mtime, (apr_uint64_t)info->size,
                                file == path ? "" : "-z"),
                   hashed ? CACHE_HASHED : CACHE_PAGE);
    req->reply.part_of_page = !is_page(type);
    return imu_edge_send(req);
}

int imu_client_serve(imu_req *req)
{
    request_rec *r = req->r;
    const char *path, *assets;
    apr_finfo_t info;

    imu_edge_leave_body(req);
    if (r->method_number != M_GET) {
        apr_table_setn(r->err_headers_out, "Allow", "OPTIONS, GET, HEAD");
        if (r->method_number == M_OPTIONS) {
            imu_reply_empty(req, 204);
            return imu_edge_send(req);
        }
        return imu_edge_send_error(
            req, imu_error(req->p, 405, "method_not_allowed", "Method Not Allowed"));
    }
    if ((path = find_file(req, r->uri, &info)))
        return serve_file(req, path, &info, strncmp(r->uri, "/assets/", 8) == 0);
    /* A client that names its files relative to a page asks for /admin/assets/x after a hard load
     * of /admin/users. */
    assets = ap_strstr_c(r->uri, "/assets/");
    if (assets && assets != r->uri) {
        apr_table_setn(r->headers_out, "Location", ap_escape_uri(req->p, assets));
        imu_reply_empty(req, 307);
        return imu_edge_send(req);
    }
    if (!assets && (path = find_file(req, "index.html", &info)))
        return serve_file(req, path, &info, 0);
    return imu_edge_send_error(req, imu_error(req->p, 404, "no_such_file", "Not Found"));
}
