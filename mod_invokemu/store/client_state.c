#include "mod_invokemu/store/client_state.h"

#include <string.h>

#include "mod_invokemu/util/ids.h"

/* The client keeps some twenty, and one for each snapshot of its canvas. */
#define KEYS_MAX  1000
#define BYTES_MAX ((apr_int64_t)512 * 1024 * 1024)

imu_err *imu_client_state_get(imu_db *db, apr_pool_t *p, const char *user_id, const char *key,
                              const char **value)
{
    imu_rows *rows;
    imu_err *err = imu_db_select(db, p, &rows, "client_state_get", "ss", user_id, key);

    if (!err)
        *value = rows->count ? imu_text(rows, 0, "value") : NULL;
    return err;
}

static imu_err *check_room(imu_db *db, apr_pool_t *p, const char *user_id, const char *key,
                           const char *value)
{
    imu_rows *rows;
    imu_err *err = imu_db_select(db, p, &rows, "client_state_size", "ss", user_id, key);

    if (err)
        return err;
    if (imu_int(rows, 0, "keys") >= KEYS_MAX ||
        imu_int(rows, 0, "bytes") + (apr_int64_t)strlen(value) > BYTES_MAX)
        return imu_error(p, 413, "state_full",
                         "Too much is kept for this account. Delete snapshots you no longer need.");
    return NULL;
}

imu_err *imu_client_state_set(imu_db *db, apr_pool_t *p, const char *user_id, const char *key,
                              const char *value)
{
    imu_err *err = imu_db_begin(db);

    if (err)
        return err;
    err = check_room(db, p, user_id, key, value);
    if (!err)
        err = imu_db_exec(db, p, NULL, "client_state_put", "ssss", user_id, key, value, imu_now(p));
    return imu_db_end(db, err);
}

imu_err *imu_client_state_keys(imu_db *db, apr_pool_t *p, const char *user_id, const char *prefix,
                               imu_rows **rows)
{
    return imu_db_select(db, p, rows, "client_state_keys", "sss", user_id, prefix, prefix);
}

imu_err *imu_client_state_delete(imu_db *db, apr_pool_t *p, const char *user_id, const char *key)
{
    if (key)
        return imu_db_exec(db, p, NULL, "client_state_delete", "ss", user_id, key);
    return imu_db_exec(db, p, NULL, "client_state_clear", "s", user_id);
}
