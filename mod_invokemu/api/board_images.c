/*
 * board_images.c: /api/v1/board_images: putting pictures on boards and taking them off.
 *
 * Adding needs write access to the board and the picture itself; taking off needs write access to
 * the board it is on, whoever owns the picture. A list is done as a whole or not at all.
 */
#include <string.h>

#include "mod_invokemu/api/gallery.h"
#include "mod_invokemu/api/handlers.h"
#include "mod_invokemu/validate.h"

/* Adds a board to a list of boards unless it is there. */
static void affect(json_t *boards, const char *board_id)
{
    for (size_t i = 0; i < json_array_size(boards); i++)
        if (strcmp(json_string_value(json_array_get(boards, i)), imu_board_word(board_id)) == 0)
            return;
    json_array_append_new(boards, json_string(imu_board_word(board_id)));
}

static json_t *affected_by(const imu_image_list *list, const char *and_board)
{
    json_t *boards = json_array();

    for (int i = 0; i < list->count; i++)
        affect(boards, list->items[i].board_id);
    affect(boards, and_board);
    return boards;
}

static imu_err *put(imu_req *req, const char *board_id, const json_t *names)
{
    imu_image_list list;
    imu_err *err;

    if ((err = imu_gallery_board_may(req, board_id, imu_policy_board_write)) ||
        (err = imu_gallery_pictures(req, names, imu_policy_picture_move, &list)))
        return err;
    names = imu_gallery_name_list(req, &list);
    if ((err = imu_board_put(req->db, req->p, board_id, names)))
        return err;
    imu_gallery_note(req, IMU_AUDIT_PICTURES_CHANGED, &list);
    return imu_reply_json(req, 201,
                          json_pack("{s:O, s:o}", "added_images", names, "affected_boards",
                                    affected_by(&list, board_id)));
}

/* A picture on a board may be taken off by whoever may write there; one on no board is its owner's
 * affair. */
static int may_take_off(const imu_identity *who, const imu_picture_facts *picture)
{
    return picture->board ? imu_policy_board_write(who, picture->board)
                          : imu_policy_picture_move(who, picture);
}

static imu_err *take_off(imu_req *req, const json_t *names)
{
    imu_image_list list;
    imu_err *err = imu_gallery_pictures(req, names, may_take_off, &list);

    if (err)
        return err;
    names = imu_gallery_name_list(req, &list);
    if ((err = imu_board_take_off(req->db, req->p, names)))
        return err;
    if (imu_policy_sees_all(&req->who))
        imu_gallery_note(req, IMU_AUDIT_PICTURES_CHANGED, &list);
    return imu_reply_json(req, 201,
                          json_pack("{s:O, s:o}", "removed_images", names, "affected_boards",
                                    affected_by(&list, NULL)));
}

/* Reads {"board_id", "image_name" or "image_names"}; a single name becomes a list of one. */
static imu_err *read_body(imu_req *req, int single, const char **board_id, json_t **names)
{
    imu_check *c = imu_check_new(req->p, "body");
    json_t *body;
    imu_err *err = imu_body_object(req, &body);

    if (err)
        return err;
    if (board_id)
        *board_id = imu_check_text(c, body, "board_id", IMU_REQUIRED, 1, 255);
    if (single) {
        const char *name = imu_check_text(c, body, "image_name", IMU_REQUIRED, 1, 255);

        *names = imu_json_own(req->p, json_pack("[s?]", name));
    } else {
        *names = imu_check_texts(c, body, "image_names", IMU_REQUIRED, IMU_MAX_NAMES, 255);
    }
    return imu_check_end(c);
}

imu_err *imu_api_board_images_add(imu_req *req)
{
    const char *board_id;
    imu_image *image;
    json_t *names;
    imu_err *err = read_body(req, 1, &board_id, &names);

    if (!err)
        err = imu_gallery_board_may(req, board_id, imu_policy_board_write);
    if (!err)
        err = imu_gallery_picture_named(req, json_string_value(json_array_get(names, 0)),
                                        imu_policy_picture_move, &image);
    return err ? err : put(req, board_id, names);
}

imu_err *imu_api_board_images_add_batch(imu_req *req)
{
    const char *board_id;
    json_t *names;
    imu_err *err = read_body(req, 0, &board_id, &names);

    return err ? err : put(req, board_id, names);
}

imu_err *imu_api_board_images_remove(imu_req *req)
{
    imu_image *image;
    json_t *names;
    imu_err *err = read_body(req, 1, NULL, &names);

    if (!err)
        err = imu_gallery_picture_named(req, json_string_value(json_array_get(names, 0)),
                                        may_take_off, &image);
    return err ? err : take_off(req, names);
}

imu_err *imu_api_board_images_remove_batch(imu_req *req)
{
    json_t *names;
    imu_err *err = read_body(req, 0, NULL, &names);

    return err ? err : take_off(req, names);
}
