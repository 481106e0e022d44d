#include "mod_invokemu/hosts.h"

#include <http_core.h>
#include <http_protocol.h>
#include <http_vhost.h>
#include <apr_network_io.h>
#include <apr_strings.h>
#include <apr_uri.h>

#include "mod_invokemu/util/hosts.h"
#include "mod_invokemu/util/ids.h"

static int is_this_machine(imu_req *req, const char *host)
{
    char name[APRMAXHOSTLEN + 1];

    return apr_gethostname(name, sizeof name, req->p) == APR_SUCCESS && strcasecmp(name, host) == 0;
}

imu_err *imu_host_check(imu_req *req)
{
    request_rec *r = req->r;
    const char *host = r->hostname;

    /* Browsers always say whom they call. */
    if (!host || imu_host_is_local(host) || is_this_machine(req, host) ||
        ap_matches_request_vhost(r, host, r->server->port))
        return NULL;
    if (!imu_is_clean_text(host))
        host = "?";
    return imu_error(req->p, HTTP_MISDIRECTED_REQUEST, "foreign_host",
                     "This server is not known as %s. Open it by its address, or let its "
                     "administrator add \"ServerAlias %s\" to its configuration.",
                     host, host);
}

static int scheme_fits(const request_rec *r, const char *scheme)
{
    return strcmp(scheme, "https") == 0 ||
           (strcmp(scheme, "http") == 0 && strcmp(ap_http_scheme(r), "http") == 0);
}

imu_origin imu_origin_of(const imu_req *req)
{
    request_rec *r = req->r;
    const char *origin = apr_table_get(r->headers_in, "Origin");
    const char *host = apr_table_get(r->headers_in, "Host");
    apr_uri_t from, to;

    if (!origin)
        return IMU_ORIGIN_UNSAID;
    if (!host || apr_uri_parse(r->pool, origin, &from) != APR_SUCCESS || !from.scheme ||
        !from.hostname || !scheme_fits(r, from.scheme) ||
        apr_uri_parse(r->pool, apr_pstrcat(r->pool, from.scheme, "://", host, "/", NULL), &to) !=
            APR_SUCCESS ||
        !to.hostname)
        return IMU_ORIGIN_FOREIGN;
    if (!from.port_str)
        from.port = apr_uri_port_of_scheme(from.scheme);
    if (!to.port_str)
        to.port = apr_uri_port_of_scheme(from.scheme);
    return strcasecmp(from.hostname, to.hostname) == 0 && from.port == to.port ? IMU_ORIGIN_OURS
                                                                               : IMU_ORIGIN_FOREIGN;
}

const char *imu_network_of(const imu_req *req)
{
    return imu_network_at(req->p, req->r->useragent_addr, req->r->useragent_ip);
}

/* The address as IPv6, if it is one and not IPv4's written so. */
static const unsigned char *ipv6_of(const apr_sockaddr_t *a)
{
    const unsigned char *b = a && a->family == AF_INET6 ? a->ipaddr_ptr : NULL;

    return b && memcmp(b, "\0\0\0\0\0\0\0\0\0\0\xFF\xFF", 12) == 0 ? NULL : b;
}

const char *imu_network_at(apr_pool_t *p, const apr_sockaddr_t *a, const char *ip)
{
    const unsigned char *b = ipv6_of(a);

    return b ? apr_psprintf(p, "%02x%02x:%02x%02x:%02x%02x:%02x%02x", b[0], b[1], b[2], b[3], b[4],
                            b[5], b[6], b[7])
             : ip;
}

const char *imu_wide_network_of(const imu_req *req)
{
    const unsigned char *b = ipv6_of(req->r->useragent_addr);
    const char *ip = req->r->useragent_ip, *end = strrchr(ip, '.');

    if (b)
        return apr_psprintf(req->p, "%02x%02x:%02x%02x:%02x%02x", b[0], b[1], b[2], b[3], b[4],
                            b[5]);
    return end ? apr_pstrmemdup(req->p, ip, (apr_size_t)(end - ip)) : ip;
}
