#include "mod_invokemu/auth/authenticate.h"

#include <string.h>
#include <http_log.h>
#include <http_protocol.h>

#include "mod_invokemu/auth/cookies.h"
#include "mod_invokemu/hosts.h"
#include "mod_invokemu/routes.h"

APLOG_USE_MODULE(invokemu);

#define RENEWED_HEADER "X-Refreshed-Token"

static int is_read(const imu_req *req)
{
    return req->r->method_number == M_GET;
}

static int needs_account(imu_access access)
{
    return access == IMU_ACCESS_ACCOUNT || access == IMU_ACCESS_ACCOUNT_DUE ||
           access == IMU_ACCESS_ACCOUNT_ADMIN;
}

static imu_err *not_signed_in(imu_req *req)
{
    return imu_error(req->p, 401, "not_signed_in", "Sign in to continue.");
}

imu_session_client imu_client_of(const imu_req *req)
{
    return (imu_session_client){.agent = apr_table_get(req->r->headers_in, "User-Agent"),
                                .address = req->r->useragent_ip,
                                .network = imu_network_of(req)};
}

/**
 * The token that this request may be judged by. An Authorization header stands alone, even when it
 * is of no use. The media cookie opens pictures and nothing else; the session cookie opens pictures
 * too, and everything to a page of our own origin.
 */
static const char *credential(imu_req *req, imu_via *via)
{
    int media = req->route->access == IMU_ACCESS_MEDIA && is_read(req);
    const char *token = NULL;

    *via = IMU_VIA_BEARER;
    if (apr_table_get(req->r->headers_in, "Authorization"))
        return imu_bearer_token(req);
    *via = IMU_VIA_COOKIE;
    if (media)
        token = imu_cookie(req, IMU_MEDIA_COOKIE);
    if (!token && (media || imu_same_origin(req)))
        token = imu_cookie(req, req->conf->cookie_name);
    return token;
}

/** Fills req->who from the credential. @return 401 without one that holds */
static imu_err *recognise(imu_req *req)
{
    imu_via via;
    const char *token = credential(req, &via);
    imu_session_client client = imu_client_of(req);
    imu_db *db;
    int touch_due = 0;
    imu_err *err;

    if (!token)
        return not_signed_in(req);
    if ((err = imu_req_db(req, &db)) ||
        (err = imu_session_check(db, req->p, token, &req->who, &touch_due)))
        return err;
    req->who.via = via;
    if (touch_due && (err = imu_session_touch(db, req->p, &req->who, &client)))
        /* The request itself is none the worse for it. */
        ap_log_rerror(APLOG_MARK, APLOG_WARNING, 0, req->r,
                      "IMU0203: last activity not written: %s", err->log ? err->log : err->detail);
    req->r->user = (char *)req->who.email;
    req->r->ap_auth_type = (char *)(via == IMU_VIA_BEARER ? "Bearer" : "Cookie");
    return NULL;
}

static imu_err *permit(imu_req *req)
{
    imu_access access = req->route->access;

    if (req->who.must_change_password && access != IMU_ACCESS_ACCOUNT_DUE)
        return imu_error(req->p, 403, "password_change_due",
                         "Choose a password of your own first.");
    if ((access == IMU_ACCESS_ADMIN || access == IMU_ACCESS_ACCOUNT_ADMIN) && !req->who.is_admin)
        return imu_error(req->p, 403, "not_admin", "This is for administrators.");
    return NULL;
}

/** Where nothing has to be proved, a page of another site could act through the browser that shows
 * it: sign somebody in as somebody else, or use a server in single-user mode. */
static imu_err *refuse_foreign_page(imu_req *req)
{
    int proof = req->inst->multiuser && req->route->access != IMU_ACCESS_PUBLIC;

    if (proof || is_read(req) || !imu_cross_origin(req))
        return NULL;
    return imu_error(req->p, 403, "foreign_page",
                     "Pages of other sites may not change anything here.");
}

imu_err *imu_authenticate(imu_req *req)
{
    imu_access access = req->route->access;
    imu_err *err = refuse_foreign_page(req);

    memset(&req->who, 0, sizeof req->who);
    if (err)
        return err;
    if (!req->inst->multiuser) {
        if (needs_account(access))
            return not_signed_in(req);
        imu_identity_system(&req->who);
        return NULL;
    }
    err = recognise(req);
    if (access == IMU_ACCESS_PUBLIC) {
        if (err)
            memset(&req->who, 0, sizeof req->who);
        return err && err->status != 401 ? err : NULL;
    }
    return err ? err : permit(req);
}

void imu_signed_in_anew(imu_req *req, const imu_session_token *token)
{
    imu_reply_header(req, RENEWED_HEADER, token->text);
    imu_cookies_set(req, token->text, token->seconds);
}

void imu_signed_out_here(imu_req *req)
{
    req->who.session_id = NULL;
    imu_cookies_clear(req);
}

/** The cookies carry tokens too. Those of this session that the browser has get the new one; a
 * client without any, and a browser where somebody else signed in meanwhile, keep what they have.
 */
static void renew_cookies(imu_req *req, imu_db *db, const imu_session_token *token)
{
    const char *media = imu_cookie(req, IMU_MEDIA_COOKIE);
    const char *session = imu_cookie(req, req->conf->cookie_name);

    if (media && imu_session_same(db, req->p, media, token->text))
        imu_cookie_set_media(req, token->text, token->seconds);
    if (session && imu_session_same(db, req->p, session, token->text))
        imu_cookie_set_session(req, token->text, token->seconds);
}

imu_err *imu_authenticate_after(imu_req *req)
{
    imu_session_token token;
    imu_db *db;
    imu_err *err;

    if (req->who.via != IMU_VIA_BEARER || !req->who.session_id || is_read(req) ||
        req->route->access == IMU_ACCESS_PUBLIC ||
        apr_table_get(req->r->err_headers_out, RENEWED_HEADER) ||
        apr_table_get(req->r->err_headers_out, "Set-Cookie"))
        return NULL;
    if (!(err = imu_req_db(req, &db)))
        err = imu_session_renew(db, req->p, imu_bearer_token(req), &req->who, &token);
    if (!err) {
        imu_reply_header(req, RENEWED_HEADER, token.text);
        renew_cookies(req, db, &token);
    } else {
        /* What was asked for is done; an answer that says otherwise would be wrong. */
        ap_log_rerror(APLOG_MARK, APLOG_WARNING, 0, req->r, "IMU0204: session not renewed: %s",
                      err->log ? err->log : err->detail);
    }
    return NULL;
}
