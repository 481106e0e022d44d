#include "mod_invokemu/ports.h"

#include <apr_tables.h>

#include "mod_invokemu/config.h"

static apr_array_header_t *ports;

void imu_ports_child_init(apr_pool_t *pchild, server_rec *s)
{
    ports = apr_array_make(pchild, 2, sizeof(apr_port_t));
    for (; s; s = s->next) {
        if (!imu_config_enabled(s))
            continue;
        if (!s->addrs)
            APR_ARRAY_PUSH(ports, apr_port_t) = 0;
        for (const server_addr_rec *addr = s->addrs; addr; addr = addr->next)
            APR_ARRAY_PUSH(ports, apr_port_t) = addr->host_port;
    }
}

int imu_ports_ours(const conn_rec *c)
{
    if (c->master || c->outgoing)
        return 0;
    for (int i = 0; ports && i < ports->nelts; i++)
        if (APR_ARRAY_IDX(ports, i, apr_port_t) == 0 ||
            APR_ARRAY_IDX(ports, i, apr_port_t) == c->local_addr->port)
            return 1;
    return 0;
}
