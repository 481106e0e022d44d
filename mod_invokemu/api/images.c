/*
 * images.c: /api/v1/images: listing pictures and reading what belongs to one.
 */
#include <string.h>

#include <apr_strings.h>

#include "mod_invokemu/api/gallery.h"
#include "mod_invokemu/api/handlers.h"
#include "mod_invokemu/store/picture_files.h"
#include "mod_invokemu/util/jsons.h"

#define DEFAULT_PAGE 10
#define MAX_PAGE     10000

/* In multi-user mode nothing between here and the person may keep a picture; in single-user mode
 * browsers keep it for ever. */
#define CACHE_MULTI  "private, no-store"
#define CACHE_SINGLE "private, max-age=31536000, immutable"

imu_err *imu_api_image_list(imu_req *req)
{
    apr_int64_t limit, offset;
    imu_image_filter filter;
    imu_image_list list;
    imu_db *db;
    imu_err *err;

    if ((err = imu_query_int(req, "limit", 0, MAX_PAGE, DEFAULT_PAGE, &limit)) ||
        (err = imu_query_int(req, "offset", 0, APR_INT64_MAX, 0, &offset)) ||
        (err = imu_gallery_filter(req, "image_origin", &filter)) || (err = imu_req_db(req, &db)) ||
        (err = imu_images_list(db, req->p, &filter, limit, offset, &list)))
        return err;
    return imu_reply_json(req, 200,
                          json_pack("{s:I, s:I, s:I, s:o}", "limit", (json_int_t)limit, "offset",
                                    (json_int_t)offset, "total", (json_int_t)list.total, "items",
                                    imu_images_json(req, &list)));
}

/* Starred ones are only counted when they lead the list, as upstream does. */
static imu_err *name_list(imu_req *req, const char *origin, json_t **names, json_int_t *starred)
{
    imu_image_filter filter;
    apr_int64_t count;
    imu_db *db;
    imu_err *err;

    if ((err = imu_gallery_filter(req, origin, &filter)) || (err = imu_req_db(req, &db)) ||
        (err = imu_images_names(db, req->p, &filter, names, &count)))
        return err;
    *starred = filter.starred_first ? (json_int_t)count : 0;
    return NULL;
}

static imu_err *reply_names(imu_req *req, const char *origin, const char *key)
{
    json_int_t starred;
    json_t *names;
    imu_err *err = name_list(req, origin, &names, &starred);

    return err ? err
               : imu_reply_json(req, 200,
                                json_pack("{s:O, s:I, s:I}", key, names, "starred_count", starred,
                                          "total_count", (json_int_t)json_array_size(names)));
}

imu_err *imu_api_image_names(imu_req *req)
{
    return reply_names(req, "image_origin", "image_names");
}

imu_err *imu_api_gallery_item_names(imu_req *req)
{
    return reply_names(req, "origin", "item_names");
}

imu_err *imu_api_images_by_names(imu_req *req)
{
    imu_image_list list;
    json_t *names, *readable;
    imu_db *db;
    imu_err *err;

    if ((err = imu_gallery_names(req, &names)) || (err = imu_req_db(req, &db)) ||
        (err = imu_images_by_names(db, req->p, req->who.user_id, names, &list)))
        return err;
    readable = json_array();
    for (int i = 0; i < list.count; i++)
        if (imu_policy_picture_read(&req->who, &list.items[i].facts))
            json_array_append_new(readable, imu_image_json(req, &list.items[i]));
    return imu_reply_json(req, 200, readable);
}

imu_err *imu_api_image_get(imu_req *req)
{
    imu_image *image;
    imu_err *err = imu_gallery_picture(req, imu_policy_picture_read, &image);

    return err ? err : imu_reply_json(req, 200, imu_image_json(req, image));
}

imu_err *imu_api_image_metadata(imu_req *req)
{
    imu_image *image;
    const char *text;
    imu_err *err = imu_gallery_picture(req, imu_policy_picture_read, &image);

    if (!err)
        err = imu_image_metadata(req->db, req->p, image->image_name, &text);
    if (err)
        return err;
    /* To the letter: a number in it may be larger than any that we can read. */
    text = imu_json_object_text(req->p, text);
    if (!text)
        return imu_reply_json(req, 200, json_null());
    return imu_reply_bytes(req, 200, "application/json", text, strlen(text));
}

imu_err *imu_api_image_workflow(imu_req *req)
{
    const char *workflow, *graph;
    imu_image *image;
    imu_err *err = imu_gallery_picture(req, imu_policy_picture_read, &image);

    if (!err)
        err = imu_image_documents(req->db, req->p, image->image_name, &workflow, &graph);
    return err ? err
               : imu_reply_json(req, 200,
                                json_pack("{s:s?, s:s?}", "workflow", workflow, "graph", graph));
}

imu_err *imu_api_image_urls(imu_req *req)
{
    imu_image *image;
    imu_err *err = imu_gallery_picture(req, imu_policy_picture_read, &image);

    if (err)
        return err;
    return imu_reply_json(req, 200,
                          json_pack("{s:s, s:s, s:s}", "image_name", image->image_name, "image_url",
                                    imu_image_url(req, image->image_name, "full"), "thumbnail_url",
                                    imu_image_url(req, image->image_name, "thumbnail")));
}

/* Whether a picture may be read is remembered until anything changes: pages ask for many small
 * files, and again for the same ones. */
static imu_err *may_read(imu_req *req, const char *name)
{
    imu_image *image;
    imu_err *err;
    imu_db *db;
    apr_size_t len;
    const char *key = apr_pstrcat(req->p, "reads ", req->who.is_admin ? "admin " : "user ",
                                  req->who.user_id, " ", name, NULL);

    if ((err = imu_req_db(req, &db)) || imu_db_recall(db, req->p, key, &len))
        return err;
    if ((err = imu_gallery_picture_named(req, name, imu_policy_picture_read, &image)))
        return err;
    imu_db_remember(db, key, "", 0);
    return NULL;
}

/* The bytes behind a name never change, so the name is the strong validator. */
static imu_err *reply_file(imu_req *req, const char *view, const char *type,
                           const char *(*path_of)(apr_pool_t *, const char *, const char *))
{
    const char *cache = req->who.via == IMU_VIA_SYSTEM ? CACHE_SINGLE : CACHE_MULTI;
    const char *name = imu_param(req, "image_name"), *path;
    imu_err *err = may_read(req, name);

    if (err)
        return err;
    if (!imu_picture_file_ok(name))
        return imu_error_internal(req->p, "a picture's row has a name that no file of ours has: %s",
                                  name);
    path = path_of(req->p, req->inst->root, name);
    imu_reply_header(
        req, "Content-Disposition",
        apr_pstrcat(req->p, "inline; filename=\"", strrchr(path, '/') + 1, "\"", NULL));
    return imu_reply_file(req, path, type, apr_pstrcat(req->p, "\"", name, "-", view, "\"", NULL),
                          cache);
}

imu_err *imu_api_image_full(imu_req *req)
{
    return reply_file(req, "full", "image/png", imu_picture_path);
}

imu_err *imu_api_image_thumbnail(imu_req *req)
{
    return reply_file(req, "thumbnail", "image/webp", imu_thumbnail_path);
}
