/*
 * queue.h: what the handlers of the session queue share.
 */
#ifndef IMU_API_QUEUE_H
#define IMU_API_QUEUE_H

#include "mod_invokemu/events/news.h"
#include "mod_invokemu/request.h"
#include "mod_invokemu/store/queue.h"

/** Who asks, and of which queue: from the request. @return 422 for an impossible queue id */
imu_err *imu_queue_scope_of(imu_req *req, imu_queue_scope *scope);

#endif
