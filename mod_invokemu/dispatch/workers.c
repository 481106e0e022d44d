#include "mod_invokemu/dispatch/workers.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define FIRST_PAUSE_MS 100
#define LAST_PAUSE_MS  3000
#define HELLO_MS       10000
#define PING_MS        20000
#define SILENCE_MS     180000 /* a worker on a slow processor may be long in one call */
#define MAX_QUEUED     (2u * IMU_WIRE_MAX_FRAME)
#define MAX_MODELS     1024

struct imu_worker {
    imu_loop *loop;
    const char *path;
    imu_worker_handler handler;
    void *baton;
    imu_conn *conn;   /* NULL while not connected */
    imu_timer *timer; /* next attempt; or the end of patience for HELLO; or the next PING */
    imu_timer *rest;  /* armed while left alone */
    int64_t heard_at;
    int64_t pause_ms;
    int ready;
    int resting;
    int gone;
    int complained; /* the log has been told that it can't be reached */
    char busy[40];  /* run_id, or "" */
    char *name;
    char *device;
    json_t *loaded; /* object: key -> true */
};

static int send_small(imu_worker *worker, uint8_t type, json_t *header)
{
    int rc = -1;

    if (worker->conn && header)
        rc = imu_conn_send(worker->conn, type, header, NULL, 0, NULL, 0);
    json_decref(header);
    return rc;
}

static void disconnected(imu_worker *worker, const char *why)
{
    int was_ready = worker->ready;

    worker->conn = NULL;
    worker->ready = 0;
    worker->busy[0] = 0;
    imu_timer_set(worker->timer, worker->pause_ms);
    worker->pause_ms = worker->pause_ms * 2 > LAST_PAUSE_MS ? LAST_PAUSE_MS : worker->pause_ms * 2;
    if (was_ready || !worker->complained)
        imu_dlog(IMU_LOG_INFO, "IMU0410: worker %s: %s", worker->path, why);
    worker->complained = 1;
    if (was_ready)
        worker->handler.lost(worker->baton, worker);
}

static void drop(imu_worker *worker, const char *why)
{
    imu_conn_close(worker->conn);
    disconnected(worker, why);
}

static void replace_text(char **slot, const char *text)
{
    free(*slot);
    *slot = strdup(text);
}

/* What a worker has in memory now: what isn't listed has made room. */
static void note_loaded(imu_worker *worker, const json_t *keys)
{
    size_t i;
    json_t *key;

    json_object_clear(worker->loaded);
    json_array_foreach (keys, i, key)
        json_object_set_new(worker->loaded, json_string_value(key), json_true());
}

static int greeted(imu_worker *worker, json_t *header, const char **why)
{
    imu_hello hello;

    if ((*why = imu_hello_read(header, &hello)))
        return -1;
    replace_text(&worker->name, hello.name);
    replace_text(&worker->device, hello.device);
    note_loaded(worker, hello.loaded);
    worker->busy[0] = 0;
    if (hello.running.run_id)
        memcpy(worker->busy, hello.running.run_id, 37);
    worker->ready = 1;
    worker->complained = 0;
    worker->pause_ms = FIRST_PAUSE_MS;
    imu_timer_set(worker->timer, PING_MS);
    imu_dlog(IMU_LOG_INFO, "IMU0411: worker %s is here: %s on %s%s", worker->path, hello.name,
             hello.device, hello.running.run_id ? ", in the middle of a job" : "");
    worker->handler.ready(worker->baton, worker, &hello);
    return 0;
}

static int told(imu_worker *worker, imu_frame *frame, json_t *header, const char **why)
{
    imu_worker_msg msg;

    if ((*why = imu_worker_msg_read(frame, header, &msg)))
        return -1;
    if (frame->type == IMU_WIRE_MODEL_LOAD && msg.complete &&
        json_object_size(worker->loaded) < MAX_MODELS)
        json_object_set_new(worker->loaded, msg.model_key, json_true());
    if (frame->type == IMU_WIRE_DONE && strcmp(msg.run.run_id, worker->busy) == 0) {
        worker->busy[0] = 0;
        if (msg.loaded)
            note_loaded(worker, msg.loaded);
    }
    return worker->handler.message(worker->baton, worker, frame, &msg, why);
}

/* The end of the connection is our answer: it waits for that, so that this frame is never lost. */
static int said_goodbye(imu_worker *worker, const char **why)
{
    worker->handler.leaves(worker->baton, worker);
    *why = "has been stopped";
    return -1;
}

static int on_frame(void *baton, imu_conn *conn, imu_frame *frame, const char **why)
{
    imu_worker *worker = baton;
    json_t *header = imu_frame_header(frame);
    int rc = -1;

    (void)conn;
    worker->heard_at = imu_loop_now(worker->loop);
    if (!header)
        *why = "a header that is no JSON object";
    else if (!worker->ready && frame->type != IMU_WIRE_HELLO)
        *why = "another frame before HELLO";
    else if (worker->ready && frame->type == IMU_WIRE_HELLO)
        *why = "a second HELLO";
    else if (frame->type == IMU_WIRE_HELLO)
        rc = greeted(worker, header, why);
    else if (frame->type == IMU_WIRE_PONG)
        rc = 0;
    else if (frame->type == IMU_WIRE_GOODBYE)
        rc = said_goodbye(worker, why);
    else
        rc = told(worker, frame, header, why);
    json_decref(header);
    return rc;
}

static void on_close(void *baton, imu_conn *conn, const char *why)
{
    (void)conn;
    disconnected(baton, why);
}

/* No connection could be made. A worker that lives always listens, so a refusal says that there is
 * none. */
static void refused(imu_worker *worker, int error)
{
    int was_gone = worker->gone;

    worker->gone = error == ECONNREFUSED || error == ENOENT;
    disconnected(worker, strerror(error));
    if (worker->gone && !was_gone)
        worker->handler.gone(worker->baton, worker);
}

static void start(imu_worker *worker)
{
    static const imu_conn_handler handler = {on_frame, on_close};
    int fd = imu_wire_connect(worker->path);

    if (fd >= 0)
        worker->conn =
            imu_conn_new(worker->loop, fd, IMU_WIRE_MAX_FRAME, MAX_QUEUED, &handler, worker);
    if (!worker->conn) {
        refused(worker, errno);
        return;
    }
    worker->gone = 0;
    worker->heard_at = imu_loop_now(worker->loop);
    imu_timer_set(worker->timer, HELLO_MS);
}

static void on_timer(void *baton)
{
    imu_worker *worker = baton;

    if (!worker->conn) {
        start(worker);
    } else if (!worker->ready) {
        drop(worker, "no HELLO in time");
    } else if (imu_loop_now(worker->loop) - worker->heard_at > SILENCE_MS) {
        drop(worker, "silent for too long");
    } else {
        send_small(worker, IMU_WIRE_PING,
                   json_pack("{s:I}", "token", (json_int_t)imu_loop_now(worker->loop)));
        imu_timer_set(worker->timer, PING_MS);
    }
}

static void on_rested(void *baton)
{
    imu_worker *worker = baton;

    worker->resting = 0;
    worker->handler.rested(worker->baton, worker);
}

imu_worker *imu_worker_new(imu_loop *loop, const char *path, const imu_worker_handler *handler,
                           void *baton)
{
    imu_worker *worker = calloc(1, sizeof *worker);

    if (!worker)
        return NULL;
    *worker = (imu_worker){.loop = loop,
                           .path = path,
                           .handler = *handler,
                           .baton = baton,
                           .pause_ms = FIRST_PAUSE_MS};
    worker->loaded = json_object();
    worker->timer = imu_timer_add(loop, 0, on_timer, worker);
    worker->rest = imu_timer_add(loop, -1, on_rested, worker);
    if (!worker->loaded || !worker->timer || !worker->rest) {
        imu_worker_free(worker);
        return NULL;
    }
    return worker;
}

void imu_worker_free(imu_worker *worker)
{
    if (!worker)
        return;
    imu_conn_close(worker->conn);
    imu_timer_remove(worker->timer);
    imu_timer_remove(worker->rest);
    json_decref(worker->loaded);
    free(worker->name);
    free(worker->device);
    free(worker);
}

int imu_worker_is_ready(const imu_worker *worker)
{
    return worker->ready;
}

int imu_worker_is_gone(const imu_worker *worker)
{
    return worker->gone;
}

int imu_worker_is_idle(const imu_worker *worker)
{
    return worker->ready && !worker->resting && worker->busy[0] == 0;
}

const char *imu_worker_device(const imu_worker *worker)
{
    return worker->device;
}

int imu_worker_has_model(const imu_worker *worker, const char *key)
{
    return json_object_get(worker->loaded, key) != NULL;
}

int imu_worker_run(imu_worker *worker, const char *run_id, json_t *header, const int *fds,
                   int n_fds)
{
    if (!imu_worker_is_idle(worker)) {
        errno = EBUSY;
        return -1;
    }
    if (imu_conn_send(worker->conn, IMU_WIRE_RUN, header, NULL, 0, fds, n_fds) < 0)
        return -1;
    memcpy(worker->busy, run_id, 37);
    return 0;
}

void imu_worker_cancel(imu_worker *worker, const char *run_id)
{
    send_small(worker, IMU_WIRE_CANCEL, json_pack("{s:s}", "run_id", run_id));
}

void imu_worker_ack(imu_worker *worker, const char *run_id, json_int_t seq)
{
    send_small(worker, IMU_WIRE_ACK, json_pack("{s:s, s:I}", "run_id", run_id, "seq", seq));
}

void imu_worker_rest(imu_worker *worker, int delay_ms)
{
    worker->resting = 1;
    imu_timer_set(worker->rest, delay_ms);
}
