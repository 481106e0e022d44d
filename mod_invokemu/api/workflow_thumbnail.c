/*
 * workflow_thumbnail.c: /api/v1/workflows/i/{workflow_id}/thumbnail: the picture that stands for a
 * workflow in the library.
 *
 * Kept as ROOT/outputs/workflow_thumbnails/<workflow id>.webp. Reading it is open to everybody, as
 * upstream has it: browsers show it without a token, and its address is a random id.
 */
#include "mod_invokemu/api/workflows.h"

#include <http_log.h>
#include <apr_strings.h>

#include "mod_invokemu/api/handlers.h"
#include "mod_invokemu/store/previews.h"
#include "mod_invokemu/upload.h"

APLOG_USE_MODULE(invokemu);

#define FOLDER IMU_WORKFLOW_PREVIEWS_DIR

static const char *file_name(const imu_req *req, const char *id)
{
    return apr_pstrcat(req->p, id, ".webp", NULL);
}

void imu_workflow_thumbnail_remove(imu_req *req, const char *id)
{
    imu_err *err = imu_preview_remove(req->p, req->inst->root, FOLDER, file_name(req, id));

    if (err)
        ap_log_rerror(APLOG_MARK, APLOG_WARNING, 0, req->r, "IMU0105: %s", err->log);
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
    const char *id = imu_param(req, "workflow_id");
    imu_upload upload;
    imu_workflow *w;
    imu_db *db;
    imu_err *err = imu_workflow_may(req, id, imu_policy_workflow_edit, &w);

    imu_req_db_release(req);
    if (err || (err = imu_upload_read(req, "image", &upload)) ||
        (err = imu_upload_decode(req, &upload, IMU_PREVIEW_SIDE, 0, 0, decoded)))
        return err;
    /* The workflow may have gone while its picture arrived. */
    if ((err = imu_workflow_may(req, id, imu_policy_workflow_edit, &w)) ||
        (err = imu_preview_store(req->p, req->inst->root, FOLDER, file_name(req, w->id),
                                 decoded->thumbnail_fd)) ||
        (err = imu_req_db(req, &db)) ||
        (err = imu_workflow_thumbnail(db, req->p, w->id, file_name(req, w->id))))
        return err;
    imu_workflow_audit(req, IMU_AUDIT_WORKFLOW_CHANGED, w, json_pack("{s:b}", "thumbnail", 1));
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
    imu_workflow_audit(req, IMU_AUDIT_WORKFLOW_CHANGED, w, json_pack("{s:b}", "thumbnail", 0));
    return reply_workflow(req, w->id);
}

imu_err *imu_api_workflow_thumbnail_get(imu_req *req)
{
    const char *path = NULL;
    imu_workflow *w = NULL;
    imu_db *db;
    imu_err *err;

    if ((err = imu_req_db(req, &db)) ||
        (err = imu_workflow_get(db, req->p, imu_param(req, "workflow_id"), &w)))
        return err;
    if (w)
        path = imu_preview_path(req->p, req->inst->root, FOLDER, w->thumbnail);
    if (!path)
        return imu_error(req->p, 404, "no_thumbnail", "There is no picture of this workflow.");
    return imu_reply_file(req, path, "image/webp", NULL, "private, max-age=300");
}
