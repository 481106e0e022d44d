/*
 * openapi.c: GET /openapi.json. InvokeAI's web client builds its workflow editor from the schemas
 * in it; the paths are for people who write scripts.
 */
#include "mod_invokemu/api/openapi.h"

#include <string.h>

#include "mod_invokemu/api/handlers.h"
#include "mod_invokemu/routes.h"
#include "mod_invokemu/util/jsons.h"
#include "mod_invokemu/util/version.h"

#define BEARER "HTTPBearer"

static const char *document;

static const char *method_name(int method)
{
    return method == M_POST     ? "post"
           : method == M_PUT    ? "put"
           : method == M_PATCH  ? "patch"
           : method == M_DELETE ? "delete"
                                : "get";
}

/* The names in braces of a path template. */
static json_t *path_parameters(const char *path)
{
    json_t *list = json_array();

    for (const char *at = path; (at = strchr(at, '{')); at++)
        json_array_append_new(list, json_pack("{s:s#, s:s, s:b, s:{s:s}}", "name", at + 1,
                                              (int)strcspn(at + 1, "}"), "in", "path", "required",
                                              1, "schema", "type", "string"));
    return list;
}

static json_t *operation(const imu_route *route)
{
    json_t *parameters = path_parameters(route->path);
    json_t *one = json_pack("{s:s, s:{s:{s:s}, s:{s:s}}}", "operationId", route->name, "responses",
                            "2XX", "description", "Done", "default", "description",
                            "Refused, and why: {\"detail\": ...}");

    if (json_array_size(parameters) > 0)
        json_object_set(one, "parameters", parameters);
    json_decref(parameters);
    if (route->access != IMU_ACCESS_PUBLIC)
        json_object_set_new(one, "security", json_pack("[{s:[]}]", BEARER));
    return one;
}

static json_t *paths(void)
{
    json_t *all = json_object();

    for (int i = 0; i < imu_routes_count; i++) {
        const imu_route *route = &imu_routes[i];
        json_t *path = json_object_get(all, route->path);

        if (!path)
            json_object_set_new(all, route->path, path = json_object());
        json_object_set_new(path, method_name(route->method), operation(route));
    }
    return all;
}

int imu_openapi_prepare(apr_pool_t *p)
{
    json_t *whole =
        json_pack("{s:s, s:{s:s, s:s}, s:o, s:{s:o, s:{s:{s:s, s:s}}}}", "openapi", "3.1.0", "info",
                  "title", "invokemu", "version", IMU_API_VERSION, "paths", paths(), "components",
                  "schemas", json_loads(imu_node_schemas, 0, NULL), "securitySchemes", BEARER,
                  "type", "http", "scheme", "bearer");

    document = imu_json_compact(p, whole);
    json_decref(whole);
    return document ? 0 : -1;
}

/** GET /openapi.json. */
imu_err *imu_api_openapi(imu_req *req)
{
    return imu_reply_bytes(req, 200, "application/json", document, strlen(document));
}
