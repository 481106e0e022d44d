#include "mod_invokemu/store/mail.h"

#include <string.h>
#include <apr_strings.h>

#include "mod_invokemu/store/invitations.h"
#include "mod_invokemu/store/users.h"
#include "mod_invokemu/util/clock.h"
#include "mod_invokemu/util/ids.h"

#define TOKEN_BYTES 32

static imu_err *queue_full(apr_pool_t *p)
{
    return imu_error(p, 503, "mail_queue_full", "Too many mails wait to be sent. Try again later.");
}

imu_err *imu_mail_add(imu_db *db, apr_pool_t *p, const char *kind, const char *to, const char *name,
                      const char *link)
{
    const char *now = imu_now(p);
    int added = 0;
    imu_err *err = imu_db_exec(db, p, &added, "mail_add", "ssssss", kind, to, name, link, now, now);

    return err || added ? err : queue_full(p);
}

imu_err *imu_mail_add_link(imu_db *db, apr_pool_t *p, const imu_rows *user, const char *link,
                           const char *invited_by)
{
    const char *kind = imu_user_is_invited(user) ? IMU_MAIL_INVITATION : IMU_MAIL_RESET;
    const char *now = imu_now(p);
    int added = 0;
    imu_err *err =
        imu_db_exec(db, p, &added, "mail_add_link", "sssssss", kind, imu_text(user, 0, "email"),
                    imu_text(user, 0, "display_name"), link, invited_by, now, now);

    return err || added ? err : queue_full(p);
}

imu_err *imu_mail_due(imu_db *db, apr_pool_t *p, imu_rows **mail)
{
    return imu_db_select(db, p, mail, "mail_due", "s", imu_now(p));
}

/* Inside a transaction. */
static imu_err *resolve(imu_db *db, apr_pool_t *p, const imu_rows *mail, const char *base)
{
    apr_int64_t id = imu_int(mail, 0, "mail_id");
    const char *token, *kind, *page;
    imu_rows *user;
    int invited;
    imu_err *err = imu_user_secret_by_email(db, p, imu_text(mail, 0, "to_address"), &user);

    if (err)
        return err;
    invited = imu_user_is_invited(user);
    kind = invited ? IMU_MAIL_INVITATION : IMU_MAIL_RESET;
    page = invited ? IMU_INVITE_PAGE : IMU_RESET_PAGE;
    if (!user->count || !imu_bool(user, 0, "is_active"))
        return imu_db_exec(db, p, NULL, "mail_forget", "i", id);
    err = imu_invitation_create_own(db, p, user, invited ? IMU_INVITATION_HOURS : IMU_RESET_HOURS,
                                    &token);
    return err ? err
               : imu_db_exec(db, p, NULL, "mail_resolve", "sssi", kind,
                             imu_text(user, 0, "display_name"),
                             apr_pstrcat(p, base, page, token, NULL), id);
}

imu_err *imu_mail_resolve(imu_db *db, apr_pool_t *p, const imu_rows *mail, const char *base)
{
    imu_err *err = imu_db_begin(db);

    return err ? err : imu_db_end(db, resolve(db, p, mail, base));
}

imu_err *imu_mail_claim(imu_db *db, apr_pool_t *p, const imu_rows *mail, apr_time_t next,
                        int *claimed)
{
    return imu_db_exec(db, p, claimed, "mail_claim", "sii", imu_time_text(p, next),
                       imu_int(mail, 0, "mail_id"), imu_int(mail, 0, "attempts"));
}

imu_err *imu_mail_note(imu_db *db, apr_pool_t *p, apr_int64_t mail_id, const char *error,
                       apr_time_t next)
{
    return imu_db_exec(db, p, NULL, "mail_note", "ssi", error, imu_time_text(p, next), mail_id);
}

imu_err *imu_mail_end(imu_db *db, apr_pool_t *p, apr_int64_t mail_id, const char *error)
{
    return imu_db_exec(db, p, NULL, "mail_end", "sssi", error ? "failed" : "sent", error,
                       imu_now(p), mail_id);
}

imu_err *imu_mail_purge(imu_db *db, apr_pool_t *p, apr_time_t before)
{
    return imu_db_exec(db, p, NULL, "mail_purge", "s", imu_time_text(p, before));
}

imu_err *imu_mail_overview(imu_db *db, apr_pool_t *p, imu_rows **counts, imu_rows **list)
{
    imu_err *err = imu_db_select(db, p, counts, "mail_counts", "");

    return err ? err : imu_db_select(db, p, list, "mail_list", "");
}

static imu_err *pointless(apr_pool_t *p)
{
    return imu_error(p, 409, "mail_pointless",
                     "What this mail was about is not there any more. Make a new link instead.");
}

/* A new token for a change of address that was asked for. Inside a transaction. */
static imu_err *change_again(imu_db *db, apr_pool_t *p, const char *email, const char **token)
{
    imu_rows *open;
    imu_err *err = imu_db_select(db, p, &open, "email_change_to", "ss", email, imu_now(p));

    if (err)
        return err;
    return open->count ? imu_email_change_ask(db, p, imu_text(open, 0, "user_id"), email, token)
                       : pointless(p);
}

/* Inside a transaction. *kind: what the mail is by now. */
static imu_err *invite_again(imu_db *db, apr_pool_t *p, const imu_rows *mail, const char *by,
                             const char **kind, const char **token)
{
    imu_rows *user;
    int invited;
    imu_err *err = imu_user_secret_by_email(db, p, imu_text(mail, 0, "to_address"), &user);

    if (err)
        return err;
    invited = imu_user_is_invited(user);
    if (user->count == 0 || !imu_bool(user, 0, "is_active") ||
        (!invited && strcmp(*kind, IMU_MAIL_INVITATION) == 0))
        return pointless(p);
    *kind = invited ? IMU_MAIL_INVITATION : IMU_MAIL_RESET;
    return imu_invitation_create(db, p, user, by, invited ? IMU_INVITATION_HOURS : IMU_RESET_HOURS,
                                 token);
}

/* The address of a new link, or NULL for a mail without one. Inside a transaction. */
static imu_err *link_again(imu_db *db, apr_pool_t *p, const imu_rows *mail, const char *by,
                           const char *base, const char **kind, const char **link)
{
    const char *page = IMU_RESET_PAGE, *token = NULL;
    imu_err *err = NULL;

    *link = NULL;
    *kind = imu_text(mail, 0, "kind");
    if (strcmp(*kind, IMU_MAIL_EMAIL_CHANGED) == 0)
        return NULL;
    if (strcmp(*kind, IMU_MAIL_EMAIL_CHANGE) == 0) {
        page = IMU_EMAIL_PAGE;
        err = change_again(db, p, imu_text(mail, 0, "to_address"), &token);
    } else {
        err = invite_again(db, p, mail, by, kind, &token);
        if (strcmp(*kind, IMU_MAIL_INVITATION) == 0)
            page = IMU_INVITE_PAGE;
    }
    if (!err)
        *link = apr_pstrcat(p, base, page, token, NULL);
    return err;
}

/* Inside a transaction. */
static imu_err *again(imu_db *db, apr_pool_t *p, apr_int64_t mail_id, const char *by,
                      const char *base, imu_rows **mail)
{
    const char *kind, *link, *now = imu_now(p);
    imu_err *err = imu_db_select(db, p, mail, "mail_unsent", "i", mail_id);

    if (err)
        return err;
    if ((*mail)->count == 0)
        return imu_error(p, 404, "mail_not_found",
                         "There is no such mail among those that wait or were given up.");
    if (strcmp(imu_text(*mail, 0, "state"), "waiting") == 0)
        return imu_db_exec(db, p, NULL, "mail_hurry", "si", now, mail_id);
    if ((err = link_again(db, p, *mail, by, base, &kind, &link)))
        return err;
    return imu_db_exec(db, p, NULL, "mail_again", "ssssi", kind, link, now, now, mail_id);
}

imu_err *imu_mail_again(imu_db *db, apr_pool_t *p, apr_int64_t mail_id, const char *by_user_id,
                        const char *base, imu_rows **mail)
{
    imu_err *err = imu_db_begin(db);

    return err ? err : imu_db_end(db, again(db, p, mail_id, by_user_id, base, mail));
}

imu_err *imu_email_change_ask(imu_db *db, apr_pool_t *p, const char *user_id, const char *email,
                              const char **token)
{
    const char *until =
        imu_time_text(p, imu_clock_now() + apr_time_from_sec(IMU_EMAIL_CHANGE_HOURS * 3600));
    imu_err *err = imu_user_check_email(p, email);

    if (err)
        return err;
    *token = imu_random_token(p, TOKEN_BYTES);
    return imu_db_exec(db, p, NULL, "email_change_set", "sssss", user_id, email,
                       imu_sha256_hex(p, *token, strlen(*token)), imu_now(p), until);
}

imu_err *imu_email_change_find(imu_db *db, apr_pool_t *p, const char *token, imu_rows **change)
{
    imu_err *err = imu_db_select(db, p, change, "email_change_find", "ss", imu_now(p),
                                 imu_sha256_hex(p, token, strlen(token)));

    if (err)
        return err;
    if (!(*change)->count || !imu_bool(*change, 0, "is_active"))
        return imu_error(p, 404, "link_unknown",
                         "This link is not known here. It may have been used, or a newer one may "
                         "have replaced it.");
    if (imu_bool(*change, 0, "expired"))
        return imu_error(p, 410, "link_expired",
                         "This link has expired. Change the address in your profile again.");
    return NULL;
}

/* Inside a transaction. */
static imu_err *confirm(imu_db *db, apr_pool_t *p, const char *token, imu_rows **change)
{
    imu_user_change to = {NULL, NULL, IMU_KEEP, IMU_KEEP, IMU_KEEP, NULL};
    imu_rows *user;
    imu_err *err = imu_email_change_find(db, p, token, change);

    if (err)
        return err;
    to.email = imu_text(*change, 0, "new_email");
    return imu_user_update(db, p, imu_text(*change, 0, "user_id"), &to, &user);
}

imu_err *imu_email_change_confirm(imu_db *db, apr_pool_t *p, const char *token, imu_rows **change)
{
    imu_err *err = imu_db_begin(db);

    return err ? err : imu_db_end(db, confirm(db, p, token, change));
}
