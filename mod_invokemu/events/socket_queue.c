/* socket_queue.c: what waits to be written to a browser, and its writing, which never waits. All of
 * it happens under the socket's lock, which the thread that writes to everybody takes: nothing here
 * may take long, however little a browser reads. */
#include <stdlib.h>

#include <http_protocol.h>
#include <util_filter.h>

#include "mod_invokemu/events/child_hub.h"
#include "mod_invokemu/events/socket_internal.h"

#define PIECE       16384 /* bytes given to the filters at once: httpd never waits for so few */
#define MANY_QUEUED (256u * 1024)  /* bytes from which previews are left out */
#define MOST_QUEUED (2048u * 1024) /* bytes from which a browser does not read */
/* What one message takes besides its bytes: without it, millions of tiny ones could wait. */
#define OUT_COST (sizeof(imu_out) + sizeof(imu_message) + 32)

static void unlink_out(imu_socket *s, imu_out **link)
{
    imu_out *out = *link;

    *link = out->next;
    if (s->last == &out->next)
        s->last = link;
    s->queued -= out->message->len - out->sent + OUT_COST;
    s->previews -= out->preview;
    imu_message_release(out->message);
    free(out);
}

static void drop_pong(imu_socket *s)
{
    imu_message_release(s->pong);
    s->pong = NULL;
}

void imu_socket_drop_queue(imu_socket *s)
{
    while (s->first)
        unlink_out(s, &s->first);
    drop_pong(s);
}

/* Leaves out what has not begun to be sent. */
static void drop_unsent(imu_socket *s, int (*which)(const imu_out *out))
{
    for (imu_out **link = &s->first; *link;) {
        if ((*link)->sent == 0 && which(*link))
            unlink_out(s, link);
        else
            link = &(*link)->next;
    }
}

static int is_preview(const imu_out *out)
{
    return out->preview;
}

static int is_event(const imu_out *out)
{
    return out->message->event;
}

void imu_socket_drop_events(imu_socket *s)
{
    drop_unsent(s, is_event);
}

int imu_socket_append(imu_socket *s, imu_message *message, int preview)
{
    imu_out *out = malloc(sizeof *out);

    if (!out)
        return -1;
    *out = (imu_out){.message = imu_message_share(message), .preview = preview != 0};
    *s->last = out;
    s->last = &out->next;
    s->queued += message->len + OUT_COST;
    s->previews += out->preview;
    return 0;
}

int imu_socket_queue(imu_socket *s, imu_message *message, int preview)
{
    size_t more = message->len + OUT_COST;

    /* The next one is newer. */
    if (s->queued + more > MANY_QUEUED && s->previews)
        drop_unsent(s, is_preview);
    if (preview && s->queued + more > MANY_QUEUED)
        return 0;
    return s->queued + more > MOST_QUEUED ? -1 : imu_socket_append(s, message, preview);
}

int imu_socket_queue_frame(imu_socket *s, int opcode, const char *data, size_t len)
{
    imu_message *message = imu_message_frame(opcode, data, len);
    int rc = message ? imu_socket_queue(s, message, 0) : -1;

    /* Nothing may follow it. */
    if (opcode == IMU_WS_CLOSE)
        drop_pong(s);
    imu_message_release(message);
    return rc;
}

int imu_socket_keep_pong(imu_socket *s, const char *data, size_t len)
{
    drop_pong(s);
    s->pong = imu_message_frame(IMU_WS_PONG, data, len);
    return s->pong ? 0 : -1;
}

/* @return whether something waits to be written */
static int has_next(imu_socket *s)
{
    if (!s->first && s->pong && imu_socket_append(s, s->pong, 0) == 0)
        drop_pong(s);
    return s->first != NULL;
}

/* Lets the core's own filter, the last one, send what it has kept back; with nothing to add it
 * never waits. */
static apr_status_t push(conn_rec *c)
{
    ap_filter_t *f = c->output_filters;

    while (f->next)
        f = f->next;
    return f->frec->filter_func.out_func(f, NULL);
}

static apr_status_t pass_piece(imu_socket *s, const char *data, size_t len)
{
    conn_rec *c = s->c;
    apr_status_t rv;

    APR_BRIGADE_INSERT_TAIL(s->out, apr_bucket_heap_create(data, len, NULL, c->bucket_alloc));
    /* Any bucket without data makes TLS send a record now instead of waiting for more; only FLUSH
     * would wait for the socket. */
    APR_BRIGADE_INSERT_TAIL(s->out, apr_bucket_eos_create(c->bucket_alloc));
    rv = ap_pass_brigade(c->output_filters, s->out);
    apr_brigade_cleanup(s->out);
    return rv == APR_SUCCESS ? push(c) : rv;
}

static apr_status_t write_first(imu_socket *s)
{
    imu_out *out = s->first;
    size_t left = out->message->len - out->sent, len = left < PIECE ? left : PIECE;
    apr_status_t rv = pass_piece(s, out->message->data + out->sent, len);

    s->previews -= out->preview; /* it can't be left out any more */
    out->preview = 0;
    out->sent += len;
    s->queued -= len;
    if (len == left)
        unlink_out(s, &s->first);
    return rv;
}

int imu_socket_flush(imu_socket *s)
{
    conn_rec *c = s->c;
    apr_status_t rv = APR_SUCCESS;

    while (rv == APR_SUCCESS && !c->aborted) {
        if (c->data_in_output_filters) {
            rv = push(c);
            if (rv == APR_SUCCESS && c->data_in_output_filters)
                return imu_child_hub_want_write(s->fd, s->id) == 0 ? 0 : -1;
        } else if (has_next(s)) {
            rv = write_first(s);
        } else {
            return 1;
        }
    }
    return -1;
}
