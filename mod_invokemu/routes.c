/*
 * routes.c: the API. One row a route; what no row names does not exist.
 */
#include "mod_invokemu/routes.h"

#include "mod_invokemu/api/handlers.h"

#define ROUTE(method, path, access, handler) {M_##method, path, IMU_ACCESS_##access, imu_api_##handler}

const imu_route imu_routes[] = {
    ROUTE(GET, "/api/v1/app/version", PUBLIC, app_version),

    ROUTE(POST, "/api/v1/boards/", USER, board_create),
    ROUTE(GET, "/api/v1/boards/", USER, board_list),
    ROUTE(GET, "/api/v1/boards/{board_id}", USER, board_get),
    ROUTE(PATCH, "/api/v1/boards/{board_id}", USER, board_change),
    ROUTE(DELETE, "/api/v1/boards/{board_id}", USER, board_delete),
    ROUTE(GET, "/api/v1/boards/{board_id}/image_names", USER, board_image_names),
    ROUTE(POST, "/api/v1/board_images/", USER, board_images_add),
    ROUTE(DELETE, "/api/v1/board_images/", USER, board_images_remove),
    ROUTE(POST, "/api/v1/board_images/batch", USER, board_images_add_batch),
    ROUTE(POST, "/api/v1/board_images/batch/delete", USER, board_images_remove_batch),
};
const int imu_routes_count = sizeof imu_routes / sizeof imu_routes[0];
