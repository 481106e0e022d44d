/*
 * mail.c: links that are mailed: to those who forgot their password, and to a new address; and the
 * state of the queue for administrators.
 */
#include "mod_invokemu/api/mail.h"

#include <string.h>
#include <http_core.h>
#include <http_log.h>
#include <apr_strings.h>

#include "mod_invokemu/api/accounts.h"
#include "mod_invokemu/api/audit.h"
#include "mod_invokemu/api/handlers.h"
#include "mod_invokemu/auth/throttle.h"
#include "mod_invokemu/events/publish.h"
#include "mod_invokemu/hosts.h"

APLOG_USE_MODULE(invokemu);

#define TOKEN_MAX 200

const char *imu_page_link(imu_req *req, const char *page, const char *token)
{
    const char *path = apr_pstrcat(req->p, page, token, NULL);

    return req->inst->public_url ? apr_pstrcat(req->p, req->inst->public_url, path, NULL)
                                 : ap_construct_url(req->p, path, req->r);
}

/* What was made stays when no mail can tell of it. */
static int waits(imu_req *req, const imu_rows *user, const char *kind, const imu_err *err)
{
    if (err)
        ap_log_rerror(APLOG_MARK, APLOG_ERR, 0, req->r, "IMU0208: no mail (%s) to %s: %s", kind,
                      imu_text(user, 0, "user_id"), err->log ? err->log : err->detail);
    return !err;
}

int imu_mail_link(imu_req *req, imu_db *db, const char *kind, const imu_rows *user,
                  const char *link)
{
    if (!req->inst->mail.on)
        return 0;
    return waits(req, user, kind,
                 imu_mail_add(db, req->p, kind, imu_text(user, 0, "email"),
                              imu_text(user, 0, "display_name"), link));
}

int imu_mail_account_link(imu_req *req, imu_db *db, const imu_rows *user, const char *link)
{
    const char *name = req->who.display_name;

    if (!req->inst->mail.on)
        return 0;
    return waits(req, user, "link",
                 imu_mail_add_link(db, req->p, user, link, name && *name ? name : req->who.email));
}

void imu_mail_changed_address(imu_req *req, imu_db *db, const imu_rows *before)
{
    /* Who never signed in there has nothing to be told. */
    if (imu_text(before, 0, "last_login_at"))
        imu_mail_link(req, db, IMU_MAIL_EMAIL_CHANGED, before, NULL);
}

static imu_err *mail_off(imu_req *req)
{
    return imu_error(req->p, 404, "mail_off",
                     "This server sends no mail. Ask an administrator: they can make a link for a "
                     "new password and change an address.");
}

static imu_err *success(imu_req *req)
{
    return imu_reply_json(req, 200, json_pack("{s:b}", "success", 1));
}

/**
 * POST /auth/forgot-password {email}. Nothing is looked up: the request is put into the queue as it
 * is, and answered alike, whoever's address it names. Who sends the mails looks for the account.
 */
imu_err *imu_api_auth_forgot_password(imu_req *req)
{
    imu_network_past past;
    const char *email;
    imu_check *c;
    json_t *body;
    imu_db *db;
    imu_err *err;

    if (!req->inst->multiuser || !req->inst->mail.on)
        return mail_off(req);
    if ((err = imu_body_object(req, &body)))
        return err;
    c = imu_check_new(req->p, "body");
    email = imu_check_email(c, req->p, body, "email");
    if ((err = imu_check_end(c)) || (err = imu_req_db(req, &db)) ||
        (err = imu_session_network_past(db, req->p, NULL, imu_network_of(req), &past)) ||
        (err = imu_throttle_mail(req, email, past == IMU_NETWORK_NEW)) ||
        (err = imu_mail_add(db, req->p, IMU_MAIL_FORGOT, email, NULL, NULL)))
        return err;
    imu_audit(req, (imu_audit_fact){
                       .action = IMU_AUDIT_RESET_ASKED, .user_email = email, .target_name = email});
    return success(req);
}

/** POST /auth/change-email {email, current_password}: a link goes to the new address. */
imu_err *imu_api_auth_change_email(imu_req *req)
{
    const char *email, *current, *hash, *token;
    imu_check *c;
    json_t *body;
    imu_db *db;
    imu_err *err;

    if (!req->inst->mail.on)
        return mail_off(req);
    if ((err = imu_body_object(req, &body)))
        return err;
    c = imu_check_new(req->p, "body");
    email = imu_check_email(c, req->p, body, "email");
    current = imu_check_text(c, body, "current_password", IMU_REQUIRED, 0, IMU_PASSWORD_BODY);
    if ((err = imu_check_end(c)) || (err = imu_req_db(req, &db)) ||
        (err = imu_confirm_password(req, db, IMU_AUDIT_EMAIL_ASKED, current, &hash)))
        return err;
    if (strcmp(email, req->who.email) == 0)
        return imu_error(req->p, 400, "email_same", "You sign in with that address already.");
    /* Whether somebody else has it is told to the one who opens the link: it is theirs then. */
    if ((err = imu_throttle_mail(req, email, 0)) ||
        (err = imu_email_change_ask(db, req->p, req->who.user_id, email, &token)) ||
        (err = imu_mail_add(db, req->p, IMU_MAIL_EMAIL_CHANGE, email, NULL,
                            imu_page_link(req, IMU_EMAIL_PAGE, token))))
        return err;
    imu_audit(req, (imu_audit_fact){.action = IMU_AUDIT_EMAIL_ASKED,
                                    .target_id = req->who.user_id,
                                    .target_name = req->who.email,
                                    .detail = json_pack("{s:s}", "to", email)});
    return success(req);
}

/** POST /auth/confirm-email {token}: {success, email}. */
imu_err *imu_api_auth_confirm_email(imu_req *req)
{
    const char *token, *email, *user_id;
    imu_rows *change;
    imu_check *c;
    json_t *body;
    imu_db *db;
    imu_err *err;

    if ((err = imu_body_object(req, &body)))
        return err;
    c = imu_check_new(req->p, "body");
    token = imu_check_text(c, body, "token", IMU_REQUIRED, 1, TOKEN_MAX);
    if ((err = imu_check_end(c)) || (err = imu_req_db(req, &db)))
        return err;
    if ((err = imu_email_change_confirm(db, req->p, token, &change))) {
        imu_audit_dead_link(req, IMU_AUDIT_EMAIL_CHANGED, change, err);
        return err;
    }
    email = imu_text(change, 0, "new_email");
    user_id = imu_text(change, 0, "user_id");
    imu_audit(req,
              (imu_audit_fact){.action = IMU_AUDIT_EMAIL_CHANGED,
                               .user_id = user_id,
                               .user_email = imu_text(change, 0, "email"),
                               .target_id = user_id,
                               .target_name = email,
                               .detail = json_pack("{s:s}", "from", imu_text(change, 0, "email"))});
    imu_mail_changed_address(req, db, change);
    imu_publish_user_changed(user_id);
    return imu_reply_json(req, 200, json_pack("{s:b, s:s}", "success", 1, "email", email));
}

static json_t *mail_json(const imu_rows *rows, int i)
{
    static const char *const texts[] = {
        "kind",     "to_address", "state", "created_at", "next_attempt_at",
        "ended_at", "last_error", NULL};
    json_t *one = json_pack("{s:I, s:I}", "mail_id", (json_int_t)imu_int(rows, i, "mail_id"),
                            "attempts", (json_int_t)imu_int(rows, i, "attempts"));

    imu_json_set_texts(one, rows, i, texts);
    return one;
}

/** GET /mail: how many mails wait, were sent and failed, and those that did not arrive. */
imu_err *imu_api_mail(imu_req *req)
{
    imu_rows *counts, *rows;
    json_t *list;
    imu_db *db;
    imu_err *err = imu_req_db(req, &db);

    if (err || (err = imu_mail_overview(db, req->p, &counts, &rows)))
        return err;
    list = json_array();
    for (int i = 0; i < rows->count; i++)
        json_array_append_new(list, mail_json(rows, i));
    return imu_reply_json(req, 200,
                          json_pack("{s:b, s:I, s:I, s:I, s:o}", "enabled", req->inst->mail.on,
                                    "waiting", (json_int_t)imu_int(counts, 0, "waiting"), "sent",
                                    (json_int_t)imu_int(counts, 0, "sent"), "failed",
                                    (json_int_t)imu_int(counts, 0, "failed"), "mails", list));
}

/** POST /mail/{mail_id}/send-again: a mail that was given up, with a new link; or one that waits,
 * at once. */
imu_err *imu_api_mail_again(imu_req *req)
{
    apr_int64_t mail_id;
    imu_rows *mail;
    imu_db *db;
    imu_err *err;

    if (!req->inst->mail.on)
        return mail_off(req);
    if ((err = imu_param_int(req, "mail_id", &mail_id)) || (err = imu_req_db(req, &db)) ||
        (err = imu_mail_again(db, req->p, mail_id, req->who.user_id, imu_page_link(req, "", ""),
                              &mail)))
        return err;
    imu_audit(req,
              (imu_audit_fact){.action = IMU_AUDIT_MAIL_AGAIN,
                               .target_id = imu_param(req, "mail_id"),
                               .target_name = imu_text(mail, 0, "to_address"),
                               .detail = json_pack("{s:s}", "kind", imu_text(mail, 0, "kind"))});
    return success(req);
}
