#include "mod_invokemu/events/endpoint.h"

#include "mod_invokemu/events/publish.h"

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

void imu_events_child_init(apr_pool_t *pchild, server_rec *s)
{
    (void)pchild;
    (void)s;
}
