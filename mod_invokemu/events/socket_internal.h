/*
 * socket_internal.h: between the table of sockets and what is done with one.
 */
#ifndef IMU_SOCKET_INTERNAL_H
#define IMU_SOCKET_INTERNAL_H

#include "mod_invokemu/events/socket.h"

/** Frees what waits to be written. Under the socket's lock, or when nobody else has it. */
void imu_socket_drop_queue(imu_socket *s);
/** Leaves out the events that have not begun to be written. Under the socket's lock, as all that
 * follows. */
void imu_socket_drop_events(imu_socket *s);
/** A message waits to be written, however many do. @return 0, or -1 without memory */
int imu_socket_append(imu_socket *s, imu_message *message, int preview);
/** The same within bounds: of a browser that reads slowly, previews are left out. @return 0, or -1
 * without memory or when it does not read */
int imu_socket_queue(imu_socket *s, imu_message *message, int preview);
/** The same for a frame. */
int imu_socket_queue_frame(imu_socket *s, int opcode, const char *data, size_t len);
/** Answers a ping once all else is written, in place of the last one that is not answered yet (RFC
 * 6455, 5.5.3). @return 0, or -1 without memory */
int imu_socket_keep_pong(imu_socket *s, const char *data, size_t len);
/** Writes as much as the socket takes. @return 1 all is out, 0 the rest follows, -1 broken */
int imu_socket_flush(imu_socket *s);
/** While it is said goodbye to, or between two polls, it is nobody's in particular: who does not go
 * makes room for others. Under the socket's lock. */
void imu_socket_part(imu_socket *s);
/** The browser has sent so much. Under the socket's lock. @return whether that is too much */
int imu_socket_too_fast(imu_socket *s, size_t bytes, int messages);
/** Sends a message of the browser to the dispatcher. Under the socket's lock. @return 0, or -1 when
 * it takes no more, or none of somebody who has not signed in */
int imu_socket_pass_on(const imu_socket *s, const char *text, size_t len);
/** @return a counted reference, or NULL */
imu_socket *imu_socket_find(uint64_t id);
/** Takes it out of the table, which gives its reference back. Once is enough, more do nothing. */
void imu_socket_forget(imu_socket *s);
/** Calls fn with each socket there is. */
void imu_socket_each(void (*fn)(imu_socket *s, int code), int code);

#endif
