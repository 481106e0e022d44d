/*
 * legacy.c: what was made before there were accounts: how much there is, and who receives it.
 */
#include "mod_invokemu/api/legacy.h"

#include "mod_invokemu/api/audit.h"
#include "mod_invokemu/api/handlers.h"
#include "mod_invokemu/auth/identity.h"
#include "mod_invokemu/events/account_news.h"
#include "mod_invokemu/store/legacy.h"
#include "mod_invokemu/store/users.h"
#include "mod_invokemu/validate.h"

#define ID_MAX 255

void imu_legacy_noted(imu_req *req, const char *user_id, const char *email, const imu_rows *counts)
{
    imu_audit(req, (imu_audit_fact){.action = IMU_AUDIT_LEGACY_ASSIGNED,
                                    .user_id = req->who.user_id ? NULL : user_id,
                                    .user_email = req->who.user_id ? NULL : email,
                                    .target_id = user_id,
                                    .target_name = email,
                                    .detail = imu_legacy_numbers(counts)});
}

static imu_err *reply(imu_req *req, const imu_rows *counts)
{
    return imu_reply_json(req, 200, json_pack("{s:o}", "legacy_data", imu_legacy_json(counts)));
}

/** GET /legacy-data: how much there is that no account has received. */
imu_err *imu_api_legacy_data(imu_req *req)
{
    imu_rows *counts;
    imu_db *db;
    imu_err *err = imu_req_db(req, &db);

    if (err || (err = imu_legacy_count(db, req->p, &counts)))
        return err;
    return reply(req, counts);
}

/** POST /legacy-data {user_id}: hands all of it to that account; answers how much it was. */
imu_err *imu_api_legacy_data_assign(imu_req *req)
{
    const char *user_id;
    imu_account_news news;
    imu_rows *counts, *user;
    imu_check *c;
    json_t *body;
    imu_db *db;
    imu_err *err;

    if ((err = imu_body_object(req, &body)))
        return err;
    c = imu_check_new(req->p, "body");
    user_id = imu_check_text(c, body, "user_id", IMU_REQUIRED, 1, ID_MAX);
    if ((err = imu_check_end(c)) || (err = imu_req_db(req, &db)) ||
        (err = imu_account_news_read(db, req->p, IMU_SYSTEM_USER, user_id, &news)) ||
        (err = imu_legacy_assign(db, req->p, user_id, &counts)) ||
        (err = imu_user_get(db, req->p, user_id, &user)))
        return err;
    imu_legacy_noted(req, user_id, imu_text(user, 0, "email"), counts);
    imu_account_tell_moved(&news);
    return reply(req, counts);
}
