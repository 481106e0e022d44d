#include "mod_invokemu/auth/throttle.h"

apr_status_t imu_throttle_create(apr_pool_t *pconf, server_rec *s)
{
    (void)pconf;
    (void)s;
    return APR_SUCCESS;
}

void imu_throttle_child_init(apr_pool_t *pchild, server_rec *s)
{
    (void)pchild;
    (void)s;
}
