#include "mod_invokemu/store/invitations.h"

#include <string.h>

#include "mod_invokemu/store/users.h"
#include "mod_invokemu/util/ids.h"

#define TOKEN_BYTES 32

imu_err *imu_invitation_create(imu_db *db, apr_pool_t *p, const imu_rows *user,
                               const char *by_user_id, int hours, const char **token)
{
    const char *until =
        imu_time_text(p, apr_time_now() + apr_time_from_sec((apr_int64_t)hours * 3600));
    imu_err *err;

    *token = imu_random_token(p, TOKEN_BYTES);
    if ((err = imu_db_begin(db)))
        return err;
    err = imu_db_exec(db, p, NULL, "invitation_revoke", "s", imu_text(user, 0, "user_id"));
    if (!err)
        err = imu_db_exec(db, p, NULL, "invitation_insert", "sssbssss", imu_uuid4(p),
                          imu_text(user, 0, "email"), imu_text(user, 0, "display_name"),
                          imu_bool(user, 0, "is_admin"), imu_sha256_hex(p, *token, strlen(*token)),
                          by_user_id, until, imu_now(p));
    return imu_db_end(db, err);
}

static imu_err *invalid(apr_pool_t *p)
{
    return imu_error(p, 400, "link_invalid",
                     "This link is no longer valid. Ask an administrator for a new one.");
}

imu_err *imu_invitation_account(imu_db *db, apr_pool_t *p, const char *token, imu_rows **account)
{
    imu_err *err = imu_db_select(db, p, account, "invitation_account", "ss",
                                 imu_sha256_hex(p, token, strlen(token)), imu_now(p));

    return err || (*account)->count ? err : invalid(p);
}

imu_err *imu_invitation_redeem(imu_db *db, apr_pool_t *p, const imu_rows *account,
                               const char *password_hash)
{
    imu_user_change change = {NULL, password_hash, IMU_KEEP, IMU_KEEP, 0};
    const char *user_id = imu_text(account, 0, "user_id");
    imu_rows *user;
    int used = 0;
    imu_err *err = imu_db_begin(db);

    if (err)
        return err;
    err = imu_db_exec(db, p, &used, "invitation_use", "ss", imu_now(p),
                      imu_text(account, 0, "invitation_id"));
    if (!err && used == 0)
        err = invalid(p);
    if (!err)
        err = imu_user_update(db, p, user_id, &change, &user);
    if (!err)
        err = imu_db_exec(db, p, NULL, "session_delete_all", "ss", user_id, "");
    return imu_db_end(db, err);
}
