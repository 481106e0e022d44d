#include "mod_invokemu/store/users.h"

#include <string.h>
#include <apr_strings.h>

#include "mod_invokemu/auth/core_email.h"
#include "mod_invokemu/auth/identity.h"
#include "mod_invokemu/store/invitations.h"
#include "mod_invokemu/util/ids.h"

imu_err *imu_user_get(imu_db *db, apr_pool_t *p, const char *user_id, imu_rows **rows)
{
    return imu_db_select(db, p, rows, "user_by_id", "s", user_id);
}

int imu_user_is_invited(const imu_rows *user)
{
    const char *hash = imu_text(user, 0, "password_hash");

    return hash ? strcmp(hash, IMU_NO_PASSWORD) == 0 : imu_bool(user, 0, "invited");
}

imu_err *imu_user_secret_by_id(imu_db *db, apr_pool_t *p, const char *user_id, imu_rows **rows)
{
    return imu_db_select(db, p, rows, "user_secret_by_id", "s", user_id);
}

imu_err *imu_user_secret_by_email(imu_db *db, apr_pool_t *p, const char *email, imu_rows **rows)
{
    return imu_db_select(db, p, rows, "user_secret_by_email", "s", email);
}

imu_err *imu_user_hash_is(imu_db *db, apr_pool_t *p, const char *user_id, const char *hash)
{
    imu_rows *user;
    imu_err *err = imu_user_secret_by_id(db, p, user_id, &user);

    if (err || (user->count && strcmp(imu_text(user, 0, "password_hash"), hash) == 0))
        return err;
    return imu_error(p, 401, "session_ended",
                     "You were signed out because your password was changed. Sign in again.");
}

imu_err *imu_user_list(imu_db *db, apr_pool_t *p, const imu_user_filter *filter, imu_rows **rows,
                       apr_int64_t *total)
{
    const char *like = imu_like_anywhere(p, filter->search ? filter->search : "");
    apr_int64_t admin = filter->is_admin, kind = filter->state;
    imu_err *err =
        imu_db_select(db, p, rows, "user_count", "ssiii", like, like, admin, admin, kind);

    if (err)
        return err;
    *total = imu_int(*rows, 0, "total");
    return imu_db_select(db, p, rows, "user_page", "ssiiiii", like, like, admin, admin, kind,
                         filter->limit, filter->offset);
}

imu_err *imu_user_count_admins(imu_db *db, apr_pool_t *p, apr_int64_t *count)
{
    imu_rows *rows;
    imu_err *err = imu_db_select(db, p, &rows, "user_count_admins", "s", "");

    if (!err)
        *count = imu_int(rows, 0, "total");
    return err;
}

static imu_err *email_taken(apr_pool_t *p, const char *email)
{
    return imu_error(p, 400, "email_taken", "There is already an account with the address %s.",
                     email);
}

imu_err *imu_user_check_email(apr_pool_t *p, const char *email)
{
    if (!imu_email_is_nobodys(email))
        return NULL;
    return imu_error(p, 400, "email_kept",
                     "Addresses at deleted.invalid are kept for deleted accounts of an import, "
                     "which nobody signs in to. Take another one.");
}

imu_err *imu_user_create(imu_db *db, apr_pool_t *p, const char *email, const char *display_name,
                         const char *password_hash, int is_admin, int must_change,
                         const char **user_id)
{
    const char *id = imu_uuid4(p), *now = imu_now(p);
    imu_err *err = imu_user_check_email(p, email);

    if (err)
        return err;
    err = imu_db_exec(db, p, NULL, "user_insert", "ssssbbss", id, email, display_name,
                      password_hash, is_admin, must_change, now, now);
    if (imu_error_is(err, "db_unique"))
        return email_taken(p, email);
    *user_id = id;
    return err;
}

imu_err *imu_user_create_first_admin(imu_db *db, apr_pool_t *p, const char *email,
                                     const char *display_name, const char *password_hash,
                                     const char **user_id)
{
    apr_int64_t admins = 0;
    imu_err *err = imu_db_begin(db);

    if (err)
        return err;
    err = imu_user_count_admins(db, p, &admins);
    if (!err && admins > 0)
        err = imu_error(p, 400, "setup_done", "This server already has an administrator.");
    if (!err)
        err = imu_user_create(db, p, email, display_name, password_hash, 1, 0, user_id);
    return imu_db_end(db, err);
}

/** Refuses what would leave the server without an active administrator. Inside the transaction that
 * makes the change. */
static imu_err *keep_an_admin(imu_db *db, apr_pool_t *p, const imu_rows *user)
{
    imu_rows *others;
    imu_err *err;

    if (!imu_bool(user, 0, "is_admin") || !imu_bool(user, 0, "is_active"))
        return NULL;
    err =
        imu_db_select(db, p, &others, "user_count_able_admins", "s", imu_text(user, 0, "user_id"));
    if (err || imu_int(others, 0, "total") > 0)
        return err;
    return imu_error(
        p, 400, "last_admin",
        "This is the last active administrator. Make somebody else an administrator first.");
}

/** The account that is about to change. @return 404 or 400 "system_user" */
static imu_err *changeable(imu_db *db, apr_pool_t *p, const char *user_id, imu_rows **user)
{
    imu_err *err;

    if (strcmp(user_id, IMU_SYSTEM_USER) == 0)
        return imu_error(p, 400, "system_user", "The internal system account can't be changed.");
    err = imu_user_get(db, p, user_id, user);
    if (!err && (*user)->count == 0)
        err = imu_error(p, 404, "user_not_found", "There is no such account.");
    return err;
}

static int is_left_behind(const imu_rows *user)
{
    return imu_email_is_nobodys(imu_text(user, 0, "email")) && imu_user_is_invited(user);
}

imu_err *imu_user_check_somebodys(apr_pool_t *p, const imu_rows *user)
{
    if (!is_left_behind(user))
        return NULL;
    return imu_error(p, 409, "left_behind",
                     "This account was deleted before it came here, and nobody can sign in to it. "
                     "Delete it, and hand what it owns to somebody else.");
}

imu_err *imu_user_check_link(apr_pool_t *p, const imu_rows *user)
{
    imu_err *err = imu_user_check_somebodys(p, user);

    if (err || imu_bool(user, 0, "is_active"))
        return err;
    return imu_error(p, 409, "account_suspended",
                     "This account is suspended: a link would open nothing. End the suspension "
                     "first.");
}

/* Links are known by the address they were made for, and were sent there: they end. */
static imu_err *write_email(imu_db *db, apr_pool_t *p, const char *id, const char *email)
{
    imu_err *err = imu_user_check_email(p, email);

    if (!err)
        err = imu_invitation_revoke(db, p, id);
    if (!err)
        err = imu_db_exec(db, p, NULL, "email_change_delete", "s", id);
    if (!err)
        err = imu_db_exec(db, p, NULL, "user_set_email", "sss", email, imu_now(p), id);
    return imu_error_is(err, "db_unique") ? email_taken(p, email) : err;
}

static imu_err *write_change(imu_db *db, apr_pool_t *p, const imu_rows *user,
                             const imu_user_change *change)
{
    const char *id = imu_text(user, 0, "user_id");
    const char *name =
        change->display_name ? change->display_name : imu_text(user, 0, "display_name");
    int admin = change->is_admin == IMU_KEEP ? imu_bool(user, 0, "is_admin") : change->is_admin;
    int active = change->is_active == IMU_KEEP ? imu_bool(user, 0, "is_active") : change->is_active;
    int must = change->must_change_password == IMU_KEEP ? imu_bool(user, 0, "must_change_password")
                                                        : change->must_change_password;
    int moves = change->email && strcmp(change->email, imu_text(user, 0, "email")) != 0;
    int given = active || change->is_admin == 1 || change->password_hash || moves;
    imu_err *err = given ? imu_user_check_somebodys(p, user) : NULL;

    if (err)
        return err;
    if (!(admin && active) && (err = keep_an_admin(db, p, user)))
        return err;
    err = imu_db_exec(db, p, NULL, "user_update", "sbbbss", name, admin, active, must, imu_now(p),
                      id);
    if (!err && change->password_hash)
        err = imu_db_exec(db, p, NULL, "user_set_password", "ss", change->password_hash, id);
    if (!err && change->password_hash)
        err = imu_invitation_revoke(db, p, id);
    if (!err && change->password_hash)
        err = imu_db_exec(db, p, NULL, "email_change_delete", "s", id);
    if (!err && change->password_hash)
        err = imu_db_exec(db, p, NULL, "networks_forget", "s", id);
    if (!err && moves)
        err = write_email(db, p, id, change->email);
    if (!err && !active)
        err = imu_db_exec(db, p, NULL, "session_delete_all", "ss", id, "");
    if (!err && !active)
        err = imu_db_exec(db, p, NULL, "mail_drop", "s", id);
    return err;
}

imu_err *imu_user_update(imu_db *db, apr_pool_t *p, const char *user_id,
                         const imu_user_change *change, imu_rows **rows)
{
    imu_err *err = imu_db_begin(db);

    if (err)
        return err;
    err = changeable(db, p, user_id, rows);
    if (!err)
        err = write_change(db, p, *rows, change);
    if (!err)
        err = imu_user_get(db, p, user_id, rows);
    return imu_db_end(db, err);
}

imu_err *imu_user_check_receiver(apr_pool_t *p, const imu_rows *user)
{
    if (is_left_behind(user))
        return imu_error(p, 400, "heir_left_behind",
                         "That account was deleted before it came here, and nobody can sign in to "
                         "it. Choose somebody else to get the data.");
    /* It would go with the invitation if that is taken back. */
    if (strcmp(imu_text(user, 0, "password_hash"), IMU_NO_PASSWORD) == 0)
        return imu_error(p, 400, "heir_invited",
                         "Whoever gets the data has to accept their invitation first.");
    if (!imu_bool(user, 0, "is_active"))
        return imu_error(p, 400, "heir_suspended",
                         "Whoever gets the data is suspended and could not reach it. End the "
                         "suspension first.");
    return NULL;
}

/* Who may get the data of an account. */
static imu_err *check_heir(imu_db *db, apr_pool_t *p, const char *user_id, const char *heir)
{
    imu_rows *rows;
    imu_err *err = imu_user_secret_by_id(db, p, heir, &rows);

    if (!err &&
        (rows->count == 0 || strcmp(heir, IMU_SYSTEM_USER) == 0 || strcmp(heir, user_id) == 0))
        err = imu_error(p, 400, "heir_unknown",
                        "There is no other account with that id to hand the data to.");
    return err ? err : imu_user_check_receiver(p, rows);
}

/* Inside a transaction. */
static imu_err *leave_to(imu_db *db, apr_pool_t *p, const char *user_id, const char *heir)
{
    static const char *const parts[] = {"user_leave_boards", "user_leave_images",
                                        "user_leave_workflows", "user_leave_style_presets"};
    imu_err *err = NULL;

    for (size_t i = 0; !err && i < sizeof parts / sizeof parts[0]; i++)
        err = imu_db_exec(db, p, NULL, parts[i], "ss", heir, user_id);
    if (!err)
        err = imu_db_exec(db, p, NULL, "user_end_shares_of_own_boards", "ss", heir, heir);
    return err;
}

/* The shares that the account had go with it: on boards of others, and of its heir. Inside a
 * transaction. */
static imu_err *delete_rows(imu_db *db, apr_pool_t *p, const char *user_id)
{
    imu_err *err = imu_invitation_revoke(db, p, user_id);

    if (!err)
        err = imu_db_exec(db, p, NULL, "user_delete", "s", user_id);
    return err ? err : imu_db_exec(db, p, NULL, "boards_mark_shared", "");
}

imu_err *imu_user_check_delete(imu_db *db, apr_pool_t *p, const char *user_id, const char *heir)
{
    imu_rows *user;
    imu_err *err = changeable(db, p, user_id, &user);

    if (!err)
        err = keep_an_admin(db, p, user);
    return err || !heir ? err : check_heir(db, p, user_id, heir);
}

imu_err *imu_user_delete(imu_db *db, apr_pool_t *p, const char *user_id, const char *heir)
{
    imu_err *err = imu_db_begin(db);

    if (err)
        return err;
    err = imu_user_check_delete(db, p, user_id, heir);
    if (!err && heir)
        err = leave_to(db, p, user_id, heir);
    if (!err)
        err = delete_rows(db, p, user_id);
    return imu_db_end(db, err);
}
