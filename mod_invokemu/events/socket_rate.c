/* socket_rate.c: how much a browser may send over a WebSocket. The dispatcher counts as well, and
 * ends the session (hub_internal.h), but what it has to look at for that lies in the way of what
 * others send. */
#include "mod_invokemu/events/allowance.h"
#include "mod_invokemu/events/child_hub.h"
#include "mod_invokemu/events/socket_internal.h"
#include "mod_invokemu/util/clock.h"

#define RATE_TIME apr_time_from_sec(10)
/* More than the dispatcher takes in any time of that length: whoever has signed in, and whoever
 * has not, for whom the answer to the first messages may be on its way. */
#define PEOPLE_MESSAGES   800
#define STRANGER_MESSAGES 60
#define PEOPLE_BYTES      (8u * IMU_WIRE_MAX_MESSAGE)
#define STRANGER_BYTES    (2u * IMU_WIRE_MAX_MESSAGE)
/* Bytes on the way to the dispatcher from which strangers have to come again: it takes them in a
 * fraction of a second. */
#define STRANGERS_QUEUED (512u * 1024)

int imu_socket_too_fast(imu_socket *s, size_t bytes, int messages)
{
    apr_time_t now = imu_clock_steady();

    if (now - s->rate_start >= RATE_TIME) {
        s->rate_start = now;
        s->rate_bytes = 0;
        s->rate_messages = 0;
    }
    s->rate_bytes += bytes;
    s->rate_messages += messages;
    if (s->rate_bytes > (s->known ? PEOPLE_BYTES : STRANGER_BYTES) ||
        s->rate_messages > (s->known ? PEOPLE_MESSAGES : STRANGER_MESSAGES))
        return 1;
    return bytes && s->rate_bytes > IMU_ALLOWANCE_SMALL &&
           !imu_allowance_take(s->account ? s->account : s->network, bytes);
}

int imu_socket_pass_on(const imu_socket *s, const char *text, size_t len)
{
    if (!s->known && imu_child_hub_pending() > STRANGERS_QUEUED)
        return -1;
    return imu_child_hub_send(IMU_WIRE_EIO_WS_MESSAGE,
                              json_pack("{s:I}", "conn", (json_int_t)s->id), text, len);
}
