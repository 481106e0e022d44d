/*
 * boards.c: /api/v1/boards
 */
#include <string.h>

#include "mod_invokemu/events/board_news.h"
#include "mod_invokemu/api/audit.h"
#include "mod_invokemu/api/gallery.h"
#include "mod_invokemu/api/handlers.h"
#include "mod_invokemu/validate.h"

#define MAX_BOARDS          10000
#define MAX_NAME_CHARACTERS 300
#define MAX_NAME_BYTES      (4 * MAX_NAME_CHARACTERS)

static const char *const visibilities[] = {"private", "shared", "public", NULL};

/* Characters of valid UTF-8: every byte but those that continue one. */
static size_t characters(const char *text)
{
    size_t n = 0;

    for (; *text; text++)
        n += ((unsigned char)*text & 0xC0) != 0x80;
    return n;
}

/* Characters that show nothing: the spaces of Unicode, and those of no width. */
static const char *const unseen[] = {
    " ",
    "\t",
    "\n",
    "\r",
    "\v",
    "\f",
    "\xC2\x85",
    "\xC2\xA0",
    "\xE1\x9A\x80",
    "\xE2\x80\x80",
    "\xE2\x80\x81",
    "\xE2\x80\x82",
    "\xE2\x80\x83",
    "\xE2\x80\x84",
    "\xE2\x80\x85",
    "\xE2\x80\x86",
    "\xE2\x80\x87",
    "\xE2\x80\x88",
    "\xE2\x80\x89",
    "\xE2\x80\x8A",
    "\xE2\x80\x8B",
    "\xE2\x80\x8C",
    "\xE2\x80\x8D",
    "\xE2\x80\xA8",
    "\xE2\x80\xA9",
    "\xE2\x80\xAF",
    "\xE2\x81\x9F",
    "\xE2\x81\xA0",
    "\xE3\x80\x80",
    "\xEF\xBB\xBF",
};

/* How many bytes of a character that shows nothing stand here; 0 when something else does. */
static size_t unseen_at(const char *text)
{
    for (unsigned i = 0; i < sizeof unseen / sizeof unseen[0]; i++)
        if (strncmp(text, unseen[i], strlen(unseen[i])) == 0)
            return strlen(unseen[i]);
    return 0;
}

/* Whether a name has nothing in it that can be read, or found to click on. */
static int blank(const char *name)
{
    size_t len;

    while ((len = unseen_at(name)) > 0)
        name += len;
    return !*name;
}

static imu_err *check_name(imu_req *req, const char *where, const char *name)
{
    if (!*name)
        return imu_invalid(req->p, where, "board_name", "string_too_short",
                           "String should have at least 1 character");
    if (blank(name))
        return imu_invalid(req->p, where, "board_name", "value_error",
                           "The name should have something to read in it");
    if (characters(name) > MAX_NAME_CHARACTERS)
        return imu_invalid(req->p, where, "board_name", "string_too_long",
                           "String should have at most 300 characters");
    return NULL;
}

static imu_err *reply_board(imu_req *req, int status, const char *board_id)
{
    imu_board *board;
    imu_err *err = imu_gallery_board(req, board_id, imu_policy_board_read, &board);

    return err ? err : imu_reply_json(req, status, imu_board_json(req, board));
}

imu_err *imu_api_board_create(imu_req *req)
{
    const char *name, *id;
    imu_db *db;
    imu_err *err;

    if ((err = imu_query_required(req, "board_name", MAX_NAME_BYTES, &name)) ||
        (err = check_name(req, "query", name)) || (err = imu_req_db(req, &db)) ||
        (err = imu_board_create(db, req->p, req->who.user_id, name, &id)))
        return err;
    imu_board_tell_now(req->db, req->p, id, 0);
    return reply_board(req, 201, id);
}

static json_t *boards_json(imu_req *req, const imu_board_list *list)
{
    json_t *items = json_array();

    for (int i = 0; i < list->count; i++)
        json_array_append_new(items, imu_board_json(req, &list->items[i]));
    return items;
}

static imu_err *read_order(imu_req *req, imu_board_order *order)
{
    static const char *const columns[] = {"created_at", "board_name", NULL};
    static const char *const directions[] = {"ASC", "DESC", NULL};
    const char *column, *direction;
    imu_err *err;

    if ((err = imu_query_choice(req, "order_by", columns, "created_at", &column)) ||
        (err = imu_query_choice(req, "direction", directions, "DESC", &direction)) ||
        (err = imu_query_bool(req, "include_archived", 0, &order->archived)))
        return err;
    order->by_name = strcmp(column, "board_name") == 0;
    order->descending = strcmp(direction, "DESC") == 0;
    return NULL;
}

/* all=true answers a plain list, offset and limit a page; neither is an error, as upstream has it.
 */
imu_err *imu_api_board_list(imu_req *req)
{
    apr_int64_t limit, offset;
    imu_board_order order;
    imu_board_list list;
    imu_db *db;
    imu_err *err;
    int all;

    if ((err = read_order(req, &order)) || (err = imu_query_bool(req, "all", 0, &all)) ||
        (err = imu_query_int(req, "offset", 0, APR_INT64_MAX, -1, &offset)) ||
        (err = imu_query_int(req, "limit", 0, MAX_BOARDS, -1, &limit)))
        return err;
    if (!all && (offset < 0 || limit < 0))
        return imu_error(req->p, 400, "no_page",
                         "Ask for all=true, or for a page with offset and limit.");
    if (all) {
        offset = 0;
        limit = MAX_BOARDS;
    }
    if ((err = imu_req_db(req, &db)))
        return err;
    if (imu_reply_recalled(req))
        return NULL;
    if ((err = imu_boards_visible(db, req->p, &req->who, &order, limit, offset, &list)))
        return err;
    if (all)
        return imu_reply_remembered(req, boards_json(req, &list));
    return imu_reply_remembered(req, json_pack("{s:I, s:I, s:I, s:o}", "limit", (json_int_t)limit,
                                               "offset", (json_int_t)offset, "total",
                                               (json_int_t)list.total, "items",
                                               boards_json(req, &list)));
}

imu_err *imu_api_board_get(imu_req *req)
{
    return reply_board(req, 200, imu_param(req, "board_id"));
}

/* A cover is one of the board's own pictures: anything else would let a board show what its viewers
 * may not see. */
static imu_err *check_cover(imu_req *req, const char *board_id, const char *cover)
{
    imu_image *image;
    imu_err *err;

    if (!cover)
        return NULL;
    if ((err = imu_image_get(req->db, req->p, req->who.user_id, cover, &image)))
        return err;
    if (!image || !image->board_id || strcmp(image->board_id, board_id) != 0)
        return imu_invalid(req->p, "body", "cover_image_name", "value_error",
                           "The cover should be a picture on this board");
    return NULL;
}

static imu_err *read_changes(imu_req *req, imu_board_changes *changes)
{
    static const char *const fields[] = {"board_name", "cover_image_name", "archived",
                                         "board_visibility", NULL};
    imu_check *c = imu_check_new(req->p, "body");
    json_t *body;
    imu_err *err = imu_body_object(req, &body);

    if (err)
        return err;
    imu_check_only(c, body, fields);
    changes->name = imu_check_text(c, body, "board_name", IMU_NULLABLE, 1, MAX_NAME_BYTES);
    changes->cover_image_name = imu_check_text(c, body, "cover_image_name", IMU_NULLABLE, 1, 255);
    changes->archived = imu_check_bool(c, body, "archived", IMU_NULLABLE, IMU_BOARD_KEEP);
    changes->visibility = imu_check_choice(c, body, "board_visibility", IMU_NULLABLE, visibilities);
    if ((err = imu_check_end(c)))
        return err;
    return changes->name ? check_name(req, "body", changes->name) : NULL;
}

/* What somebody did to a board that is not theirs. @param detail  the reference is taken */
static void audit_foreign(imu_req *req, imu_audit_action action, const imu_board *board,
                          json_t *detail)
{
    imu_audit_foreign(req,
                      (imu_audit_fact){.action = action,
                                       .target_id = board->board_id,
                                       .target_name = board->name,
                                       .detail = detail},
                      board->owner_id);
}

/* Who sees a board is an entry of its own. */
static void audit_change(imu_req *req, const imu_board *board, const imu_board_changes *changes)
{
    json_t *detail = json_object();

    if (changes->name)
        json_object_set_new(detail, "board_name", json_string(changes->name));
    if (changes->cover_image_name)
        json_object_set_new(detail, "cover", json_string(changes->cover_image_name));
    if (changes->archived != IMU_BOARD_KEEP)
        json_object_set_new(detail, "archived", json_boolean(changes->archived));
    if (json_object_size(detail) > 0)
        audit_foreign(req, IMU_AUDIT_BOARD_CHANGED, board, detail);
    else
        json_decref(detail);
    if (changes->visibility)
        imu_audit_board(req, IMU_AUDIT_BOARD_VISIBILITY, board->board_id, NULL,
                        json_pack("{s:s}", "board_visibility", changes->visibility));
}

imu_err *imu_api_board_change(imu_req *req)
{
    const char *board_id = imu_param(req, "board_id");
    imu_board_audience *before;
    imu_board_changes changes;
    imu_board *board;
    imu_err *err;

    if ((err = imu_gallery_board(req, board_id, imu_policy_board_edit, &board)) ||
        (err = read_changes(req, &changes)) ||
        (err = check_cover(req, board_id, changes.cover_image_name)) ||
        (err = imu_board_audience_read(req->db, req->p, board_id, &before)) ||
        (err = imu_board_change(req->db, req->p, board_id, &changes)))
        return err;
    imu_board_tell_now(req->db, req->p, board_id, before->everyone);
    audit_change(req, board, &changes);
    return reply_board(req, 201, board_id);
}

/* Pictures go with their board only as far as the caller could have taken them: everybody's for
 * administrators, else own ones. */
imu_err *imu_api_board_delete(imu_req *req)
{
    const char *board_id = imu_param(req, "board_id");
    imu_board_audience *audience;
    json_t *deleted, *kept;
    imu_board *board;
    int with_pictures;
    imu_err *err;

    if ((err = imu_query_bool(req, "include_images", 0, &with_pictures)) ||
        (err = imu_gallery_board(req, board_id, imu_policy_board_delete, &board)) ||
        (err = imu_board_audience_read(req->db, req->p, board_id, &audience)))
        return err;
    err = imu_board_delete(req->db, req->p, board_id, with_pictures ? req->who.user_id : NULL,
                           with_pictures && imu_policy_sees_all(&req->who), &deleted, &kept);
    if (err)
        return err;
    imu_board_tell(audience);
    audit_foreign(req, IMU_AUDIT_BOARD_DELETED, board,
                  json_pack("{s:I}", "images", (json_int_t)json_array_size(deleted)));
    imu_gallery_purge(req);
    return imu_reply_json(req, 200,
                          json_pack("{s:s, s:O, s:O, s:[], s:[], s:[], s:[]}", "board_id", board_id,
                                    "deleted_board_images", kept, "deleted_images", deleted,
                                    "deleted_board_videos", "deleted_videos", "failed_images",
                                    "failed_videos"));
}

imu_err *imu_api_board_image_names(imu_req *req)
{
    const char *board_id = imu_param(req, "board_id");
    imu_image_filter filter;
    apr_int64_t starred;
    json_t *names;
    imu_db *db;
    imu_err *err;

    if ((err = imu_gallery_filter(req, "image_origin", &filter)))
        return err;
    filter.starred_first = 0;
    if (strcmp(board_id, IMU_NO_BOARD) == 0) {
        filter.board_id = NULL;
        filter.uncategorized = 1;
    } else {
        if ((err = imu_gallery_board_may(req, board_id, imu_policy_board_read)))
            return err;
        filter.board_id = board_id;
    }
    if ((err = imu_req_db(req, &db)) ||
        (err = imu_images_names(db, req->p, &filter, &names, &starred)))
        return err;
    return imu_reply_json(req, 200, json_incref(names));
}
