#include "mod_invokemu/events/publish.h"

#include <stdlib.h>

#include "wire/wire.h"

void imu_publish(const char *name, const char *owner, const json_t *data)
{
    char *text = json_dumps(data, JSON_COMPACT);

    if (text)
        imu_publish_frame(IMU_WIRE_EVENT, json_pack("{s:s, s:s?}", "name", name, "owner", owner),
                          text);
    free(text);
}

void imu_publish_queue_changed(void)
{
    imu_publish_frame(IMU_WIRE_QUEUE_CHANGED, json_object(), NULL);
}

void imu_publish_cancel_items(const json_t *item_ids)
{
    imu_publish_frame(IMU_WIRE_CANCEL_ITEMS, json_pack("{s:O}", "item_ids", (json_t *)item_ids),
                      NULL);
}

void imu_publish_user_changed(const char *user_id)
{
    imu_publish_frame(IMU_WIRE_USER_CHANGED, json_pack("{s:s}", "user_id", user_id), NULL);
}
