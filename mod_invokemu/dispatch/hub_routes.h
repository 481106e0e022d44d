/*
 * hub_routes.h: which browser hears of what, and in what form. One table, pure functions: nothing
 * here knows a socket.
 */
#ifndef IMU_HUB_ROUTES_H
#define IMU_HUB_ROUTES_H

#include <jansson.h>

/** Who hears of an event at all. */
typedef enum imu_audience {
    IMU_TO_OWNER = 1,    /**< the owner alone, not even administrators */
    IMU_TO_OWNER_ADMINS, /**< the owner and administrators */
    IMU_TO_ADMINS,       /**< administrators alone */
    IMU_TO_QUEUE,        /**< everybody on that queue; those who are neither get a redacted copy */
    IMU_TO_SHARED        /**< the owner and administrators; others only while the thing is shared */
} imu_audience;

/** Makes the copy for somebody else; may change the event's name. @return new reference, or NULL
 * for nothing at all */
typedef json_t *imu_redact_fn(const json_t *data, const char *for_user, const char **name);

typedef struct imu_event_route {
    const char *name; /**< event name, or its beginning when it ends in '*' */
    imu_audience audience;
    int on_queue;          /**< only for those subscribed to data.queue_id */
    int preview;           /**< only the newest matters: the first to go when a reader is slow */
    imu_redact_fn *redact; /**< for others; NULL: they hear nothing */
    imu_redact_fn *admins; /**< for administrators who are not the owner; NULL: as it is */
} imu_event_route;

typedef struct imu_listener {
    const char *user_id;
    int is_admin;
} imu_listener;

typedef enum imu_view {
    IMU_VIEW_NONE = 0,
    IMU_VIEW_FULL,
    IMU_VIEW_ADMIN,
    IMU_VIEW_REDACTED
} imu_view;

/** The row for an event, or NULL: nobody hears of an event that no row names. */
const imu_event_route *imu_event_route_find(const char *name);
/**
 * What this listener gets. Subscription to the queue is the caller's question (on_queue).
 * @param owner  whom the event is about, or NULL: then it is about everybody on the queue
 */
imu_view imu_event_view(const imu_event_route *route, const char *owner, const imu_listener *who);

#endif
