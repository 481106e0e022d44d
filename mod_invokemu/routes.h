/*
 * routes.h: the one table of the API. Reading routes.c is reading the API; a row without a policy
 * does not compile, and what no row names is refused.
 */
#ifndef IMU_ROUTES_H
#define IMU_ROUTES_H

#include "mod_invokemu/request.h"

/** Who may call a route at all; what they may touch is decided in policy.c. */
typedef enum imu_access {
    IMU_ACCESS_PUBLIC = 1,   /**< anybody; a valid session is recognised */
    IMU_ACCESS_USER,         /**< signed in; in single-user mode everybody (as system) */
    IMU_ACCESS_ADMIN,        /**< administrators; in single-user mode everybody */
    IMU_ACCESS_MEDIA,        /**< as USER, but the media cookie proves it too */
    IMU_ACCESS_ACCOUNT,      /**< signed in with an account: 401 in single-user mode */
    IMU_ACCESS_ACCOUNT_DUE,  /**< as ACCOUNT, also while a password change is due */
    IMU_ACCESS_ACCOUNT_ADMIN /**< administrator with an account: 401 in single-user mode */
} imu_access;

typedef struct imu_route {
    int method;       /**< M_GET, M_POST, ...; GET answers HEAD too */
    const char *path; /**< template, such as "/api/v1/boards/{board_id}" */
    imu_access access;
    imu_handler *handler;
    const char *name; /**< the handler's: what /openapi.json calls the operation */
    int frees; /**< has to work on a full disk: the database's reserve may be given up for it */
} imu_route;

extern const imu_route imu_routes[];
extern const int imu_routes_count;

/** httpd content handler: answers everything under /api/, /ws/ and /openapi.json, and hands the
 * rest to the client folder. */
int imu_handle(request_rec *r);

#endif
