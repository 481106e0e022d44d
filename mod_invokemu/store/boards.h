/*
 * boards.h: boards and which pictures lie on them. Decides nothing about access; the facts for that
 * come along.
 */
#ifndef IMU_BOARDS_H
#define IMU_BOARDS_H

#include "mod_invokemu/policy.h"

/** Name of "no board" on the wire. */
#define IMU_NO_BOARD "none"

typedef struct imu_board {
    const char *board_id;
    const char *name;
    const char *owner_id;
    const char *owner_name;         /**< display name, or else the address */
    const char *owner_display_name; /**< NULL when the owner has given none */
    const char *visibility;         /**< "private", "shared" or "public" */
    const char *cover_image_name;   /**< as chosen, or the newest picture; may be NULL */
    const char *created_at;
    const char *updated_at;
    int archived;
    apr_int64_t image_count;
    apr_int64_t asset_count;
    apr_int64_t share_count; /**< people whom it is shared with by name */
    imu_board_facts facts;   /**< for the viewer */
} imu_board;

typedef struct imu_board_list {
    int count;
    imu_board *items;
    apr_int64_t total; /**< before paging */
} imu_board_list;

typedef struct imu_board_order {
    int by_name; /**< else by time of creation */
    int descending;
    int archived; /**< archived ones too */
} imu_board_order;

/** What imu_board_change may change; NULL or IMU_BOARD_KEEP leaves a thing as it is. */
typedef struct imu_board_changes {
    const char *name;
    const char *visibility;
    const char *cover_image_name;
    int archived;
} imu_board_changes;
#define IMU_BOARD_KEEP (-1)

/** Makes a private board. @param id  may be NULL; the new board's id */
imu_err *imu_board_create(imu_db *db, apr_pool_t *p, const char *owner_id, const char *name,
                          const char **id);
/** One board as viewer_id sees it; *board is NULL when there is none. */
imu_err *imu_board_get(imu_db *db, apr_pool_t *p, const char *viewer_id, const char *board_id,
                       imu_board **board);
/** Only what access is decided by; *facts is NULL when there is no such board. Cheaper than
 * imu_board_get. */
imu_err *imu_board_facts_get(imu_db *db, apr_pool_t *p, const char *viewer_id, const char *board_id,
                             imu_board_facts **facts);
/** The boards that viewer may see. */
imu_err *imu_boards_visible(imu_db *db, apr_pool_t *p, const imu_identity *viewer,
                            const imu_board_order *order, apr_int64_t limit, apr_int64_t offset,
                            imu_board_list *list);
imu_err *imu_board_change(imu_db *db, apr_pool_t *p, const char *board_id,
                          const imu_board_changes *changes);
/**
 * Deletes a board; its pictures become uncategorized, but for those of pictures_of, which go with
 * it.
 * @param pictures_of  a user id, or NULL for nobody's; everybody != 0 deletes them all
 * @param deleted, kept  JSON arrays of image names, owned by p
 * Call imu_pictures_purge afterwards.
 */
imu_err *imu_board_delete(imu_db *db, apr_pool_t *p, const char *board_id, const char *pictures_of,
                          int everybody, json_t **deleted, json_t **kept);
/** Puts pictures (JSON array of names, which must exist) on a board, taking them off any other. */
imu_err *imu_board_put(imu_db *db, apr_pool_t *p, const char *board_id, const json_t *names);
/** Takes pictures off whatever board they are on. */
imu_err *imu_board_take_off(imu_db *db, apr_pool_t *p, const json_t *names);

#endif
