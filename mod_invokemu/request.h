/*
 * request.h: one API request and its reply, as handlers see them.
 *
 * A handler reads its parameters, asks services, and leaves a reply in the request; it never writes
 * to the client. The database connection goes back to the pool before the first byte is sent, so a
 * slow reader holds none. Everything lives in req->p, the request's pool.
 */
#ifndef IMU_REQUEST_H
#define IMU_REQUEST_H

#include <httpd.h>

#include "mod_invokemu/auth/identity.h"
#include "mod_invokemu/config.h"
#include "mod_invokemu/util/err.h"

#define IMU_MAX_PARAMS 4

struct imu_route;

typedef struct imu_reply {
    int status;
    const char *type; /**< content type */
    const char *body; /**< bytes, or NULL */
    apr_size_t length;
    const char *file;  /**< path of a file to send instead of body */
    const char *etag;  /**< strong validator with its quotes, or NULL */
    const char *cache; /**< Cache-Control; NULL: "no-store" */
    int whole; /**< the file goes out as one piece, whatever part or condition is asked for */
    int part_of_page; /**< a script, a style: nothing that could be a page */
} imu_reply;

typedef struct imu_req {
    request_rec *r;
    apr_pool_t *p;
    imu_instance *inst;
    imu_server_conf *conf;
    const struct imu_route *route;
    const char *param_names[IMU_MAX_PARAMS];
    const char *param_values[IMU_MAX_PARAMS];
    int n_params;
    imu_identity who; /**< via is IMU_VIA_NONE on public routes without a valid session */
    imu_reply reply;
    const struct imu_query_arg *query; /**< decoded query, in order */
    int n_query;
    int body_done; /**< the whole body has been read */
    imu_db *db;
    void *db_lease; /**< what to give back to mod_dbd */
} imu_req;

/** A handler of the route table. @return NULL with req->reply filled, or the error */
typedef imu_err *imu_handler(imu_req *req);

/** The database connection of this request, borrowed at the first call. */
imu_err *imu_req_db(imu_req *req, imu_db **db);
/** Gives it back early; called by the edge in any case. */
void imu_req_db_release(imu_req *req);

/** Value of {name} in the route's path template, decoded. */
const char *imu_param(const imu_req *req, const char *name);
/** The same as a positive number. @return 422 for anything else */
imu_err *imu_param_int(imu_req *req, const char *name, apr_int64_t *value);

/** Query parameters: the last one of that name counts; *value is def when absent. 422 when
 * malformed or out of range. */
imu_err *imu_query_text(imu_req *req, const char *name, apr_size_t max_len, const char *def,
                        const char **value);
imu_err *imu_query_int(imu_req *req, const char *name, apr_int64_t min, apr_int64_t max,
                       apr_int64_t def, apr_int64_t *value);
/** For what must not be misread. @return 422 when a parameter comes more than once */
imu_err *imu_query_once(imu_req *req, const char *name);
/** Accepts what upstream accepts: true/false, 1/0, yes/no, on/off. def may be IMU_UNSET for "not
 * given". */
imu_err *imu_query_bool(imu_req *req, const char *name, int def, int *value);
/** One of a NULL-terminated list of words. */
imu_err *imu_query_choice(imu_req *req, const char *name, const char *const *words, const char *def,
                          const char **value);
/** 422 when the parameter is missing. */
imu_err *imu_query_required(imu_req *req, const char *name, apr_size_t max_len, const char **value);
/** All values of a repeated parameter as a JSON array of strings (owned by the pool); empty when
 * absent. */
imu_err *imu_query_list(imu_req *req, const char *name, json_t **list);

/** For requests that store something large. @return 507 when the disk is nearly full */
imu_err *imu_req_disk(imu_req *req);

/** Replies. Each returns NULL so that a handler can end with `return imu_reply_json(...)`. json is
 * consumed. */
imu_err *imu_reply_json(imu_req *req, int status, json_t *json);
/**
 * Replies with what the same person was answered at the same address, if the database has not
 * changed since. For lists that clients ask for again and again. Call before reading anything.
 * @return 1 when the reply is made
 */
int imu_reply_recalled(imu_req *req);
/** imu_reply_json with status 200, remembered for imu_reply_recalled. */
imu_err *imu_reply_remembered(imu_req *req, json_t *json);
imu_err *imu_reply_empty(imu_req *req, int status);
imu_err *imu_reply_bytes(imu_req *req, int status, const char *type, const char *data,
                         apr_size_t len);
/** The same for bytes of malloc, which go with the request. */
imu_err *imu_reply_malloced(imu_req *req, int status, const char *type, char *data, apr_size_t len);
/** A file as it stands on disk: Range, 304 and sendfile come from httpd. */
imu_err *imu_reply_file(imu_req *req, const char *path, const char *type, const char *etag,
                        const char *cache);
/** Adds a response header that is sent with errors too. */
void imu_reply_header(imu_req *req, const char *name, const char *value);
/** The Bearer token of the Authorization header, or NULL. */
const char *imu_bearer_token(imu_req *req);

#endif
