/*
 * handlers.h: every handler of the route table, one line a route. What each does is said where it is defined.
 */
#ifndef IMU_API_HANDLERS_H
#define IMU_API_HANDLERS_H

#include "mod_invokemu/request.h"

imu_handler imu_api_app_version;

#endif
