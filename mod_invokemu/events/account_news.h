/*
 * account_news.h: telling open pages what an account took along when it was deleted, or what has
 * been handed to another one: boards, pictures, workflows and ended jobs. Free of httpd, as news.h
 * is.
 */
#ifndef IMU_ACCOUNT_NEWS_H
#define IMU_ACCOUNT_NEWS_H

#include "mod_invokemu/events/board_news.h"

/** What others could see of an account. */
typedef struct imu_account_news {
    const char *user_id;
    const char *heir; /**< whose everything becomes, or NULL */
    imu_board_audience *boards;
    imu_rows *workflows;
} imu_account_news;

/** Reads it, before the account goes or hands on what it owns. @param heir  or NULL */
imu_err *imu_account_news_read(imu_db *db, apr_pool_t *p, const char *user_id, const char *heir,
                               imu_account_news *news);
/** Tells of boards and workflows that are the heir's now, or gone. */
void imu_account_tell_moved(const imu_account_news *news);
/**
 * Tells that jobs of an account are gone, though it is still there.
 * @param by, ended  as below
 */
void imu_account_tell_swept(apr_pool_t *p, const char *by, const char *user_id,
                            const apr_array_header_t *ended);
/**
 * Tells that the account is gone, with all that went with it.
 * @param by     user id of whoever did it
 * @param ended  imu_queue_change: its jobs, those that were canceled for it among them
 */
void imu_account_tell_gone(apr_pool_t *p, const char *by, const imu_account_news *news,
                           const apr_array_header_t *ended);

#endif
