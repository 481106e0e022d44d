#include "mod_invokemu/store/accounts.h"

/* Inside a transaction. */
static imu_err *change_it(imu_db *db, apr_pool_t *p, const char *user_id,
                          const imu_user_change *change, int keep_sessions, imu_rows **user,
                          apr_array_header_t **ended)
{
    imu_err *err = change->is_active == 0 ? imu_queue_cancel_person(db, p, user_id, ended) : NULL;

    if (!err)
        err = imu_user_update(db, p, user_id, change, user);
    if (!err && change->password_hash && !keep_sessions)
        err = imu_db_exec(db, p, NULL, "session_delete_all", "ss", user_id, "");
    return err;
}

imu_err *imu_account_change(imu_db *db, apr_pool_t *p, const char *user_id,
                            const imu_user_change *change, int keep_sessions, imu_rows **user,
                            apr_array_header_t **ended)
{
    imu_err *err = imu_db_begin(db);

    *ended = apr_array_make(p, 0, sizeof(imu_queue_change));
    return err ? err
               : imu_db_end(db, change_it(db, p, user_id, change, keep_sessions, user, ended));
}

imu_err *imu_account_remove(imu_db *db, apr_pool_t *p, const char *user_id, const char *heir,
                            apr_array_header_t **ended)
{
    imu_err *err = imu_user_retire(db, p, user_id, heir);

    /* One statement that deletes thousands of jobs would keep everybody else from writing for
     * seconds. */
    if (!err)
        err = imu_queue_sweep_person(db, p, user_id, ended);
    return err ? err : imu_user_delete(db, p, user_id, heir);
}

int imu_account_jobs_ended(const apr_array_header_t *ended)
{
    size_t n = 0;

    for (int i = 0; i < ended->nelts; i++)
        n += json_array_size(APR_ARRAY_IDX(ended, i, imu_queue_change).item_ids);
    return (int)n;
}
