/*
 * seats.h: the connections of a child. They cost no thread while nothing comes, but memory, and
 * the event MPM takes only so many of them. As long as there is room nobody is bothered. Whoever
 * has signed in on a connection shares a part of them, whoever has not another; where one of the
 * two is full, a newcomer gets in all the same, and the connection of it that has asked for nothing
 * for longest ends, of whoever has most: an account, or a network. What has a request under way
 * comes last. So nobody can take all, whoever comes has time to ask for something, and a proxy
 * whose clients are all one network here is not locked out. Event sockets are neither's. As long as
 * nobody has signed in on them, they share a part of what event sockets there may be, in the same
 * way; then the limit of a person's sockets counts.
 *
 * All calls but imu_seat_take do nothing without a seat.
 */
#ifndef IMU_SEATS_H
#define IMU_SEATS_H

#include <httpd.h>

typedef struct imu_seat imu_seat;
typedef enum { IMU_SEAT_HELD, IMU_SEAT_LATE, IMU_SEAT_LOST } imu_seat_state;

/** How many connections the MPM takes in a child. Call in post_config, and after. */
int imu_seats_capacity(void);
/** Has imu_seats_look called after so many milliseconds. @return 0 */
typedef int imu_later(int ms);
/** Begins to count. Call in child_init, where connections that wait cost no thread.
 * @param most_sockets  event sockets of this child */
void imu_seats_child_init(imu_later *later, int most_sockets);
/** Ends the wait of whoever is late. */
void imu_seats_look(void);

/** Takes a seat for a connection that begins; another one may have to leave for it. @return NULL
 * where nothing is counted: the MPM gives each connection a thread */
imu_seat *imu_seat_take(conn_rec *c, apr_socket_t *socket, const char *network);
/** That account has asked for something on it. Of a connection of HTTP/2, its last. */
void imu_seat_known(imu_seat *seat, const char *user_id);
/** A request has come. */
void imu_seat_moved(imu_seat *seat);
/** A request begins (1), or has been answered to its end (-1). */
void imu_seat_busy(imu_seat *seat, int change);
/** An event socket begins, or passes to somebody else: who has signed in (NULL), or a network, for
 * which another one may have to leave. */
void imu_seat_park(imu_seat *seat, const char *network);
/** The connection is no event socket any more. */
void imu_seat_unpark(imu_seat *seat);
/** The connection is given back to the MPM, for so long at most since the first such call after
 * imu_seat_moved: then it can be read, to its end. */
void imu_seat_wait(imu_seat *seat, apr_interval_time_t time);
/** @return whether it is still held, that time is over, or it had to go to somebody else */
imu_seat_state imu_seat_state_of(imu_seat *seat);
/** Gives it back, before the socket is closed. */
void imu_seat_leave(imu_seat *seat);

#endif
