/*
 * images.h: the rows of pictures. Decides nothing about access; the facts for that come along.
 * Files are picture_files.h's business: after anything that deletes rows, call imu_pictures_purge.
 */
#ifndef IMU_IMAGES_H
#define IMU_IMAGES_H

#include "mod_invokemu/policy.h"

/** Most names in one request. */
#define IMU_MAX_NAMES 10000

typedef struct imu_image {
    const char *image_name;
    const char *owner_id;
    const char *origin;
    const char *category;
    const char *subfolder;
    const char *session_id;
    const char *node_id;
    const char *created_at;
    const char *updated_at;
    const char *board_id;   /**< or NULL */
    const char *prompt;     /**< its beginning; NULL when there is none, and in lists */
    const char *owner_name; /**< display name, or else the address; NULL in lists */
    int width;
    int height;
    int is_intermediate;
    int starred;
    int has_workflow;
    imu_board_facts board;   /**< for the viewer; valid when facts.board is set */
    imu_picture_facts facts; /**< for the viewer; not filled by imu_images_list */
} imu_image;

typedef struct imu_image_list {
    int count;
    imu_image *items;
    apr_int64_t total; /**< before paging */
} imu_image_list;

/** Which pictures a list holds, and in which order. */
typedef struct imu_image_filter {
    const char *board_id;   /**< those on this board, whoever owns them */
    const char *owner_id;   /**< without a board: this person's, or everybody's when NULL */
    int uncategorized;      /**< without a board: only those on no board */
    int unseen;             /**< and with that, an owner's on boards that the owner does not see */
    const char *origin;     /**< or NULL */
    const char *categories; /**< words between commas, such as ",general,user,", or NULL */
    int intermediate;       /**< 0, 1, or -1 for both */
    const char *search; /**< text to be found literally in metadata or time of creation, or NULL */
    const char *day;    /**< created on this day, "YYYY-MM-DD", or NULL */
    int starred_first;
    int descending; /**< newest first */
} imu_image_filter;

/** What imu_image_change may change; NULL or IMU_IMAGE_KEEP leaves a thing as it is. */
typedef struct imu_image_changes {
    const char *category;
    const char *session_id;
    int is_intermediate;
    int starred;
} imu_image_changes;
#define IMU_IMAGE_KEEP (-1)

imu_err *imu_images_list(imu_db *db, apr_pool_t *p, const imu_image_filter *filter,
                         apr_int64_t limit, apr_int64_t offset, imu_image_list *list);
/** All names of a list, unpaged. *names is owned by p; *starred counts the starred ones. */
imu_err *imu_images_names(imu_db *db, apr_pool_t *p, const imu_image_filter *filter, json_t **names,
                          apr_int64_t *starred);

/** One picture as viewer_id stands to it; *image is NULL when there is none. */
imu_err *imu_image_get(imu_db *db, apr_pool_t *p, const char *viewer_id, const char *name,
                       imu_image **image);
/** Several (JSON array of names), in the order of the names, without repetitions; unknown ones are
 * left out. */
imu_err *imu_images_by_names(imu_db *db, apr_pool_t *p, const char *viewer_id, const json_t *names,
                             imu_image_list *list);
/** *metadata is JSON text or NULL. */
imu_err *imu_image_metadata(imu_db *db, apr_pool_t *p, const char *name, const char **metadata);
/** JSON texts or NULL. */
imu_err *imu_image_documents(imu_db *db, apr_pool_t *p, const char *name, const char **workflow,
                             const char **graph);

imu_err *imu_image_change(imu_db *db, apr_pool_t *p, const char *name,
                          const imu_image_changes *changes);
imu_err *imu_images_star(imu_db *db, apr_pool_t *p, const json_t *names, int starred);
imu_err *imu_images_delete(imu_db *db, apr_pool_t *p, const json_t *names);
/** owner_id NULL counts everybody's. */
imu_err *imu_images_intermediate_count(imu_db *db, apr_pool_t *p, const char *owner_id,
                                       apr_int64_t *count);
/** Deletes at most a thousand intermediate pictures of anybody. @param deleted  how many it were */
imu_err *imu_images_intermediates_delete(imu_db *db, apr_pool_t *p, int *deleted);

#endif
