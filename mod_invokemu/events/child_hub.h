/*
 * child_hub.h: a child's one connection to the dispatcher, and the thread that owns it.
 *
 * Frames may be sent from any thread; they are received on the hub thread alone, which also does
 * all writing to parked connections. The connection is made anew, with growing pauses, whenever it
 * is lost.
 */
#ifndef IMU_CHILD_HUB_H
#define IMU_CHILD_HUB_H

#include <httpd.h>
#include <jansson.h>
#include <stdint.h>

#include "wire/wire.h"

/** What the hub thread calls; all on that thread. */
typedef struct imu_child_hub_calls {
    void (*frame)(const imu_frame *frame); /**< a frame came */
    void (*lost)(void); /**< the dispatcher is gone: what it knew of our connections is gone too */
    void (*writable)(uint64_t conn); /**< a socket given to imu_child_hub_want_write has room */
    void (*stopping)(void);          /**< the child ends: finish every parked connection */
    void (*time)(void);              /**< the time of imu_child_hub_later has come */
} imu_child_hub_calls;

/** Starts the thread. @return APR status */
apr_status_t imu_child_hub_start(apr_pool_t *pchild, server_rec *s, const char *run_dir,
                                 const imu_child_hub_calls *calls);
/**
 * Queues a frame and sends what the socket takes. Never waits. Any thread.
 * @param header   consumed
 * @param payload  may be NULL
 * @return 0, or -1 when the dispatcher is away or doesn't keep up: the frame is lost
 */
int imu_child_hub_send(uint8_t type, json_t *header, const void *payload, size_t len);
/** Bytes that wait to be sent. Any thread. */
size_t imu_child_hub_pending(void);
/** True while the dispatcher is there. */
int imu_child_hub_connected(void);
/** Waits for it at most ms. @return whether it is there */
int imu_child_hub_wait(int ms);
/** Asks for one writable() call for that connection, under its lock. Any thread. @return 0 or -1 */
int imu_child_hub_want_write(int fd, uint64_t conn);
/** Asks for one time() call, after so many milliseconds; only the last that was asked for comes.
 * Any thread. @return 0 or -1 */
int imu_child_hub_later(int ms);
/** Forgets fd; call before it is closed. */
void imu_child_hub_forget(int fd);
/** The child ends. Makes the thread call stopping() if that is done gracefully, and nothing more at
 * all otherwise. Any thread. */
void imu_child_hub_stop(int graceful);

#endif
