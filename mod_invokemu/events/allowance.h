/*
 * allowance.h: how many bytes one account, or one network of people who have not signed in, may
 * send to the dispatcher in some seconds, over all sockets of this child. All share one way there:
 * who fills it keeps everybody waiting. Browsers send a few hundred bytes; what is that small is
 * not counted, so that nobody is kept out by what another one of the same network sends.
 */
#ifndef IMU_ALLOWANCE_H
#define IMU_ALLOWANCE_H

#include <apr_pools.h>

/** What may always be sent, in one socket's seconds or one request. */
#define IMU_ALLOWANCE_SMALL 4096

/** Before anything is taken. */
void imu_allowance_child_init(apr_pool_t *pchild);
/**
 * Takes bytes from the allowance of somebody. Any thread.
 * @param who  user id or network
 * @return whether there were so many left
 */
int imu_allowance_take(const char *who, size_t bytes);

#endif
