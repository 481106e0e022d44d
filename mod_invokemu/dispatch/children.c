#include "mod_invokemu/dispatch/children.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "mod_invokemu/dispatch/hub.h"
#include "mod_invokemu/dispatch/scheduler.h"

#define BACKLOG    64
#define MAX_QUEUED (32u * 1024 * 1024)
#define RETRY_MS   1000 /* after running out of descriptors */

typedef struct child {
    imu_children *all;
    struct child *prev, *next;
    imu_conn *conn;
    imu_hub_child *hub_child; /* NULL until its first frame that is not the hook's */
    imu_timer *doom;          /* armed when it does not read: ends it outside of the hub's calls */
} child;

struct imu_children {
    imu_dispatch *d;
    int fd;
    imu_watch *watch;
    imu_timer *retry;
    child *first;
};

static void child_free(child *c)
{
    imu_hub_child_remove(c->hub_child);
    imu_timer_remove(c->doom);
    if (c->prev)
        c->prev->next = c->next;
    else
        c->all->first = c->next;
    if (c->next)
        c->next->prev = c->prev;
    free(c);
}

static void on_doom(void *baton)
{
    child *c = baton;

    imu_dlog(IMU_LOG_WARNING,
             "IMU0441: a child does not take its frames; its connection is closed");
    imu_conn_close(c->conn);
    child_free(c);
}

static int send_to_child(void *baton, uint8_t type, json_t *header, const void *payload,
                         size_t payload_len)
{
    child *c = baton;

    if (imu_conn_send(c->conn, type, header, payload, payload_len, NULL, 0) == 0)
        return 0;
    /* A broken connection tells of itself; a full queue does not. */
    if (errno == ENOBUFS)
        imu_timer_set(c->doom, 0);
    return -1;
}

static size_t pending_for_child(void *baton)
{
    return imu_conn_pending(((child *)baton)->conn);
}

static int cancel_items(child *c, const json_t *header, const char **why)
{
    const json_t *ids = json_object_get(header, "item_ids");
    json_t *id;
    size_t i;

    if (!json_is_array(ids)) {
        *why = "CANCEL_ITEMS without item_ids";
        return -1;
    }
    json_array_foreach (ids, i, id)
        imu_scheduler_cancel(c->all->d->scheduler, json_integer_value(id));
    return 0;
}

/* One step of the test hook. It waits for the reply, so that the step has happened when its caller
 * goes on. */
static int hook(child *c, const json_t *header)
{
    const char *step = json_string_value(json_object_get(header, "step"));
    const json_t *item = json_object_get(header, "item_id");
    const char *why = "The server was not started with -D InvokeMUTestHook.";
    json_t *reply;
    int rc;

    if (c->all->d->conf->test_hook)
        why = step && json_is_integer(item)
                  ? imu_scheduler_hook(c->all->d->scheduler, step, json_integer_value(item))
                  : "Give a step and a job.";
    reply = json_pack("{s:b, s:s?}", "ok", why == NULL, "error", why);
    rc = imu_conn_send(c->conn, IMU_WIRE_HOOK_REPLY, reply, NULL, 0, NULL, 0);
    json_decref(reply);
    return rc;
}

static int handle(child *c, const imu_frame *frame, const json_t *header, const char **why)
{
    imu_dispatch *d = c->all->d;
    int rc;

    if (frame->type == IMU_WIRE_HOOK) {
        *why = "the hook's caller went away";
        return hook(c, header);
    }
    if (!c->hub_child &&
        !(c->hub_child = imu_hub_child_add(d->hub, send_to_child, pending_for_child, c))) {
        *why = "no memory";
        return -1;
    }
    switch (frame->type) {
    case IMU_WIRE_CHILD_HELLO:
        /* Whatever it had to say while it was not connected is in the database. */
        imu_scheduler_look_again(d->scheduler);
        return 0;
    case IMU_WIRE_QUEUE_CHANGED:
        imu_scheduler_wake(d->scheduler);
        return 0;
    case IMU_WIRE_CANCEL_ITEMS:
        return cancel_items(c, header, why);
    default:
        rc = imu_hub_frame(c->hub_child, frame, header);
        *why = rc == 0 ? "a frame of an unexpected type" : "a malformed frame";
        return rc == 1 ? 0 : -1;
    }
}

static int on_frame(void *baton, imu_conn *conn, imu_frame *frame, const char **why)
{
    json_t *header = imu_frame_header(frame);
    int rc = -1;

    (void)conn;
    if (header)
        rc = handle(baton, frame, header, why);
    else
        *why = "a header that is no JSON object";
    json_decref(header);
    return rc;
}

static void on_close(void *baton, imu_conn *conn, const char *why)
{
    child *c = baton;

    (void)conn;
    imu_dlog(IMU_LOG_DEBUG, "IMU0442: a child's connection has ended: %s", why);
    child_free(c);
}

static void add_child(imu_children *all, int fd)
{
    static const imu_conn_handler handler = {on_frame, on_close};
    child *c = calloc(1, sizeof *c);

    if (!c) {
        close(fd);
        return;
    }
    c->all = all;
    c->doom = imu_timer_add(all->d->loop, -1, on_doom, c);
    c->conn = c->doom ? imu_conn_new(all->d->loop, fd, IMU_WIRE_MAX_FRAME, MAX_QUEUED, &handler, c)
                      : NULL;
    if (!c->conn) {
        if (!c->doom)
            close(fd);
        imu_timer_remove(c->doom);
        free(c);
        return;
    }
    c->next = all->first;
    if (all->first)
        all->first->prev = c;
    all->first = c;
}

static void on_retry(void *baton)
{
    imu_watch_set(((imu_children *)baton)->watch, IMU_LOOP_READ);
}

static void on_accept(void *baton, unsigned events)
{
    imu_children *all = baton;
    int fd;

    (void)events;
    while ((fd = accept4(all->fd, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK)) >= 0) {
        long uid = imu_wire_peer_uid(fd);

        if (uid == 0 || uid == (long)geteuid()) {
            add_child(all, fd);
        } else {
            imu_dlog(IMU_LOG_WARNING, "IMU0440: user %ld may not talk to the dispatcher", uid);
            close(fd);
        }
    }
    if (errno == EMFILE || errno == ENFILE || errno == ENOMEM) {
        imu_dlog(IMU_LOG_ERR, "IMU0443: no connection can be accepted: %s", strerror(errno));
        imu_watch_set(all->watch, 0);
        imu_timer_set(all->retry, RETRY_MS);
    }
}

imu_children *imu_children_new(imu_dispatch *d, const char *path)
{
    imu_children *all = calloc(1, sizeof *all);
    int saved;

    if (!all)
        return NULL;
    all->d = d;
    all->fd = imu_wire_listen(path, 0600, BACKLOG);
    if (all->fd >= 0) {
        all->retry = imu_timer_add(d->loop, -1, on_retry, all);
        all->watch = imu_watch_add(d->loop, all->fd, IMU_LOOP_READ, on_accept, all);
    }
    if (all->watch && all->retry)
        return all;
    saved = errno;
    imu_children_free(all);
    errno = saved;
    return NULL;
}

void imu_children_free(imu_children *all)
{
    if (!all)
        return;
    for (child *c = all->first, *after; c; c = after) {
        after = c->next;
        imu_conn_close(c->conn);
        child_free(c);
    }
    imu_watch_remove(all->watch);
    imu_timer_remove(all->retry);
    if (all->fd >= 0)
        close(all->fd);
    free(all);
}
