/*
 * socket.h: one long poll or one WebSocket of a browser in this child.
 *
 * Three threads meet here: a worker (the request, later whatever the browser sends), the MPM's
 * listener (which only waits), and the hub thread (which writes). Everything below a socket's lock
 * that touches the connection - its filters, its buckets, TLS - happens under that lock, and only
 * while `c` is set. The connection's end takes `c` away under the same lock, before its file
 * descriptor is closed, so that nobody writes to a stranger. A socket's memory is counted and
 * outlives the connection.
 */
#ifndef IMU_SOCKET_H
#define IMU_SOCKET_H

#include <httpd.h>
#include <pthread.h>
#include <stdint.h>

#include "mod_invokemu/events/message.h"
#include "mod_invokemu/events/websocket.h"
#include "mod_invokemu/seats.h"

/** Seconds, in the Retry-After of an answer 429. */
#define IMU_SOCKET_RETRY_AFTER "5"

typedef enum imu_socket_state {
    IMU_SOCKET_WAITING = 1, /**< a worker waits in the handler for the answer */
    IMU_SOCKET_HANDED,      /**< the handler has returned; answers are kept until it is parked */
    IMU_SOCKET_PARKED,      /**< the MPM waits for the browser; the hub thread writes */
    IMU_SOCKET_OVER         /**< nothing more is to be done with it */
} imu_socket_state;

typedef struct imu_answer {
    int status;       /**< 0: none yet */
    const char *type; /**< one of a few constants */
    char *body;
    size_t len;
} imu_answer;

typedef struct imu_out {
    struct imu_out *next;
    imu_message *message;
    size_t sent;
    int preview;
} imu_out;

typedef struct imu_socket {
    pthread_mutex_t lock;
    pthread_cond_t answered;
    int refs; /* guarded by the table's lock */
    uint64_t id;
    conn_rec *c;
    imu_seat *seat; /* of the connection, while it is this socket's; of no use without `c` */
    char *network;
    char *account; /* who has signed in, once that is known */
    int known;     /* somebody has signed in */
    int fd;
    imu_socket_state state;
    int is_ws;
    int ending; /* a close frame or the last answer is out: what comes in ends the connection */
    int abort;  /* the browser does not read: end without a farewell */
    int close_after; /* poll: this connection is not kept alive */
    imu_answer answer;
    char *head;       /* poll: header lines of the answer... */
    char *keep_alive; /* ...and those that it has as well when the connection is kept */
    imu_ws reader;
    apr_time_t rate_start;
    size_t rate_bytes; /* that the browser has sent since... */
    int rate_messages; /* ...and messages */
    imu_out *first, **last;
    size_t queued;     /* bytes that wait, and what it takes to keep them */
    int previews;      /* of those that wait, which have not begun */
    imu_message *pong; /* comes after all that waits */
    apr_bucket_brigade *out, *in;
} imu_socket;

/** What the MPM shall do with a connection next. */
typedef enum imu_next { IMU_NEXT_WAIT = 1, IMU_NEXT_CLOSE, IMU_NEXT_REQUEST } imu_next;

/** Makes room for max sockets in this child. @return 0 or -1 without memory */
int imu_sockets_init(int max);
/** A new socket for a connection; the caller owns one reference.
 * @param network  of the client, copied
 * @return NULL when there are too many, or no memory */
imu_socket *imu_socket_new(conn_rec *c, int is_ws, const char *network);
/** Gives a reference back. */
void imu_socket_release(imu_socket *s);
/** Takes the connection away and forgets the socket; tells the dispatcher. Worker threads. */
void imu_socket_detach(imu_socket *s);
/** Waits for the answer at most ms. @return 1 it is there, 0 not yet */
int imu_socket_wait(imu_socket *s, int ms);
/** Whose it is. @param known  1: an account, 0: a network. @return a name that lives as long as s
 */
const char *imu_socket_owner(imu_socket *s, int *known);
/** The connection's seat is this socket's until it is detached. NULL: none is counted. */
void imu_socket_take_seat(imu_socket *s, imu_seat *seat);
/** Lets the hub thread write from now on, and does what has come up since the request was handled.
 */
imu_next imu_socket_park(imu_socket *s);
/** The browser has sent something, or has gone. */
imu_next imu_socket_readable(imu_socket *s);

/** Hub thread: what the dispatcher says, by connection number. What is said is borrowed. */
void imu_sockets_answer(uint64_t id, int status, const char *type, const char *body, size_t len);
void imu_sockets_send(uint64_t id, imu_message *message, int preview);
void imu_sockets_close(uint64_t id, int code);
/** That account has signed in on it. */
void imu_sockets_known(uint64_t id, const char *account);
/** Events that wait to be sent are not for that person any more. */
void imu_sockets_forget_events(uint64_t id);
void imu_sockets_writable(uint64_t id);
/** Any thread: has a poll answered now, with whatever there is to say. */
void imu_sockets_let_go(uint64_t id);
/** Hub thread: ends everything that is parked, with that close code; polls are answered with
 * nothing to say. */
void imu_sockets_end_all(int code);

#endif
