/*
 * image_upload.c: POST /api/v1/images/upload: a picture from the caller's own disk.
 *
 * Everything that can be refused without the file is refused before it is read. The file is decoded
 * by the media process.
 */
#include <string.h>

#include "mod_invokemu/api/gallery.h"
#include "mod_invokemu/api/handlers.h"
#include "mod_invokemu/store/picture_files.h"
#include "mod_invokemu/upload.h"
#include "mod_invokemu/util/jsons.h"
#include "mod_invokemu/validate.h"

#define THUMBNAIL_SIDE    256
#define MAX_RESIZE_PIXELS 16777216
#define MAX_RESIZE_SIDE   16384

typedef struct wanted {
    imu_picture picture;
    int crop_visible;
    int width, height; /* to resize to, or 0 and 0 */
} wanted;

static imu_err *read_query(imu_req *req, wanted *w)
{
    imu_err *err;

    if ((err =
             imu_query_choice(req, "image_category", imu_categories, NULL, &w->picture.category)) ||
        (err = imu_query_bool(req, "is_intermediate", IMU_UNSET, &w->picture.is_intermediate)) ||
        (err = imu_query_text(req, "board_id", 255, NULL, &w->picture.board_id)) ||
        (err = imu_query_text(req, "session_id", 255, NULL, &w->picture.session_id)) ||
        (err = imu_query_bool(req, "crop_visible", 0, &w->crop_visible)))
        return err;
    if (!w->picture.category)
        return imu_invalid(req->p, "query", "image_category", "missing", "Field required");
    if (w->picture.is_intermediate == IMU_UNSET)
        return imu_invalid(req->p, "query", "is_intermediate", "missing", "Field required");
    if (w->picture.board_id &&
        (!*w->picture.board_id || strcmp(w->picture.board_id, IMU_NO_BOARD) == 0))
        w->picture.board_id = NULL;
    return w->picture.board_id
               ? imu_gallery_board_may(req, w->picture.board_id, imu_policy_board_write)
               : NULL;
}

/* resize_to is the text of a JSON array of two numbers. */
static imu_err *read_resize(imu_req *req, const imu_part *part, wanted *w)
{
    json_t *size;

    if (!part || !part->text || !part->text_len)
        return NULL;
    size = imu_json_own(req->p, json_loadb(part->text, part->text_len, 0, NULL));
    if (json_array_size(size) == 2 && json_is_integer(json_array_get(size, 0)) &&
        json_is_integer(json_array_get(size, 1))) {
        json_int_t width = json_integer_value(json_array_get(size, 0)),
                   height = json_integer_value(json_array_get(size, 1));

        if (width > 0 && height > 0 && width <= MAX_RESIZE_SIDE && height <= MAX_RESIZE_SIDE &&
            width * height <= MAX_RESIZE_PIXELS) {
            w->width = (int)width;
            w->height = (int)height;
            return NULL;
        }
    }
    return imu_invalid(req->p, "body", "resize_to", "value_error",
                       "Input should be [width, height], at most 16777216 pixels together");
}

static imu_err *read_parts(imu_req *req, const imu_upload *upload, wanted *w)
{
    const imu_part *metadata = imu_multipart_part(upload->form, "metadata");

    if (metadata && metadata->text && metadata->text_len) {
        w->picture.metadata = strlen(metadata->text) == metadata->text_len
                                  ? imu_json_object_text(req->p, metadata->text)
                                  : NULL;
        if (!w->picture.metadata)
            return imu_invalid(req->p, "body", "metadata", "json_type",
                               "Input should be the text of a JSON object");
    }
    return read_resize(req, imu_multipart_part(upload->form, "resize_to"), w);
}

static imu_err *store(imu_req *req, wanted *w, const struct imu_media_result *decoded)
{
    imu_picture *picture = &w->picture;
    imu_image *image;
    imu_db *db;
    imu_err *err;

    picture->image_name = imu_picture_name_new(req->p);
    picture->user_id = req->who.user_id;
    picture->origin = "external";
    picture->width = decoded->width;
    picture->height = decoded->height;
    if (!picture->metadata)
        picture->metadata = decoded->metadata;
    picture->workflow = decoded->workflow;
    picture->graph = decoded->graph;
    /* Reading and decoding took time: the board may be closed to the caller, or gone, by now. */
    if ((err = imu_req_db(req, &db)) ||
        (picture->board_id &&
         (err = imu_gallery_board_may(req, picture->board_id, imu_policy_board_write))) ||
        (err = imu_picture_store(db, req->p, req->inst->root, picture, decoded->png_fd,
                                 decoded->thumbnail_fd)) ||
        (err =
             imu_gallery_picture_named(req, picture->image_name, imu_policy_picture_read, &image)))
        return err;
    imu_reply_header(req, "Location", imu_image_url(req, picture->image_name, "full"));
    return imu_reply_json(req, 201, imu_image_json(req, image));
}

imu_err *imu_api_image_upload(imu_req *req)
{
    struct imu_media_result *decoded = apr_pcalloc(req->p, sizeof *decoded);
    wanted w = {0};
    imu_upload upload;
    imu_err *err = read_query(req, &w);

    /* The body may arrive slowly: nobody else should wait for this connection to the database
     * meanwhile. */
    imu_req_db_release(req);
    if (err || (err = imu_upload_read(req, "file", &upload)) ||
        (err = read_parts(req, &upload, &w)) ||
        (err = imu_upload_decode(req, &upload, THUMBNAIL_SIDE, w.width, w.height, decoded)))
        return err;
    return store(req, &w, decoded);
}

/* Upstream names this route and has never built it. */
imu_err *imu_api_image_create_entry(imu_req *req)
{
    return imu_error(req->p, 501, "not_implemented",
                     "Not implemented: upload pictures to /api/v1/images/upload.");
}
