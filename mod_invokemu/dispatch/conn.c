#include "mod_invokemu/dispatch/conn.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* Frames handled before other descriptors get their turn. */
#define FRAMES_A_TURN 64

struct imu_conn {
    int fd;
    imu_loop *loop;
    imu_watch *watch;
    imu_timer *again; /* reads on what is buffered already, or reports a failed write */
    imu_wire_reader *reader;
    imu_wire_writer *writer;
    imu_conn_handler handler;
    void *baton;
    int busy;   /* inside on_frame */
    int closed; /* closed while busy: freed when on_frame returns */
    int broken; /* errno of a failed write */
};

static void conn_free(imu_conn *conn)
{
    imu_watch_remove(conn->watch);
    imu_timer_remove(conn->again);
    imu_wire_reader_free(conn->reader);
    imu_wire_writer_free(conn->writer);
    close(conn->fd);
    free(conn);
}

void imu_conn_close(imu_conn *conn)
{
    if (!conn)
        return;
    conn->closed = 1;
    if (!conn->busy)
        conn_free(conn);
}

/* The peer's doing: tells the owner, unless the owner closed it meanwhile. */
static void conn_lost(imu_conn *conn, const char *why)
{
    conn->busy = 1;
    if (!conn->closed)
        conn->handler.on_close(conn->baton, conn, why);
    conn_free(conn);
}

static void close_fds(imu_frame *frame)
{
    for (int i = 0; i < frame->n_fds; i++)
        if (frame->fds[i] >= 0)
            close(frame->fds[i]);
}

/* @return 0, or -1 when the connection is gone */
static int handle_frame(imu_conn *conn, imu_frame *frame)
{
    const char *why = "broken frame";
    int rc;

    conn->busy = 1;
    rc = conn->handler.on_frame(conn->baton, conn, frame, &why);
    conn->busy = 0;
    close_fds(frame);
    if (conn->closed) {
        conn_free(conn);
        return -1;
    }
    if (rc < 0)
        conn_lost(conn, why);
    return rc;
}

static void read_frames(imu_conn *conn)
{
    for (int i = 0; i < FRAMES_A_TURN; i++) {
        imu_frame frame;
        int rc = imu_wire_read(conn->reader, conn->fd, &frame);

        if (rc == 0)
            return;
        if (rc < 0) {
            conn_lost(conn, errno == 0 ? "closed by the peer" : strerror(errno));
            return;
        }
        if (handle_frame(conn, &frame) < 0)
            return;
    }
    imu_timer_set(conn->again, 0);
}

static void on_again(void *baton)
{
    imu_conn *conn = baton;

    if (conn->broken)
        conn_lost(conn, strerror(conn->broken));
    else
        read_frames(conn);
}

static int flush(imu_conn *conn)
{
    int rc = imu_wire_flush(conn->writer, conn->fd);

    if (rc < 0) {
        conn->broken = errno;
        imu_watch_set(conn->watch, 0);
        imu_timer_set(conn->again, 0);
        return -1;
    }
    imu_watch_set(conn->watch, IMU_LOOP_READ | (rc == 0 ? IMU_LOOP_WRITE : 0));
    return 0;
}

static void on_events(void *baton, unsigned events)
{
    imu_conn *conn = baton;

    if (conn->broken) {
        conn_lost(conn, strerror(conn->broken));
        return;
    }
    if ((events & IMU_LOOP_WRITE) && flush(conn) < 0)
        return;
    if (events & (IMU_LOOP_READ | IMU_LOOP_HUP))
        read_frames(conn);
}

imu_conn *imu_conn_new(imu_loop *loop, int fd, size_t max_frame, size_t max_queued,
                       const imu_conn_handler *handler, void *baton)
{
    imu_conn *conn = calloc(1, sizeof *conn);

    if (!conn) {
        close(fd);
        errno = ENOMEM;
        return NULL;
    }
    *conn = (imu_conn){.fd = fd, .loop = loop, .handler = *handler, .baton = baton};
    conn->reader = imu_wire_reader_new(max_frame);
    conn->writer = imu_wire_writer_new(max_queued);
    conn->again = imu_timer_add(loop, -1, on_again, conn);
    conn->watch = imu_watch_add(loop, fd, IMU_LOOP_READ, on_events, conn);
    if (!conn->reader || !conn->writer || !conn->again || !conn->watch) {
        conn_free(conn);
        errno = ENOMEM;
        return NULL;
    }
    return conn;
}

int imu_conn_send_frame(imu_conn *conn, const imu_frame *frame)
{
    if (conn->closed || conn->broken) {
        errno = EPIPE;
        return -1;
    }
    return imu_wire_queue(conn->writer, frame) < 0 ? -1 : flush(conn);
}

int imu_conn_send(imu_conn *conn, uint8_t type, json_t *header, const void *payload,
                  size_t payload_len, const int *fds, int n_fds)
{
    imu_frame frame = {
        .type = type, .payload = payload, .payload_len = payload_len, .n_fds = n_fds};
    char *text;
    int rc;

    if (n_fds > IMU_WIRE_MAX_FDS ||
        (n_fds > 0 && json_object_set_new(header, "fds", json_integer(n_fds)) < 0) ||
        !(text = json_dumps(header, JSON_COMPACT))) {
        errno = EINVAL;
        return -1;
    }
    frame.header = text;
    frame.header_len = strlen(text);
    for (int i = 0; i < n_fds; i++)
        frame.fds[i] = fds[i];
    rc = imu_conn_send_frame(conn, &frame);
    free(text);
    return rc;
}

json_t *imu_frame_header(const imu_frame *frame)
{
    json_t *header = json_loadb(frame->header, frame->header_len, JSON_REJECT_DUPLICATES, NULL);

    if (json_is_object(header))
        return header;
    json_decref(header);
    return NULL;
}

size_t imu_conn_pending(const imu_conn *conn)
{
    return imu_wire_pending(conn->writer);
}
