/*
 * socket_internal.h: between the table of sockets and what is done with one.
 */
#ifndef IMU_SOCKET_INTERNAL_H
#define IMU_SOCKET_INTERNAL_H

#include "mod_invokemu/events/socket.h"

/** Frees what waits to be written. Under the socket's lock, or when nobody else has it. */
void imu_socket_drop_queue(imu_socket *s);
/** While it is said goodbye to, or between two polls, it is nobody's in particular: who does not go
 * makes room for others. Under the socket's lock. */
void imu_socket_part(imu_socket *s);
/** @return a counted reference, or NULL */
imu_socket *imu_socket_find(uint64_t id);
/** Takes it out of the table, which gives its reference back. Once is enough, more do nothing. */
void imu_socket_forget(imu_socket *s);
/** Calls fn with each socket there is. */
void imu_socket_each(void (*fn)(imu_socket *s, int code), int code);

#endif
