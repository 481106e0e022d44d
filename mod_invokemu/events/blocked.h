/*
 * blocked.h: the threads of a child that wait for a browser's events because its connection can't
 * be parked: a stream of HTTP/2, or an MPM other than event. There are few. People share most of
 * them: where all are taken, the oldest poll of the account that has most ends early for a newcomer
 * whose account has at least two fewer, or one fewer once that poll has waited for some seconds.
 * Whoever has not signed in gets a few, and is not waited for where these are taken: browsers sign
 * in beside their first poll, and lose nothing by it. A poll may be answered with nothing to say at
 * any time: the browser asks again. A WebSocket can't, and keeps its thread.
 */
#ifndef IMU_BLOCKED_H
#define IMU_BLOCKED_H

#include "mod_invokemu/events/socket.h"

/** A thread that waits. Belongs to the handler, from enter to leave. */
typedef struct imu_blocked {
    struct imu_blocked *next;
    imu_socket *socket; /**< NULL: it yields to nobody */
    int known;          /**< an account; else a network */
    const char *who;
    apr_time_t since;
    int ending; /**< it makes room, and counts no more */
} imu_blocked;

/** How many threads may wait. Call in child_init. */
void imu_blocked_init(int threads);
/**
 * A poll wants to wait. Another one may be asked to end for it.
 * @return 0, or -1 when there is no place: people should come back later, and strangers
 * (wait->known is 0) be answered with nothing to say
 */
int imu_blocked_enter(imu_blocked *wait, imu_socket *s);
/** The same for a WebSocket. */
int imu_blocked_enter_for_good(imu_blocked *wait);
/** It does not wait any more. */
void imu_blocked_leave(imu_blocked *wait);
/** The child ends: nobody waits any more. Touches nothing but the threads that wait here. Any
 * thread.
 * @param at_once  who waits already is answered with nothing to say, without asking the dispatcher
 */
void imu_blocked_stop(int at_once);
/** Hub thread: somebody has signed in on that socket: if it waits here, it does among people. */
void imu_blocked_known(const imu_socket *s);

#endif
