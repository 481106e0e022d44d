/*
 * absent.c: collections of InvokeAI that this server doesn't keep. They are empty, truly, and
 * clients ask for them at start.
 */
#include "mod_invokemu/api/handlers.h"

#include "mod_invokemu/validate.h"

/** An empty list. */
imu_err *imu_api_empty_list(imu_req *req)
{
    return imu_reply_json(req, 200, json_array());
}

/** GET /api/v1/videos/. */
imu_err *imu_api_no_videos(imu_req *req)
{
    apr_int64_t offset, limit;
    imu_err *err;

    if ((err = imu_query_int(req, "offset", 0, APR_INT32_MAX, 0, &offset)) ||
        (err = imu_query_int(req, "limit", 0, 1000, 10, &limit)))
        return err;
    return imu_reply_json(req, 200,
                          json_pack("{s:I, s:I, s:i, s:[]}", "offset", (json_int_t)offset, "limit",
                                    (json_int_t)limit, "total", 0, "items"));
}

/** POST /api/v1/model_relationships/batch: no model is related to another. */
imu_err *imu_api_no_relationships(imu_req *req)
{
    imu_check *c;
    json_t *body;
    imu_err *err = imu_body_object(req, &body);

    if (err)
        return err;
    c = imu_check_new(req->p, "body");
    imu_check_texts(c, body, "model_keys", IMU_REQUIRED, 1000, 512);
    if ((err = imu_check_end(c)))
        return err;
    return imu_reply_json(req, 200, json_array());
}
