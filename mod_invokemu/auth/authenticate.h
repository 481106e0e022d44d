/*
 * authenticate.h: the gate in front of every handler.
 */
#ifndef IMU_AUTHENTICATE_H
#define IMU_AUTHENTICATE_H

#include "mod_invokemu/request.h"

/**
 * Fills req->who and decides whether req->route may be called by them at all.
 * @return 401 (before anything else is looked at), 403, or NULL
 */
imu_err *imu_authenticate(imu_req *req);

/** After a handler succeeded: renews a session's token where that is due. */
imu_err *imu_authenticate_after(imu_req *req);

#endif
