/*
 * auth_sessions.c: the devices that people are signed in on: their own, and for administrators
 * anybody's.
 */
#include "mod_invokemu/api/handlers.h"

#include <string.h>

#include "mod_invokemu/api/accounts.h"
#include "mod_invokemu/api/audit.h"
#include "mod_invokemu/auth/authenticate.h"
#include "mod_invokemu/auth/core_session.h"
#include "mod_invokemu/events/publish.h"

/** Whose sessions they are. */
typedef struct owner {
    const char *user_id, *email;
    const char *current; /* the session that asks, if it is one of this account */
} owner;

static owner self(const imu_req *req)
{
    return (owner){req->who.user_id, req->who.email, req->who.session_id};
}

/** The account named in the path. @return 404 */
static imu_err *named(imu_req *req, owner *whose)
{
    imu_rows *user;
    imu_err *err = imu_named_account(req, &user);

    if (!err)
        *whose = (owner){imu_text(user, 0, "user_id"), imu_text(user, 0, "email"),
                         imu_is_own_account(req, imu_param(req, "user_id")) ? req->who.session_id
                                                                            : NULL};
    return err;
}

static imu_err *list(imu_req *req, const owner *whose)
{
    imu_identity who = {.user_id = whose->user_id, .session_id = whose->current};
    json_t *sessions;
    imu_db *db;
    imu_err *err = imu_req_db(req, &db);

    if (err || (err = imu_session_list(db, req->p, &who, &sessions)))
        return err;
    return imu_reply_json(req, 200, json_pack("{s:o}", "sessions", sessions));
}

static imu_err *ended(imu_req *req, const owner *whose)
{
    imu_audit(req, (imu_audit_fact){.action = IMU_AUDIT_SESSIONS_ENDED,
                                    .target_id = whose->user_id,
                                    .target_name = whose->email});
    imu_publish_user_changed(whose->user_id);
    return imu_reply_json(req, 200, json_pack("{s:b}", "success", 1));
}

/** All of them but the one that asks. */
static imu_err *end_all(imu_req *req, const owner *whose)
{
    imu_db *db;
    imu_err *err = imu_req_db(req, &db);

    if (err || (err = imu_session_end_all(db, req->p, whose->user_id, whose->current)))
        return err;
    return ended(req, whose);
}

/** The one named in the path; 404 for any other account's. */
static imu_err *end_one(imu_req *req, const owner *whose)
{
    const char *id = imu_param(req, "session_id");
    int found;
    imu_db *db;
    imu_err *err = imu_req_db(req, &db);

    if (err || (err = imu_session_end(db, req->p, whose->user_id, id, &found)))
        return err;
    if (!found)
        return imu_error(req->p, 404, "session_not_found", "There is no such session.");
    if (whose->current && strcmp(id, whose->current) == 0)
        imu_signed_out_here(req);
    return ended(req, whose);
}

/** GET /auth/sessions. */
imu_err *imu_api_auth_sessions(imu_req *req)
{
    owner whose = self(req);

    return list(req, &whose);
}

/** DELETE /auth/sessions: signs out everywhere else. */
imu_err *imu_api_auth_sessions_delete(imu_req *req)
{
    owner whose = self(req);

    return end_all(req, &whose);
}

/** DELETE /auth/sessions/{session_id}. */
imu_err *imu_api_auth_session_delete(imu_req *req)
{
    owner whose = self(req);

    return end_one(req, &whose);
}

/** GET /users/{user_id}/sessions. */
imu_err *imu_api_user_sessions(imu_req *req)
{
    owner whose;
    imu_err *err = named(req, &whose);

    return err ? err : list(req, &whose);
}

/** DELETE /users/{user_id}/sessions. */
imu_err *imu_api_user_sessions_delete(imu_req *req)
{
    owner whose;
    imu_err *err = named(req, &whose);

    return err ? err : end_all(req, &whose);
}

/** DELETE /users/{user_id}/sessions/{session_id}. */
imu_err *imu_api_user_session_delete(imu_req *req)
{
    owner whose;
    imu_err *err = named(req, &whose);

    return err ? err : end_one(req, &whose);
}
