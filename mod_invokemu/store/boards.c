#include "mod_invokemu/store/boards.h"

#include <string.h>

#include <apr_strings.h>

#include "mod_invokemu/util/ids.h"
#include "mod_invokemu/util/jsons.h"

static void read_facts(const imu_rows *rows, int row, imu_board_facts *facts)
{
    facts->owner_id = imu_text(rows, row, "user_id");
    facts->visibility = imu_visibility_of(imu_text(rows, row, "board_visibility"));
    facts->permission = imu_permission_of(imu_text(rows, row, "permission"));
}

static void read_board(const imu_rows *rows, int row, imu_board *board)
{
    board->board_id = imu_text(rows, row, "board_id");
    board->name = imu_text(rows, row, "board_name");
    board->owner_id = imu_text(rows, row, "user_id");
    board->owner_name = imu_text(rows, row, "owner_name");
    board->owner_display_name = imu_text(rows, row, "owner_display_name");
    board->visibility = imu_text(rows, row, "board_visibility");
    board->cover_image_name = imu_text(rows, row, "cover_image_name");
    board->created_at = imu_text(rows, row, "created_at");
    board->updated_at = imu_text(rows, row, "updated_at");
    board->archived = imu_bool(rows, row, "archived");
    board->image_count = imu_int(rows, row, "image_count");
    board->asset_count = imu_int(rows, row, "asset_count");
    board->share_count = imu_int(rows, row, "share_count");
    read_facts(rows, row, &board->facts);
}

imu_err *imu_board_create(imu_db *db, apr_pool_t *p, const char *owner_id, const char *name,
                          const char **id)
{
    const char *board_id = imu_uuid4(p);
    const char *now = imu_now(p);

    if (id)
        *id = board_id;
    return imu_db_exec(db, p, NULL, "board_insert", "ssssss", board_id, name, owner_id, owner_id,
                       now, now);
}

imu_err *imu_board_get(imu_db *db, apr_pool_t *p, const char *viewer_id, const char *board_id,
                       imu_board **board)
{
    imu_rows *rows;
    imu_err *err = imu_db_select(db, p, &rows, "board_get", "ss", viewer_id, board_id);

    *board = NULL;
    if (err || rows->count == 0)
        return err;
    *board = apr_pcalloc(p, sizeof **board);
    read_board(rows, 0, *board);
    return NULL;
}

imu_err *imu_board_facts_get(imu_db *db, apr_pool_t *p, const char *viewer_id, const char *board_id,
                             imu_board_facts **facts)
{
    imu_rows *rows;
    imu_err *err = imu_db_select(db, p, &rows, "board_facts", "ss", viewer_id, board_id);

    *facts = NULL;
    if (err || rows->count == 0)
        return err;
    *facts = apr_pcalloc(p, sizeof **facts);
    read_facts(rows, 0, *facts);
    return NULL;
}

imu_err *imu_boards_visible(imu_db *db, apr_pool_t *p, const imu_identity *viewer,
                            const imu_board_order *order, apr_int64_t limit, apr_int64_t offset,
                            imu_board_list *list)
{
    apr_int64_t sees_all = imu_policy_sees_all(viewer);
    apr_int64_t archived = order->archived != 0, by_name = order->by_name != 0,
                down = order->descending != 0;
    imu_rows *rows;
    imu_err *err = imu_db_select(db, p, &rows, "boards_list", "siiiiii", viewer->user_id, sees_all,
                                 archived, by_name, down, limit, offset);

    if (err)
        return err;
    list->count = rows->count;
    list->items = apr_pcalloc(p, sizeof(imu_board) * (apr_size_t)(rows->count + 1));
    for (int i = 0; i < rows->count; i++)
        read_board(rows, i, &list->items[i]);
    if (offset == 0 && rows->count < limit) {
        list->total = rows->count;
        return NULL;
    }
    if ((err = imu_db_select(db, p, &rows, "boards_count", "sii", viewer->user_id, sees_all,
                             archived)))
        return err;
    list->total = imu_int(rows, 0, "total");
    return NULL;
}

imu_err *imu_board_change(imu_db *db, apr_pool_t *p, const char *board_id,
                          const imu_board_changes *changes)
{
    const char *archived = changes->archived == IMU_BOARD_KEEP ? NULL
                           : changes->archived                 ? "1"
                                                               : "0";

    return imu_db_exec(db, p, NULL, "board_update", "ssssss", changes->name, changes->visibility,
                       changes->cover_image_name, archived, imu_now(p), board_id);
}

/* Sorts the board's pictures into those that go with it and those that stay. */
static imu_err *sort_pictures(imu_db *db, apr_pool_t *p, const char *board_id,
                              const char *pictures_of, int everybody, json_t *deleted, json_t *kept)
{
    imu_rows *rows;
    imu_err *err = imu_db_select(db, p, &rows, "board_pictures", "s", board_id);

    if (err)
        return err;
    for (int i = 0; i < rows->count; i++) {
        const char *owner = imu_text(rows, i, "user_id");
        int goes = everybody || (pictures_of && owner && strcmp(pictures_of, owner) == 0);

        json_array_append_new(goes ? deleted : kept, json_string(imu_text(rows, i, "image_name")));
    }
    return NULL;
}

imu_err *imu_board_delete(imu_db *db, apr_pool_t *p, const char *board_id, const char *pictures_of,
                          int everybody, json_t **deleted, json_t **kept)
{
    imu_err *err;

    *deleted = imu_json_own(p, json_array());
    *kept = imu_json_own(p, json_array());
    if ((err = imu_db_begin(db)))
        return err;
    err = sort_pictures(db, p, board_id, pictures_of, everybody, *deleted, *kept);
    if (!err && json_array_size(*deleted) > 0)
        err = imu_db_exec(db, p, NULL, "images_delete", "s", imu_json_compact(p, *deleted));
    if (!err)
        err = imu_db_exec(db, p, NULL, "board_delete", "s", board_id);
    return imu_db_end(db, err);
}

imu_err *imu_board_put(imu_db *db, apr_pool_t *p, const char *board_id, const json_t *names)
{
    const char *now = imu_now(p);

    return imu_db_exec(db, p, NULL, "board_images_put", "ssss", board_id, now, now,
                       imu_json_compact(p, names));
}

imu_err *imu_board_take_off(imu_db *db, apr_pool_t *p, const json_t *names)
{
    return imu_db_exec(db, p, NULL, "board_images_remove", "s", imu_json_compact(p, names));
}
