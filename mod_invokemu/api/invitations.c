/*
 * invitations.c: links to choose a password by. An administrator hands the link over; the person
 * redeems it once.
 */
#include "mod_invokemu/api/handlers.h"

#include <string.h>

#include "mod_invokemu/api/accounts.h"
#include "mod_invokemu/api/audit.h"
#include "mod_invokemu/api/mail.h"
#include "mod_invokemu/events/account_news.h"
#include "mod_invokemu/events/publish.h"
#include "mod_invokemu/hosts.h"
#include "mod_invokemu/store/invitations.h"

#define TOKEN_MAX 200

static imu_err *make_link(imu_req *req, imu_db *db, const imu_rows *user, int hours,
                          const char **link)
{
    const char *token;
    imu_err *err = imu_invitation_create(db, req->p, user, req->who.user_id, hours, &token);

    if (!err)
        *link = imu_page_link(req, IMU_INVITE_PAGE, token);
    return err;
}

static void audit_link(imu_req *req, imu_audit_action action, const imu_rows *user)
{
    imu_audit(req, (imu_audit_fact){.action = action,
                                    .target_id = imu_text(user, 0, "user_id"),
                                    .target_name = imu_text(user, 0, "email")});
}

imu_err *imu_invite(imu_req *req, imu_db *db, const imu_rows *user)
{
    const char *link;
    imu_err *err = make_link(req, db, user, IMU_INVITATION_HOURS, &link);
    int mailed;

    if (err)
        return err;
    audit_link(req, IMU_AUDIT_INVITED, user);
    mailed = imu_mail_account_link(req, db, user, link);
    return imu_reply_json(req, 201,
                          json_pack("{s:o, s:s, s:b}", "user", imu_account_json(user, 0),
                                    "invitation_link", link, "mailed", mailed));
}

/** POST /users/{user_id}/reset-password: a link; the present password stays until it is redeemed.
 * Where there is none yet, it is an invitation, as the one before it was. */
imu_err *imu_api_user_reset_password(imu_req *req)
{
    const char *link;
    imu_rows *user;
    imu_db *db;
    imu_err *err;
    int mailed, invited;

    if ((err = imu_named_account(req, &user)) || (err = imu_user_check_link(req->p, user)) ||
        (err = imu_req_db(req, &db)))
        return err;
    invited = imu_user_is_invited(user);
    if ((err = make_link(req, db, user, invited ? IMU_INVITATION_HOURS : IMU_RESET_HOURS, &link)))
        return err;
    audit_link(req, invited ? IMU_AUDIT_INVITED : IMU_AUDIT_RESET_LINK, user);
    mailed = imu_mail_account_link(req, db, user, link);
    return imu_reply_json(req, 200,
                          json_pack("{s:b, s:s, s:b, s:s}", "success", 1, "reset_link", link,
                                    "mailed", mailed, "purpose", invited ? "invitation" : "reset"));
}

/** GET /invitations: the links that nobody has used yet. */
imu_err *imu_api_invitations(imu_req *req)
{
    json_t *list;
    imu_rows *rows;
    imu_db *db;
    imu_err *err = imu_req_db(req, &db);

    if (err || (err = imu_invitation_list(db, req->p, &rows)))
        return err;
    list = json_array();
    for (int i = 0; i < rows->count; i++)
        json_array_append_new(list, imu_invitation_json(rows, i));
    return imu_reply_json(req, 200, json_pack("{s:o}", "invitations", list));
}

/** POST /invitations {email, display_name?, is_admin?}: an account and the link to it. */
imu_err *imu_api_invitations_create(imu_req *req)
{
    imu_rows *user;
    int invited;
    imu_db *db;
    imu_err *err;

    if ((err = imu_account_new(req, IMU_FORM_INVITATION, &invited, &user)) ||
        (err = imu_req_db(req, &db)))
        return err;
    return imu_invite(req, db, user);
}

/** DELETE /invitations/{invitation_id}: the link stops working. {success, account_deleted}. */
imu_err *imu_api_invitation_delete(imu_req *req)
{
    const char *id = imu_param(req, "invitation_id");
    imu_account_news news;
    imu_rows *user;
    imu_db *db;
    imu_err *err;
    int gone;

    if ((err = imu_req_db(req, &db)) || (err = imu_invitation_open(db, req->p, id, &user)) ||
        (err = imu_account_news_read(db, req->p, imu_text(user, 0, "user_id"), NULL, &news)) ||
        (err = imu_invitation_end(db, req->p, id, &user)))
        return err;
    audit_link(req, IMU_AUDIT_LINK_ENDED, user);
    gone = strcmp(imu_text(user, 0, "purpose"), "invitation") == 0;
    if (gone) {
        audit_link(req, IMU_AUDIT_ACCOUNT_DELETED, user);
        imu_account_tell_moved(&news);
    }
    imu_publish_user_changed(imu_text(user, 0, "user_id"));
    return imu_reply_json(req, 200, json_pack("{s:b, s:b}", "success", 1, "account_deleted", gone));
}

/* The body of those who hold a link: its token, and the new password or what the link is for where
 * one is expected. */
static imu_err *read_link(imu_req *req, const char **token, const char **password,
                          const char **purpose)
{
    static const char *const purposes[] = {"password", "email", NULL};
    imu_check *c;
    json_t *body;
    imu_err *err;

    if (!req->inst->multiuser)
        return imu_error(req->p, 403, "single_user",
                         "This server runs in single-user mode: there is nothing to sign in to.");
    if ((err = imu_body_object(req, &body)))
        return err;
    c = imu_check_new(req->p, "body");
    *token = imu_check_text(c, body, "token", IMU_REQUIRED, 1, TOKEN_MAX);
    if (password)
        *password = imu_check_text(c, body, "password", IMU_REQUIRED, 0, IMU_PASSWORD_BODY);
    if (purpose)
        *purpose = imu_check_choice(c, body, "purpose", 0, purposes);
    return imu_check_end(c);
}

/** POST /auth/check-link {token, purpose?}: {success, email}, or why the link doesn't work. Changes
 * nothing; whoever holds a link that works learns by it what redeeming would tell. */
imu_err *imu_api_auth_check_link(imu_req *req)
{
    const char *token, *purpose;
    int of_email;
    imu_rows *rows;
    imu_db *db;
    imu_err *err;

    if ((err = read_link(req, &token, NULL, &purpose)) || (err = imu_req_db(req, &db)))
        return err;
    of_email = purpose && strcmp(purpose, "email") == 0;
    err = of_email ? imu_email_change_find(db, req->p, token, &rows)
                   : imu_invitation_account(db, req->p, token, &rows);
    if (err) {
        imu_audit_dead_link(req, of_email ? IMU_AUDIT_EMAIL_CHANGED : IMU_AUDIT_LINK_REDEEMED, rows,
                            err);
        return err;
    }
    return imu_reply_json(req, 200,
                          json_pack("{s:b, s:s}", "success", 1, "email",
                                    imu_text(rows, 0, of_email ? "new_email" : "email")));
}

/** {token, password}: {success, email}, so that the page can sign in. */
static imu_err *redeem(imu_req *req)
{
    const char *token, *password, *hash, *user_id;
    imu_rows *account;
    imu_db *db;
    imu_err *err;

    if ((err = read_link(req, &token, &password, NULL)) || (err = imu_req_db(req, &db)))
        return err;
    if ((err = imu_invitation_account(db, req->p, token, &account))) {
        imu_audit_dead_link(req, IMU_AUDIT_LINK_REDEEMED, account, err);
        return err;
    }
    if ((err = imu_new_password(req, password, imu_text(account, 0, "email"),
                                imu_text(account, 0, "display_name"), &hash)))
        return err;
    /* It may have been used or ended while the password was hashed. */
    if ((err = imu_invitation_redeem(db, req->p, account, hash, imu_network_of(req)))) {
        imu_audit_dead_link(req, IMU_AUDIT_LINK_REDEEMED, account, err);
        return err;
    }
    user_id = imu_text(account, 0, "user_id");
    imu_audit(req, (imu_audit_fact){.action = IMU_AUDIT_LINK_REDEEMED,
                                    .user_id = user_id,
                                    .user_email = imu_text(account, 0, "email"),
                                    .target_id = user_id,
                                    .target_name = imu_text(account, 0, "email")});
    imu_publish_user_changed(user_id);
    return imu_reply_json(
        req, 200, json_pack("{s:b, s:s}", "success", 1, "email", imu_text(account, 0, "email")));
}

/** POST /auth/accept-invitation. */
imu_err *imu_api_auth_accept_invitation(imu_req *req)
{
    return redeem(req);
}

/** POST /auth/reset-password: the same for a link that replaces a password. */
imu_err *imu_api_auth_reset_password(imu_req *req)
{
    return redeem(req);
}
