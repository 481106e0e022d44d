/*
 * handlers.h: every handler of the route table, one line a route. What each does is said where it is defined.
 */
#ifndef IMU_API_HANDLERS_H
#define IMU_API_HANDLERS_H

#include "mod_invokemu/request.h"

imu_handler imu_api_app_version;

imu_handler imu_api_board_create;
imu_handler imu_api_board_list;
imu_handler imu_api_board_get;
imu_handler imu_api_board_change;
imu_handler imu_api_board_delete;
imu_handler imu_api_board_image_names;
imu_handler imu_api_board_images_add;
imu_handler imu_api_board_images_add_batch;
imu_handler imu_api_board_images_remove;
imu_handler imu_api_board_images_remove_batch;

#endif
