/*
 * authenticate.h: the gate in front of every handler.
 */
#ifndef IMU_AUTHENTICATE_H
#define IMU_AUTHENTICATE_H

#include "mod_invokemu/auth/core_session.h"
#include "mod_invokemu/request.h"

/**
 * Fills req->who and decides whether req->route may be called by them at all.
 * @return 401 (before anything else is looked at), 403, or NULL
 */
imu_err *imu_authenticate(imu_req *req);

/**
 * After a handler succeeded: a change made with a bearer token renews it (X-Refreshed-Token),
 * unless the handler has handed out a token or cookies itself, or ended the session. The session's
 * cookies that came along are renewed with it.
 */
imu_err *imu_authenticate_after(imu_req *req);

/** The session of the request goes on with this token alone: tells the client, and sets the
 * cookies. */
void imu_signed_in_anew(imu_req *req, const imu_session_token *token);
/** The session of the request is over: no token is renewed, and the cookies are taken away. */
void imu_signed_out_here(imu_req *req);

/** What the request tells about the device. */
imu_session_client imu_client_of(const imu_req *req);

#endif
