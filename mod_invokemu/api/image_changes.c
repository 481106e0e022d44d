/*
 * image_changes.c: /api/v1/images: changing, starring and deleting pictures.
 */
#include <string.h>

#include "mod_invokemu/api/gallery.h"
#include "mod_invokemu/api/handlers.h"
#include "mod_invokemu/validate.h"

/* The boards of a list, each once, "none" for pictures on no board. New reference. */
static json_t *boards_of(const imu_image_list *list)
{
    json_t *seen = json_object(), *boards = json_array();

    for (int i = 0; i < list->count; i++) {
        const char *word = imu_board_word(list->items[i].board_id);

        if (json_object_get(seen, word))
            continue;
        json_object_set_new(seen, word, json_true());
        json_array_append_new(boards, json_string(word));
    }
    json_decref(seen);
    return boards;
}

/* On a board that is open to write, people change each other's pictures; what an administrator
 * changes is noted. */
static void note_ruled(imu_req *req, const imu_image_list *list)
{
    if (imu_policy_sees_all(&req->who))
        imu_gallery_note(req, IMU_AUDIT_PICTURES_CHANGED, list);
}

imu_err *imu_api_image_change(imu_req *req)
{
    imu_check *c = imu_check_new(req->p, "body");
    imu_image_changes changes;
    imu_image *image;
    json_t *body;
    imu_err *err;

    if ((err = imu_gallery_picture(req, imu_policy_picture_change, &image)) ||
        (err = imu_body_object(req, &body)))
        return err;
    changes.category = imu_check_choice(c, body, "image_category", IMU_NULLABLE, imu_categories);
    changes.session_id = imu_check_text(c, body, "session_id", IMU_NULLABLE, 0, 255);
    changes.is_intermediate =
        imu_check_bool(c, body, "is_intermediate", IMU_NULLABLE, IMU_IMAGE_KEEP);
    changes.starred = imu_check_bool(c, body, "starred", IMU_NULLABLE, IMU_IMAGE_KEEP);
    if ((err = imu_check_end(c)) ||
        (err = imu_image_change(req->db, req->p, image->image_name, &changes)) ||
        (err = imu_gallery_picture(req, imu_policy_picture_read, &image)))
        return err;
    note_ruled(req, &(imu_image_list){1, image, 1});
    return imu_reply_json(req, 200, imu_image_json(req, image));
}

static imu_err *star(imu_req *req, int starred)
{
    imu_image_list list;
    json_t *names;
    imu_err *err;

    if ((err = imu_gallery_names(req, &names)) ||
        (err = imu_gallery_pictures(req, names, imu_policy_picture_change, &list)))
        return err;
    names = imu_gallery_name_list(req, &list);
    if ((err = imu_images_star(req->db, req->p, names, starred)))
        return err;
    note_ruled(req, &list);
    return imu_reply_json(req, 200,
                          json_pack("{s:O, s:o}", starred ? "starred_images" : "unstarred_images",
                                    names, "affected_boards", boards_of(&list)));
}

imu_err *imu_api_images_star(imu_req *req)
{
    return star(req, 1);
}

imu_err *imu_api_images_unstar(imu_req *req)
{
    return star(req, 0);
}

/* Deletes rows and then files. */
static imu_err *delete_list(imu_req *req, const imu_image_list *list)
{
    json_t *names = imu_gallery_name_list(req, list);
    imu_err *err = imu_images_delete(req->db, req->p, names);

    if (err)
        return err;
    imu_gallery_note(req, IMU_AUDIT_PICTURES_DELETED, list);
    imu_gallery_purge(req);
    return imu_reply_json(req, 200,
                          json_pack("{s:O, s:o, s:[]}", "deleted_images", names, "affected_boards",
                                    boards_of(list), "failed_images"));
}

imu_err *imu_api_image_delete(imu_req *req)
{
    imu_image_list list = {1, NULL, 1};
    imu_err *err = imu_gallery_picture(req, imu_policy_picture_change, &list.items);

    return err ? err : delete_list(req, &list);
}

/* Deletes what the caller may delete of a list, and says nothing of the rest. */
imu_err *imu_api_images_delete(imu_req *req)
{
    imu_image_list list;
    json_t *names;
    imu_db *db;
    int kept = 0;
    imu_err *err;

    if ((err = imu_gallery_names(req, &names)) || (err = imu_req_db(req, &db)) ||
        (err = imu_images_by_names(db, req->p, req->who.user_id, names, &list)))
        return err;
    for (int i = 0; i < list.count; i++)
        if (imu_policy_picture_change(&req->who, &list.items[i].facts))
            list.items[kept++] = list.items[i];
    list.count = kept;
    return delete_list(req, &list);
}

imu_err *imu_api_images_delete_uncategorized(imu_req *req)
{
    imu_image_filter filter = {.uncategorized = 1, .intermediate = -1};
    imu_image_list list = {0};
    apr_int64_t starred;
    json_t *names;
    imu_db *db;
    imu_err *err;

    if (!imu_policy_sees_all(&req->who))
        filter.owner_id = req->who.user_id;
    if ((err = imu_req_db(req, &db)) ||
        (err = imu_images_names(db, req->p, &filter, &names, &starred)) ||
        (err = filter.owner_id ? NULL
                               : imu_images_by_names(db, req->p, req->who.user_id, names, &list)) ||
        (err = imu_images_delete(db, req->p, names)))
        return err;
    imu_gallery_note(req, IMU_AUDIT_PICTURES_DELETED, &list);
    imu_gallery_purge(req);
    return imu_reply_json(
        req, 200,
        json_pack("{s:O, s:o, s:[]}", "deleted_images", names, "affected_boards",
                  json_array_size(names) ? json_pack("[s]", IMU_NO_BOARD) : json_array(),
                  "failed_images"));
}

imu_err *imu_api_images_count_intermediates(imu_req *req)
{
    apr_int64_t count;
    imu_db *db;
    imu_err *err;

    if ((err = imu_req_db(req, &db)) ||
        (err = imu_images_intermediate_count(
             db, req->p, imu_policy_sees_all(&req->who) ? NULL : req->who.user_id, &count)))
        return err;
    return imu_reply_json(req, 200, json_integer((json_int_t)count));
}

imu_err *imu_api_images_delete_intermediates(imu_req *req)
{
    json_int_t total = 0;
    int deleted = 1;
    imu_db *db;
    imu_err *err;

    if (!imu_policy_intermediates_delete(&req->who))
        return imu_error(req->p, 403, "admin_only",
                         "Only administrators may clear everybody's intermediate pictures.");
    if ((err = imu_req_db(req, &db)))
        return err;
    while (deleted > 0) {
        if ((err = imu_images_intermediates_delete(db, req->p, &deleted)))
            return err;
        total += deleted;
    }
    if (total > 0 && req->inst->multiuser)
        imu_audit(req, (imu_audit_fact){
                           .action = IMU_AUDIT_PICTURES_DELETED,
                           .detail = json_pack("{s:I, s:b}", "images", total, "intermediate", 1)});
    imu_gallery_purge(req);
    return imu_reply_json(req, 200, json_integer(total));
}
