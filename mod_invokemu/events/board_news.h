/*
 * board_news.h: telling open pages that a board is there, gone, renamed or shared in another way.
 * An event of ours, "boards_changed": upstream has none, and its clients pass over it.
 * Free of httpd, as news.h is.
 */
#ifndef IMU_BOARD_NEWS_H
#define IMU_BOARD_NEWS_H

#include "mod_invokemu/store/db.h"

/** Whom news of boards concern. */
typedef struct imu_board_audience {
    const char *board_id; /**< NULL: several, or pictures that lie on none */
    const char *owner_id;
    int everyone;  /**< everybody here sees it, or saw it */
    json_t *named; /**< array of the ids of others who see it: those it is shared with by name */
} imu_board_audience;

/** Reads who sees a board now, before a change or a deletion. A board that is not there concerns
 * nobody. */
imu_err *imu_board_audience_read(imu_db *db, apr_pool_t *p, const char *board_id,
                                 imu_board_audience **audience);
/**
 * Reads who sees, before an account goes or hands on what it owns, what will not be there or be
 * another's then: its boards, those that are shared with it, and those that its pictures lie on.
 * @param heir  whose they become, or NULL
 */
imu_err *imu_board_audience_of(imu_db *db, apr_pool_t *p, const char *user_id, const char *heir,
                               imu_board_audience **audience);
/** Tells them that something has changed; what, they ask for. After it is true. */
void imu_board_tell(const imu_board_audience *audience);
/**
 * Tells those who see the board by now. The change is done: news that can't be had are no reason to
 * call it failed.
 * @param everyone  everybody saw it before
 */
void imu_board_tell_now(imu_db *db, apr_pool_t *p, const char *board_id, int everyone);

#endif
