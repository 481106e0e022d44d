/*
 * edge.h: where replies and errors become HTTP, once.
 */
#ifndef IMU_EDGE_H
#define IMU_EDGE_H

#include "mod_invokemu/request.h"

/** Sends req->reply. @return an httpd status for the content handler */
int imu_edge_send(imu_req *req);
/** Turns an error into {"detail": …} and sends it; logs its cause. @return an httpd status */
int imu_edge_send_error(imu_req *req, const imu_err *err);
/** Headers that every answer of ours carries. */
void imu_edge_common_headers(request_rec *r);

/** True when the request has a body that nobody has read. */
int imu_edge_body_left(const imu_req *req);
/** Before an answer: a body that nobody has read is not waited for; the core would read it to its
 * end, however slowly it comes, with a thread. The connection ends after the answer instead. */
void imu_edge_leave_body(const imu_req *req);

#endif
