/*
 * conn.h: one stream of frames (wire/wire.h) on the dispatcher's loop: to a worker, or to an httpd
 * child.
 *
 * Closing from inside a callback is allowed. After imu_conn_close, or after on_close has returned,
 * the connection is gone.
 */
#ifndef IMU_CONN_H
#define IMU_CONN_H

#include <jansson.h>

#include "mod_invokemu/dispatch/loop.h"
#include "wire/wire.h"

typedef struct imu_conn imu_conn;

typedef struct imu_conn_handler {
    /**
     * One frame. Set frame->fds[i] to -1 to keep a descriptor; the rest are closed.
     * @return 0, or -1 with *why set to a short reason: the peer broke the protocol and loses the
     * connection
     */
    int (*on_frame)(void *baton, imu_conn *conn, imu_frame *frame, const char **why);
    /** The peer went away or broke the protocol. Not called after imu_conn_close. */
    void (*on_close)(void *baton, imu_conn *conn, const char *why);
} imu_conn_handler;

/**
 * Takes over a connected stream socket (closed on failure too).
 * @param max_frame   longest frame accepted, bytes
 * @param max_queued  most bytes that may wait to be sent
 * @return NULL with errno set
 */
imu_conn *imu_conn_new(imu_loop *loop, int fd, size_t max_frame, size_t max_queued,
                       const imu_conn_handler *handler, void *baton);
/** Ends it without calling on_close. NULL is ignored. */
void imu_conn_close(imu_conn *conn);

/**
 * Sends a frame, or queues what the socket does not take. header is borrowed; fds are duplicated,
 * and its key "fds" is set here.
 * @return 0, or -1 with errno (ENOBUFS: the peer does not read; close it or drop the frame, nothing
 * of it was sent)
 */
int imu_conn_send(imu_conn *conn, uint8_t type, json_t *header, const void *payload,
                  size_t payload_len, const int *fds, int n_fds);
/** The same for a frame whose header is text already. */
int imu_conn_send_frame(imu_conn *conn, const imu_frame *frame);
/** The header of a received frame as an object. @return new reference, or NULL when it is none */
json_t *imu_frame_header(const imu_frame *frame);
/** Bytes waiting to be sent. */
size_t imu_conn_pending(const imu_conn *conn);

#endif
