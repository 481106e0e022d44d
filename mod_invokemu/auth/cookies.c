#include "mod_invokemu/auth/cookies.h"

#include <string.h>
#include <http_core.h>
#include <http_protocol.h>
#include <apr_strings.h>

#include "mod_invokemu/auth/core_cookie.h"
#include "mod_invokemu/hosts.h"

static void add(imu_req *req, const char *name, const char *value, const char *attributes,
                apr_int64_t seconds)
{
    request_rec *r = req->r;
    int tls = strcmp(ap_http_scheme(r), "https") == 0;

    apr_table_addn(r->err_headers_out, "Set-Cookie",
                   apr_psprintf(r->pool, "%s=%s; %s%sMax-Age=%" APR_INT64_T_FMT "; HttpOnly%s",
                                name, value, attributes, *attributes ? "; " : "", seconds,
                                tls ? "; Secure" : ""));
}

void imu_cookie_set_media(imu_req *req, const char *token, apr_int64_t seconds)
{
    add(req, IMU_MEDIA_COOKIE, token, "Path=/api/v1; SameSite=Lax", seconds);
}

void imu_cookie_set_session(imu_req *req, const char *token, apr_int64_t seconds)
{
    add(req, req->conf->cookie_name, token, req->conf->cookie_attributes, seconds);
}

void imu_cookies_set(imu_req *req, const char *token, apr_int64_t seconds)
{
    imu_cookie_set_media(req, token, seconds);
    imu_cookie_set_session(req, token, seconds);
}

void imu_cookies_clear(imu_req *req)
{
    imu_cookies_set(req, "", 0);
}

const char *imu_cookie(imu_req *req, const char *name)
{
    return imu_cookie_find(req->p, apr_table_get(req->r->headers_in, "Cookie"), name);
}

int imu_same_origin(const imu_req *req)
{
    const char *site = apr_table_get(req->r->headers_in, "Sec-Fetch-Site");

    return site ? strcmp(site, "same-origin") == 0 : imu_origin_of(req) == IMU_ORIGIN_OURS;
}

int imu_cross_origin(const imu_req *req)
{
    const char *site = apr_table_get(req->r->headers_in, "Sec-Fetch-Site");

    if (site)
        return strcmp(site, "same-origin") != 0 && strcmp(site, "none") != 0;
    return imu_origin_of(req) == IMU_ORIGIN_FOREIGN;
}
