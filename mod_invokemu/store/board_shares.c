#include "mod_invokemu/store/board_shares.h"

#include "mod_invokemu/util/ids.h"
#include "mod_invokemu/util/jsons.h"

imu_err *imu_board_shares(imu_db *db, apr_pool_t *p, const char *board_id, const char *reader,
                          int is_admin, json_t **shares)
{
    imu_rows *rows;
    imu_err *err = imu_db_select(db, p, &rows, "board_shares_list", "sis", reader,
                                 (apr_int64_t)(is_admin != 0), board_id);

    if (err)
        return err;
    *shares = imu_json_own(p, json_array());
    for (int i = 0; i < rows->count; i++)
        json_array_append_new(
            *shares, json_pack("{s:o, s:o, s:o}", "user_id", imu_json_text(rows, i, "user_id"),
                               "display_name", imu_json_text(rows, i, "display_name"), "permission",
                               imu_json_text(rows, i, "permission")));
    return NULL;
}

imu_err *imu_board_people(imu_db *db, apr_pool_t *p, const char *board_id, const char *reader,
                          int is_admin, const char *search, imu_rows **people)
{
    const char *like = imu_like_anywhere(p, search);

    return imu_db_select(db, p, people, "board_people", "sisss", reader,
                         (apr_int64_t)(is_admin != 0), board_id, like, like);
}

imu_err *imu_board_share(imu_db *db, apr_pool_t *p, const char *board_id, const json_t *user_ids,
                         const char *permission, const char *named_by)
{
    int shared = 0;
    imu_err *err = imu_db_begin(db);

    if (err)
        return err;
    err = imu_db_exec(db, p, &shared, "board_shares_put", "sssss", board_id, permission, named_by,
                      imu_now(p), imu_json_compact(p, user_ids));
    if (!err && shared != (int)json_array_size(user_ids))
        err = imu_error(p, 404, "user_not_found",
                        "One of these people has no account here (any more).");
    if (!err)
        err = imu_db_exec(db, p, NULL, "board_mark_shared", "s", board_id);
    return imu_db_end(db, err);
}

imu_err *imu_board_unshare(imu_db *db, apr_pool_t *p, const char *board_id, const char *user_id,
                           int *ended)
{
    imu_err *err = imu_db_begin(db);

    *ended = 0;
    if (err)
        return err;
    err = imu_db_exec(db, p, ended, "board_share_remove", "ss", board_id, user_id);
    if (!err)
        err = imu_db_exec(db, p, NULL, "board_mark_shared", "s", board_id);
    return imu_db_end(db, err);
}
