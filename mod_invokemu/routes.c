/*
 * routes.c: the API. One row a route; what no row names does not exist.
 */
#include "mod_invokemu/routes.h"

#include "mod_invokemu/api/handlers.h"

#define ROUTE(method, path, access, handler) {M_##method, path, IMU_ACCESS_##access, imu_api_##handler}

const imu_route imu_routes[] = {
    ROUTE(GET, "/api/v1/app/version", PUBLIC, app_version),
};
const int imu_routes_count = sizeof imu_routes / sizeof imu_routes[0];
