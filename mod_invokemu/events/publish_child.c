/* publish.h's way out of a child of httpd. */
#include <httpd.h>
#include <http_config.h>
#include <http_log.h>
#include <http_main.h>
#include <string.h>

#include "mod_invokemu/events/child_hub.h"
#include "mod_invokemu/events/publish.h"

APLOG_USE_MODULE(invokemu);

void imu_publish_frame(uint8_t type, json_t *header, const char *payload)
{
    if (imu_child_hub_send(type, header, payload, payload ? strlen(payload) : 0) != 0)
        ap_log_error(APLOG_MARK, APLOG_DEBUG, 0, ap_server_conf,
                     "IMU0310: a message to the dispatcher (type %d) was lost", type);
}
