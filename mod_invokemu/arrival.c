#include "mod_invokemu/arrival.h"

#include <http_config.h>
#include <http_connection.h>
#include <http_core.h>
#include <http_protocol.h>
#include <http_request.h>
#include <util_filter.h>
#include <apr_lib.h>
#include <apr_poll.h>
#include <apr_strings.h>

#include "mod_invokemu/config.h"
#include "mod_invokemu/hosts.h"
#include "mod_invokemu/ports.h"
#include "mod_invokemu/util/clock.h"

/* Above the filters of a connection (TLS, RequestReadTimeout), below those of a request. */
#define PLACE   AP_FTYPE_CONNECTION
#define PIECE   8192
#define LARGEST 65536 /* a head that is longer is read by the core, as a body would be */
#define SMALL   (APR_BUCKET_BUFF_SIZE / 4)
/* A body that is no longer comes with its head, as far as threads are concerned: a sign-in, most
 * of what pages send. */
#define SHORT_BODY 4096
/* A handshake, a head and a short body have to be there so soon, and a body that none of our
 * handlers reads. */
#define HEAD_TIME apr_time_from_sec(30)
#define BODY_TIME apr_time_from_sec(10)
#define NAME_SIZE 32 /* of what is looked at of a header */

/* Where in a head what has come ends. */
typedef enum place_in_head { BEFORE, FIRST_LINE, LINE, NEW_LINE, NEW_LINE_CR, ENDED } place_in_head;

typedef struct arrival {
    conn_rec *c;
    apr_bucket_brigade *kept;  /* has come, and nobody has read it yet */
    apr_bucket_brigade *piece; /* empty between two calls */
    apr_size_t seen;           /* bytes of this head */
    apr_size_t line;           /* bytes of this line of it */
    place_in_head at;
    char tail[16];          /* the last bytes of its first line, at seen % 16 */
    char header[NAME_SIZE]; /* the first bytes of this line */
    apr_off_t body;         /* bytes that are announced, or -1; 0 where they can't be waited for */
    apr_off_t body_seen;
    imu_seat *seat;
    int late;    /* the rest of a short body has not come in time */
    int began;   /* no handshake, or it is over */
    int gathers; /* heads come whole */
    int limited; /* threads that wait are counted */
    imu_wait stranger, *wait;
} arrival;

static ap_filter_rec_t *filter;

/* ---- what has come ---- */

static apr_status_t keep(arrival *a)
{
    while (!APR_BRIGADE_EMPTY(a->piece)) {
        apr_bucket *b = APR_BRIGADE_FIRST(a->piece);
        const char *data;
        apr_size_t len;
        apr_status_t rv = apr_bucket_read(b, &data, &len, APR_NONBLOCK_READ);

        if (rv != APR_SUCCESS)
            return rv;
        /* A byte that comes alone lies in a block for many. */
        if (APR_BUCKET_IS_METADATA(b) || len > SMALL) {
            if ((rv = apr_bucket_setaside(b, a->c->pool)) != APR_SUCCESS)
                return rv;
            APR_BUCKET_REMOVE(b);
            APR_BRIGADE_INSERT_TAIL(a->kept, b);
        } else {
            if (len && (rv = apr_brigade_write(a->kept, NULL, NULL, data, len)) != APR_SUCCESS)
                return rv;
            apr_bucket_delete(b);
        }
    }
    return APR_SUCCESS;
}

/* Whether nothing is kept: a line that was split off may leave a bucket with nothing in it. */
static int is_all_read(arrival *a)
{
    apr_bucket *first = APR_BRIGADE_FIRST(a->kept);

    while (first != APR_BRIGADE_SENTINEL(a->kept) && !APR_BUCKET_IS_METADATA(first) &&
           first->length == 0) {
        apr_bucket_delete(first);
        first = APR_BRIGADE_FIRST(a->kept);
    }
    return first == APR_BRIGADE_SENTINEL(a->kept);
}

static apr_status_t from_kept(arrival *a, apr_bucket_brigade *bb, ap_input_mode_t mode, apr_off_t n)
{
    apr_bucket *end;
    apr_status_t rv;

    if (mode == AP_MODE_GETLINE)
        return apr_brigade_split_line(bb, a->kept, APR_NONBLOCK_READ, HUGE_STRING_LEN);
    rv = apr_brigade_partition(a->kept, n, &end);
    if (rv != APR_SUCCESS && rv != APR_INCOMPLETE)
        return rv;
    for (apr_bucket *b = APR_BRIGADE_FIRST(a->kept), *next; b != end; b = next) {
        next = APR_BUCKET_NEXT(b);
        if (mode == AP_MODE_SPECULATIVE) {
            if ((rv = apr_bucket_copy(b, &b)) != APR_SUCCESS)
                return rv;
        } else {
            APR_BUCKET_REMOVE(b);
        }
        APR_BRIGADE_INSERT_TAIL(bb, b);
    }
    return APR_SUCCESS;
}

/* ---- threads that wait ---- */

static apr_status_t late(arrival *a)
{
    /* As RequestReadTimeout does it: no long good-bye, no further request. */
    apr_table_setn(a->c->notes, "short-lingering-close", "1");
    a->c->keepalive = AP_CONN_CLOSE;
    return APR_TIMEUP;
}

/* Waits for the socket, a moment at most. `idle_end`: when httpd's Timeout is over. */
static apr_status_t wait_a_moment(arrival *a, imu_wait *wait, apr_time_t idle_end)
{
    apr_time_t now = imu_clock_steady(), end = idle_end;
    apr_pollfd_t what = {.p = a->c->pool,
                         .desc_type = APR_POLL_SOCKET,
                         .reqevents = APR_POLLIN | APR_POLLHUP,
                         .desc.s = ap_get_conn_socket(a->c)};
    apr_int32_t n;
    apr_status_t rv;

    if (wait->until && wait->until < end)
        end = wait->until;
    if (end <= now || imu_crowd_enter(wait) != 0)
        return late(a);
    /* RequestReadTimeout looks at its clock too when something is read. */
    rv = apr_poll(&what, 1, &n, end - now < IMU_CROWD_LOOK ? end - now : IMU_CROWD_LOOK);
    return APR_STATUS_IS_TIMEUP(rv) || APR_STATUS_IS_EINTR(rv) ? APR_SUCCESS : rv;
}

/* Reads at least something. */
static apr_status_t patiently(ap_filter_t *f, apr_bucket_brigade *bb, ap_input_mode_t mode,
                              apr_off_t n)
{
    arrival *a = f->ctx;
    imu_wait *wait = a->wait ? a->wait : &a->stranger;
    apr_interval_time_t idle = -1;
    apr_time_t idle_end = 0;
    apr_status_t rv;

    if (a->late)
        return late(a);
    for (;;) {
        rv = ap_get_brigade(f->next, bb, mode, APR_NONBLOCK_READ, n);
        if ((rv != APR_SUCCESS && !APR_STATUS_IS_EAGAIN(rv)) || !APR_BRIGADE_EMPTY(bb))
            break;
        if (!idle_end) {
            if (apr_socket_timeout_get(ap_get_conn_socket(a->c), &idle) != APR_SUCCESS || idle < 0)
                idle = a->c->base_server->timeout;
            idle_end = imu_clock_steady() + idle;
            if (wait == &a->stranger && !wait->until)
                wait->until = imu_clock_steady() + BODY_TIME;
        }
        if ((rv = wait_a_moment(a, wait, idle_end)) != APR_SUCCESS)
            break;
    }
    if (wait == &a->stranger)
        imu_crowd_leave(wait);
    else if (rv == APR_SUCCESS)
        imu_crowd_moved(wait);
    return rv;
}

static int has_line(apr_bucket_brigade *bb)
{
    apr_off_t len;
    const char *data;
    apr_size_t n;

    for (apr_bucket *b = APR_BRIGADE_FIRST(bb); b != APR_BRIGADE_SENTINEL(bb);
         b = APR_BUCKET_NEXT(b))
        if (APR_BUCKET_IS_EOS(b) ||
            (apr_bucket_read(b, &data, &n, APR_NONBLOCK_READ) == APR_SUCCESS &&
             memchr(data, '\n', n)))
            return 1;
    return apr_brigade_length(bb, 0, &len) != APR_SUCCESS || len >= HUGE_STRING_LEN;
}

/* A whole line, or as much of it as may come at once. */
static apr_status_t line_patiently(ap_filter_t *f, apr_bucket_brigade *bb)
{
    arrival *a = f->ctx;
    apr_status_t rv = APR_SUCCESS;

    while (rv == APR_SUCCESS && !has_line(a->kept)) {
        rv = patiently(f, a->piece, AP_MODE_GETLINE, HUGE_STRING_LEN);
        if (rv == APR_SUCCESS)
            rv = keep(a);
        apr_brigade_cleanup(a->piece);
    }
    return rv == APR_SUCCESS ? from_kept(a, bb, AP_MODE_GETLINE, 0) : rv;
}

static int is_http1(conn_rec *c)
{
    return strcmp(ap_get_protocol(c), AP_PROTOCOL_HTTP1) == 0;
}

static apr_status_t arriving(ap_filter_t *f, apr_bucket_brigade *bb, ap_input_mode_t mode,
                             apr_read_type_e block, apr_off_t n)
{
    arrival *a = f->ctx;
    int waits = a->limited && block == APR_BLOCK_READ && is_http1(a->c);

    if (mode == AP_MODE_GETLINE && waits)
        return line_patiently(f, bb);
    if (mode == AP_MODE_GETLINE || mode == AP_MODE_READBYTES || mode == AP_MODE_SPECULATIVE) {
        if (!is_all_read(a))
            return from_kept(a, bb, mode, n);
        if (waits)
            return patiently(f, bb, mode, n);
    }
    return ap_get_brigade(f->next, bb, mode, block, n);
}

/* ---- heads, without a thread ---- */

/* What is no HTTP/1 has no head of that kind: HTTP/0.9, or nonsense. The core answers that at
 * once. */
static int is_http_line(const arrival *a)
{
    static const char name[] = "HTTP/";
    apr_size_t end = a->seen;

    if (end && a->tail[(end - 1) % sizeof a->tail] == '\r')
        end--;
    if (end < 8)
        return 0;
    for (int i = 0; i < 5; i++)
        if (a->tail[(end - 8 + (apr_size_t)i) % sizeof a->tail] != name[i])
            return 0;
    return 1;
}

/* What the core refuses need not be kept to its end. */
static int is_too_long(const arrival *a)
{
    const server_rec *s = a->c->base_server;
    int most = a->at == BEFORE || a->at == FIRST_LINE ? s->limit_req_line : s->limit_req_fieldsize;

    return a->line > (apr_size_t)most;
}

static place_in_head after(const arrival *a, char ch)
{
    switch (a->at) {
    case BEFORE:
        return ch == '\r' || ch == '\n' ? BEFORE : FIRST_LINE;
    case FIRST_LINE:
        if (ch != '\n')
            return FIRST_LINE;
        return is_http_line(a) ? NEW_LINE : ENDED;
    case NEW_LINE:
    case NEW_LINE_CR:
        if (ch == '\n')
            return ENDED;
        return ch == '\r' && a->at == NEW_LINE ? NEW_LINE_CR : LINE;
    case LINE:
        return ch == '\n' ? NEW_LINE : LINE;
    default:
        return ENDED;
    }
}

/* Its value, or -1 where the core refuses it. */
static apr_off_t length_of(const char *value)
{
    apr_off_t n = 0;

    value += strspn(value, " \t");
    if (!apr_isdigit(*value))
        return -1;
    for (; apr_isdigit(*value); value++)
        n = n <= SHORT_BODY ? n * 10 + (*value - '0') : n;
    return value[strspn(value, " \t\r")] ? -1 : n;
}

/* The core judges headers; this is about how much is worth waiting for. */
static void take_header(arrival *a)
{
    static const char length[] = "Content-Length:";
    apr_size_t n = a->line < NAME_SIZE ? a->line : NAME_SIZE - 1;
    apr_off_t announced;

    a->header[n] = '\0';
    if (strncasecmp(a->header, length, sizeof length - 1) == 0 && n < NAME_SIZE - 1) {
        announced = length_of(a->header + sizeof length - 1);
        /* The core refuses nonsense, and two that differ, without reading any of it. */
        if (announced < 0 || (a->body >= 0 && a->body != announced))
            a->body_seen = SHORT_BODY;
        a->body = announced;
    }
    /* The first of these says for itself how long it is; the client waits to be asked for the
     * other. */
    if (strncasecmp(a->header, "Transfer-Encoding:", 18) == 0 ||
        strncasecmp(a->header, "Expect:", 7) == 0)
        a->body_seen = SHORT_BODY;
}

/* What comes then is the core's to judge: no body is waited for. */
static void end_head(arrival *a)
{
    a->at = ENDED;
    a->body = 0;
}

static void follow_byte(arrival *a, char ch)
{
    if (is_too_long(a)) {
        end_head(a);
        return;
    }
    if (a->at == LINE && ch == '\n')
        take_header(a);
    a->at = after(a, ch);
    if (a->line < NAME_SIZE)
        a->header[a->line] = ch;
    a->line = ch == '\n' ? 0 : a->line + 1;
    a->tail[a->seen++ % sizeof a->tail] = ch;
}

/* Looks through what is new. */
static void follow(arrival *a, apr_bucket_brigade *bb)
{
    for (apr_bucket *b = APR_BRIGADE_FIRST(bb); b != APR_BRIGADE_SENTINEL(bb);
         b = APR_BUCKET_NEXT(b)) {
        const char *data;
        apr_size_t len, i = 0;

        if (APR_BUCKET_IS_EOS(b))
            end_head(a);
        if (APR_BUCKET_IS_METADATA(b) ||
            apr_bucket_read(b, &data, &len, APR_NONBLOCK_READ) != APR_SUCCESS)
            continue;
        while (i < len && a->at != ENDED)
            follow_byte(a, data[i++]);
        a->body_seen += (apr_off_t)(len - i);
    }
    if (a->seen > LARGEST)
        end_head(a);
}

static int is_there(const arrival *a)
{
    return a->at == ENDED && (a->body > SHORT_BODY || a->body_seen >= a->body);
}

static void next_head(arrival *a)
{
    imu_seat_moved(a->seat);
    a->seen = a->line = 0;
    a->body = -1;
    a->body_seen = 0;
    a->at = BEFORE;
}

/* @return APR_EAGAIN when nothing more is there now */
static apr_status_t take_more(ap_filter_t *f)
{
    arrival *a = f->ctx;
    apr_status_t rv =
        ap_get_brigade(f->next, a->piece, AP_MODE_READBYTES, APR_NONBLOCK_READ, PIECE);

    if (rv == APR_SUCCESS && APR_BRIGADE_EMPTY(a->piece))
        rv = APR_EAGAIN;
    if (rv == APR_SUCCESS) {
        follow(a, a->piece);
        rv = keep(a);
    }
    apr_brigade_cleanup(a->piece);
    return rv;
}

/* The first bytes of a connection may be a handshake. */
static apr_status_t begin(ap_filter_t *f)
{
    arrival *a = f->ctx;
    apr_status_t rv = APR_SUCCESS;

    if (!a->began)
        rv = ap_get_brigade(f->next, a->piece, AP_MODE_INIT, APR_NONBLOCK_READ, 0);
    apr_brigade_cleanup(a->piece);
    a->began = a->began || !APR_STATUS_IS_EAGAIN(rv);
    return rv;
}

/* Its time is over. What has no whole head is no request, and gets no answer. */
static imu_head give_up(arrival *a)
{
    a->late = a->at == ENDED;
    if (!a->late)
        return IMU_HEAD_LATE;
    next_head(a);
    return IMU_HEAD_THERE;
}

static ap_filter_t *filter_of(conn_rec *c)
{
    for (ap_filter_t *f = c->input_filters; f; f = f->next)
        if (f->frec == filter)
            return f;
    return NULL;
}

imu_head imu_arrival_head(conn_rec *c)
{
    ap_filter_t *f = filter_of(c);
    arrival *a = f ? f->ctx : NULL;
    imu_seat_state seat;
    apr_status_t rv;

    if (f && !is_http1(c))
        imu_seat_moved(a->seat); /* it waits by rules of its own, for requests that are under way */
    if (!f || c->aborted || !is_http1(c))
        return IMU_HEAD_THERE;
    seat = imu_seat_state_of(a->seat);
    if (seat == IMU_SEAT_LOST)
        return IMU_HEAD_LATE;
    a->gathers = a->limited = 1;
    a->late = 0;
    if (seat == IMU_SEAT_LATE)
        return give_up(a);
    rv = begin(f);
    /* Requests may have come ahead, behind a body. */
    if (rv == APR_SUCCESS && a->at == BEFORE && !a->seen)
        follow(a, a->kept);
    while (rv == APR_SUCCESS && is_http1(c) && !is_there(a))
        rv = take_more(f);
    if (APR_STATUS_IS_EAGAIN(rv)) {
        if (a->seen || !c->keepalives) /* else KeepAliveTimeout is what counts */
            imu_seat_wait(a->seat, HEAD_TIME);
        return IMU_HEAD_WAIT;
    }
    next_head(a);
    return IMU_HEAD_THERE;
}

/* ---- requests ---- */

imu_seat *imu_arrival_seat(conn_rec *c)
{
    ap_filter_t *f = filter_of(c->master ? c->master : c);

    return f ? ((arrival *)f->ctx)->seat : NULL;
}

int imu_arrival_wait_as(conn_rec *c, imu_wait *wait)
{
    ap_filter_t *f = filter_of(c);

    if (!f)
        return 0;
    ((arrival *)f->ctx)->wait = wait;
    return 1;
}

static int pre_connection(conn_rec *c, void *socket)
{
    arrival *a;

    if (!imu_ports_ours(c))
        return DECLINED;
    a = apr_pcalloc(c->pool, sizeof *a);
    a->c = c;
    a->body = -1;
    a->kept = apr_brigade_create(c->pool, c->bucket_alloc);
    a->piece = apr_brigade_create(c->pool, c->bucket_alloc);
    a->stranger = (imu_wait){.who = imu_network_at(c->pool, c->client_addr, c->client_ip),
                             .place = IMU_NO_PLACE};
    a->seat = imu_seat_take(c, socket, a->stranger.who);
    ap_add_input_filter_handle(filter, a, NULL, c);
    return DECLINED;
}

/* Where heads are read with a thread, waiting for the next one is no waiting for a body. */
static void pre_read_request(request_rec *r, conn_rec *c)
{
    ap_filter_t *f = filter_of(c);
    arrival *a = f ? f->ctx : NULL;

    (void)r;
    if (!a)
        return;
    a->limited = a->gathers;
    a->stranger.until = 0;
}

static apr_status_t answered(void *seat)
{
    imu_seat_busy(seat, -1);
    return APR_SUCCESS;
}

static int post_read_request(request_rec *r)
{
    ap_filter_t *f = r->main ? NULL : filter_of(r->connection);
    imu_seat *seat = r->main ? NULL : imu_arrival_seat(r->connection);

    if (f)
        ((arrival *)f->ctx)->limited = 1;
    if (seat) {
        imu_seat_busy(seat, 1);
        /* The pool lasts until the answer has been sent. */
        apr_pool_cleanup_register(r->pool, seat, answered, apr_pool_cleanup_null);
    }
    return DECLINED;
}

/* Whatever else this server offers reads bodies as it likes. */
static int fixups(request_rec *r)
{
    const imu_dir_conf *dir = ap_get_module_config(r->per_dir_config, &invokemu_module);
    ap_filter_t *f = r->main || dir->enabled == 1 ? NULL : filter_of(r->connection);

    if (f)
        ((arrival *)f->ctx)->limited = 0;
    return DECLINED;
}

static int pre_close(conn_rec *c)
{
    if (!c->master)
        imu_seat_leave(imu_arrival_seat(c));
    return OK;
}

void imu_arrival_register(void)
{
    filter = ap_register_input_filter("INVOKEMU_ARRIVAL", arriving, NULL, PLACE);
    ap_hook_pre_connection(pre_connection, NULL, NULL, APR_HOOK_MIDDLE);
    ap_hook_pre_close_connection(pre_close, NULL, NULL, APR_HOOK_FIRST);
    ap_hook_pre_read_request(pre_read_request, NULL, NULL, APR_HOOK_FIRST);
    ap_hook_post_read_request(post_read_request, NULL, NULL, APR_HOOK_REALLY_FIRST);
    ap_hook_fixups(fixups, NULL, NULL, APR_HOOK_FIRST);
}
