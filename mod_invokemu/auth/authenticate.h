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
 * unless the handler has put a token of its own there or ended the session.
 */
imu_err *imu_authenticate_after(imu_req *req);

/** Puts the token into X-Refreshed-Token. */
void imu_send_renewed(imu_req *req, const imu_session_token *token);

/** What the request tells about the device. */
imu_session_client imu_client_of(const imu_req *req);

#endif
