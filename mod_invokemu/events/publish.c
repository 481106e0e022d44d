#include "mod_invokemu/events/publish.h"

void imu_publish(const char *name, const char *owner, const json_t *data)
{
    (void)name;
    (void)owner;
    (void)data;
}

void imu_publish_queue_changed(void)
{
}

void imu_publish_cancel_items(const json_t *item_ids)
{
    (void)item_ids;
}

void imu_publish_user_changed(const char *user_id)
{
    (void)user_id;
}
