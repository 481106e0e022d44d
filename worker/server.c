/* See server.h. */
#include "worker/server.h"
#include "worker/run.h"

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <unistd.h>

#define WRITER_MAX (64u * 1024 * 1024)
#define GOODBYE_MS 2000
#define LOST_MS    10000 /* a worker without its device waits so long until its results are stored */

struct server {
    const imu_options *o;
    int listener, signals, wake, conn;
    imu_wire_reader *rd;
    imu_wire_writer *wr;
    imu_models *models;
    imu_outbox *outbox;
    imu_runner *runner;
    json_t *nodes, *outputs; /* made once: they never change */
};

static void disconnect(struct server *s, const char *why)
{
    if (s->conn < 0)
        return;
    if (why)
        fprintf(stderr, "dispatcher: %s\n", why);
    close(s->conn);
    s->conn = -1;
    imu_wire_reader_free(s->rd);
    imu_wire_writer_free(s->wr);
    s->rd = NULL;
    s->wr = NULL;
    imu_outbox_connected(s->outbox, false);
}

/* Queues a frame of the I/O thread itself. Takes the reference. */
static int queue(struct server *s, uint8_t type, json_t *header)
{
    char *text = header ? json_dumps(header, JSON_COMPACT) : NULL;
    json_decref(header);
    if (!text)
        return -1;
    imu_frame f = {.type = type, .header = text, .header_len = strlen(text)};
    int rc = imu_wire_queue(s->wr, &f);
    free(text);
    return rc;
}

static json_t *hello(struct server *s)
{
    char host[256] = "worker";
    if (gethostname(host, sizeof host - 1))
        memcpy(host, "worker", 7);
    json_int_t pages = sysconf(_SC_PHYS_PAGES), page_bytes = sysconf(_SC_PAGESIZE);
    json_t *h =
        json_pack("{s:i,s:s,s:s,s:s,s:I,s:i,s:o,s:O,s:O}", "protocol", IMU_WIRE_PROTOCOL, "name",
                  s->o->name ? s->o->name : host, "device", imu_models_device_kind(s->models),
                  "device_name", imu_models_device(s->models), "memory_bytes", pages * page_bytes,
                  "threads", s->o->threads ? s->o->threads : (int)sysconf(_SC_NPROCESSORS_ONLN),
                  "loaded", imu_models_loaded(s->models), "nodes", s->nodes, "outputs", s->outputs);
    json_t *status = imu_runner_status(s->runner);
    if (h && status)
        json_object_update(h, status);
    json_decref(status);
    return h;
}

static void greet(struct server *s, int fd)
{
    s->conn = fd;
    s->rd = imu_wire_reader_new(IMU_WIRE_MAX_FRAME);
    s->wr = imu_wire_writer_new(WRITER_MAX);
    if (!s->rd || !s->wr) {
        disconnect(s, "no memory for a connection");
        return;
    }
    /* From here on results are sent again and progress is sent; what is put in between follows
     * HELLO. */
    imu_outbox_connected(s->outbox, true);
    if (queue(s, IMU_WIRE_HELLO, hello(s)))
        disconnect(s, "the greeting could not be sent");
}

static void accept_one(struct server *s)
{
    int fd = accept4(s->listener, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);
    if (fd < 0)
        return;
    long uid = imu_wire_peer_uid(fd);
    if (!imu_options_peer_allowed(s->o, uid)) {
        fprintf(stderr, "refused a connection of user %ld (see --peer-uid)\n", uid);
        close(fd);
    } else if (s->conn >= 0) {
        fprintf(stderr, "refused a second dispatcher\n");
        close(fd);
    } else {
        greet(s, fd);
    }
}

/* ---- frames of the dispatcher ---- */

static int on_run(struct server *s, json_t *header, imu_frame *f)
{
    int n_fds = f->n_fds;
    f->n_fds = 0;
    int rc = imu_runner_start(s->runner, header, f->fds, n_fds);
    if (rc <= 0)
        return rc;
    json_t *done =
        json_pack("{s:O,s:O,s:i,s:s,s:n,s:s,s:s,s:n}", "run_id", json_object_get(header, "run_id"),
                  "item_id", json_object_get(header, "item_id"), "seq", 1, "status", "failed",
                  "session_id", "error_type", "WorkerBusy", "error_message",
                  "This worker is busy with another job.", "error_traceback");
    return queue(s, IMU_WIRE_DONE, done);
}

static int on_frame(struct server *s, imu_frame *f)
{
    json_t *h = json_loadb(f->header, f->header_len, JSON_REJECT_DUPLICATES, NULL);
    int rc = json_is_object(h) ? 0 : -1;
    const char *run_id = imu_json_str(h, "run_id");
    const json_t *token;
    switch (rc ? 0 : f->type) {
    case IMU_WIRE_RUN:
        rc = on_run(s, h, f);
        break;
    case IMU_WIRE_CANCEL:
        if (run_id)
            imu_runner_cancel(s->runner, run_id);
        break;
    case IMU_WIRE_ACK:
        if (run_id)
            imu_outbox_ack(s->outbox, run_id, json_integer_value(json_object_get(h, "seq")));
        break;
    case IMU_WIRE_UNLOAD:
        imu_models_ask_unload(s->models, imu_json_str(h, "key"));
        imu_runner_poke(s->runner);
        break;
    case IMU_WIRE_PING:
        token = json_object_get(h, "token");
        rc = queue(s, IMU_WIRE_PONG, json_pack("{s:O}", "token", token ? token : json_null()));
        break;
    default:
        rc = -1;
    }
    for (int i = 0; i < f->n_fds; i++)
        close(f->fds[i]);
    json_decref(h);
    return rc;
}

static void read_frames(struct server *s)
{
    imu_frame f;
    /* A few at a time, so that a flood of frames doesn't keep the rest waiting. */
    for (int i = 0; i < 64 && s->conn >= 0; i++) {
        int rc = imu_wire_read(s->rd, s->conn, &f);
        if (rc == 0)
            return;
        if (rc < 0) {
            disconnect(s, errno == 0 || errno == ECONNRESET ? "disconnected" : strerror(errno));
            return;
        }
        if (on_frame(s, &f)) {
            disconnect(s, "sent a frame that makes no sense");
            return;
        }
    }
}

static void write_frames(struct server *s)
{
    int moved = 1, sent = 1;
    /* A peer that reads fast empties the writer at once: then no event would ask for the rest. */
    while (s->conn >= 0 && moved > 0 && sent == 1) {
        moved = imu_outbox_pump(s->outbox, s->wr);
        sent = moved < 0 ? 1 : imu_wire_flush(s->wr, s->conn);
        if (moved < 0)
            disconnect(s, "no memory for its frames");
        else if (sent < 0)
            disconnect(s, "disconnected");
    }
}

/* ---- the loop ---- */

static bool stop_asked(struct server *s)
{
    struct signalfd_siginfo info;
    return read(s->signals, &info, sizeof info) == sizeof info;
}

/* How long the loop may wait; 0 when the device is lost and what is to be told about it has been,
 * or nobody listens. */
static int patience(struct server *s, int64_t *lost_at)
{
    if (!imu_runner_lost(s->runner))
        return -1;
    if (!*lost_at)
        *lost_at = imu_clock_ms();
    int64_t left = *lost_at + LOST_MS - imu_clock_ms();
    return imu_outbox_count(s->outbox) == 0 || left <= 0 ? 0 : (int)left;
}

/* Until a signal, or until the device is lost. */
static void serve(struct server *s)
{
    int64_t lost_at = 0;
    for (int wait; (wait = patience(s, &lost_at)) != 0;) {
        bool more = s->conn >= 0 && imu_wire_pending(s->wr) > 0;
        struct pollfd p[4] = {{.fd = s->signals, .events = POLLIN},
                              {.fd = s->wake, .events = POLLIN},
                              {.fd = s->conn, .events = (short)(POLLIN | (more ? POLLOUT : 0))},
                              {.fd = s->listener, .events = POLLIN}};
        if (poll(p, 4, wait) < 0 && errno != EINTR) {
            perror("poll");
            return;
        }
        if (p[0].revents && stop_asked(s))
            return;
        uint64_t count;
        if (p[1].revents && read(s->wake, &count, sizeof count) < 0 && errno != EAGAIN)
            perror("eventfd");
        /* The old connection's end is seen before a new one is accepted: a restarted dispatcher
         * finds room. */
        if (s->conn >= 0 && p[2].revents)
            read_frames(s);
        if (p[3].revents)
            accept_one(s);
        write_frames(s);
    }
}

/* Tells the dispatcher that this end is no fault of the job, and waits until it has heard: it
 * answers by closing. Results that are ready go before. */
static void say_goodbye(struct server *s)
{
    int64_t end = imu_clock_ms() + GOODBYE_MS, left;
    int rc = s->conn < 0 || imu_outbox_pump(s->outbox, s->wr) < 0 ? -1 : 0;
    if (rc == 0)
        rc = queue(s, IMU_WIRE_GOODBYE, json_object());
    while (rc >= 0 && (left = end - imu_clock_ms()) > 0) {
        char dropped[4096];
        struct pollfd p = {.fd = s->conn, .events = POLLIN};
        rc = imu_wire_flush(s->wr, s->conn);
        if (rc == 0)
            p.events |= POLLOUT;
        if (rc < 0 || (poll(&p, 1, (int)left) < 0 && errno != EINTR))
            return;
        ssize_t n = read(s->conn, dropped, sizeof dropped);
        if (n == 0 || (n < 0 && errno != EAGAIN && errno != EINTR))
            return;
    }
}

static int open_signals(void)
{
    sigset_t set;
    sigemptyset(&set);
    sigaddset(&set, SIGTERM);
    sigaddset(&set, SIGINT);
    if (pthread_sigmask(SIG_BLOCK, &set, NULL))
        return -1;
    return signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK);
}

static int start(struct server *s, imu_error *err)
{
    s->signals = open_signals();
    s->wake = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    if (s->signals < 0 || s->wake < 0)
        return imu_refuse(err, "InternalError", "%s", strerror(errno));
    s->nodes = imu_schema_nodes();
    s->outputs = imu_schema_outputs();
    s->outbox = imu_outbox_new(s->wake);
    if (!s->nodes || !s->outputs || !s->outbox)
        return imu_refuse(err, "OutOfMemory", "Not enough memory.");
    s->models = imu_models_new(s->o, err);
    s->runner = s->models ? imu_runner_new(s->models, s->outbox, err) : NULL;
    return s->runner ? 0 : -1;
}

int imu_server_run(const imu_options *o, int listener)
{
    struct server s = {.o = o, .listener = listener, .signals = -1, .wake = -1, .conn = -1};
    imu_error err = {.type = ""};
    int rc = start(&s, &err);
    if (rc) {
        fprintf(stderr, "invokemu-worker: %s\n", err.text);
    } else {
        fprintf(stderr, "ready on %s (%s)\n", o->socket, imu_models_device(s.models));
        serve(&s);
        fprintf(stderr, "stopping\n");
        say_goodbye(&s);
    }
    /* The connection first: a dispatcher that sees it end runs the job elsewhere, instead of taking
     * it for canceled. What comes after may take longer than who stops us waits. */
    if (s.outbox)
        disconnect(&s, NULL);
    if (s.runner && imu_runner_lost(s.runner))
        return IMU_EXIT_LOST; /* nothing is freed: what the device holds goes with the process */
    imu_runner_free(s.runner);
    imu_models_free(s.models);
    imu_outbox_free(s.outbox);
    json_decref(s.nodes);
    json_decref(s.outputs);
    close(s.listener);
    if (s.signals >= 0)
        close(s.signals);
    if (s.wake >= 0)
        close(s.wake);
    return rc ? 1 : 0;
}
