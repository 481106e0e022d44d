/*
 * bulk_download.c: /api/v1/images/download: pictures as one ZIP file, for the person who asked,
 * once.
 */
#include <string.h>

#include <apr_strings.h>

#include "mod_invokemu/api/gallery.h"
#include "mod_invokemu/api/handlers.h"
#include "mod_invokemu/events/publish.h"
#include "mod_invokemu/packers.h"
#include "mod_invokemu/store/archives.h"
#include "mod_invokemu/util/ids.h"
#include "mod_invokemu/validate.h"

#define MAX_PICTURES 5000
#define MAX_ID       255

static imu_err *too_many(imu_req *req)
{
    return imu_error(req->p, 413, "too_many_pictures",
                     "At most %d pictures can be downloaded at once.", MAX_PICTURES);
}

static imu_err *nothing_to_pack(imu_req *req)
{
    return imu_error(req->p, 400, "nothing_to_pack",
                     "Choose pictures, or a board with pictures on it, to download.");
}

/* Those that are somebody else's. */
static json_t *lent(imu_req *req, const imu_image_list *pictures)
{
    json_t *names = imu_json_own(req->p, json_array());

    for (int i = 0; i < pictures->count; i++)
        if (strcmp(pictures->items[i].facts.owner_id, req->who.user_id) != 0)
            json_array_append_new(names, json_string(pictures->items[i].image_name));
    return names;
}

/* What is on a board that the caller may see. */
static imu_err *of_board(imu_req *req, const imu_image_filter *on_board, imu_image_list *pictures)
{
    json_t *names = NULL;
    apr_int64_t starred;
    imu_err *err = imu_gallery_board_may(req, on_board->board_id, imu_policy_board_read);

    if (!err)
        err = imu_images_names(req->db, req->p, on_board, &names, &starred);
    if (!err && json_array_size(names) > MAX_PICTURES)
        err = too_many(req);
    return err ? err : imu_images_by_names(req->db, req->p, req->who.user_id, names, pictures);
}

/* Names of what is asked for, every one of which the caller may see. */
static imu_err *chosen(imu_req *req, json_t **names, imu_archive_source *source)
{
    imu_check *c = imu_check_new(req->p, "body");
    imu_image_filter on_board = {.intermediate = 0};
    json_t *body, *given;
    imu_image_list pictures = {.count = 0};
    imu_err *err;

    if ((err = imu_body_object(req, &body)))
        return err;
    given = imu_check_texts(c, body, "image_names", IMU_NULLABLE, MAX_PICTURES, MAX_ID);
    on_board.board_id = imu_check_text(c, body, "board_id", IMU_NULLABLE, 1, MAX_ID);
    source->board_id = json_array_size(given) > 0 ? NULL : on_board.board_id;
    if ((err = imu_check_end(c)))
        return err;
    if (json_array_size(given) > 0)
        err = imu_gallery_pictures(req, given, imu_policy_picture_read, &pictures);
    else if (on_board.board_id)
        err = of_board(req, &on_board, &pictures);
    if (err)
        return err;
    *names = imu_gallery_name_list(req, &pictures);
    source->lent = lent(req, &pictures);
    return pictures.count > 0 ? NULL : nothing_to_pack(req);
}

static void announce(imu_req *req, const char *event, const char *name, const imu_err *err)
{
    json_t *data = json_pack(
        "{s:I, s:s, s:s, s:s, s:s, s:s*}", "timestamp", (json_int_t)apr_time_sec(apr_time_now()),
        "bulk_download_id", "default", "bulk_download_item_id",
        apr_pstrmemdup(req->p, name, strlen(name) - 4), "bulk_download_item_name", name, "user_id",
        req->who.user_id, "error", err ? err->detail : NULL);

    imu_publish(event, req->who.user_id, data);
    json_decref(data);
}

/* Writes the file, and makes it known. Packing may take a while: it holds no connection to the
 * database. */
static imu_err *pack(imu_req *req, const imu_archive_job *job, const char *name,
                     const imu_archive_source *source)
{
    imu_err *err = imu_archive_write(req->p, job, name);
    imu_db *db;

    if (err)
        return err;
    if ((err = imu_req_db(req, &db)) ||
        (err = imu_archive_add(db, req->p, job->root, name, req->who.user_id, source)))
        return imu_archive_discard(req->p, job->root, name, err);
    return NULL;
}

imu_err *imu_api_bulk_download_make(imu_req *req)
{
    const char *name = imu_archive_name_new(req->p);
    imu_packer packer = {.who = req->who.user_id, .stream = req->r->connection->master != NULL};
    imu_archive_job job = {.root = req->inst->root,
                           .min_free = req->inst->min_free,
                           .wanted = imu_packer_goes_on,
                           .user = &packer};
    imu_archive_source source;
    json_t *names = NULL;
    imu_err *err = imu_req_disk(req);

    if (!err)
        err = chosen(req, &names, &source);
    if (!err)
        err = imu_archive_room(req->db, req->p, job.root, packer.who, &job.room);
    imu_req_db_release(req);
    if (err)
        return err;
    if (imu_packer_enter(&packer) != 0)
        return imu_archive_busy(req->p);
    announce(req, "bulk_download_started", name, NULL);
    job.names = names;
    err = pack(req, &job, name, &source);
    imu_packer_leave(&packer);
    announce(req, err ? "bulk_download_error" : "bulk_download_complete", name, err);
    if (err)
        return err;
    return imu_reply_json(req, 202,
                          json_pack("{s:s, s:s}", "response", "Your pictures are packed.",
                                    "bulk_download_item_name", name));
}

/* Whether what an archive was made of may still be seen: the board, if it is of one, and each
 * picture that was somebody else's. Of one that is gone nobody knows who could see it at last. An
 * archive of before this was noted may not. */
static imu_err *still_readable(imu_req *req, const imu_archive_source *source, int *yes)
{
    imu_board_facts *board = NULL;
    imu_image_list pictures;
    imu_err *err = NULL;

    if (source->board_id)
        err = imu_board_facts_get(req->db, req->p, req->who.user_id, source->board_id, &board);
    *yes = json_is_array(source->lent) &&
           (!source->board_id || (board && imu_policy_board_read(&req->who, board)));
    if (err || !*yes)
        return err;
    if ((err = imu_images_by_names(req->db, req->p, req->who.user_id, source->lent, &pictures)))
        return err;
    *yes = pictures.count == (int)json_array_size(source->lent);
    for (int i = 0; *yes && i < pictures.count; i++)
        *yes = imu_policy_picture_read(&req->who, &pictures.items[i].facts);
    return NULL;
}

/* Whether there is such an archive for the caller, as far as its row tells. What may not be given
 * out any more is not kept either. */
static imu_err *check(imu_req *req, imu_db *db, const char *name, int *there)
{
    imu_archive_source source;
    const char *owner;
    int readable;
    imu_err *err = imu_archive_owner(db, req->p, name, &owner, &source);

    *there = !err && owner != NULL;
    if (!*there)
        return err;
    if (!imu_policy_archive_fetch(&req->who, owner))
        return imu_error(req->p, 403, "not_yours", "This download was made for somebody else.");
    if ((err = still_readable(req, &source, &readable)) || readable)
        return err;
    err = imu_archive_drop(db, req->p, req->inst->root, name);
    return err ? err
               : imu_error(
                     req->p, 404, "no_download",
                     "You may not see some of these pictures any more: the download is gone.");
}

imu_err *imu_api_bulk_download_fetch(imu_req *req)
{
    const char *name = imu_param(req, "bulk_download_item_name"), *root = req->inst->root;
    int there;
    imu_db *db;
    imu_err *err;

    if ((err = imu_req_db(req, &db)) || (err = check(req, db, name, &there)))
        return err;
    if (there)
        there = req->r->header_only ? imu_archive_there(req->p, root, name)
                                    : imu_archive_take(req->r->pool, root, name);
    if (!there)
        return imu_error(req->p, 404, "no_download",
                         "There is no such download, or it has been fetched already.");
    imu_reply_header(req, "Content-Disposition",
                     apr_psprintf(req->p, "attachment; filename=\"%s\"", name));
    imu_reply_file(req, imu_archive_path(req->p, root, name), "application/zip", NULL, NULL);
    req->reply.whole = !req->r->header_only;
    return NULL;
}
