/*
 * workflow_thumbnail.c: /api/v1/workflows/i/{workflow_id}/thumbnail: the picture that stands for a
 * workflow in the library.
 *
 * Kept as ROOT/outputs/workflow_thumbnails/<workflow id>.webp. Reading it is open to everybody, as
 * upstream has it: browsers show it without a token, and its address is a random id.
 */
#include "mod_invokemu/api/workflows.h"

#include <errno.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <http_log.h>
#include <apr_strings.h>

#include "mod_invokemu/api/handlers.h"
#include "mod_invokemu/store/files.h"
#include "mod_invokemu/store/picture_files.h"
#include "mod_invokemu/upload.h"
#include "mod_invokemu/util/ids.h"

APLOG_USE_MODULE(invokemu);

#define FOLDER         "/outputs/workflow_thumbnails"
#define THUMBNAIL_SIDE 256

static const char *thumbnail_path(const imu_req *req, const char *id)
{
    return apr_pstrcat(req->p, req->inst->root, FOLDER "/", id, ".webp", NULL);
}

void imu_workflow_thumbnail_remove(imu_req *req, const char *id)
{
    const char *path = thumbnail_path(req, id);

    if (imu_is_uuid(id) && unlink(path) != 0 && errno != ENOENT)
        ap_log_rerror(APLOG_MARK, APLOG_WARNING, errno, req->r, "IMU0302: cannot remove %s", path);
}

static imu_err *reply_workflow(imu_req *req, const char *id)
{
    imu_workflow *w;
    imu_err *err = imu_workflow_may(req, id, imu_policy_workflow_edit, &w);

    return err ? err : imu_reply_json(req, 200, imu_workflow_json(req, w));
}

imu_err *imu_api_workflow_thumbnail_put(imu_req *req)
{
    struct imu_media_result *decoded = apr_pcalloc(req->p, sizeof *decoded);
    const char *folder = apr_pstrcat(req->p, req->inst->root, FOLDER, NULL);
    const char *id = imu_param(req, "workflow_id");
    imu_upload upload;
    imu_workflow *w;
    imu_db *db;
    imu_err *err = imu_workflow_may(req, id, imu_policy_workflow_edit, &w);

    imu_req_db_release(req);
    if (err || (err = imu_upload_read(req, "image", &upload)) ||
        (err = imu_upload_decode(req, &upload, THUMBNAIL_SIDE, 0, 0, decoded)))
        return err;
    if (mkdir(folder, 0750) != 0 && errno != EEXIST)
        return imu_error_internal(req->p, "cannot make %s: %s", folder, strerror(errno));
    /* The workflow may have gone while its picture arrived. */
    if ((err = imu_workflow_may(req, id, imu_policy_workflow_edit, &w)) ||
        (err = imu_file_store(req->p, decoded->thumbnail_fd, thumbnail_path(req, w->id),
                              IMU_FILE_WEBP, IMU_MAX_PICTURE_FILE)) ||
        (err = imu_req_db(req, &db)) ||
        (err =
             imu_workflow_thumbnail(db, req->p, w->id, apr_pstrcat(req->p, w->id, ".webp", NULL))))
        return err;
    return reply_workflow(req, w->id);
}

imu_err *imu_api_workflow_thumbnail_delete(imu_req *req)
{
    imu_workflow *w;
    imu_err *err =
        imu_workflow_may(req, imu_param(req, "workflow_id"), imu_policy_workflow_edit, &w);

    if (err || (err = imu_workflow_thumbnail(req->db, req->p, w->id, NULL)))
        return err;
    imu_workflow_thumbnail_remove(req, w->id);
    return reply_workflow(req, w->id);
}

imu_err *imu_api_workflow_thumbnail_get(imu_req *req)
{
    const char *id = imu_param(req, "workflow_id");
    imu_workflow *w = NULL;
    imu_db *db;
    imu_err *err;

    if ((err = imu_req_db(req, &db)) || (err = imu_workflow_get(db, req->p, id, &w)))
        return err;
    if (!w || !w->thumbnail || !imu_is_uuid(w->id))
        return imu_error(req->p, 404, "no_thumbnail", "There is no picture of this workflow.");
    return imu_reply_file(req, thumbnail_path(req, w->id), "image/webp", NULL,
                          "private, max-age=300");
}
