/*
 * routes.c: the API. One row a route; what no row names does not exist.
 */
#include "mod_invokemu/routes.h"

#include "mod_invokemu/api/handlers.h"

#define ROUTE(method, path, access, handler) {M_##method, path, IMU_ACCESS_##access, imu_api_##handler}

const imu_route imu_routes[] = {
    ROUTE(GET, "/api/v1/app/version", PUBLIC, app_version),

    ROUTE(POST, "/api/v1/queue/{queue_id}/enqueue_batch", USER, queue_enqueue_batch),
    ROUTE(GET, "/api/v1/queue/{queue_id}/list_all", USER, queue_list_all),
    ROUTE(GET, "/api/v1/queue/{queue_id}/item_ids", USER, queue_item_ids),
    ROUTE(POST, "/api/v1/queue/{queue_id}/items_by_ids", USER, queue_items_by_ids),
    ROUTE(POST, "/api/v1/queue/{queue_id}/item_summaries_by_ids", USER, queue_summaries_by_ids),
    ROUTE(GET, "/api/v1/queue/{queue_id}/current", USER, queue_current),
    ROUTE(GET, "/api/v1/queue/{queue_id}/next", USER, queue_next),
    ROUTE(GET, "/api/v1/queue/{queue_id}/status", USER, queue_status),
    ROUTE(GET, "/api/v1/queue/{queue_id}/b/{batch_id}/status", USER, queue_batch_status),
    ROUTE(GET, "/api/v1/queue/{queue_id}/counts_by_destination", USER, queue_counts_by_destination),
    ROUTE(GET, "/api/v1/queue/{queue_id}/i/{item_id}", USER, queue_item),
    ROUTE(DELETE, "/api/v1/queue/{queue_id}/i/{item_id}", USER, queue_item_delete),
    ROUTE(PUT, "/api/v1/queue/{queue_id}/i/{item_id}/cancel", USER, queue_item_cancel),
    ROUTE(PUT, "/api/v1/queue/{queue_id}/cancel_all_except_current", USER, queue_cancel_all_except_current),
    ROUTE(PUT, "/api/v1/queue/{queue_id}/cancel_by_batch_ids", USER, queue_cancel_by_batch_ids),
    ROUTE(PUT, "/api/v1/queue/{queue_id}/cancel_by_destination", USER, queue_cancel_by_destination),
    ROUTE(PUT, "/api/v1/queue/{queue_id}/delete_all_except_current", USER, queue_delete_all_except_current),
    ROUTE(DELETE, "/api/v1/queue/{queue_id}/d/{destination}", USER, queue_delete_by_destination),
    ROUTE(PUT, "/api/v1/queue/{queue_id}/clear", USER, queue_clear),
    ROUTE(PUT, "/api/v1/queue/{queue_id}/prune", USER, queue_prune),
    ROUTE(PUT, "/api/v1/queue/{queue_id}/retry_items_by_id", USER, queue_retry),
    ROUTE(PUT, "/api/v1/queue/{queue_id}/processor/pause", ADMIN, queue_pause),
    ROUTE(PUT, "/api/v1/queue/{queue_id}/processor/resume", ADMIN, queue_resume),

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
    ROUTE(GET, "/api/v1/auth/status", PUBLIC, auth_status),
    ROUTE(POST, "/api/v1/auth/setup", PUBLIC, auth_setup),
    ROUTE(POST, "/api/v1/auth/login", PUBLIC, auth_login),
    ROUTE(POST, "/api/v1/auth/logout", ACCOUNT, auth_logout),
    ROUTE(POST, "/api/v1/auth/media-cookie", PUBLIC, auth_media_cookie),
    ROUTE(GET, "/api/v1/auth/me", ACCOUNT, auth_me),
    ROUTE(PATCH, "/api/v1/auth/me", ACCOUNT, auth_me_patch),
    ROUTE(POST, "/api/v1/auth/change-password", ACCOUNT, auth_change_password),
    ROUTE(GET, "/api/v1/auth/generate-password", ACCOUNT, auth_generate_password),
    ROUTE(GET, "/api/v1/auth/sessions", ACCOUNT, auth_sessions),
    ROUTE(DELETE, "/api/v1/auth/sessions", ACCOUNT, auth_sessions_delete),
    ROUTE(DELETE, "/api/v1/auth/sessions/{session_id}", ACCOUNT, auth_session_delete),

    ROUTE(GET, "/api/v1/auth/users", ACCOUNT_ADMIN, auth_users),
    ROUTE(POST, "/api/v1/auth/users", ACCOUNT_ADMIN, auth_users_create),
    ROUTE(GET, "/api/v1/auth/users/{user_id}", ACCOUNT_ADMIN, auth_user),
    ROUTE(PATCH, "/api/v1/auth/users/{user_id}", ACCOUNT_ADMIN, auth_user_patch),
    ROUTE(DELETE, "/api/v1/auth/users/{user_id}", ACCOUNT_ADMIN, auth_user_delete),
    ROUTE(GET, "/api/v1/users", ACCOUNT_ADMIN, users),
    ROUTE(POST, "/api/v1/users", ACCOUNT_ADMIN, users_create),
    ROUTE(GET, "/api/v1/users/{user_id}", ACCOUNT_ADMIN, user),
    ROUTE(PATCH, "/api/v1/users/{user_id}", ACCOUNT_ADMIN, user_patch),
    ROUTE(DELETE, "/api/v1/users/{user_id}", ACCOUNT_ADMIN, user_delete),
};
const int imu_routes_count = sizeof imu_routes / sizeof imu_routes[0];
