/*
 * board_news.h: telling open pages that a board is there, gone, renamed or shared in another way.
 * An event of ours, "boards_changed": upstream has none, and its clients pass over it.
 */
#ifndef IMU_API_BOARD_NEWS_H
#define IMU_API_BOARD_NEWS_H

#include "mod_invokemu/request.h"

/** Whom a board's news concern. */
typedef struct imu_board_audience {
    const char *board_id;
    const char *owner_id;
    int everyone;  /**< everybody here sees it, or saw it */
    json_t *named; /**< array of the user ids it is shared with by name */
} imu_board_audience;

/** Reads who sees a board now, before a change or a deletion. A board that is not there concerns
 * nobody. */
imu_err *imu_board_audience_read(imu_req *req, const char *board_id, imu_board_audience **audience);
/** Tells them that something has changed; what, they ask for. After it is true. */
void imu_board_tell(imu_req *req, const imu_board_audience *audience);
/**
 * Tells those who see the board by now. The change is done: news that can't be had are no reason to
 * call it failed.
 * @param everyone  everybody saw it before
 */
void imu_board_tell_now(imu_req *req, const char *board_id, int everyone);

#endif
