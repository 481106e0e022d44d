/* Fuzzes the WebSocket reader: the first byte says in which portions the rest arrives; what comes
 * out must not depend on it. */
#include "mod_invokemu/events/websocket.h"

#include <stdlib.h>
#include <string.h>

#define MAX_MESSAGE 4096

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static uint64_t mix(uint64_t sum, const void *data, size_t len)
{
    const unsigned char *c = data;

    for (size_t i = 0; i < len; i++)
        sum = (sum ^ c[i]) * 1099511628211u;
    return sum;
}

/* @return a sum over everything that was told */
static uint64_t read_all(const uint8_t *data, size_t size, size_t portion)
{
    uint64_t sum = 14695981039346656037u;
    imu_ws ws;
    imu_ws_event event;

    imu_ws_init(&ws, MAX_MESSAGE);
    for (size_t at = 0; at < size; at += portion) {
        size_t left = size - at < portion ? size - at : portion;
        const uint8_t *part = data + at;

        do {
            size_t n = imu_ws_feed(&ws, part, left, &event);

            if (n > left || event.len > MAX_MESSAGE)
                abort();
            part += n;
            left -= n;
            if (event.what == IMU_WS_GOT_TEXT && !imu_utf8_ok(event.data, event.len))
                abort();
            if (event.what != IMU_WS_MORE) {
                sum = mix(sum, &event.what, sizeof event.what);
                sum = mix(sum, &event.code, sizeof event.code);
                sum = mix(sum, event.data, event.len);
            }
        } while (event.what != IMU_WS_MORE);
        if (left)
            abort();
    }
    imu_ws_clear(&ws);
    return sum;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size < 2)
        return 0;
    if (read_all(data + 1, size - 1, data[0] ? data[0] : 300) != read_all(data + 1, size - 1, size))
        abort();
    return 0;
}
