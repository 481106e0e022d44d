#include "mod_invokemu/events/endpoint.h"

#include <ap_mpm.h>
#include <http_connection.h>
#include <http_core.h>
#include <http_log.h>
#include <http_main.h>
#include <http_protocol.h>
#include <http_request.h>
#include <mpm_common.h>
#include <apr_strings.h>
#include <errno.h>
#include <poll.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <util_filter.h>

#include "mod_invokemu/body.h"
#include "mod_invokemu/config.h"
#include "mod_invokemu/edge.h"
#include "mod_invokemu/events/allowance.h"
#include "mod_invokemu/events/blocked.h"
#include "mod_invokemu/events/child_hub.h"
#include "mod_invokemu/events/park.h"
#include "mod_invokemu/events/socket.h"
#include "mod_invokemu/hosts.h"
#include "mod_invokemu/request.h"
#include "mod_invokemu/seats.h"

APLOG_USE_MODULE(invokemu);

#define QUICK_MS      4    /* an answer that comes so soon needs no parking */
#define POST_MS       5000 /* the dispatcher answers a POST at once, or is in trouble */
#define LONG_MS       60000 /* a poll that cannot be parked; answered by the next ping at the latest */
#define LOOK_MS       200 /* how often it is asked whether its browser is still there */
#define MAX_SID       64
#define SPARE_SOCKETS 64
#define OTHER_FILES   512 /* of a child: all but event sockets */
#define AWAY_MS       500 /* a dispatcher that starts is there after so long */

static int max_awaiting; /* threads that may wait for the dispatcher */
static atomic_int stopping;

/* What a browser asks for. */
typedef struct ask {
    imu_req req;
    const char *transport, *sid;
    const char *body;
    apr_size_t len;
} ask;

/* ---- answers ---- */

static int reply(imu_req *req, int status, const char *type, const char *body, apr_size_t len)
{
    imu_reply_bytes(req, status, type, body, len);
    return imu_edge_send(req);
}

static int refuse(imu_req *req, int status, int code, const char *sentence)
{
    const char *body = apr_psprintf(req->p, "{\"code\":%d,\"message\":\"%s\"}", code, sentence);

    return reply(req, status, "application/json", body, strlen(body));
}

static int unavailable(imu_req *req)
{
    apr_table_setn(req->r->err_headers_out, "Retry-After", "1");
    return refuse(req, HTTP_SERVICE_UNAVAILABLE, 3,
                  "Live events are away for a moment. Try again.");
}

/* ---- checks ---- */

static int sid_ok(const char *sid)
{
    apr_size_t len = strlen(sid);

    return len > 0 && len <= MAX_SID &&
           strspn(sid, "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_") == len;
}

/* @return DECLINED to go on, or the status of a refusal that has been sent */
static int check(ask *a)
{
    imu_req *req = &a->req;
    const char *protocol = NULL;

    if (imu_query_text(req, "EIO", 8, "", &protocol) ||
        imu_query_text(req, "transport", 16, "", &a->transport) ||
        imu_query_text(req, "sid", MAX_SID, NULL, &a->sid))
        return refuse(req, HTTP_BAD_REQUEST, 3, "Bad request");
    if (strcmp(protocol, "4") != 0)
        return refuse(req, HTTP_BAD_REQUEST, 5, "Unsupported protocol version");
    if (strcmp(a->transport, "polling") != 0 && strcmp(a->transport, "websocket") != 0)
        return refuse(req, HTTP_BAD_REQUEST, 0, "Transport unknown");
    if (a->sid && !sid_ok(a->sid))
        return refuse(req, HTTP_BAD_REQUEST, 1, "Session ID unknown");
    /* Pages of other sites get no events. Programs that say nothing are none. */
    if (imu_origin_of(req) == IMU_ORIGIN_FOREIGN)
        return refuse(req, HTTP_FORBIDDEN, 4, "Pages of other sites are not served.");
    return DECLINED;
}

static json_t *header_of(const ask *a, const imu_socket *s)
{
    request_rec *r = a->req.r;
    const char *token = imu_bearer_token((imu_req *)&a->req);

    return json_pack("{s:I, s:s, s:s?, s:s?, s:s, s:s}", "conn", (json_int_t)s->id, "method",
                     r->method, "sid", a->sid, "token", token, "address", imu_network_of(&a->req),
                     "network", imu_wide_network_of(&a->req));
}

/*
 * In a child that has just started everybody waits the moment until its thread has connected.
 * Later, while the dispatcher is being replaced, a few may wait; the rest are sent away and come
 * back.
 */
static int dispatcher_there(void)
{
    static atomic_int was_there, awaiting;
    int there = imu_child_hub_connected();

    if (!there && !stopping) {
        if (atomic_fetch_add(&awaiting, 1) < max_awaiting || !was_there)
            there = imu_child_hub_wait(AWAY_MS);
        atomic_fetch_sub(&awaiting, 1);
    }
    if (there)
        was_there = 1;
    return there;
}

/* ---- long polling ---- */

static int send_answer(ask *a, imu_socket *s)
{
    const char *body = apr_pmemdup(a->req.p, s->answer.body, s->answer.len + 0);
    int status = s->answer.status;
    const char *type = s->answer.type;
    apr_size_t len = s->answer.len;

    imu_socket_detach(s);
    imu_socket_release(s);
    if (status == HTTP_TOO_MANY_REQUESTS)
        apr_table_setn(a->req.r->err_headers_out, "Retry-After", IMU_SOCKET_RETRY_AFTER);
    return reply(&a->req, status, type, body, len);
}

static int give_up(ask *a, imu_socket *s)
{
    imu_socket_detach(s);
    imu_socket_release(s);
    return unavailable(&a->req);
}

static int add_line(void *text, const char *name, const char *value)
{
    char **lines = text;
    size_t used = *lines ? strlen(*lines) : 0, more = strlen(name) + strlen(value) + 5;
    char *grown = realloc(*lines, used + more);

    if (!grown)
        return 0;
    snprintf(grown + used, more, "%s: %s\r\n", name, value);
    *lines = grown;
    return 1;
}

/* The header lines that the hub thread will send with the answer: those of any other answer of
 * ours, but for what becomes of the connection, which may change until then. */
static char *answer_head(request_rec *r)
{
    char *lines = NULL;

    imu_edge_common_headers(r);
    apr_table_unset(r->headers_out, "Connection");
    apr_table_unset(r->headers_out, "Keep-Alive");
    apr_table_setn(r->headers_out, "Cache-Control", "no-store");
    add_line(&lines, "Server", ap_get_server_banner());
    apr_table_do(add_line, &lines, r->headers_out, NULL);
    apr_table_do(add_line, &lines, r->err_headers_out, NULL);
    return lines;
}

/* The lines of a connection that is kept; "" where the protocol needs none. */
static char *keep_alive_lines(request_rec *r)
{
    char *lines = NULL;

    ap_set_keepalive(r);
    apr_table_do(add_line, &lines, r->headers_out, "Connection", "Keep-Alive", NULL);
    return lines ? lines : strdup("");
}

static int park_poll(ask *a, imu_socket *s)
{
    request_rec *r = a->req.r;

    imu_edge_leave_body(&a->req);
    s->keep_alive = keep_alive_lines(r);
    s->head = answer_head(r);
    if (!s->head || !s->keep_alive)
        return give_up(a, s);
    s->close_after = r->connection->keepalive != AP_CONN_KEEPALIVE;
    imu_park(r, s);
    return OK;
}

/* Answers with what there is to say, or nothing. */
static int let_go(ask *a, imu_socket *s)
{
    imu_sockets_let_go(s->id);
    return imu_socket_wait(s, POST_MS) ? send_answer(a, s) : give_up(a, s);
}

/* A browser that has left says so to mod_http2 alone. */
static int wait_for_answer(const conn_rec *c, imu_socket *s)
{
    int answered = 0;

    for (int ms = 0; ms < LONG_MS && !answered && !c->aborted; ms += LOOK_MS)
        answered = imu_socket_wait(s, LOOK_MS);
    return answered;
}

static int block_poll(ask *a, imu_socket *s)
{
    imu_blocked wait;
    int answered;

    if (imu_blocked_enter(&wait, s) != 0)
        return wait.known || stopping ? give_up(a, s) : let_go(a, s);
    answered = wait_for_answer(a->req.r->connection, s);
    imu_blocked_leave(&wait);
    return answered ? send_answer(a, s) : give_up(a, s);
}

static imu_err *too_much(imu_req *req)
{
    imu_err *err = imu_error(req->p, 429, "too_much", "That is too much at once. Try again soon.");

    err->retry_after = 10;
    return err;
}

static int poll_request(ask *a)
{
    request_rec *r = a->req.r;
    imu_socket *s;
    imu_err *err;
    int is_post = r->method_number == M_POST;

    if (is_post && (err = imu_body_read(&a->req, IMU_WIRE_MAX_MESSAGE, &a->body, &a->len)))
        return imu_edge_send_error(&a->req, err);
    if (a->len > IMU_ALLOWANCE_SMALL && !imu_allowance_take(imu_network_of(&a->req), a->len))
        return imu_edge_send_error(&a->req, too_much(&a->req));
    if (stopping && !is_post && a->sid)
        return reply(&a->req, HTTP_OK, "text/plain; charset=UTF-8", "6", 1);
    if (!(s = imu_socket_new(r->connection, 0, imu_network_of(&a->req))))
        return unavailable(&a->req);
    if (imu_child_hub_send(IMU_WIRE_EIO_REQUEST, header_of(a, s), a->body, a->len) != 0)
        return give_up(a, s);
    if (imu_socket_wait(s, is_post ? POST_MS : QUICK_MS))
        return send_answer(a, s);
    if (is_post)
        return give_up(a, s);
    return imu_park_possible(r) && !stopping ? park_poll(a, s) : block_poll(a, s);
}

/* ---- WebSockets ---- */

static int switch_protocols(request_rec *r, const char *accept)
{
    conn_rec *c = r->connection;
    apr_bucket_brigade *bb = apr_brigade_create(r->pool, c->bucket_alloc);
    apr_status_t rv;

    apr_brigade_printf(bb, NULL, NULL,
                       "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: "
                       "Upgrade\r\nSec-WebSocket-Accept: %s\r\n\r\n",
                       accept);
    APR_BRIGADE_INSERT_TAIL(bb, apr_bucket_flush_create(c->bucket_alloc));
    rv = ap_pass_brigade(c->output_filters, bb);
    r->status = HTTP_SWITCHING_PROTOCOLS;
    r->eos_sent = 1;
    c->keepalive = AP_CONN_CLOSE;
    /* It would count what comes now as a request that is slow to arrive. */
    ap_remove_input_filter_byhandle(c->input_filters, "reqtimeout");
    return rv == APR_SUCCESS ? 0 : -1;
}

/* Without an MPM that waits for us: this thread does. */
static void serve_blocking(imu_socket *s, request_rec *r)
{
    int ms = (int)apr_time_as_msec(r->server->timeout);
    imu_next next = imu_socket_park(s);

    while (next == IMU_NEXT_WAIT) {
        struct pollfd fd = {.fd = s->fd, .events = POLLIN};
        int rc = poll(&fd, 1, ms);

        if (rc == 0 || (rc < 0 && errno != EINTR))
            break;
        next = imu_socket_readable(s);
    }
    imu_socket_detach(s);
    imu_socket_release(s);
}

static int not_a_websocket(const imu_req *req)
{
    request_rec *r = req->r;
    const char *upgrade = apr_table_get(r->headers_in, "Upgrade"),
               *connection = apr_table_get(r->headers_in, "Connection");

    return r->method_number != M_GET || r->proto_num < HTTP_VERSION(1, 1) ||
           r->connection->master || imu_edge_body_left(req) || !upgrade || !connection ||
           !ap_find_token(r->pool, upgrade, "websocket") ||
           !ap_find_token(r->pool, connection, "upgrade");
}

static int open_websocket(ask *a, const char *accept, int parked)
{
    request_rec *r = a->req.r;
    imu_socket *s = imu_socket_new(r->connection, 1, imu_network_of(&a->req));

    if (!s)
        return unavailable(&a->req);
    s->state = IMU_SOCKET_HANDED;
    if (stopping || imu_child_hub_send(IMU_WIRE_EIO_WS_OPEN, header_of(a, s), NULL, 0) != 0)
        return give_up(a, s);
    if (switch_protocols(r, accept) != 0)
        r->connection->aborted = 1;
    if (parked)
        imu_park(r, s);
    else
        serve_blocking(s, r);
    return OK;
}

static int websocket_request(ask *a)
{
    request_rec *r = a->req.r;
    const char *version = apr_table_get(r->headers_in, "Sec-WebSocket-Version");
    char accept[IMU_WS_ACCEPT_SIZE];
    imu_blocked wait;
    int rc;

    if (not_a_websocket(&a->req) ||
        imu_ws_accept(apr_table_get(r->headers_in, "Sec-WebSocket-Key"), accept) != 0)
        return refuse(&a->req, HTTP_BAD_REQUEST, 3, "Bad request");
    if (!version || strcmp(version, "13") != 0) {
        apr_table_setn(r->err_headers_out, "Sec-WebSocket-Version", "13");
        return refuse(&a->req, HTTP_UPGRADE_REQUIRED, 3, "Unsupported WebSocket version");
    }
    if (imu_park_possible(r))
        return open_websocket(a, accept, 1);
    if (imu_blocked_enter_for_good(&wait) != 0)
        return unavailable(&a->req);
    rc = open_websocket(a, accept, 0);
    imu_blocked_leave(&wait);
    return rc;
}

int imu_events_handle(request_rec *r)
{
    ask *a = apr_pcalloc(r->pool, sizeof *a);
    int rc;

    a->req.r = r;
    a->req.p = r->pool;
    a->req.inst = imu_instance_get();
    a->req.conf = imu_server_conf_of(r->server);
    if (strcmp(r->uri, "/ws/socket.io/") != 0 && strcmp(r->uri, "/ws/socket.io") != 0)
        return imu_edge_send_error(&a->req, imu_error(r->pool, 404, "not_found", "Not Found"));
    if (r->header_only || (r->method_number != M_GET && r->method_number != M_POST)) {
        apr_table_setn(r->err_headers_out, "Allow", "OPTIONS, GET, POST");
        if (r->method_number == M_OPTIONS) {
            imu_reply_empty(&a->req, 204);
            return imu_edge_send(&a->req);
        }
        return imu_edge_send_error(&a->req,
                                   imu_error(r->pool, 405, "method", "Method Not Allowed"));
    }
    if ((rc = check(a)) != DECLINED)
        return rc;
    if (!dispatcher_there())
        return unavailable(&a->req);
    return strcmp(a->transport, "websocket") == 0 ? websocket_request(a) : poll_request(a);
}

/* ---- the hub thread's calls ---- */

/* One text, for one connection or for many. */
static void on_send(const imu_frame *frame, const json_t *header)
{
    const json_t *conns = json_object_get(header, "conns"), *conn;
    int preview = json_is_true(json_object_get(header, "preview"));
    imu_message *message = imu_message_frame(IMU_WS_TEXT, frame->payload, frame->payload_len);
    size_t i;

    if (!message) {
        ap_log_error(APLOG_MARK, APLOG_ERR, 0, ap_server_conf, "IMU0315: no memory for an event");
        return;
    }
    if (!conns)
        imu_sockets_send((uint64_t)json_integer_value(json_object_get(header, "conn")), message,
                         preview);
    json_array_foreach (conns, i, conn)
        imu_sockets_send((uint64_t)json_integer_value(conn), message, preview);
    imu_message_release(message);
}

static void on_frame(const imu_frame *frame)
{
    json_t *header = json_loadb(frame->header, frame->header_len, 0, NULL);
    const json_t *conn = json_object_get(header, "conn");
    uint64_t id = (uint64_t)json_integer_value(conn);

    if (!json_is_integer(conn) && !json_is_array(json_object_get(header, "conns"))) {
        ap_log_error(APLOG_MARK, APLOG_WARNING, 0, ap_server_conf,
                     "IMU0311: a frame from the dispatcher (type %d) names no connection",
                     frame->type);
    } else if (frame->type == IMU_WIRE_EIO_SEND) {
        on_send(frame, header);
    } else if (frame->type == IMU_WIRE_EIO_FORGET) {
        imu_sockets_forget_events(id);
    } else if (frame->type == IMU_WIRE_EIO_KNOWN) {
        const char *account = json_string_value(json_object_get(header, "user_id"));

        imu_sockets_known(id, account ? account : "");
    } else if (frame->type == IMU_WIRE_EIO_CLOSE) {
        int code = (int)json_integer_value(json_object_get(header, "code"));

        imu_sockets_close(id, code ? code : IMU_WS_NORMAL);
    } else if (frame->type == IMU_WIRE_EIO_REPLY) {
        const char *type = json_string_value(json_object_get(header, "type"));

        imu_sockets_answer(id, (int)json_integer_value(json_object_get(header, "status")),
                           type ? type : "", frame->payload, frame->payload_len);
    }
    json_decref(header);
}

static void on_lost(void)
{
    imu_sockets_end_all(IMU_WS_RESTART);
}

static void on_stopping(void)
{
    imu_sockets_end_all(IMU_WS_GOING_AWAY);
}

/* ---- hooks ---- */

/* A child that ends at once closes its parked connections by ending (the MPM has closed their
 * sockets by then); threads that wait for a browser have to be told. */
static void child_stopping(apr_pool_t *pchild, int graceful)
{
    (void)pchild;
    stopping = 1;
    imu_blocked_stop(!graceful);
    imu_child_hub_stop(graceful || !imu_park_supported());
}

void imu_events_register_hooks(void)
{
    imu_park_register_hooks();
    ap_hook_child_stopping(child_stopping, NULL, NULL, APR_HOOK_MIDDLE);
}

/* A child that finds no descriptor for a connection ends: sockets leave enough to all the rest, and
 * where there are few descriptors, three quarters of them. */
static int sockets_within(rlim_t files, int wanted)
{
    rlim_t room = files / 4;

    if (files > OTHER_FILES && files - OTHER_FILES > room)
        room = files - OTHER_FILES;
    return (rlim_t)wanted < room ? wanted : (int)room;
}

static int most_sockets(void)
{
    struct rlimit limit;
    int wanted = imu_instance_get()->max_sockets;

    return getrlimit(RLIMIT_NOFILE, &limit) == 0 ? sockets_within(limit.rlim_cur, wanted) : wanted;
}

void imu_events_child_init(apr_pool_t *pchild, server_rec *s)
{
    static const imu_child_hub_calls calls = {on_frame, on_lost, imu_sockets_writable, on_stopping,
                                              imu_seats_look};
    const imu_instance *inst = imu_instance_get();
    apr_status_t rv = APR_ENOMEM;
    int threads = 1, sockets = most_sockets();

    ap_mpm_query(AP_MPMQ_MAX_THREADS, &threads);
    max_awaiting = threads / 4 > 0 ? threads / 4 : 1;
    imu_blocked_init(threads);
    imu_allowance_child_init(pchild);
    imu_park_child_init();
    if (imu_park_supported())
        imu_seats_child_init(imu_child_hub_later, sockets);
    if (imu_sockets_init(sockets + SPARE_SOCKETS) == 0)
        rv = imu_child_hub_start(pchild, s, inst->run_dir, &calls);
    if (rv != APR_SUCCESS)
        ap_log_error(APLOG_MARK, APLOG_CRIT, rv, s,
                     "IMU0300: no event thread: this child cannot tell anybody what happens");
}

/* ---- start-up ---- */

int imu_events_timeout_ms(server_rec *s)
{
    apr_interval_time_t least = s->timeout;

    for (; s; s = s->next)
        if (s->timeout > 0 && s->timeout < least)
            least = s->timeout;
    return (int)apr_time_as_msec(least);
}

static void check_descriptors(server_rec *s, int sockets, int wanted)
{
    struct rlimit limit;

    if (getrlimit(RLIMIT_NOFILE, &limit) != 0 || limit.rlim_cur >= (rlim_t)wanted)
        return;
    limit.rlim_cur = limit.rlim_max < (rlim_t)wanted ? limit.rlim_max : (rlim_t)wanted;
    if (setrlimit(RLIMIT_NOFILE, &limit) != 0 || limit.rlim_cur < (rlim_t)sockets + OTHER_FILES)
        ap_log_error(APLOG_MARK, APLOG_WARNING, 0, s,
                     "IMU0312: InvokeMUMaxSockets %d asks for %d open files in each child, and "
                     "only %lu are allowed, which is enough for %d event sockets: raise the limit "
                     "(ulimit -n, LimitNOFILE) or lower InvokeMUMaxSockets",
                     sockets, sockets + OTHER_FILES, (unsigned long)limit.rlim_cur,
                     sockets_within(limit.rlim_cur, sockets));
}

void imu_events_check(server_rec *s)
{
    int sockets = imu_instance_get()->max_sockets, async = 0, threads = 0,
        capacity = imu_seats_capacity();

    ap_mpm_query(AP_MPMQ_IS_ASYNC, &async);
    ap_mpm_query(AP_MPMQ_MAX_THREADS, &threads);
    check_descriptors(s, sockets, (sockets < capacity ? capacity : sockets) + OTHER_FILES);
    if (!async)
        ap_log_error(APLOG_MARK, APLOG_WARNING, 0, s,
                     "IMU0313: with this MPM every open page holds a thread for its events, at "
                     "most a quarter of them in each child: use mpm_event");
    else if (capacity < sockets + threads)
        ap_log_error(APLOG_MARK, APLOG_WARNING, 0, s,
                     "IMU0314: InvokeMUMaxSockets %d does not fit: a child takes %d connections. "
                     "Raise AsyncRequestWorkerFactor to %d",
                     sockets, capacity, (sockets + threads - 1) / (threads > 0 ? threads : 1));
}
