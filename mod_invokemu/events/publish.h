/*
 * publish.h: how a request handler tells the rest of the server what has happened. Frames go to the
 * dispatcher over the child's one socket; nothing here waits, and a dispatcher that is away costs
 * an event (clients ask again), never the request. Call after the transaction that made it true has
 * been committed.
 */
#ifndef IMU_PUBLISH_H
#define IMU_PUBLISH_H

#include <stdint.h>
#include <apr.h>
#include <jansson.h>

/**
 * An event for browsers. Who receives it, and in what form, is decided by its name in the
 * dispatcher's routing table.
 * @param name   such as "batch_enqueued"
 * @param owner  user id of whom it is about, or NULL
 * @param data   payload as its owner sees it; borrowed
 */
void imu_publish(const char *name, const char *owner, const json_t *data);
/** There is something new to run, or less. */
void imu_publish_queue_changed(void);
/** Stop these items if they are running (their rows already say so). data: array of item ids;
 * borrowed. */
void imu_publish_cancel_items(const json_t *item_ids);
/** A person's role, activity, password or sessions changed: look at their sockets again. */
void imu_publish_user_changed(const char *user_id);

/**
 * How a message leaves: publish_child.c in httpd, cli/tell.c in the command line.
 * @param header   taken over
 * @param payload  JSON text, or NULL
 */
void imu_publish_frame(uint8_t type, json_t *header, const char *payload);

#endif
