#include "mod_invokemu/events/park.h"

#include <ap_mpm.h>
#include <http_config.h>
#include <http_connection.h>
#include <http_protocol.h>
#include <http_request.h>
#include <util_filter.h>

#include "mod_invokemu/arrival.h"
#include "mod_invokemu/config.h"

/* What we know of a connection. */
typedef struct parking {
    int inside; /* our hook is running the rest of the chain */
    imu_socket *socket;
    imu_seat *seat;
} parking;

static int mpm_can_wait;

void imu_park_child_init(void)
{
#ifdef AP_MPMQ_CAN_WAITIO
    if (ap_mpm_query(AP_MPMQ_CAN_WAITIO, &mpm_can_wait) != APR_SUCCESS)
        mpm_can_wait = 0;
#endif
}

int imu_park_supported(void)
{
    return mpm_can_wait;
}

static parking *parking_of(conn_rec *c)
{
    return ap_get_module_config(c->conn_config, &invokemu_module);
}

static void leave(parking *place)
{
    imu_socket *s = place->socket;

    if (!s)
        return;
    place->socket = NULL;
    imu_socket_detach(s);
    imu_seat_unpark(place->seat);
    imu_socket_release(s);
}

/* The last resort: httpd ends connections through pre_close_connection. */
static apr_status_t connection_cleared(void *baton)
{
    leave(baton);
    return APR_SUCCESS;
}

static parking *parking_new(conn_rec *c)
{
    parking *place = apr_pcalloc(c->pool, sizeof *place);

    place->seat = imu_arrival_seat(c);
    ap_set_module_config(c->conn_config, &invokemu_module, place);
    apr_pool_pre_cleanup_register(c->pool, place, connection_cleared);
    return place;
}

int imu_park_possible(const request_rec *r)
{
    conn_rec *c = r->connection;
    parking *place = parking_of(c);

    /* A request on a stream of HTTP/2 has a connection that is not one. */
    return mpm_can_wait && !r->main && !c->master && c->cs && !c->clogging_input_filters && place &&
           place->inside;
}

void imu_park(request_rec *r, imu_socket *s)
{
    parking *place = parking_of(r->connection);

    place->socket = s;
    imu_socket_take_seat(s, place->seat);
    /* Nothing is sent by the core for this request. */
    r->eos_sent = 1;
}

static int wait_or_close(conn_rec *c, imu_next next)
{
#ifdef AP_MPMQ_CAN_WAITIO
    if (next == IMU_NEXT_WAIT) {
        c->cs->sense = CONN_SENSE_WANT_READ;
        c->cs->state = CONN_STATE_ASYNC_WAITIO;
        return OK;
    }
#else
    (void)next;
#endif
    c->cs->state = CONN_STATE_LINGER;
    return OK;
}

/* A thread is only for a request that is there. */
static imu_next next_request(conn_rec *c)
{
    imu_head head = c->clogging_input_filters ? IMU_HEAD_THERE : imu_arrival_head(c);

    return head == IMU_HEAD_THERE  ? IMU_NEXT_REQUEST
           : head == IMU_HEAD_WAIT ? IMU_NEXT_WAIT
                                   : IMU_NEXT_CLOSE;
}

static int process_connection(conn_rec *c)
{
    parking *place;
    imu_next next;
    int rc;

    if (!mpm_can_wait || c->master || !c->cs)
        return DECLINED;
    place = parking_of(c);
    if (place && place->inside)
        return DECLINED;
    if (place && place->socket) {
        next = imu_socket_readable(place->socket);
        if (next != IMU_NEXT_REQUEST)
            return wait_or_close(c, next);
        leave(place);
    }
    if (!place)
        place = parking_new(c);
    if ((next = next_request(c)) != IMU_NEXT_REQUEST)
        return wait_or_close(c, next);
    place->inside = 1;
    rc = ap_run_process_connection(c);
    place->inside = 0;
    return place->socket ? wait_or_close(c, imu_socket_park(place->socket)) : rc;
}

static int pre_close(conn_rec *c)
{
    parking *place = c->master ? NULL : parking_of(c);

    if (place)
        leave(place);
    return OK;
}

void imu_park_register_hooks(void)
{
    ap_hook_process_connection(process_connection, NULL, NULL, APR_HOOK_REALLY_FIRST);
    ap_hook_pre_close_connection(pre_close, NULL, NULL, APR_HOOK_FIRST);
}
