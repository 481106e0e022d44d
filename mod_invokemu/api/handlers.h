/*
 * handlers.h: every handler of the route table, one line a route. What each does is said where it is defined.
 */
#ifndef IMU_API_HANDLERS_H
#define IMU_API_HANDLERS_H

#include "mod_invokemu/request.h"

imu_handler imu_api_app_version;

imu_handler imu_api_queue_enqueue_batch;
imu_handler imu_api_queue_list_all;
imu_handler imu_api_queue_item_ids;
imu_handler imu_api_queue_items_by_ids;
imu_handler imu_api_queue_summaries_by_ids;
imu_handler imu_api_queue_current;
imu_handler imu_api_queue_next;
imu_handler imu_api_queue_status;
imu_handler imu_api_queue_batch_status;
imu_handler imu_api_queue_counts_by_destination;
imu_handler imu_api_queue_item;
imu_handler imu_api_queue_item_delete;
imu_handler imu_api_queue_item_cancel;
imu_handler imu_api_queue_cancel_all_except_current;
imu_handler imu_api_queue_cancel_by_batch_ids;
imu_handler imu_api_queue_cancel_by_destination;
imu_handler imu_api_queue_delete_all_except_current;
imu_handler imu_api_queue_delete_by_destination;
imu_handler imu_api_queue_clear;
imu_handler imu_api_queue_prune;
imu_handler imu_api_queue_retry;
imu_handler imu_api_queue_pause;
imu_handler imu_api_queue_resume;

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
/* auth.c, auth_sessions.c */
imu_handler imu_api_auth_status;
imu_handler imu_api_auth_setup;
imu_handler imu_api_auth_login;
imu_handler imu_api_auth_logout;
imu_handler imu_api_auth_media_cookie;
imu_handler imu_api_auth_me;
imu_handler imu_api_auth_me_patch;
imu_handler imu_api_auth_change_password;
imu_handler imu_api_auth_generate_password;
imu_handler imu_api_auth_sessions;
imu_handler imu_api_auth_sessions_delete;
imu_handler imu_api_auth_session_delete;

/* users.c */
imu_handler imu_api_auth_users;
imu_handler imu_api_auth_users_create;
imu_handler imu_api_auth_user;
imu_handler imu_api_auth_user_patch;
imu_handler imu_api_auth_user_delete;
imu_handler imu_api_users;
imu_handler imu_api_users_create;
imu_handler imu_api_user;
imu_handler imu_api_user_patch;
imu_handler imu_api_user_delete;

#endif
