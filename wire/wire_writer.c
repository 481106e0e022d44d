/* Framing: the writer. See wire.h. */
#include "wire/wire_internal.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <unistd.h>

#define PREFIX_BYTES 9
#define MAX_GATHER   32 /* frames sent with one system call */

struct queued {
    struct queued *next;
    size_t len;
    size_t sent;
    int n_fds;
    int fds[IMU_WIRE_MAX_FDS];
    uint8_t bytes[];
};

struct imu_wire_writer {
    struct queued *head;
    struct queued **tail;
    size_t pending;
    size_t max_queued;
};

imu_wire_writer *imu_wire_writer_new(size_t max_queued)
{
    imu_wire_writer *wr = calloc(1, sizeof *wr);
    if (wr) {
        wr->tail = &wr->head;
        wr->max_queued = max_queued;
    }
    return wr;
}

static void close_fds(struct queued *q)
{
    for (int i = 0; i < q->n_fds; i++)
        close(q->fds[i]);
    q->n_fds = 0;
}

void imu_wire_writer_free(imu_wire_writer *wr)
{
    if (!wr)
        return;
    for (struct queued *q = wr->head, *next; q; q = next) {
        next = q->next;
        close_fds(q);
        free(q);
    }
    free(wr);
}

size_t imu_wire_pending(const imu_wire_writer *wr)
{
    return wr->pending;
}

/* Writes the nine bytes before the header, or fails with errno for a frame that no reader would
 * take. */
static int make_prefix(const imu_frame *f, uint8_t prefix[PREFIX_BYTES])
{
    if (f->header_len > IMU_WIRE_MAX_HEADER || f->payload_len > IMU_WIRE_MAX_FRAME ||
        5 + f->header_len + f->payload_len > IMU_WIRE_MAX_FRAME) {
        errno = EMSGSIZE;
        return -1;
    }
    if (f->n_fds < 0 || f->n_fds > IMU_WIRE_MAX_FDS ||
        imu_wire_header_fds(f->header, f->header_len) != f->n_fds) {
        errno = EINVAL;
        return -1;
    }
    imu_wire_put32(prefix, (uint32_t)(5 + f->header_len + f->payload_len));
    prefix[4] = f->type;
    imu_wire_put32(prefix + 5, (uint32_t)f->header_len);
    return 0;
}

int imu_wire_queue(imu_wire_writer *wr, const imu_frame *f)
{
    uint8_t prefix[PREFIX_BYTES];
    if (make_prefix(f, prefix))
        return -1;
    size_t len = PREFIX_BYTES + f->header_len + f->payload_len;
    if (len > wr->max_queued || wr->pending > wr->max_queued - len) {
        errno = ENOBUFS;
        return -1;
    }
    struct queued *q = malloc(sizeof *q + len);
    if (!q) {
        errno = ENOMEM;
        return -1;
    }
    q->next = NULL;
    q->len = len;
    q->sent = 0;
    q->n_fds = 0;
    memcpy(q->bytes, prefix, PREFIX_BYTES);
    if (f->header_len)
        memcpy(q->bytes + PREFIX_BYTES, f->header, f->header_len);
    if (f->payload_len)
        memcpy(q->bytes + PREFIX_BYTES + f->header_len, f->payload, f->payload_len);
    for (; q->n_fds < f->n_fds; q->n_fds++) {
        q->fds[q->n_fds] = fcntl(f->fds[q->n_fds], F_DUPFD_CLOEXEC, 0);
        if (q->fds[q->n_fds] < 0) {
            int err = errno;
            close_fds(q);
            free(q);
            errno = err;
            return -1;
        }
    }
    *wr->tail = q;
    wr->tail = &q->next;
    wr->pending += len;
    return 0;
}

/* One sendmsg with descriptors on its first byte. */
static ssize_t send_once(int fd, struct iovec *iov, size_t n_iov, const int *fds, int n_fds)
{
    union {
        char buf[CMSG_SPACE(IMU_WIRE_MAX_FDS * sizeof(int))];
        struct cmsghdr align;
    } control;
    struct msghdr msg = {.msg_iov = iov, .msg_iovlen = n_iov};
    if (n_fds > 0) {
        size_t bytes = (size_t)n_fds * sizeof(int);
        memset(&control, 0, sizeof control);
        msg.msg_control = control.buf;
        msg.msg_controllen = CMSG_SPACE(bytes);
        struct cmsghdr *c = CMSG_FIRSTHDR(&msg);
        c->cmsg_level = SOL_SOCKET;
        c->cmsg_type = SCM_RIGHTS;
        c->cmsg_len = CMSG_LEN(bytes);
        memcpy(CMSG_DATA(c), fds, bytes);
    }
    ssize_t n;
    do {
        n = sendmsg(fd, &msg, MSG_DONTWAIT | MSG_NOSIGNAL);
    } while (n < 0 && errno == EINTR);
    return n;
}

/* Gathers the head of the queue; a frame with descriptors that has not begun starts its own call.
 */
static size_t gather(const imu_wire_writer *wr, struct iovec iov[MAX_GATHER])
{
    size_t n = 0;
    for (struct queued *q = wr->head; q && n < MAX_GATHER; q = q->next) {
        if (n > 0 && q->n_fds > 0)
            break;
        iov[n].iov_base = q->bytes + q->sent;
        iov[n].iov_len = q->len - q->sent;
        n++;
    }
    return n;
}

static void advance(imu_wire_writer *wr, size_t n)
{
    wr->pending -= n;
    close_fds(wr->head);
    while (n > 0) {
        struct queued *q = wr->head;
        /* NOLINTNEXTLINE(clang-analyzer-core.NullDereference): no more was sent than is queued */
        size_t part = q->len - q->sent < n ? q->len - q->sent : n;
        q->sent += part;
        n -= part;
        if (q->sent == q->len) {
            wr->head = q->next;
            if (!wr->head)
                wr->tail = &wr->head;
            free(q);
        }
    }
}

int imu_wire_flush(imu_wire_writer *wr, int fd)
{
    while (wr->head) {
        struct iovec iov[MAX_GATHER];
        size_t n_iov = gather(wr, iov);
        ssize_t n = send_once(fd, iov, n_iov, wr->head->fds, wr->head->n_fds);
        if (n < 0)
            return errno == EAGAIN || errno == EWOULDBLOCK ? 0 : -1;
        if (n > 0)
            advance(wr, (size_t)n);
    }
    return 1;
}

int imu_wire_send(int fd, const imu_frame *f, int timeout_ms)
{
    uint8_t prefix[PREFIX_BYTES];
    if (make_prefix(f, prefix))
        return -1;
    int64_t deadline = timeout_ms < 0 ? -1 : imu_wire_now_ms() + timeout_ms;
    struct iovec iov[3] = {
        {.iov_base = prefix, .iov_len = PREFIX_BYTES},
        {.iov_base = (void *)f->header, .iov_len = f->header_len},
        {.iov_base = (void *)f->payload, .iov_len = f->payload_len},
    };
    int n_fds = f->n_fds;
    size_t first = 0;
    while (first < 3) {
        ssize_t n = send_once(fd, iov + first, 3 - first, f->fds, n_fds);
        if (n < 0) {
            if (errno != EAGAIN && errno != EWOULDBLOCK)
                return -1;
            int rc = imu_wire_wait(fd, POLLOUT, deadline);
            if (rc == 0)
                errno = ETIMEDOUT;
            if (rc <= 0)
                return -1;
            continue;
        }
        n_fds = 0;
        size_t left = (size_t)n;
        while (first < 3 && left >= iov[first].iov_len)
            left -= iov[first++].iov_len;
        if (first < 3) {
            iov[first].iov_base = (uint8_t *)iov[first].iov_base + left;
            iov[first].iov_len -= left;
        }
    }
    return 0;
}
