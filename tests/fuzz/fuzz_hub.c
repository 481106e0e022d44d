/* Fuzzes what a browser may say to the hub. The input is a list of steps: a byte for what happens,
 * a byte for its length, its text. */
#include "mod_invokemu/dispatch/hub.h"

#include <apr_general.h>
#include <stdlib.h>
#include <string.h>

#include "tests/unit/events/hub_stub.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static char sid[64];

/* Notes the sid of the open packet, so that later steps reach the session. */
static int take(void *baton, uint8_t type, json_t *header, const void *payload, size_t len)
{
    const char *at = len ? memmem(payload, len, "\"sid\":\"", 7) : NULL;

    (void)baton;
    if (!json_is_integer(json_object_get(header, "conn")) &&
        !json_is_integer(json_array_get(json_object_get(header, "conns"), 0)))
        abort();
    if (type == IMU_WIRE_EIO_REPLY && at && ((const char *)payload)[0] == '0')
        snprintf(sid, sizeof sid, "%.24s", at + 7);
    return 0;
}

static int full;

static size_t pending(void *baton)
{
    (void)baton;
    return full ? SIZE_MAX : 0;
}

static void step(imu_hub *hub, imu_hub_child *child, int what, int conn, const char *text,
                 size_t len)
{
    static const uint8_t types[] = {IMU_WIRE_EIO_REQUEST, IMU_WIRE_EIO_REQUEST,
                                    IMU_WIRE_EIO_WS_OPEN, IMU_WIRE_EIO_WS_MESSAGE,
                                    IMU_WIRE_EIO_GONE,    IMU_WIRE_EVENT};
    imu_frame frame = {.type = types[what % 6], .payload = text, .payload_len = len};
    json_t *header =
        json_pack("{s:i, s:s, s:s, s:s, s:s, s:s}", "conn", conn, "method",
                  what % 6 == 0 ? "GET" : "POST", "name", "batch_enqueued", "owner", "alice",
                  "address", conn & 4 ? "192.0.2.1" : "192.0.2.2", "network", "192.0.2");

    if (what & 0x40 && sid[0])
        json_object_set_new(header, "sid", json_string(sid));
    if (what & 0x80)
        json_object_set_new(header, "token", json_string("alice"));
    full = len & 1;
    imu_hub_frame(child, &frame, header);
    json_decref(header);
    if (what == 0x3f)
        imu_hub_user_changed(hub, "alice");
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static apr_pool_t *pool;
    imu_loop *loop = imu_loop_new();
    imu_hub_config config = {.loop = loop, .multiuser = size & 1, .timeout_ms = 60000};
    imu_hub *hub;
    imu_hub_child *child;

    if (!pool && (apr_initialize() != APR_SUCCESS || apr_pool_create(&pool, NULL) != APR_SUCCESS))
        abort();
    stub_reset();
    config.pool = pool;
    hub = imu_hub_new(&config);
    child = imu_hub_child_add(hub, take, pending, NULL);
    sid[0] = '\0';
    full = 0;
    for (size_t at = 0; at + 2 <= size;) {
        size_t len = data[at + 1] < size - at - 2 ? data[at + 1] : size - at - 2;

        step(hub, child, data[at], data[at] >> 3 & 7, (const char *)data + at + 2, len);
        at += 2 + len;
    }
    imu_hub_free(hub);
    imu_loop_free(loop);
    return 0;
}
