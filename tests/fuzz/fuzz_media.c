/* What the media process answers, which may have been taken over by a picture: the first byte says
 * how many files come along with the first bytes, the rest is what arrives on the socket. */
#include "wire/media_client.h"
#include "wire/wire.h"

#include <errno.h>
#include <pthread.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#define WAIT_MS 10000

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static struct sockaddr_un at = {.sun_family = AF_UNIX};
static int listener, file;

typedef struct answer {
    const uint8_t *data;
    size_t size;
} answer;

static void remove_socket(void)
{
    unlink(at.sun_path);
}

static void set_up(void)
{
    snprintf(at.sun_path, sizeof at.sun_path, "/tmp/imu-fuzz-media-%d.sock", (int)getpid());
    listener = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    file = memfd_create("file", MFD_CLOEXEC);
    if (listener < 0 || file < 0 || write(file, "x", 1) != 1 ||
        bind(listener, (struct sockaddr *)&at, sizeof at) || listen(listener, 4))
        abort();
    atexit(remove_socket);
}

static void send_all(int fd, const answer *a)
{
    int n_fds = a->data[0] % 4;
    union {
        struct cmsghdr header;
        char room[CMSG_SPACE(3 * sizeof(int))];
    } control = {0};
    struct iovec part = {(void *)(a->data + 1), a->size - 1};
    struct msghdr m = {.msg_iov = &part, .msg_iovlen = 1};

    if (n_fds) {
        m.msg_control = control.room;
        m.msg_controllen = CMSG_SPACE((size_t)n_fds * sizeof(int));
        struct cmsghdr *c = CMSG_FIRSTHDR(&m);
        c->cmsg_level = SOL_SOCKET;
        c->cmsg_type = SCM_RIGHTS;
        c->cmsg_len = CMSG_LEN((size_t)n_fds * sizeof(int));
        for (int i = 0; i < n_fds; i++)
            memcpy(CMSG_DATA(c) + (size_t)i * sizeof file, &file, sizeof file);
    }
    /* A client that has seen enough closes: what it did not read is lost then. */
    if (sendmsg(fd, &m, MSG_NOSIGNAL) < 0 && errno != EPIPE && errno != ECONNRESET)
        abort();
}

static void *serve(void *baton)
{
    char request[4096];
    int fd = accept(listener, NULL, NULL);

    if (fd < 0 || read(fd, request, sizeof request) <= 0)
        abort();
    send_all(fd, baton);
    close(fd);
    return NULL;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    const struct imu_media_limits limits = {
        .max_pixels = 1000000, .max_side = 1000, .thumbnail = 256};
    struct imu_media_result result;
    answer a = {data, size};
    pthread_t server;
    int rc;

    if (size < 2 || size > 60000)
        return 0;
    if (!listener)
        set_up();
    if (pthread_create(&server, NULL, serve, &a))
        abort();
    rc = imu_media_decode(at.sun_path, file, &limits, WAIT_MS, &result);
    if (rc == 0 && (result.png_fd < 0 || result.thumbnail_fd < 0 || result.width <= 0))
        abort();
    if (rc == 1 && !result.code[0])
        abort();
    imu_media_result_free(&result);
    pthread_join(server, NULL);
    return 0;
}
