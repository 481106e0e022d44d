/*
 * packers.h: who packs pictures for download. A few threads of a child may (crowd.h), and some more
 * wait for their turn; one account has at most half as many as may pack. While somebody waits, each
 * packs for a moment and then waits itself, with what it has done: so nobody waits longer than the
 * others' moments together. Who is not let in is noted for a while, and is next when it asks again:
 * an account that asks again and again comes after all the others that asked.
 */
#ifndef IMU_PACKERS_H
#define IMU_PACKERS_H

#include <httpd.h>

/** A request that packs. */
typedef struct imu_packer {
    const char *who; /**< the account; has to live until imu_packer_leave */
    int stream;      /**< of HTTP/2: it has a thread of mod_http2's, which has more of them */
    /* Of packers.c alone. */
    int in;           /**< is let in, and counted */
    int packs;        /**< it is its turn */
    apr_time_t since; /**< when its turn, or its waiting for one, began */
    apr_time_t came;  /**< when it was let in */
    apr_time_t moved; /**< when it was last seen going on, or waiting */
} imu_packer;

/**
 * Waits for the first turn, IMU_CROWD_LINE at most. Where all have been let in who may, somebody
 * loses their place to one whose account has fewer: of an account with at least two more, or after
 * standing still for some seconds, or after some minutes.
 * @return 0; -1 when it is refused: imu_packer_leave is not called then
 */
int imu_packer_enter(imu_packer *me);
/**
 * To be asked again and again while packing; waits for the next turn, IMU_CROWD_LINE at most.
 * @param me  an imu_packer
 * @return 0 when the place is lost
 */
int imu_packer_goes_on(void *me);
/** After packing, also when the place was lost. */
void imu_packer_leave(imu_packer *me);

#endif
