/*
 * links.c: links by which people choose a password: invitations and resets.
 */
#include "cli/cli.h"

#include <stdio.h>
#include <string.h>

#include <apr_strings.h>
#include <apr_uri.h>

#include "mod_invokemu/auth/core_email.h"
#include "mod_invokemu/auth/identity.h"
#include "mod_invokemu/events/account_news.h"
#include "mod_invokemu/events/publish.h"
#include "mod_invokemu/store/invitations.h"
#include "mod_invokemu/store/mail.h"
#include "mod_invokemu/util/person.h"

static int is_http(apr_pool_t *p, const char *url)
{
    apr_uri_t uri;

    return imu_is_visible_word(url) && !strpbrk(url, "\"<>\\^`{|}#") &&
           apr_uri_parse(p, url, &uri) == APR_SUCCESS && uri.scheme && uri.hostname &&
           *uri.hostname && (strcmp(uri.scheme, "http") == 0 || strcmp(uri.scheme, "https") == 0);
}

/* --url without its last slash, or InvokeMUPublicURL; "" without either, since nothing else says
 * under which name people reach the server. */
static imu_err *address(cli *c, const char **url)
{
    apr_size_t len;

    *url = c->server.public_url ? c->server.public_url : "";
    if (!c->opt.url)
        return NULL;
    if (!is_http(c->p, c->opt.url))
        return imu_error(c->p, 422, CLI_NOT_UNDERSTOOD,
                         "--url takes an address such as "
                         "https://pictures.example.org");
    len = strlen(c->opt.url);
    *url = apr_pstrmemdup(c->p, c->opt.url, len - (c->opt.url[len - 1] == '/'));
    return NULL;
}

/* Puts the link into the queue of mails of a server that has a mail server. What was made stays
 * when that fails. @return 1 when it waits there */
static int mail(cli *c, const imu_rows *user, const char *link)
{
    imu_err *err;

    if (!c->server.mail)
        return 0;
    err = imu_mail_add_link(c->db, c->p, user, link, NULL);
    if (err)
        cli_complain(c, "done, but no mail is sent: %s", err->log ? err->log : err->detail);
    return !err;
}

/* Makes the link of the account in *user, writes it down, mails and prints it. */
static imu_err *hand_out(cli *c, const imu_rows *user, imu_audit_action action, int hours)
{
    const char *id = imu_text(user, 0, "user_id"), *email = imu_text(user, 0, "email");
    const char *token, *url, *link;
    imu_err *err = address(c, &url);
    int mailed;

    if (!err)
        err = imu_invitation_create(c->db, c->p, user, IMU_SYSTEM_USER, hours, &token);
    if (err)
        return err;
    cli_note(c, (imu_audit_fact){.action = action, .target_id = id, .target_name = email});
    link = apr_pstrcat(c->p, url, IMU_INVITE_PAGE, token, NULL);
    mailed = mail(c, user, link);
    if (!c->opt.json)
        cli_say(c, "%s", link);
    cli_done(c,
             json_pack("{s:s, s:s, s:s, s:i, s:b}", "user_id", id, "email", email, "link", link,
                       "hours", hours, "mailed", mailed),
             "Whoever opens this%s chooses the password of %s, once, within %d hours.%s",
             *url ? "" : " (behind the address of your server)", email, hours,
             mailed ? " It is mailed to them too." : "");
    return NULL;
}

imu_err *cli_invite(cli *c)
{
    const char *email, *id, *url;
    imu_rows *user;
    imu_err *err = address(c, &url);

    if (err)
        return err;
    if (!(email = imu_email_normal(c->p, c->opt.email)))
        return imu_error(c->p, 422, "email", "\"%s\" is not an e-mail address", c->opt.email);
    if ((err = imu_user_create(c->db, c->p, email, c->opt.name, IMU_NO_PASSWORD, c->opt.admin == 1,
                               0, &id)))
        return err;
    cli_note(c, (imu_audit_fact){.action = IMU_AUDIT_ACCOUNT_CREATED,
                                 .target_id = id,
                                 .target_name = email,
                                 .detail = json_pack("{s:b}", "is_admin", c->opt.admin == 1)});
    if ((err = imu_user_get(c->db, c->p, id, &user)))
        return err;
    return hand_out(c, user, IMU_AUDIT_INVITED, IMU_INVITATION_HOURS);
}

imu_err *cli_reset(cli *c)
{
    imu_rows *user;
    imu_err *err = cli_account(c, c->opt.email, &user);

    if (err || (err = imu_user_check_link(c->p, user)))
        return err;
    /* Who was invited and has no password yet gets another invitation. */
    return imu_user_is_invited(user) ? hand_out(c, user, IMU_AUDIT_INVITED, IMU_INVITATION_HOURS)
                                     : hand_out(c, user, IMU_AUDIT_RESET_LINK, IMU_RESET_HOURS);
}

imu_err *cli_links_list(cli *c)
{
    json_t *list = imu_json_own(c->p, json_array());
    imu_rows *rows;
    imu_err *err = imu_invitation_list(c->db, c->p, &rows);

    if (err)
        return err;
    for (int i = 0; i < rows->count; i++) {
        if (c->opt.json)
            json_array_append_new(list, imu_invitation_json(rows, i));
        else
            cli_say(c, "%s  %-10s until %s%s  %s", imu_text(rows, i, "invitation_id"),
                    imu_text(rows, i, "purpose"), imu_text(rows, i, "expires_at"),
                    imu_bool(rows, i, "expired") ? " (over)" : "", imu_text(rows, i, "email"));
    }
    if (c->opt.json)
        cli_print_json(list);
    return NULL;
}

imu_err *cli_links_end(cli *c)
{
    imu_audit_fact fact = {.action = IMU_AUDIT_LINK_ENDED};
    imu_account_news news;
    imu_rows *user;
    imu_err *err;
    int gone;

    if ((err = imu_invitation_open(c->db, c->p, c->opt.plain, &user)) ||
        (err = imu_account_news_read(c->db, c->p, imu_text(user, 0, "user_id"), NULL, &news)) ||
        (err = imu_invitation_end(c->db, c->p, c->opt.plain, &user)))
        return err;
    imu_publish_user_changed(imu_text(user, 0, "user_id"));
    fact.target_id = imu_text(user, 0, "user_id");
    fact.target_name = imu_text(user, 0, "email");
    cli_note(c, fact);
    gone = strcmp(imu_text(user, 0, "purpose"), "invitation") == 0;
    fact.action = IMU_AUDIT_ACCOUNT_DELETED;
    if (gone) {
        cli_note(c, fact);
        imu_account_tell_moved(&news);
    }
    cli_done(c, json_pack("{s:s, s:b}", "email", fact.target_name, "account_deleted", gone),
             "The link of %s works no more%s.", fact.target_name,
             gone ? ", and the account that nobody has used is gone"
                  : "; the account stays as it is");
    return NULL;
}
