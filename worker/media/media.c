/* The media process's loop: takes requests, hands them to children, sends their answers. See
 * media.h.
 *
 * A child is as little trusted as the file it decodes: its answer is bounded, parsed and checked
 * here, and its files are sealed before they are passed on.
 *
 * Accounts take turns, and those that have many pictures leave a child free for whoever has one. */
#include "worker/media/media.h"
#include "wire/wire.h"
#include "worker/media/child.h"
#include "worker/media/sandbox.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#define MAX_CLIENTS 128
#define MAX_OF_ONE  32 /* of one account, at once */
#define MAX_ACCOUNT 64
#define REQUEST_MS  10000 /* for the request to arrive, and for the answer to leave */
#define WAIT_MS     20000 /* for a child to become free */
#define DECODE_MS   20000

enum state { READING, WAITING, DECODING, SENDING };

struct client {
    enum state state;
    int fd;
    int64_t deadline;
    char account[MAX_ACCOUNT + 1]; /* whose it is; "": nobody said */
    uint64_t turn, number;         /* the lowest is next */
    imu_wire_reader *rd;
    imu_wire_writer *wr;
    imu_media_request request;
    int file, png, thumbnail;
    pid_t pid;
    int answer_fd;
    char *answer;
    size_t answer_len;
};

struct media {
    const imu_options *o;
    int listener, signals;
    struct client *clients[MAX_CLIENTS];
    int n_clients, n_children;
    uint64_t turn;    /* of the last one begun */
    uint64_t arrived; /* requests so far */
};

static void close_fd(int *fd)
{
    if (*fd >= 0)
        close(*fd);
    *fd = -1;
}

/* Ends the child, if there is one. @return its status as waitpid gives it, 0 without one. */
static int end_child(struct media *m, struct client *c, bool force)
{
    int status = 0;
    if (c->pid <= 0)
        return 0;
    if (force)
        kill(c->pid, SIGKILL);
    while (waitpid(c->pid, &status, 0) < 0 && errno == EINTR)
        continue;
    c->pid = 0;
    m->n_children--;
    return status;
}

static void drop(struct media *m, int index)
{
    struct client *c = m->clients[index];
    end_child(m, c, true);
    close_fd(&c->fd);
    close_fd(&c->file);
    close_fd(&c->png);
    close_fd(&c->thumbnail);
    close_fd(&c->answer_fd);
    imu_wire_reader_free(c->rd);
    imu_wire_writer_free(c->wr);
    free(c->answer);
    free(c);
    m->clients[index] = m->clients[--m->n_clients];
}

static void start_sending(struct client *c)
{
    c->state = SENDING;
    c->deadline = imu_clock_ms() + REQUEST_MS;
}

static void refuse(struct client *c, const char *code, const char *message)
{
    json_t *h = json_pack("{s:s,s:s}", "code", code, "message", message);
    char *text = h ? json_dumps(h, JSON_COMPACT) : NULL;
    imu_frame f = {
        .type = IMU_WIRE_REJECTED, .header = text, .header_len = text ? strlen(text) : 0};
    if (text && imu_wire_queue(c->wr, &f))
        fprintf(stderr, "media: an answer could not be queued: %s\n", strerror(errno));
    free(text);
    json_decref(h);
    start_sending(c);
}

/* ---- the request ---- */

/* A whole number at key within 1 and max; absent or 0 means fallback. -1 for anything else. */
static int64_t take_number(const json_t *h, const char *key, int64_t fallback, int64_t max)
{
    const json_t *v = json_object_get(h, key);
    if (!v || json_is_null(v))
        return fallback;
    json_int_t n = json_integer_value(v);
    if (!json_is_integer(v) || n < 0)
        return -1;
    return n == 0 ? fallback : n > max ? max : n;
}

/* Names that are too long share a turn. */
static void take_account(struct client *c, const json_t *h)
{
    const char *account = imu_json_str(h, "account");
    size_t len = account ? strnlen(account, MAX_ACCOUNT) : 0;
    if (len)
        memcpy(c->account, account, len);
    c->account[len] = 0;
}

static int take_request(struct client *c, const json_t *h)
{
    imu_media_request *q = &c->request;
    take_account(c, h);
    int64_t pixels = take_number(h, "max_pixels", IMU_MEDIA_MAX_PIXELS, IMU_MEDIA_MAX_PIXELS);
    int64_t side = take_number(h, "max_side", IMU_MEDIA_MAX_SIDE, IMU_MEDIA_MAX_SIDE);
    int64_t thumbnail = take_number(h, "thumbnail", 256, 1024);
    if (pixels < 0 || side < 0 || thumbnail < 0)
        return -1;
    q->limits = (imu_decode_limits){
        .max_pixels = (uint64_t)pixels, .max_side = (int)side, .max_text = 2u << 20};
    q->thumbnail = thumbnail < 16 ? 16 : (int)thumbnail;
    const json_t *size = json_object_get(h, "resize_to");
    if (!size || json_is_null(size))
        return 0;
    int64_t w = json_integer_value(json_array_get(size, 0)),
            ht = json_integer_value(json_array_get(size, 1));
    if (json_array_size(size) != 2 || w < 1 || ht < 1 || w > side || ht > side || w * ht > pixels)
        return -1;
    q->resize_width = (int)w;
    q->resize_height = (int)ht;
    return 0;
}

/* ---- turns ---- */

/* An account's requests follow each other by one; its first begins where the others are. */
static void take_turn(struct media *m, struct client *c)
{
    int same = 0;
    c->turn = m->turn;
    for (int i = 0; i < m->n_clients; i++) {
        const struct client *other = m->clients[i];
        if (other == c || (other->state != WAITING && other->state != DECODING) ||
            strcmp(other->account, c->account) != 0)
            continue;
        same++;
        if (other->turn > c->turn)
            c->turn = other->turn;
    }
    c->turn++;
    if (same >= MAX_OF_ONE) {
        refuse(c, "busy", "Too many uploads at once. Try again in a moment.");
        return;
    }
    c->number = ++m->arrived;
    c->state = WAITING;
    c->deadline = imu_clock_ms() + WAIT_MS;
}

/* Who has a picture in the works leaves the last child to somebody who has none. */
static bool may_begin(const struct media *m, const struct client *c)
{
    int same = 0, most = m->o->media_children - 2;
    for (int i = 0; i < m->n_clients; i++)
        same += m->clients[i]->state == DECODING && strcmp(m->clients[i]->account, c->account) == 0;
    return same == 0 || (same < most && m->n_children < m->o->media_children - 1);
}

static struct client *next_waiting(struct media *m)
{
    struct client *first = NULL;
    for (int i = 0; i < m->n_clients; i++) {
        struct client *c = m->clients[i];
        bool sooner = !first || c->turn < first->turn ||
                      (c->turn == first->turn && c->number < first->number);
        if (c->state == WAITING && sooner && may_begin(m, c))
            first = c;
    }
    return first;
}

static void read_request(struct media *m, int index)
{
    struct client *c = m->clients[index];
    imu_frame f;
    int rc = imu_wire_read(c->rd, c->fd, &f);
    if (rc == 0)
        return;
    if (rc < 0) {
        drop(m, index);
        return;
    }
    json_t *h = json_loadb(f.header, f.header_len, JSON_REJECT_DUPLICATES, NULL);
    bool ok =
        f.type == IMU_WIRE_DECODE && f.n_fds == 1 && json_is_object(h) && take_request(c, h) == 0;
    json_decref(h);
    if (f.n_fds == 1)
        c->file = f.fds[0];
    for (int i = 1; i < f.n_fds; i++)
        close(f.fds[i]);
    if (!ok) {
        refuse(c, "unsupported", "The request to decode a picture was not understood.");
        return;
    }
    take_turn(m, c);
}

/* ---- children ---- */

static void begin(struct media *m, struct client *c)
{
    if (c->turn > m->turn)
        m->turn = c->turn;
    c->png = memfd_create("picture", MFD_CLOEXEC | MFD_ALLOW_SEALING);
    c->thumbnail = memfd_create("thumbnail", MFD_CLOEXEC | MFD_ALLOW_SEALING);
    if (c->png < 0 || c->thumbnail < 0) {
        refuse(c, "busy", "The server has no memory for the picture just now. Try again later.");
        return;
    }
    int pid = imu_media_spawn(&c->request, c->file, c->png, c->thumbnail, &c->answer_fd);
    if (pid < 0 && errno == EFBIG) {
        refuse(c, "too_large", "The file is too large.");
    } else if (pid < 0 && errno == EINVAL) {
        refuse(c, "corrupt", "The file is empty.");
    } else if (pid < 0) {
        fprintf(stderr, "media: no child: %s\n", strerror(errno));
        refuse(c, "busy", "The server can't decode pictures just now. Try again later.");
    } else {
        c->pid = pid;
        m->n_children++;
        c->state = DECODING;
        c->deadline = imu_clock_ms() + DECODE_MS;
        fcntl(c->answer_fd, F_SETFL, O_NONBLOCK);
    }
}

static int seal(int fd)
{
    struct stat st;
    if (fstat(fd, &st) || st.st_size <= 0 || lseek(fd, 0, SEEK_SET) < 0)
        return -1;
    return fcntl(fd, F_ADD_SEALS, F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_WRITE | F_SEAL_SEAL);
}

static bool is_text_or_null(const json_t *h, const char *key)
{
    const json_t *v = json_object_get(h, key);
    return json_is_string(v) || json_is_null(v);
}

/* Believes a child's answer only as far as it makes sense. */
static int pass_on(struct client *c, json_t *h)
{
    const char *code = imu_json_str(h, "code"), *message = imu_json_str(h, "message");
    if (code && message) {
        refuse(c, code, message);
        return 0;
    }
    json_int_t w = json_integer_value(json_object_get(h, "width")),
               ht = json_integer_value(json_object_get(h, "height"));
    const imu_decode_limits *l = &c->request.limits;
    if (w < 1 || ht < 1 || w > l->max_side || ht > l->max_side ||
        (uint64_t)(w * ht) > l->max_pixels || !is_text_or_null(h, "metadata") ||
        !is_text_or_null(h, "workflow") || !is_text_or_null(h, "graph") || seal(c->png) ||
        seal(c->thumbnail) || json_object_set_new(h, "fds", json_integer(2)))
        return -1;
    char *text = json_dumps(h, JSON_COMPACT);
    imu_frame f = {.type = IMU_WIRE_DECODED,
                   .header = text,
                   .header_len = text ? strlen(text) : 0,
                   .n_fds = 2,
                   .fds = {c->png, c->thumbnail}};
    int rc = text ? imu_wire_queue(c->wr, &f) : -1;
    free(text);
    if (rc == 0)
        start_sending(c);
    return rc;
}

/* The child closed its end: it has ended or is about to. */
static void take_answer(struct media *m, struct client *c)
{
    int status = end_child(m, c, false);
    close_fd(&c->answer_fd);
    if (WIFEXITED(status) && WEXITSTATUS(status) == 0) {
        json_t *h = json_loadb(c->answer, c->answer_len, JSON_REJECT_DUPLICATES, NULL);
        int rc = json_is_object(h) ? pass_on(c, h) : -1;
        json_decref(h);
        if (rc == 0)
            return;
    }
    if (WIFSIGNALED(status))
        fprintf(stderr, "media: a child ended by signal %d\n", WTERMSIG(status));
    else
        fprintf(stderr, "media: a child ended with status %d and no usable answer\n",
                WEXITSTATUS(status));
    if (WIFSIGNALED(status) && (WTERMSIG(status) == SIGXCPU || WTERMSIG(status) == SIGKILL))
        refuse(c, "too_large", "The picture takes too long to decode.");
    else
        refuse(c, "corrupt", "The picture could not be decoded.");
}

static void read_answer(struct media *m, struct client *c)
{
    char buf[65536];
    ssize_t n = read(c->answer_fd, buf, sizeof buf);
    if (n < 0 && (errno == EAGAIN || errno == EINTR))
        return;
    char *grown = n > 0 && c->answer_len + (size_t)n <= IMU_WIRE_MAX_HEADER
                      ? realloc(c->answer, c->answer_len + (size_t)n)
                      : NULL;
    if (n > 0 && grown) {
        c->answer = grown;
        memcpy(c->answer + c->answer_len, buf, (size_t)n);
        c->answer_len += (size_t)n;
        return;
    }
    if (n > 0)
        kill(c->pid, SIGKILL); /* it says more than any answer has */
    take_answer(m, c);
}

/* ---- the loop ---- */

static void accept_one(struct media *m)
{
    int fd = accept4(m->listener, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);
    if (fd < 0)
        return;
    long uid = imu_wire_peer_uid(fd);
    if (!imu_options_peer_allowed(m->o, uid)) {
        fprintf(stderr, "media: refused a connection of user %ld (see --peer-uid)\n", uid);
        close(fd);
        return;
    }
    struct client *c = m->n_clients < MAX_CLIENTS ? calloc(1, sizeof *c) : NULL;
    if (!c) {
        static const char busy[] =
            "{\"code\":\"busy\",\"message\":\"Too many uploads at once. Try again in a moment.\"}";
        imu_frame f = {.type = IMU_WIRE_REJECTED, .header = busy, .header_len = sizeof busy - 1};
        if (imu_wire_send(fd, &f, 0))
            fprintf(stderr, "media: too many uploads, and no answer possible: %s\n",
                    strerror(errno));
        close(fd);
        return;
    }
    c->fd = fd;
    c->file = c->png = c->thumbnail = c->answer_fd = -1;
    c->rd = imu_wire_reader_new(65536);
    c->wr = imu_wire_writer_new(IMU_WIRE_MAX_HEADER + 65536);
    c->deadline = imu_clock_ms() + REQUEST_MS;
    m->clients[m->n_clients++] = c;
    if (!c->rd || !c->wr)
        drop(m, m->n_clients - 1);
}

/* @return false when the client is gone (and another one is at its index). */
static bool send_answer(struct media *m, int index)
{
    struct client *c = m->clients[index];
    if (imu_wire_flush(c->wr, c->fd) == 0)
        return true;
    drop(m, index);
    return false;
}

static bool overdue(struct media *m, int index)
{
    struct client *c = m->clients[index];
    if (imu_clock_ms() < c->deadline)
        return false;
    if (c->state == WAITING) {
        refuse(c, "busy", "Too many uploads at once. Try again in a moment.");
        return false;
    }
    if (c->state == DECODING) {
        kill(c->pid, SIGKILL);
        take_answer(m, c);
        return false;
    }
    drop(m, index);
    return true;
}

static void work(struct media *m, struct pollfd *p)
{
    for (int i = m->n_clients - 1; i >= 0; i--) {
        struct client *c = m->clients[i];
        short seen = p[i].revents;
        if (c->state == READING && seen)
            read_request(m, i);
        else if (c->state == DECODING && seen)
            read_answer(m, c);
        else if (c->state == WAITING && (seen & (POLLHUP | POLLERR)))
            drop(m, i);
    }
    for (int i = m->n_clients - 1; i >= 0; i--)
        if (!overdue(m, i) && m->clients[i]->state == SENDING)
            send_answer(m, i);
    for (struct client *c; m->n_children < m->o->media_children && (c = next_waiting(m));)
        begin(m, c);
    for (int i = m->n_clients - 1; i >= 0; i--)
        if (m->clients[i]->state == SENDING)
            send_answer(m, i);
}

static int poll_timeout(const struct media *m)
{
    int64_t now = imu_clock_ms(), left = 60000;
    for (int i = 0; i < m->n_clients; i++)
        left = m->clients[i]->deadline - now < left ? m->clients[i]->deadline - now : left;
    return m->n_clients == 0 ? -1 : left < 0 ? 0 : (int)left + 1;
}

static void serve(struct media *m)
{
    for (;;) {
        struct pollfd p[MAX_CLIENTS + 2];
        int n = m->n_clients;
        for (int i = 0; i < n; i++) {
            const struct client *c = m->clients[i];
            p[i].fd = c->state == DECODING ? c->answer_fd : c->fd;
            p[i].events = c->state == SENDING ? POLLOUT : c->state == WAITING ? 0 : POLLIN;
            p[i].revents = 0;
        }
        p[n] = (struct pollfd){.fd = m->signals, .events = POLLIN};
        p[n + 1] = (struct pollfd){.fd = m->listener, .events = POLLIN};
        if (poll(p, (nfds_t)n + 2, poll_timeout(m)) < 0 && errno != EINTR) {
            perror("media: poll");
            return;
        }
        if (p[n].revents)
            return;
        work(m, p);
        if (p[n + 1].revents)
            accept_one(m);
    }
}

int imu_media_run(const imu_options *o, int listener)
{
    struct media m = {.o = o, .listener = listener};
    sigset_t set;
    sigemptyset(&set);
    sigaddset(&set, SIGTERM);
    sigaddset(&set, SIGINT);
    m.signals = pthread_sigmask(SIG_BLOCK, &set, NULL)
                    ? -1
                    : signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK);
    int rc = 1;
    /* jansson draws its hash seed when it makes the first object, from a file: in the children that
     * is too late. */
    json_object_seed(0);
    if (m.signals < 0 || imu_sandbox_prepare()) {
        fprintf(stderr, "invokemu-worker: the sandbox can't be set up: %s\n", strerror(errno));
    } else {
        fprintf(stderr, "ready on %s (media, %d at once)\n", o->socket, o->media_children);
        serve(&m);
        fprintf(stderr, "stopping\n");
        rc = 0;
    }
    while (m.n_clients > 0)
        drop(&m, m.n_clients - 1);
    if (m.signals >= 0)
        close(m.signals);
    close(listener);
    return rc;
}
