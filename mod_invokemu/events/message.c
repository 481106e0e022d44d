#include "mod_invokemu/events/message.h"

#include <stdlib.h>
#include <string.h>

#include "mod_invokemu/events/websocket.h"

imu_message *imu_message_new(size_t len)
{
    imu_message *message = malloc(sizeof *message + len);

    if (message) {
        atomic_init(&message->refs, 1);
        message->len = len;
        message->event = 0;
    }
    return message;
}

imu_message *imu_message_frame(int opcode, const char *payload, size_t len)
{
    unsigned char head[IMU_WS_MAX_HEAD];
    size_t head_len = imu_ws_head(head, opcode, len);
    imu_message *message = imu_message_new(head_len + len);

    if (!message)
        return NULL;
    message->event = opcode == IMU_WS_TEXT && len > 2 && memcmp(payload, "42", 2) == 0;
    memcpy(message->data, head, head_len);
    if (len)
        memcpy(message->data + head_len, payload, len);
    return message;
}

imu_message *imu_message_share(imu_message *message)
{
    atomic_fetch_add(&message->refs, 1);
    return message;
}

void imu_message_release(imu_message *message)
{
    if (message && atomic_fetch_sub(&message->refs, 1) == 1)
        free(message);
}
