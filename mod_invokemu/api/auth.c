/*
 * auth.c: set-up, signing in and out, and the own account.
 */
#include "mod_invokemu/api/handlers.h"

#include <string.h>
#include <http_log.h>
#include <apr_strings.h>

#include "mod_invokemu/api/accounts.h"
#include "mod_invokemu/api/audit.h"
#include "mod_invokemu/api/legacy.h"
#include "mod_invokemu/auth/authenticate.h"
#include "mod_invokemu/auth/cookies.h"
#include "mod_invokemu/auth/core_email.h"
#include "mod_invokemu/auth/core_password.h"
#include "mod_invokemu/auth/throttle.h"
#include "mod_invokemu/config_admin.h"
#include "mod_invokemu/events/publish.h"
#include "mod_invokemu/hosts.h"
#include "mod_invokemu/store/legacy.h"
#include "mod_invokemu/store/users.h"
#include "mod_invokemu/util/clock.h"

APLOG_USE_MODULE(invokemu);

static const char *welcome_of(const imu_instance *inst)
{
    return strcmp(inst->welcome, IMU_ADMIN_NONE) == 0 ? NULL : inst->welcome;
}

/** GET /auth/status: whether a first administrator is wanted, and by which rules. */
imu_err *imu_api_auth_status(imu_req *req)
{
    apr_int64_t admins = 1;
    json_t *legacy = NULL;
    imu_rows *counts;
    imu_db *db;
    imu_err *err;

    if (req->inst->multiuser &&
        ((err = imu_req_db(req, &db)) || (err = imu_user_count_admins(db, req->p, &admins)) ||
         (err = admins == 0 ? imu_legacy_count(db, req->p, &counts) : NULL)))
        return err;
    /* Whoever sets up says who receives what is there already; nobody else is told of it. */
    if (admins == 0)
        legacy = imu_legacy_json(counts);
    return imu_reply_json(
        req, 200,
        json_pack("{s:b, s:b, s:b, s:i, s:b, s:o, s:s?, s:n}", "setup_required", admins == 0,
                  "multiuser_enabled", req->inst->multiuser, "strict_password_checking",
                  req->inst->strict_passwords, "password_min_length", req->inst->password_length,
                  "mail_enabled", req->inst->multiuser && req->inst->mail.on, "legacy_data",
                  legacy ? legacy : json_null(), "welcome",
                  req->inst->multiuser ? welcome_of(req->inst) : NULL, "admin_email"));
}

/* What the set-up says. */
typedef struct first_admin {
    const char *email, *name, *hash;
    int receives; /* what was made before there were accounts */
} first_admin;

static imu_err *single_user(imu_req *req)
{
    return imu_error(req->p, 403, "single_user",
                     "This server runs in single-user mode: there is nothing to sign in to.");
}

/* The first administrator, who receives what is there already if they say so. Inside a transaction.
 */
static imu_err *create_first(imu_req *req, imu_db *db, const first_admin *a, const char **user_id,
                             imu_rows **received)
{
    imu_err *err = imu_user_create_first_admin(db, req->p, a->email, a->name, a->hash, user_id);

    return err || !a->receives ? err : imu_legacy_assign(db, req->p, *user_id, received);
}

static imu_err *set_up(imu_req *req, imu_db *db, const first_admin *a, const char **user_id)
{
    imu_rows *received = NULL;
    imu_err *err = imu_db_begin(db);

    if (!err)
        err = imu_db_end(db, create_first(req, db, a, user_id, &received));
    if (err)
        return err;
    imu_audit(req, (imu_audit_fact){.action = IMU_AUDIT_SET_UP,
                                    .user_id = *user_id,
                                    .user_email = a->email,
                                    .target_id = *user_id,
                                    .target_name = a->email});
    if (received && imu_legacy_any(received))
        imu_legacy_noted(req, *user_id, a->email, received);
    return NULL;
}

/** POST /auth/setup: the first administrator. */
imu_err *imu_api_auth_setup(imu_req *req)
{
    static const char *const heirs[] = {"me", "later", NULL};
    const char *password, *user_id;
    first_admin a;
    apr_int64_t admins = 0;
    imu_rows *user;
    imu_check *c;
    json_t *body;
    imu_db *db;
    imu_err *err;

    if (!req->inst->multiuser)
        return single_user(req);
    if ((err = imu_body_object(req, &body)))
        return err;
    c = imu_check_new(req->p, "body");
    a.email = imu_check_email(c, req->p, body, "email");
    a.name = imu_check_name(c, req->p, body);
    password = imu_check_text(c, body, "password", IMU_REQUIRED, 0, IMU_PASSWORD_BODY);
    a.receives = imu_check_choice(c, body, "legacy_data", IMU_NULLABLE, heirs) == heirs[0];
    if ((err = imu_check_end(c)) || (err = imu_req_db(req, &db)) ||
        (err = imu_user_count_admins(db, req->p, &admins)))
        return err;
    /* Looked at before the costly hash, and again inside the transaction that creates. */
    if (admins > 0)
        return imu_error(req->p, 400, "setup_done", "This server already has an administrator.");
    /* Nobody has proved anything yet, and no cookie ties a browser to this name. */
    if ((err = imu_host_check(req)) ||
        (err = imu_new_password(req, password, a.email, a.name, &a.hash)) ||
        (err = set_up(req, db, &a, &user_id)) || (err = imu_user_get(db, req->p, user_id, &user)))
        return err;
    return imu_reply_json(req, 200,
                          json_pack("{s:b, s:o}", "success", 1, "user", imu_account_json(user, 0)));
}

/** One line for each failed sign-in, in a form that fail2ban can read (see the administrator's
 * guide). */
static void log_failure(imu_req *req, const char *email, const char *why)
{
    ap_log_rerror(APLOG_MARK, APLOG_NOTICE, 0, req->r,
                  "IMU0201: sign-in failed for \"%s\" from %s: %s", email, req->r->useragent_ip,
                  why);
}

/** The line of an attempt that a limit stopped. fail2ban must not count it where others may have
 * used that limit up: they could have the address of whom they keep out banned too. */
static void log_limited(imu_req *req, const imu_attempt *attempt)
{
    if (!attempt->by_others) {
        log_failure(req, attempt->account, "too many attempts");
        return;
    }
    ap_log_rerror(
        APLOG_MARK, APLOG_NOTICE, 0, req->r,
        "IMU0209: sign-in not tried for \"%s\" from %s: too many attempts, maybe of others",
        attempt->account, req->r->useragent_ip);
}

/** An entry in the audit log. user: whose address it is; no rows for nobody's. */
static void note_failure(imu_req *req, imu_audit_action action, const imu_rows *user,
                         const char *email, const char *why)
{
    imu_audit(req, (imu_audit_fact){.action = action,
                                    .refused = 1,
                                    .user_email = email,
                                    .target_id = imu_text(user, 0, "user_id"),
                                    .target_name = email,
                                    .detail = json_pack("{s:s}", "reason", why)});
}

/** That, and a line in the error log. */
static void tell_failure(imu_req *req, imu_audit_action action, const imu_rows *user,
                         const char *email, const char *why)
{
    log_failure(req, email, why);
    note_failure(req, action, user, email, why);
}

static imu_err *wrong_credentials(imu_req *req, const imu_rows *user, const imu_attempt *attempt)
{
    const char *why = attempt->in_vain ? "too many attempts" : "wrong address or password";

    if (attempt->in_vain)
        log_limited(req, attempt);
    else
        log_failure(req, attempt->account, why);
    note_failure(req, IMU_AUDIT_SIGN_IN, user, attempt->account, why);
    return imu_error(req->p, 401, "bad_credentials", "Incorrect email or password");
}

/** Looks up the account and checks the password, in the same time whether there is such an account
 * or not. */
static imu_err *check_credentials(imu_req *req, imu_db *db, const char *email, const char *password,
                                  imu_rows **user)
{
    imu_attempt attempt = {.account = email};
    int right = 0;
    imu_err *err = imu_session_network_past(db, req->p, email, imu_network_of(req), &attempt.past);

    if (err)
        return err;
    if ((err = imu_throttle_sign_in(req, &attempt))) {
        if (err->status == 429)
            log_limited(req, &attempt);
        return err;
    }
    if (!(err = imu_user_secret_by_email(db, req->p, email, user)))
        err =
            imu_check_password(req, attempt.past == IMU_NETWORK_NEW, password,
                               (*user)->count ? imu_text(*user, 0, "password_hash") : NULL, &right);
    if (imu_error_is(err, IMU_HASHING_BUSY))
        imu_throttle_sign_in_turned_away(req, &attempt);
    else if (err || (right && !attempt.in_vain))
        imu_throttle_sign_in_back(req, &attempt);
    if (err)
        return err;
    if (!right || attempt.in_vain)
        return wrong_credentials(req, *user, &attempt);
    if (!imu_bool(*user, 0, "is_active")) {
        tell_failure(req, IMU_AUDIT_SIGN_IN, *user, email, "account suspended");
        return imu_error(req->p, 403, "account_disabled",
                         "This account is suspended. Ask an administrator.");
    }
    return NULL;
}

/** POST /auth/login. */
imu_err *imu_api_auth_login(imu_req *req)
{
    imu_session_client client = imu_client_of(req);
    imu_session_token token;
    const char *email, *password;
    int remember;
    imu_rows *user;
    imu_check *c;
    json_t *body;
    imu_db *db;
    imu_err *err;

    if (!req->inst->multiuser)
        return single_user(req);
    if ((err = imu_body_object(req, &body)))
        return err;
    c = imu_check_new(req->p, "body");
    email = imu_check_email(c, req->p, body, "email");
    password = imu_check_text(c, body, "password", IMU_REQUIRED, 0, IMU_PASSWORD_BODY);
    remember = imu_check_bool(c, body, "remember_me", IMU_NULLABLE, 0);
    if ((err = imu_check_end(c)) || (err = imu_req_db(req, &db)) ||
        (err = check_credentials(req, db, email, password, &user)) ||
        (err = imu_session_open(db, req->p, user, remember, &client, &token)) ||
        (err = imu_user_get(db, req->p, imu_text(user, 0, "user_id"), &user)))
        return err;
    imu_cookies_set(req, token.text, token.seconds);
    imu_audit(req, (imu_audit_fact){.action = IMU_AUDIT_SIGN_IN,
                                    .user_id = imu_text(user, 0, "user_id"),
                                    .user_email = email,
                                    .target_id = imu_text(user, 0, "user_id"),
                                    .target_name = email});
    return imu_reply_json(req, 200,
                          json_pack("{s:s, s:o, s:I, s:I}", "token", token.text, "user",
                                    imu_account_json(user, 0), "expires_in",
                                    (json_int_t)token.seconds, "expires_at",
                                    (json_int_t)apr_time_sec(token.expires_at)));
}

static imu_err *success(imu_req *req)
{
    return imu_reply_json(req, 200, json_pack("{s:b}", "success", 1));
}

/** POST /auth/logout: ends this session for good. */
imu_err *imu_api_auth_logout(imu_req *req)
{
    imu_db *db;
    imu_err *err = imu_req_db(req, &db);

    if (err || (err = imu_session_end(db, req->p, req->who.user_id, req->who.session_id, NULL)))
        return err;
    imu_audit_own(req, IMU_AUDIT_SIGN_OUT);
    imu_signed_out_here(req);
    imu_publish_user_changed(req->who.user_id);
    return success(req);
}

/** POST /auth/media-cookie: the cookies again, for as long as the token that asks has left. */
imu_err *imu_api_auth_media_cookie(imu_req *req)
{
    apr_int64_t left;

    if (req->who.via == IMU_VIA_SYSTEM)
        return success(req);
    if (req->who.via != IMU_VIA_BEARER)
        return imu_error(req->p, 401, "not_signed_in", "Sign in to continue.");
    left = apr_time_sec(req->who.expires_at - imu_clock_now());
    imu_cookies_set(req, imu_bearer_token(req), left);
    return success(req);
}

/** GET /auth/me. */
imu_err *imu_api_auth_me(imu_req *req)
{
    imu_rows *user;
    imu_db *db;
    imu_err *err = imu_req_db(req, &db);

    if (err || (err = imu_user_get(db, req->p, req->who.user_id, &user)))
        return err;
    return imu_reply_json(req, 200, imu_account_json(user, 0));
}

imu_err *imu_confirm_password(imu_req *req, imu_db *db, imu_audit_action action,
                              const char *current, const char **hash)
{
    imu_rows *user;
    int right = 0;
    imu_err *err;

    if (!current)
        return imu_error(req->p, 400, "current_password_missing",
                         "Give your current password too.");
    if ((err = imu_throttle_confirm(req)))
        return err;
    if (!(err = imu_user_secret_by_id(db, req->p, req->who.user_id, &user)))
        err =
            imu_check_password(req, 0, current, *hash = imu_text(user, 0, "password_hash"), &right);
    if (err || right) {
        imu_throttle_confirm_back(req);
        return err;
    }
    tell_failure(req, action, user, req->who.email, "wrong current password");
    return imu_error(req->p, 400, "current_password_wrong", "The current password is not right.");
}

static imu_err *change_profile(imu_req *req, const char *name, const char *current,
                               const char *password)
{
    imu_user_change change = {name, NULL, IMU_KEEP, IMU_KEEP, IMU_KEEP, NULL};
    const char *hash_was = NULL;
    imu_rows *user;
    imu_db *db;
    imu_err *err = imu_req_db(req, &db);

    if (!err && password) {
        change.must_change_password = 0;
        if (!(err = imu_confirm_password(req, db, IMU_AUDIT_PASSWORD_CHANGED, current, &hash_was)))
            err = imu_new_password(req, password, req->who.email,
                                   name ? name : req->who.display_name, &change.password_hash);
        if (!err && current && strcmp(current, password) == 0 && req->who.must_change_password)
            err = imu_error(req->p, 400, "password_same",
                            "Choose another password than the one you were given.");
    }
    if (err || (err = imu_account_store(req, db, req->who.user_id, &change, hash_was, &user)))
        return err;
    if (name)
        imu_audit_own(req, IMU_AUDIT_ACCOUNT_CHANGED);
    if (password)
        imu_audit_own(req, IMU_AUDIT_PASSWORD_CHANGED);
    return NULL;
}

/** PATCH /auth/me: name and password, nothing else; other fields are left unread as upstream does.
 */
imu_err *imu_api_auth_me_patch(imu_req *req)
{
    const char *name, *current, *password;
    imu_check *c;
    json_t *body;
    imu_err *err = imu_body_object(req, &body);

    if (err)
        return err;
    c = imu_check_new(req->p, "body");
    name = imu_check_name(c, req->p, body);
    current = imu_check_text(c, body, "current_password", IMU_NULLABLE, 0, IMU_PASSWORD_BODY);
    password = imu_check_text(c, body, "new_password", IMU_NULLABLE, 0, IMU_PASSWORD_BODY);
    if ((err = imu_check_end(c)) || (err = change_profile(req, name, current, password)))
        return err;
    return imu_api_auth_me(req);
}

/** POST /auth/change-password. */
imu_err *imu_api_auth_change_password(imu_req *req)
{
    const char *current, *password;
    imu_check *c;
    json_t *body;
    imu_err *err = imu_body_object(req, &body);

    if (err)
        return err;
    c = imu_check_new(req->p, "body");
    current = imu_check_text(c, body, "current_password", IMU_REQUIRED, 0, IMU_PASSWORD_BODY);
    password = imu_check_text(c, body, "new_password", IMU_REQUIRED, 0, IMU_PASSWORD_BODY);
    if ((err = imu_check_end(c)) || (err = change_profile(req, NULL, current, password)))
        return err;
    return success(req);
}

/** GET /auth/generate-password. */
imu_err *imu_api_auth_generate_password(imu_req *req)
{
    return imu_reply_json(req, 200, json_pack("{s:s}", "password", imu_password_generate(req->p)));
}
