#include "mod_invokemu/api/handlers.h"

/* The version of InvokeAI's API that this server answers like. */
#define API_VERSION "6.12.0"

imu_err *imu_api_app_version(imu_req *req)
{
    return imu_reply_json(req, 200, json_pack("{s:s}", "version", API_VERSION));
}
