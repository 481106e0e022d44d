#include "mod_invokemu/store/legacy.h"

#include <string.h>

#include "mod_invokemu/auth/identity.h"
#include "mod_invokemu/store/users.h"

imu_err *imu_legacy_count(imu_db *db, apr_pool_t *p, imu_rows **counts)
{
    return imu_db_select(db, p, counts, "legacy_count", "");
}

int imu_legacy_any(const imu_rows *counts)
{
    return imu_int(counts, 0, "boards") + imu_int(counts, 0, "images") +
               imu_int(counts, 0, "workflows") + imu_int(counts, 0, "style_presets") >
           0;
}

json_t *imu_legacy_numbers(const imu_rows *counts)
{
    static const char *const names[] = {"boards", "images", "workflows", "style_presets"};
    json_t *all = json_object();

    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++)
        json_object_set_new(all, names[i], json_integer(imu_int(counts, 0, names[i])));
    return all;
}

json_t *imu_legacy_json(const imu_rows *counts)
{
    return imu_legacy_any(counts) ? imu_legacy_numbers(counts) : json_null();
}

/* Inside a transaction. */
static imu_err *check_heir(imu_db *db, apr_pool_t *p, const char *user_id)
{
    imu_rows *user;
    imu_err *err = imu_user_secret_by_id(db, p, user_id, &user);

    if (err)
        return err;
    if (user->count == 0 || strcmp(user_id, IMU_SYSTEM_USER) == 0)
        return imu_error(p, 404, "user_not_found", "There is no such account.");
    return imu_user_check_receiver(p, user);
}

/* Inside a transaction. */
static imu_err *assign(imu_db *db, apr_pool_t *p, const char *user_id, imu_rows **counts)
{
    static const char *const parts[] = {"legacy_boards",    "legacy_images",
                                        "legacy_workflows", "legacy_style_presets",
                                        "legacy_queue",     "legacy_client_state"};
    imu_err *err = check_heir(db, p, user_id);

    if (!err)
        err = imu_legacy_count(db, p, counts);
    for (size_t i = 0; !err && i < sizeof parts / sizeof parts[0]; i++)
        err = imu_db_exec(db, p, NULL, parts[i], "s", user_id);
    if (!err)
        err = imu_db_exec(db, p, NULL, "user_end_shares_of_own_boards", "ss", user_id, user_id);
    return err ? err : imu_db_exec(db, p, NULL, "boards_mark_shared", "");
}

imu_err *imu_legacy_assign(imu_db *db, apr_pool_t *p, const char *user_id, imu_rows **counts)
{
    imu_err *err = imu_db_begin(db);

    return err ? err : imu_db_end(db, assign(db, p, user_id, counts));
}
