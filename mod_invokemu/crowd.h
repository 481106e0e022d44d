/*
 * crowd.h: the threads of a child that wait: for what comes or goes slowly, or for a password to be
 * hashed, or for pictures to be packed. All of them together leave a quarter of a child's threads
 * to what is answered at once. Of the others, people get most for what is slow, each account half
 * of these while others want some; whoever has not signed in shares a few, each network half of
 * these; and hashing has its own. What one of the three doesn't use another may, up to what is kept
 * for each; so may packing (packers.h), for which nothing is kept, a few at most.
 * Who reads slowly may hold all that are free. A place can be lost, to somebody who holds fewer or,
 * if nothing moves, as many. Before people lose or are refused one, some may stand in line for a
 * moment: most is over soon.
 */
#ifndef IMU_CROWD_H
#define IMU_CROWD_H

#include <httpd.h>

/** Somebody who may have to wait, and with whom the threads for that are shared. */
typedef struct imu_wait {
    int known;        /**< an account; else a network */
    const char *who;  /**< which; has to live as long as the place is held */
    apr_time_t until; /**< 0: as long as httpd's own limits allow */
    int place;        /**< IMU_NO_PLACE */
    int refused;      /**< there was no place */
    int stream;       /**< of HTTP/2: it waits in a thread of mod_http2's, which has more of them */
    int leaving;      /**< for a client that reads: may hold more places than others */
    apr_time_t moved; /**< when something last came or went */
    int lost;         /**< somebody else has the place now */
} imu_wait;

#define IMU_NO_PLACE (-1)
/** How often whoever waits asks whether the place is lost. */
#define IMU_CROWD_LOOK apr_time_from_msec(200)

/** How long people stand in line. */
#define IMU_CROWD_LINE apr_time_from_sec(10)

/** Call in child_init. */
void imu_crowd_child_init(apr_pool_t *pchild, server_rec *s);
/**
 * Takes a place, if the wait has none yet; people may have to wait for it, IMU_CROWD_LINE at most.
 * Where all are taken, another wait loses its own when its
 * account, or network, holds at least two more than the newcomer's; or as many, and it has not
 * moved for some seconds. Of several, one of whoever holds most, and of these that which has not
 * moved for longest. Whoever waits has to ask for imu_crowd_lost every IMU_CROWD_LOOK, and to end.
 * @return 0, or -1 when it is refused, or has lost its place
 */
int imu_crowd_enter(imu_wait *wait);
/** Something has come, or gone. */
void imu_crowd_moved(imu_wait *wait);
/** @return whether a wait has lost its place */
int imu_crowd_lost(const imu_wait *wait);
/**
 * For work that asks again and again whether to go on: that is not slow, but may have to leave its
 * place to others who have fewer.
 * @param wait  an imu_wait
 * @return 0 when the place is lost
 */
int imu_crowd_works(void *wait);
/** Gives it back. */
void imu_crowd_leave(imu_wait *wait);

/** Takes a place to hash a password, or to wait for that. @return 0, or -1 when there is none */
int imu_crowd_enter_hashing(void);
/** Gives it back. */
void imu_crowd_leave_hashing(void);

#endif
