#include "mod_invokemu/store/accounts.h"

#include <apr_strings.h>

/* Inside a transaction. */
static imu_err *change_it(imu_db *db, apr_pool_t *p, const char *user_id,
                          const imu_user_change *change, int keep_sessions, imu_rows **user,
                          apr_array_header_t *ended)
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
               : imu_db_end(db, change_it(db, p, user_id, change, keep_sessions, user, *ended));
}

/* All or nothing. */
static imu_err *remove_rest(imu_db *db, apr_pool_t *p, const char *user_id, const char *heir,
                            apr_array_header_t *ended)
{
    apr_array_header_t *last = apr_array_make(p, 1, sizeof(imu_queue_change));
    imu_err *err = imu_db_begin(db);

    if (err)
        return err;
    if (!(err = imu_queue_end_person(db, p, user_id, last)))
        err = imu_user_delete(db, p, user_id, heir);
    if (!(err = imu_db_end(db, err)))
        apr_array_cat(ended, last);
    return err;
}

/* Says how it stands with an account that could not be deleted, when some of its jobs are gone. */
static imu_err *with_standing(apr_pool_t *p, imu_err *err, int jobs)
{
    const char *standing =
        apr_psprintf(p,
                     "Jobs of this account that were canceled or deleted so far: %d. Nothing else "
                     "has changed; delete it once more to finish.",
                     jobs);

    if (jobs == 0 || imu_error_is(err, "user_not_found"))
        return err;
    err->detail = apr_pstrcat(p, err->detail, " ", standing, NULL);
    if (err->log)
        err->log = apr_pstrcat(p, err->log, ". ", standing, NULL);
    return err;
}

imu_err *imu_account_remove(imu_db *db, apr_pool_t *p, const char *user_id, const char *heir,
                            apr_array_header_t **ended)
{
    imu_err *err = imu_user_check_delete(db, p, user_id, heir);

    *ended = apr_array_make(p, 1, sizeof(imu_queue_change));
    /* One statement that deletes thousands of jobs would keep everybody else from writing for
     * seconds. They go while their person can still sign in: whatever fails after this, there is
     * no account left behind that is shut and half gone. */
    if (!err)
        err = imu_queue_sweep_person(db, p, user_id, *ended);
    if (!err)
        err = remove_rest(db, p, user_id, heir, *ended);
    return err ? with_standing(p, err, imu_account_jobs_gone(*ended)) : NULL;
}

int imu_account_jobs_ended(const apr_array_header_t *ended)
{
    size_t n = 0;

    for (int i = 0; i < ended->nelts; i++)
        n += json_array_size(APR_ARRAY_IDX(ended, i, imu_queue_change).item_ids);
    return (int)n;
}

int imu_account_jobs_gone(const apr_array_header_t *ended)
{
    json_int_t n = 0;

    for (int i = 0; i < ended->nelts; i++) {
        const imu_queue_change *change = &APR_ARRAY_IDX(ended, i, imu_queue_change);
        json_int_t canceled = (json_int_t)json_array_size(change->item_ids), deleted = 0;
        const char *user;
        json_t *count;

        json_object_foreach (change->deleted_by_user, user, count)
            deleted += json_integer_value(count);
        n += deleted > canceled ? deleted : canceled;
    }
    return (int)n;
}
