/* Framing: the reader. The writer is in wire_writer.c, sockets in wire_socket.c. See wire.h. */
#include "wire/wire_internal.h"

#include <errno.h>
#include <poll.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#define READ_STEP   (64u * 1024)  /* how much room each recvmsg gets */
#define KEEP_BUFFER (256u * 1024) /* a larger buffer is given back once it is empty */
#define MAX_HELD    (2 * IMU_WIRE_MAX_FDS)

struct imu_wire_reader {
    uint8_t *buf;
    size_t cap;
    size_t start; /* first byte not handed out */
    size_t end;   /* behind the last byte received */
    size_t max_frame;
    int fds[MAX_HELD]; /* received and not yet handed out, in order of arrival */
    int n_fds;
    bool broken; /* a broken stream stays broken: frame borders are lost */
};

imu_wire_reader *imu_wire_reader_new(size_t max_frame)
{
    imu_wire_reader *rd = calloc(1, sizeof *rd);
    if (rd)
        rd->max_frame = max_frame < IMU_WIRE_MAX_FRAME ? max_frame : IMU_WIRE_MAX_FRAME;
    return rd;
}

void imu_wire_reader_free(imu_wire_reader *rd)
{
    if (!rd)
        return;
    for (int i = 0; i < rd->n_fds; i++)
        close(rd->fds[i]);
    free(rd->buf);
    free(rd);
}

uint32_t imu_wire_get32(const uint8_t *p)
{
    return (uint32_t)p[0] << 24 | (uint32_t)p[1] << 16 | (uint32_t)p[2] << 8 | p[3];
}

void imu_wire_put32(uint8_t *p, uint32_t v)
{
    p[0] = (uint8_t)(v >> 24);
    p[1] = (uint8_t)(v >> 16);
    p[2] = (uint8_t)(v >> 8);
    p[3] = (uint8_t)v;
}

/* Index behind the string that starts at text[i] == '"', or 0 when it does not end. */
static size_t skip_string(const char *text, size_t len, size_t i)
{
    for (i++; i < len; i++) {
        if (text[i] == '\\')
            i++;
        else if (text[i] == '"')
            return i + 1;
    }
    return 0;
}

static size_t skip_space(const char *text, size_t len, size_t i)
{
    while (i < len && (text[i] == ' ' || text[i] == '\t' || text[i] == '\n' || text[i] == '\r'))
        i++;
    return i;
}

/* The small number at text[i], or -1. */
static int small_number(const char *text, size_t len, size_t i)
{
    int value = 0;
    size_t digits = 0;
    for (; i < len && text[i] >= '0' && text[i] <= '9'; i++, digits++) {
        value = value * 10 + (text[i] - '0');
        if (value > IMU_WIRE_MAX_FDS)
            return -1;
    }
    if (digits == 0 || i >= len || !strchr(",} \t\r\n", text[i]))
        return -1;
    return value;
}

int imu_wire_header_fds(const char *text, size_t len)
{
    /* Almost no frame has descriptors: look for the key before walking the text. */
    if (len < 5 || !memmem(text, len, "\"fds\"", 5))
        return 0;
    int depth = 0;
    for (size_t i = 0; i < len;) {
        if (text[i] == '"') {
            size_t next = skip_string(text, len, i);
            if (!next)
                return -1;
            size_t colon = skip_space(text, len, next);
            if (depth == 1 && next - i == 5 && !memcmp(text + i, "\"fds\"", 5) && colon < len &&
                text[colon] == ':')
                return small_number(text, len, skip_space(text, len, colon + 1));
            i = next;
            continue;
        }
        if (text[i] == '{' || text[i] == '[')
            depth++;
        else if (text[i] == '}' || text[i] == ']')
            depth--;
        i++;
    }
    return 0;
}

static int broken(imu_wire_reader *rd)
{
    rd->broken = true;
    errno = EBADMSG;
    return -1;
}

/* Hands out the frame at the start of the buffer: 1, 0 when it is not whole, -1 when it is broken.
 */
static int take_frame(imu_wire_reader *rd, imu_frame *out)
{
    size_t have = rd->end - rd->start;
    if (have < 4)
        return 0;
    const uint8_t *p = rd->buf + rd->start;
    size_t length = imu_wire_get32(p);
    if (length < 5 || length > rd->max_frame)
        return broken(rd);
    if (have >= 9) {
        size_t header_len = imu_wire_get32(p + 5);
        if (header_len > IMU_WIRE_MAX_HEADER || header_len > length - 5)
            return broken(rd);
    }
    if (have < 4 + length)
        return 0;
    memset(out, 0, sizeof *out);
    out->type = p[4];
    out->header_len = imu_wire_get32(p + 5);
    out->header = (const char *)p + 9;
    out->payload = p + 9 + out->header_len;
    out->payload_len = length - 5 - out->header_len;
    int want = imu_wire_header_fds(out->header, out->header_len);
    if (want < 0 || want > rd->n_fds)
        return broken(rd);
    rd->start += 4 + length;
    /* Descriptors come with the first byte of their frame, so none may be left when no byte is. */
    if (rd->start == rd->end && want != rd->n_fds)
        return broken(rd);
    memcpy(out->fds, rd->fds, (size_t)want * sizeof(int));
    out->n_fds = want;
    rd->n_fds -= want;
    memmove(rd->fds, rd->fds + want, (size_t)rd->n_fds * sizeof(int));
    return 1;
}

/* Makes room for the next recvmsg; the buffer never exceeds one frame and one step. */
static int make_room(imu_wire_reader *rd)
{
    if (rd->start == rd->end) {
        rd->start = rd->end = 0;
        if (rd->cap > KEEP_BUFFER) {
            free(rd->buf);
            rd->buf = NULL;
            rd->cap = 0;
        }
    } else if (rd->start > 0) {
        memmove(rd->buf, rd->buf + rd->start, rd->end - rd->start);
        rd->end -= rd->start;
        rd->start = 0;
    }
    if (rd->cap - rd->end >= READ_STEP)
        return 0;
    /* Grow with what has arrived, not with what was announced. */
    size_t cap = rd->end + READ_STEP > 2 * rd->cap ? rd->end + READ_STEP : 2 * rd->cap;
    uint8_t *grown = realloc(rd->buf, cap);
    if (!grown) {
        errno = ENOMEM;
        return -1;
    }
    rd->buf = grown;
    rd->cap = cap;
    return 0;
}

static int take_descriptors(imu_wire_reader *rd, struct msghdr *msg)
{
    bool fits = !(msg->msg_flags & MSG_CTRUNC);
    for (struct cmsghdr *c = CMSG_FIRSTHDR(msg); c; c = CMSG_NXTHDR(msg, c)) {
        if (c->cmsg_level != SOL_SOCKET || c->cmsg_type != SCM_RIGHTS)
            continue;
        size_t n = (c->cmsg_len - CMSG_LEN(0)) / sizeof(int);
        for (size_t i = 0; i < n; i++) {
            int fd;
            memcpy(&fd, CMSG_DATA(c) + i * sizeof(int), sizeof fd);
            if (rd->n_fds < MAX_HELD) {
                rd->fds[rd->n_fds++] = fd;
            } else {
                close(fd);
                fits = false;
            }
        }
    }
    return fits ? 0 : broken(rd);
}

/* One recvmsg: 1 something came, 0 nothing there, -1 closed or failed. */
static int receive(imu_wire_reader *rd, int fd)
{
    union {
        char buf[CMSG_SPACE(IMU_WIRE_MAX_FDS * sizeof(int))];
        struct cmsghdr align;
    } control;
    if (make_room(rd))
        return -1;
    struct iovec iov = {.iov_base = rd->buf + rd->end, .iov_len = READ_STEP};
    struct msghdr msg = {.msg_iov = &iov,
                         .msg_iovlen = 1,
                         .msg_control = control.buf,
                         .msg_controllen = sizeof control.buf};
    ssize_t n;
    do {
        n = recvmsg(fd, &msg, MSG_DONTWAIT | MSG_CMSG_CLOEXEC);
    } while (n < 0 && errno == EINTR);
    if (n < 0)
        return errno == EAGAIN || errno == EWOULDBLOCK ? 0 : -1;
    if (take_descriptors(rd, &msg))
        return -1;
    if (n == 0) {
        errno = rd->start == rd->end && rd->n_fds == 0 ? 0 : ECONNRESET;
        return -1;
    }
    rd->end += (size_t)n;
    return 1;
}

int imu_wire_read(imu_wire_reader *rd, int fd, imu_frame *out)
{
    if (rd->broken)
        return broken(rd);
    for (;;) {
        int rc = take_frame(rd, out);
        if (rc != 0)
            return rc;
        rc = receive(rd, fd);
        if (rc <= 0)
            return rc;
    }
}

int64_t imu_wire_now_ms(void)
{
    struct timespec ts;
    clock_gettime(CLOCK_MONOTONIC, &ts);
    return (int64_t)ts.tv_sec * 1000 + ts.tv_nsec / 1000000;
}

int imu_wire_wait(int fd, short events, int64_t deadline_ms)
{
    for (;;) {
        int wait = -1;
        if (deadline_ms >= 0) {
            int64_t left = deadline_ms - imu_wire_now_ms();
            wait = left <= 0 ? 0 : left > 1000000 ? 1000000 : (int)left;
        }
        struct pollfd p = {.fd = fd, .events = events};
        int rc = poll(&p, 1, wait);
        if (rc > 0)
            return 1;
        if (rc < 0 && errno != EINTR)
            return -1;
        if (deadline_ms >= 0 && imu_wire_now_ms() >= deadline_ms)
            return 0;
    }
}

int imu_wire_recv(imu_wire_reader *rd, int fd, imu_frame *out, int timeout_ms)
{
    int64_t deadline = timeout_ms < 0 ? -1 : imu_wire_now_ms() + timeout_ms;
    for (;;) {
        int rc = imu_wire_read(rd, fd, out);
        if (rc != 0)
            return rc;
        rc = imu_wire_wait(fd, POLLIN, deadline);
        if (rc <= 0)
            return rc;
    }
}
