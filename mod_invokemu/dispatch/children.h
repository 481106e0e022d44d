/*
 * children.h: the dispatcher's own socket, RUNDIR/dispatch.sock: httpd children, and the test hook.
 * Only processes of the server's own user, and root, are listened to.
 */
#ifndef IMU_CHILDREN_H
#define IMU_CHILDREN_H

#include "mod_invokemu/dispatch/dispatch.h"

typedef struct imu_children imu_children;

/** Name of the socket in InvokeMURunDir. */
#define IMU_DISPATCH_SOCKET "dispatch.sock"

/** Listens at path. @return NULL with errno set (EADDRINUSE: another dispatcher answers there) */
imu_children *imu_children_new(imu_dispatch *d, const char *path);
void imu_children_free(imu_children *children);

#endif
