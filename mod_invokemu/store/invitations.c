#include "mod_invokemu/store/invitations.h"

#include <string.h>

#include "mod_invokemu/auth/core_session.h"
#include "mod_invokemu/store/users.h"
#include "mod_invokemu/util/clock.h"
#include "mod_invokemu/util/ids.h"

#define TOKEN_BYTES 32

imu_err *imu_invitation_revoke(imu_db *db, apr_pool_t *p, const char *user_id)
{
    imu_err *err = imu_db_exec(db, p, NULL, "invitation_revoke", "s", user_id);

    return err ? err : imu_db_exec(db, p, NULL, "mail_drop", "s", user_id);
}

static imu_err *insert(imu_db *db, apr_pool_t *p, const imu_rows *user, const char *by_user_id,
                       int hours, const char **token)
{
    const char *until =
        imu_time_text(p, imu_clock_now() + apr_time_from_sec((apr_int64_t)hours * 3600));

    *token = imu_random_token(p, TOKEN_BYTES);
    return imu_db_exec(db, p, NULL, "invitation_insert", "sssbssss", imu_uuid4(p),
                       imu_text(user, 0, "email"), imu_text(user, 0, "display_name"),
                       imu_bool(user, 0, "is_admin"), imu_sha256_hex(p, *token, strlen(*token)),
                       by_user_id, until, imu_now(p));
}

imu_err *imu_invitation_create(imu_db *db, apr_pool_t *p, const imu_rows *user,
                               const char *by_user_id, int hours, const char **token)
{
    imu_err *err = imu_db_begin(db);

    if (err)
        return err;
    err = imu_invitation_revoke(db, p, imu_text(user, 0, "user_id"));
    if (!err)
        err = insert(db, p, user, by_user_id, hours, token);
    return imu_db_end(db, err);
}

imu_err *imu_invitation_create_own(imu_db *db, apr_pool_t *p, const imu_rows *user, int hours,
                                   const char **token)
{
    const char *id = imu_text(user, 0, "user_id");
    imu_err *err = imu_db_begin(db);

    if (err)
        return err;
    err = imu_db_exec(db, p, NULL, "invitation_revoke_own", "ss", id, id);
    if (!err)
        err = insert(db, p, user, id, hours, token);
    return imu_db_end(db, err);
}

static imu_err *used_up(apr_pool_t *p)
{
    return imu_error(p, 410, "link_used",
                     "This link was already used. Sign in with the password that was chosen by it, "
                     "or ask an administrator for a new link.");
}

static imu_err *unknown(apr_pool_t *p)
{
    return imu_error(
        p, 404, "link_unknown",
        "This link is not known here. It may have been ended, a newer one may have replaced "
        "it, or part of it is missing. Ask an administrator for a new one.");
}

imu_err *imu_invitation_account(imu_db *db, apr_pool_t *p, const char *token, imu_rows **account)
{
    imu_err *err = imu_db_select(db, p, account, "invitation_account", "ss", imu_now(p),
                                 imu_sha256_hex(p, token, strlen(token)));

    if (err)
        return err;
    /* Who is suspended could not sign in with what they choose. */
    if (!(*account)->count || !imu_bool(*account, 0, "is_active"))
        return unknown(p);
    if (imu_bool(*account, 0, "used"))
        return used_up(p);
    if (imu_bool(*account, 0, "expired"))
        return imu_error(p, 410, "link_expired",
                         "This link has expired. Ask an administrator for a new one.");
    return NULL;
}

/* Uses the link up: once, and as long as it is the account's. Inside a transaction. */
static imu_err *use_up(imu_db *db, apr_pool_t *p, const imu_rows *account)
{
    const char *id = imu_text(account, 0, "invitation_id");
    imu_rows *rows;
    int used = 0;
    imu_err *err = imu_db_exec(db, p, &used, "invitation_use", "sss", imu_now(p), id,
                               imu_text(account, 0, "user_id"));

    if (err || used > 0)
        return err;
    if ((err = imu_db_select(db, p, &rows, "invitation_used", "s", id)))
        return err;
    return rows->count ? used_up(p) : unknown(p);
}

imu_err *imu_invitation_redeem(imu_db *db, apr_pool_t *p, const imu_rows *account,
                               const char *password_hash, const char *network)
{
    imu_user_change change = {NULL, password_hash, IMU_KEEP, IMU_KEEP, 0, NULL};
    const char *user_id = imu_text(account, 0, "user_id");
    imu_rows *user;
    imu_err *err = imu_db_begin(db);

    if (err)
        return err;
    err = use_up(db, p, account);
    if (!err)
        err = imu_user_update(db, p, user_id, &change, &user);
    if (!err)
        err = imu_db_exec(db, p, NULL, "session_delete_all", "ss", user_id, "");
    if (!err)
        err = imu_session_remember_network(db, p, user_id, network);
    return imu_db_end(db, err);
}

imu_err *imu_invitation_list(imu_db *db, apr_pool_t *p, imu_rows **rows)
{
    return imu_db_select(db, p, rows, "invitation_list", "s", imu_now(p));
}

json_t *imu_invitation_json(const imu_rows *rows, int i)
{
    static const char *const texts[] = {"invitation_id",
                                        "user_id",
                                        "email",
                                        "display_name",
                                        "purpose",
                                        "created_at",
                                        "expires_at",
                                        "invited_by_user_id",
                                        NULL};
    json_t *one = json_pack("{s:b, s:b}", "is_admin", imu_bool(rows, i, "is_admin"), "expired",
                            imu_bool(rows, i, "expired"));

    imu_json_set_texts(one, rows, i, texts);
    return one;
}

imu_err *imu_invitation_open(imu_db *db, apr_pool_t *p, const char *invitation_id,
                             imu_rows **account)
{
    imu_err *err = imu_db_select(db, p, account, "invitation_open", "s", invitation_id);

    if (!err && (*account)->count == 0)
        err = imu_error(p, 404, "invitation_not_found",
                        "There is no such open link. It may have been used.");
    return err;
}

/* Inside a transaction. */
static imu_err *end_one(imu_db *db, apr_pool_t *p, const char *id, imu_rows **account)
{
    imu_err *err = imu_invitation_open(db, p, id, account);

    if (err)
        return err;
    if (strcmp(imu_text(*account, 0, "purpose"), "invitation") == 0)
        return imu_user_delete(db, p, imu_text(*account, 0, "user_id"), NULL);
    if ((err = imu_db_exec(db, p, NULL, "mail_drop", "s", imu_text(*account, 0, "user_id"))))
        return err;
    return imu_db_exec(db, p, NULL, "invitation_delete", "s", id);
}

imu_err *imu_invitation_end(imu_db *db, apr_pool_t *p, const char *invitation_id,
                            imu_rows **account)
{
    imu_err *err = imu_db_begin(db);

    return err ? err : imu_db_end(db, end_one(db, p, invitation_id, account));
}
