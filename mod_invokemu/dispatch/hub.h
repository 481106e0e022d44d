/*
 * hub.h: Engine.IO sessions, Socket.IO connections and who receives which event. All protocol state
 * of live events is here, in the dispatcher; the httpd children only carry bytes.
 *
 * One thread: that of the loop. A child is told apart by the socket it came in on; when that ends,
 * its WebSockets end with it, while polling sessions go on through any other child.
 */
#ifndef IMU_HUB_H
#define IMU_HUB_H

#include <jansson.h>

#include "mod_invokemu/dispatch/loop.h"
#include "mod_invokemu/store/db.h"
#include "wire/wire.h"

typedef struct imu_hub imu_hub;
typedef struct imu_hub_child imu_hub_child;

typedef struct imu_hub_config {
    imu_loop *loop;
    imu_db *db;       /**< the dispatcher's own connection, for looking at tokens */
    apr_pool_t *pool; /**< parent of scratch pools */
    int multiuser;    /**< off: everybody is the system administrator */
    int timeout_ms;   /**< smallest Timeout of the virtual hosts: httpd ends parked connections that
                         are silent for so long */
    int max_of_person;  /**< connected sockets of one person; 0: as many as there are */
    void (*trim)(void); /**< called when much memory has become free; NULL: nobody wants to know */
} imu_hub_config;

/**
 * Queues one frame for a child; must not call the hub back. header and payload are borrowed.
 * @return 0, or -1 when the child cannot take it (the frame is lost; drop the child after this turn
 * of the loop)
 */
typedef int imu_hub_send_fn(void *baton, uint8_t type, json_t *header, const void *payload,
                            size_t payload_len);

/** @return NULL without memory */
imu_hub *imu_hub_new(const imu_hub_config *config);
void imu_hub_free(imu_hub *hub);

/** How many bytes of a child's frames wait for it to read. */
typedef size_t imu_hub_pending_fn(void *baton);

/** A child has connected. @return NULL without memory */
imu_hub_child *imu_hub_child_add(imu_hub *hub, imu_hub_send_fn *send, imu_hub_pending_fn *pending,
                                 void *baton);
/** Its connection has ended. NULL is ignored. */
void imu_hub_child_remove(imu_hub_child *child);
/**
 * Takes a frame that came from a child: EVENT, USER_CHANGED and the EIO_ ones.
 * @param header  the frame's, parsed; borrowed
 * @return 1 taken, 0 a type that is not the hub's, -1 malformed (end that child's connection)
 */
int imu_hub_frame(imu_hub_child *child, const imu_frame *frame, const json_t *header);

/**
 * Tells the browsers that may know. The routing table in hub_routes.c decides by name who they are
 * and what they see.
 * @param owner  user id of whom it is about, or NULL
 * @param data   payload as its owner sees it, an object; borrowed
 */
void imu_hub_emit(imu_hub *hub, const char *name, const char *owner, const json_t *data);
/** A person's role, activity, password or sessions changed: looks at their sockets again. */
void imu_hub_user_changed(imu_hub *hub, const char *user_id);
/** Open Engine.IO sessions. */
int imu_hub_sessions(const imu_hub *hub);

#endif
