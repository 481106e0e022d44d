#include "mod_invokemu/events/endpoint.h"

#include <http_log.h>

#include "mod_invokemu/config.h"
#include "mod_invokemu/events/child_hub.h"

APLOG_USE_MODULE(invokemu);

int imu_events_handle(request_rec *r)
{
    (void)r;
    return HTTP_NOT_FOUND;
}

void imu_events_register_hooks(void)
{
}

void imu_events_check(server_rec *s)
{
    (void)s;
}

static void on_frame(const imu_frame *frame)
{
    (void)frame;
}

static void on_nothing(void)
{
}

static void on_writable(uint64_t conn)
{
    (void)conn;
}

void imu_events_child_init(apr_pool_t *pchild, server_rec *s)
{
    static const imu_child_hub_calls calls = {on_frame, on_nothing, on_writable, on_nothing};
    apr_status_t rv = imu_child_hub_start(pchild, s, imu_instance_get()->run_dir, &calls);

    if (rv != APR_SUCCESS)
        ap_log_error(APLOG_MARK, APLOG_CRIT, rv, s, "IMU0300: no event thread: this child cannot tell anybody what happens");
}
