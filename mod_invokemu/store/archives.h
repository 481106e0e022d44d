/*
 * archives.h: ZIP files of pictures, made for one person, fetched once, and gone after a day, or
 * before, when the same person has newer ones and together they are too many or too large.
 */
#ifndef IMU_ARCHIVES_H
#define IMU_ARCHIVES_H

#include "mod_invokemu/store/db.h"

/** Folder below the root. */
#define IMU_ARCHIVES_DIR "outputs/bulk_downloads"

/** A new name, "<uuid>.zip". */
const char *imu_archive_name_new(apr_pool_t *p);
/** Path of an archive's file. */
const char *imu_archive_path(apr_pool_t *p, const char *root, const char *name);
/** What is to be packed, and as long as what. */
typedef struct imu_archive_job {
    const char *root;
    apr_int64_t min_free;      /**< InvokeMUMinFree */
    const json_t *names;       /**< array of picture names, checked */
    int (*wanted)(void *user); /**< called often; 0: to end with imu_archive_busy */
    void *user;
} imu_archive_job;

/** 429 "packing_busy": others pack too many. */
imu_err *imu_archive_busy(apr_pool_t *p);
/**
 * Writes the pictures' files into a ZIP, stored as they are. Pictures whose file is gone are left
 * out. Takes no database, so that none is held meanwhile.
 * @return 429 when it is wanted no more; 507 "disk_full", or "disk_low" when it would take too much
 * of what is free; else 500. Nothing is left behind then
 */
imu_err *imu_archive_write(apr_pool_t *p, const imu_archive_job *job, const char *name);
/** What an archive was made of: the pictures, and the board whose pictures they were, or NULL. */
typedef struct imu_archive_source {
    const char *board_id;
    json_t *names; /**< array; owned by the pool */
} imu_archive_source;

/** Makes a written archive known, and forgets old ones with their files: everybody's after a day,
 * of the same person's those beyond ten, or eight GiB. */
imu_err *imu_archive_add(imu_db *db, apr_pool_t *p, const char *root, const char *name,
                         const char *user_id, const imu_archive_source *source);
/** Whose archive it is, and what of; *user_id is NULL when there is none. */
imu_err *imu_archive_owner(imu_db *db, apr_pool_t *p, const char *name, const char **user_id,
                           imu_archive_source *source);
/** Takes it out for good; *taken is 0 when somebody was faster. The file is the caller's to delete.
 */
imu_err *imu_archive_take(imu_db *db, apr_pool_t *p, const char *name, int *taken);

#endif
