/*
 * hosts.h: by which names this server may be called where a name is all that keeps pages of other
 * sites away, and by what clients are told apart.
 */
#ifndef IMU_MOD_HOSTS_H
#define IMU_MOD_HOSTS_H

#include "mod_invokemu/request.h"

/**
 * Refuses a request whose Host is neither local (imu_host_is_local), nor this machine's own name,
 * nor a ServerName or ServerAlias of the virtual host. Without sign-in the browser's own rules are
 * all that protects the server, and they go by names: a site that lets its name point here would
 * count as us. @return 421 with a sentence, or NULL
 */
imu_err *imu_host_check(imu_req *req);
/** Where the page of a request comes from, by its Origin header: browsers tell the truth there. */
typedef enum imu_origin { IMU_ORIGIN_UNSAID = 0, IMU_ORIGIN_OURS, IMU_ORIGIN_FOREIGN } imu_origin;

/**
 * Ours is a page of the host and port that the request is for, and of its scheme (ap_http_scheme:
 * TLS of this server, or ServerName https://...). A page that came by https may also ask by http: a
 * proxy in front may have taken the TLS off. Never the other way round: anybody between could have
 * made a page that came by http.
 */
imu_origin imu_origin_of(const imu_req *req);
/** What stands for a client when requests are counted: its address, or the /64 of an IPv6 customer,
 * who has all of it. */
const char *imu_network_of(const imu_req *req);
/** The same of an address, and how it is written. */
const char *imu_network_at(apr_pool_t *p, const apr_sockaddr_t *a, const char *ip);
/** A network and those beside it, which one customer may have all of: the /24 of an IPv4 address,
 * the /48 of an IPv6 address. */
const char *imu_wide_network_of(const imu_req *req);

#endif
