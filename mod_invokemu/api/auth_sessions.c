/*
 * auth_sessions.c: the devices a person is signed in on.
 */
#include "mod_invokemu/api/handlers.h"

#include <string.h>

#include "mod_invokemu/api/audit.h"
#include "mod_invokemu/auth/authenticate.h"
#include "mod_invokemu/auth/core_session.h"
#include "mod_invokemu/events/publish.h"

/** GET /auth/sessions. */
imu_err *imu_api_auth_sessions(imu_req *req)
{
    json_t *list;
    imu_db *db;
    imu_err *err = imu_req_db(req, &db);

    if (err || (err = imu_session_list(db, req->p, &req->who, &list)))
        return err;
    return imu_reply_json(req, 200, json_pack("{s:o}", "sessions", list));
}

static imu_err *ended(imu_req *req)
{
    imu_audit_own(req, IMU_AUDIT_SESSIONS_ENDED);
    imu_publish_user_changed(req->who.user_id);
    return imu_reply_json(req, 200, json_pack("{s:b}", "success", 1));
}

/** DELETE /auth/sessions: signs out everywhere else. */
imu_err *imu_api_auth_sessions_delete(imu_req *req)
{
    imu_db *db;
    imu_err *err = imu_req_db(req, &db);

    if (err || (err = imu_session_end_all(db, req->p, req->who.user_id, req->who.session_id)))
        return err;
    return ended(req);
}

/** DELETE /auth/sessions/{session_id}: an own one; 404 for anybody else's. */
imu_err *imu_api_auth_session_delete(imu_req *req)
{
    const char *id = imu_param(req, "session_id");
    int found;
    imu_db *db;
    imu_err *err = imu_req_db(req, &db);

    if (err || (err = imu_session_end(db, req->p, req->who.user_id, id, &found)))
        return err;
    if (!found)
        return imu_error(req->p, 404, "session_not_found", "There is no such session.");
    if (strcmp(id, req->who.session_id) == 0)
        imu_signed_out_here(req);
    return ended(req);
}
