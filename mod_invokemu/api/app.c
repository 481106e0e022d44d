/*
 * app.c: what clients ask about the server as such.
 */
#include "mod_invokemu/api/handlers.h"

#include <string.h>
#include <http_core.h>
#include <http_log.h>
#include <apr_version.h>
#include <apu_version.h>
#include <openssl/crypto.h>

#include "mod_invokemu/util/version.h"
#include "mod_invokemu/validate.h"

APLOG_USE_MODULE(invokemu);

/* Version of the settings' names that runtime_config uses. */
#define SETTINGS_VERSION "4.0.2"

/** GET app/version. */
imu_err *imu_api_app_version(imu_req *req)
{
    return imu_reply_json(req, 200, json_pack("{s:s}", "version", IMU_API_VERSION));
}

/** GET app/app_deps: what this server is made of. */
imu_err *imu_api_app_deps(imu_req *req)
{
    return imu_reply_json(req, 200,
                          json_pack("{s:s, s:s, s:s, s:s, s:s}", "httpd",
                                    ap_get_server_description(), "apr", apr_version_string(),
                                    "apr-util", apu_version_string(), "jansson", JANSSON_VERSION,
                                    "openssl", OpenSSL_version(OPENSSL_VERSION_STRING)));
}

/** GET app/patchmatch_status: no node fills pictures by PatchMatch. */
imu_err *imu_api_patchmatch_status(imu_req *req)
{
    return imu_reply_json(req, 200, json_false());
}

static const char *level_name(int level)
{
    return level >= APLOG_DEBUG     ? "debug"
           : level >= APLOG_INFO    ? "info"
           : level >= APLOG_WARNING ? "warning"
           : level >= APLOG_ERR     ? "error"
                                    : "critical";
}

static int log_level(const imu_req *req)
{
    return ap_get_request_module_loglevel(req->r, APLOG_MODULE_INDEX);
}

/** GET app/runtime_config: the settings that have a counterpart here, under the client's names. */
imu_err *imu_api_runtime_config(imu_req *req)
{
    const imu_instance *inst = req->inst;
    json_t *config =
        json_pack("{s:s, s:i, s:s, s:b, s:b, s:s, s:i, s:s, s:n, s:n, s:n, s:i, s:b}",
                  "schema_version", SETTINGS_VERSION, "port", (int)ap_get_server_port(req->r),
                  "log_level", level_name(log_level(req)), "multiuser", inst->multiuser,
                  "strict_password_checking", inst->strict_passwords, "session_queue_mode",
                  inst->queue_mode == IMU_QUEUE_FIFO ? "FIFO" : "round_robin", "max_queue_history",
                  inst->queue_history, "image_subfolder_strategy", "flat", "allow_nodes",
                  "deny_nodes", "remote_api_tokens", "node_cache_size", 0, "patchmatch", 0);

    return imu_reply_json(req, 200, json_pack("{s:[], s:o}", "set_fields", "config", config));
}

static imu_err *set_elsewhere(imu_req *req)
{
    return imu_error(
        req->p, 409, "set_in_configuration",
        "This is set in the web server's configuration. Change it there and restart the server.");
}

/** PATCH app/runtime_config. */
imu_err *imu_api_runtime_config_patch(imu_req *req)
{
    json_t *body;
    imu_err *err = imu_body_object(req, &body);

    return err ? err : set_elsewhere(req);
}

/** GET app/logging: the level in the numbers of Python's logging. */
imu_err *imu_api_logging(imu_req *req)
{
    int level = log_level(req);

    return imu_reply_json(req, 200,
                          json_integer(level >= APLOG_DEBUG     ? 10
                                       : level >= APLOG_INFO    ? 20
                                       : level >= APLOG_WARNING ? 30
                                       : level >= APLOG_ERR     ? 40
                                                                : 50));
}

/** POST app/logging. */
imu_err *imu_api_logging_set(imu_req *req)
{
    json_t *body;
    imu_err *err = imu_body_json(req, &body);

    if (err)
        return err;
    if (!json_is_integer(body))
        return imu_invalid(req->p, "body", NULL, "int_type", "Input should be a valid integer");
    return set_elsewhere(req);
}

/** GET app/invocation_cache/status: every node is run anew. */
imu_err *imu_api_invocation_cache(imu_req *req)
{
    return imu_reply_json(req, 200,
                          json_pack("{s:i, s:i, s:i, s:b, s:i}", "size", 0, "hits", 0, "misses", 0,
                                    "enabled", 0, "max_size", 0));
}

/** DELETE app/invocation_cache and PUT …/disable: it is empty and off already. */
imu_err *imu_api_invocation_cache_off(imu_req *req)
{
    return imu_reply_json(req, 200, json_null());
}

/** PUT app/invocation_cache/enable. */
imu_err *imu_api_invocation_cache_on(imu_req *req)
{
    return imu_error(req->p, 501, "no_invocation_cache",
                     "This server keeps no results of earlier nodes.");
}

/** A setting of an outside provider of pictures: there are none. */
imu_err *imu_api_external_provider(imu_req *req)
{
    return imu_error(req->p, 404, "provider_not_found", "There is no such provider.");
}
