/*
 * client.h: the browser client's files below InvokeMUClient.
 */
#ifndef IMU_CLIENT_H
#define IMU_CLIENT_H

#include "mod_invokemu/request.h"

/**
 * Serves a file of the client folder; any other path that a browser navigates to gets index.html,
 * since the client has routes of its own. @return an httpd status
 */
int imu_client_serve(imu_req *req);

#endif
