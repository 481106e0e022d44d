/*
 * hosts.h: which host names nobody outside of the local network can give to a machine.
 */
#ifndef IMU_HOSTS_H
#define IMU_HOSTS_H

/**
 * True for an address (IPv4, or IPv6 with or without brackets) and for a name that the public name
 * system gives to nobody: without a dot, or below a domain kept for local use. A page of another
 * site can make its own name point here (DNS rebinding), but none of these.
 */
int imu_host_is_local(const char *host);

#endif
