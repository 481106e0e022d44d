/*
 * wire.h: the frame format shared by dispatcher, httpd children and workers.
 *
 * A frame on an AF_UNIX stream socket:
 *
 *   u32 length         big endian, counts everything after itself
 *   u8  type           one of enum imu_wire_type
 *   u32 header_length  big endian
 *   header             UTF-8 JSON text, one object
 *   payload            the remaining bytes, meaning given by the type
 *
 * File descriptors travel by SCM_RIGHTS with the first byte of their frame; the header key "fds"
 * states how many belong to it. Both sides treat the other's bytes as hostile: every length is
 * checked before anything is allocated, and a broken frame ends the connection.
 *
 * Owner: a reader or writer belongs to one thread. This folder includes nothing of the others.
 */
#ifndef IMU_WIRE_H
#define IMU_WIRE_H

#include <stddef.h>
#include <stdint.h>

#define IMU_WIRE_PROTOCOL   1
#define IMU_WIRE_MAX_FRAME  (32u * 1024 * 1024)
#define IMU_WIRE_MAX_HEADER (16u * 1024 * 1024)
#define IMU_WIRE_MAX_FDS    32
/* Bytes of a run's state, as DONE carries it. */
#define IMU_WIRE_MAX_STATE (16u * 1024 * 1024)
/* Bytes of one event message, or one body of a poll, from a browser: what browsers send is small.
 */
#define IMU_WIRE_MAX_MESSAGE 65536

enum imu_wire_type {
    /* dispatcher -> worker */
    IMU_WIRE_RUN = 1,
    IMU_WIRE_CANCEL = 2,
    IMU_WIRE_UNLOAD = 3,
    IMU_WIRE_ACK = 4,
    IMU_WIRE_PING = 5,
    /* worker -> dispatcher */
    IMU_WIRE_HELLO = 16,
    IMU_WIRE_NODE_STARTED = 17,
    IMU_WIRE_PROGRESS = 18,
    IMU_WIRE_NODE_COMPLETED = 19,
    IMU_WIRE_NODE_FAILED = 20,
    IMU_WIRE_DONE = 21,
    IMU_WIRE_MODEL_LOAD = 22,
    IMU_WIRE_PONG = 23,
    IMU_WIRE_GOODBYE = 24,
    /* httpd child <-> media process */
    IMU_WIRE_DECODE = 32,
    IMU_WIRE_DECODED = 33,
    IMU_WIRE_REJECTED = 34,
    /* httpd child -> dispatcher */
    IMU_WIRE_CHILD_HELLO = 48,
    IMU_WIRE_EVENT = 49,
    IMU_WIRE_QUEUE_CHANGED = 50,
    IMU_WIRE_CANCEL_ITEMS = 51,
    IMU_WIRE_USER_CHANGED = 52,
    IMU_WIRE_HOOK = 53,
    IMU_WIRE_EIO_REQUEST = 56,
    IMU_WIRE_EIO_WS_OPEN = 57,
    IMU_WIRE_EIO_WS_MESSAGE = 58,
    IMU_WIRE_EIO_GONE = 59,
    /* dispatcher -> httpd child */
    IMU_WIRE_EIO_REPLY = 64,
    IMU_WIRE_EIO_SEND = 65,
    IMU_WIRE_EIO_CLOSE = 66,
    IMU_WIRE_HOOK_REPLY = 67,
    IMU_WIRE_EIO_FORGET = 68,
    IMU_WIRE_EIO_KNOWN = 69,
};

/** One frame. In a received frame all pointers lie in the reader and live until its next call. */
typedef struct imu_frame {
    uint8_t type;
    const char *header; /**< JSON text, not NUL-terminated */
    size_t header_len;
    const void *payload;
    size_t payload_len;
    int fds[IMU_WIRE_MAX_FDS]; /**< received: owned by whoever took the frame; sent: duplicated by
                                  the kernel */
    int n_fds;
} imu_frame;

typedef struct imu_wire_reader imu_wire_reader;
typedef struct imu_wire_writer imu_wire_writer;

/** Makes a reader for frames of at most max_frame bytes (at most IMU_WIRE_MAX_FRAME). NULL without
 * memory. */
imu_wire_reader *imu_wire_reader_new(size_t max_frame);
/** Frees a reader and closes descriptors it still holds. */
void imu_wire_reader_free(imu_wire_reader *rd);

/**
 * Reads what the socket holds and hands out at most one frame. Never waits.
 * @param fd  stream socket, blocking or not
 * @return 1 a frame is in *out (take or close its fds); 0 no whole frame yet;
 *         -1 the peer closed (errno 0, or ECONNRESET within a frame), or errno says what failed;
 *         EBADMSG for a broken frame, after which the stream can't be read on.
 *         Call again until it returns 0: several frames may already be buffered.
 */
int imu_wire_read(imu_wire_reader *rd, int fd, imu_frame *out);

/** Makes a writer that queues at most max_queued bytes. NULL without memory. */
imu_wire_writer *imu_wire_writer_new(size_t max_queued);
/** Frees a writer and closes descriptors it still holds. */
void imu_wire_writer_free(imu_wire_writer *wr);
/**
 * Queues a copy of the frame (descriptors are duplicated). Nothing is sent yet.
 * @return 0, or -1 with errno ENOBUFS (queue full), EMSGSIZE, EINVAL (header's "fds" is not n_fds),
 * ENOMEM or dup's error.
 */
int imu_wire_queue(imu_wire_writer *wr, const imu_frame *frame);
/** Sends as much as the socket takes. @return 1 all sent; 0 more is queued (wait for POLLOUT); -1
 * errno. */
int imu_wire_flush(imu_wire_writer *wr, int fd);
/** Bytes waiting in the writer. */
size_t imu_wire_pending(const imu_wire_writer *wr);

/**
 * Sends one frame on a blocking or non-blocking socket, waiting at most timeout_ms (-1: for ever).
 * @return 0, or -1 errno (ETIMEDOUT; EINVAL as above). After a failure a part may be sent: close
 * the socket.
 */
int imu_wire_send(int fd, const imu_frame *frame, int timeout_ms);
/** Receives one frame, waiting at most timeout_ms. @return 1 frame; 0 timeout; -1 closed or failed.
 */
int imu_wire_recv(imu_wire_reader *rd, int fd, imu_frame *out, int timeout_ms);

/** Connects to the stream socket at path; close-on-exec, non-blocking. @return descriptor or -1
 * errno. */
int imu_wire_connect(const char *path);
/**
 * Listens on path with the given mode, replacing a stale socket file that nobody answers on.
 * @return descriptor (close-on-exec, non-blocking) or -1 errno (EADDRINUSE: somebody answers).
 */
int imu_wire_listen(const char *path, unsigned mode, int backlog);
/** User id of the process at the other end (SO_PEERCRED), or -1. */
long imu_wire_peer_uid(int fd);

#endif
