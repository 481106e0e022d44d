#include "mod_invokemu/store/root_admin.h"

#include <string.h>
#include <apr_strings.h>

#include "mod_invokemu/auth/core_password.h"
#include "mod_invokemu/store/audit.h"
#include "mod_invokemu/store/users.h"
#include "mod_invokemu/util/ids.h"

/* What was applied last: a digest of address and hash. */
#define SETTING "root_admin"

/* Inside a transaction. */
static imu_err *wanted(imu_db *db, apr_pool_t *p, const char *mark, int *yes)
{
    imu_rows *last, *able;
    imu_err *err = imu_db_select(db, p, &last, "setting_get", "s", SETTING);

    if (!err)
        err = imu_db_select(db, p, &able, "user_count_able_admins", "s", "");
    if (!err)
        *yes = last->count == 0 || strcmp(imu_text(last, 0, "value"), mark) != 0 ||
               imu_int(able, 0, "total") == 0;
    return err;
}

/* Inside a transaction. */
static imu_err *bring_about(imu_db *db, apr_pool_t *p, const char *email, const char *hash,
                            const char **user_id)
{
    const char *kept = imu_password_hash_foreign(p, hash);
    imu_user_change change = {NULL, kept, 1, 1, 0, NULL};
    imu_rows *user;
    imu_err *err = imu_user_secret_by_email(db, p, email, &user);

    if (err)
        return err;
    if (user->count == 0)
        return imu_user_create(db, p, email, NULL, kept, 1, 0, user_id);
    *user_id = imu_text(user, 0, "user_id");
    err = imu_user_update(db, p, *user_id, &change, &user);
    return err ? err : imu_db_exec(db, p, NULL, "session_delete_all", "ss", *user_id, "");
}

static imu_err *apply(imu_db *db, apr_pool_t *p, const char *email, const char *hash, int *applied)
{
    const char *both = apr_pstrcat(p, email, "\n", hash, NULL), *user_id;
    const char *mark = imu_sha256_hex(p, both, strlen(both));
    imu_audit_fact fact = {.action = IMU_AUDIT_ROOT_ADMIN, .target_name = email};
    imu_audit_entry entry;
    imu_err *err = wanted(db, p, mark, applied);

    if (err || !*applied || (err = bring_about(db, p, email, hash, &user_id)))
        return err;
    fact.target_id = user_id;
    entry = imu_audit_entry_of(p, &fact);
    if ((err = imu_db_exec(db, p, NULL, "setting_put", "sss", SETTING, mark, imu_now(p))))
        return err;
    return imu_audit_add(db, p, &entry);
}

imu_err *imu_root_admin_apply(imu_db *db, apr_pool_t *p, const char *email, const char *hash,
                              int *applied)
{
    imu_err *err;

    *applied = 0;
    err = imu_db_begin(db);
    return err ? err : imu_db_end(db, apply(db, p, email, hash, applied));
}
