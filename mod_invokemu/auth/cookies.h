/*
 * cookies.h: the two cookies of a sign-in. Both carry the session's token and live no longer than
 * it: one for pictures below /api/v1 under the name InvokeAI's client knows, one named by
 * InvokeMUCookieName for our own pages and their pictures.
 */
#ifndef IMU_COOKIES_H
#define IMU_COOKIES_H

#include "mod_invokemu/request.h"

#define IMU_MEDIA_COOKIE "invokeai_media_token"

/** Sets both cookies. @param seconds  life left in the token */
void imu_cookies_set(imu_req *req, const char *token, apr_int64_t seconds);
/** Sets one of them alone. */
void imu_cookie_set_media(imu_req *req, const char *token, apr_int64_t seconds);
void imu_cookie_set_session(imu_req *req, const char *token, apr_int64_t seconds);
/** Takes both away. */
void imu_cookies_clear(imu_req *req);
/** Value of a request cookie, or NULL; a name sent twice counts as none. */
const char *imu_cookie(imu_req *req, const char *name);
/** True when the browser itself says that a page of this very origin made the request. */
int imu_same_origin(const imu_req *req);
/** True when the browser itself says that a page of another origin made the request. */
int imu_cross_origin(const imu_req *req);

#endif
