#include "mod_invokemu/dispatch/dispatcher.h"

int imu_dispatcher_start(apr_pool_t *pconf, server_rec *main_server)
{
    (void)pconf;
    (void)main_server;
    return OK;
}
