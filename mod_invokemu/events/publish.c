#include "mod_invokemu/events/publish.h"

#include <httpd.h>
#include <http_config.h>
#include <http_log.h>
#include <http_main.h>
#include <stdlib.h>
#include <string.h>

#include "mod_invokemu/events/child_hub.h"

APLOG_USE_MODULE(invokemu);

static void tell(uint8_t type, json_t *header, const char *payload)
{
    if (imu_child_hub_send(type, header, payload, payload ? strlen(payload) : 0) != 0)
        ap_log_error(APLOG_MARK, APLOG_DEBUG, 0, ap_server_conf,
                     "IMU0310: a message to the dispatcher (type %d) was lost", type);
}

void imu_publish(const char *name, const char *owner, const json_t *data)
{
    char *text = json_dumps(data, JSON_COMPACT);

    if (!text)
        return;
    tell(IMU_WIRE_EVENT, json_pack("{s:s, s:s?}", "name", name, "owner", owner), text);
    free(text);
}

void imu_publish_queue_changed(void)
{
    tell(IMU_WIRE_QUEUE_CHANGED, json_object(), NULL);
}

void imu_publish_cancel_items(const json_t *item_ids)
{
    tell(IMU_WIRE_CANCEL_ITEMS, json_pack("{s:O}", "item_ids", (json_t *)item_ids), NULL);
}

void imu_publish_user_changed(const char *user_id)
{
    tell(IMU_WIRE_USER_CHANGED, json_pack("{s:s}", "user_id", user_id), NULL);
}
