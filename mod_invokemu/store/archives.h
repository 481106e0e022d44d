/*
 * archives.h: ZIP files of pictures, made for one person, fetched once, and gone after a day.
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
/**
 * Writes the pictures' files into a ZIP, stored as they are. Pictures whose file is gone are left
 * out. Takes no database, so that none is held meanwhile.
 * @param names  array of picture names, checked
 * @return 507 "disk_full", else 500; nothing is left behind then
 */
imu_err *imu_archive_write(apr_pool_t *p, const char *root, const char *name, const json_t *names);
/** What an archive was made of: the pictures, and the board whose pictures they were, or NULL. */
typedef struct imu_archive_source {
    const char *board_id;
    json_t *names; /**< array; owned by the pool */
} imu_archive_source;

/** Makes a written archive known, and forgets old ones with their files. */
imu_err *imu_archive_add(imu_db *db, apr_pool_t *p, const char *root, const char *name,
                         const char *user_id, const imu_archive_source *source);
/** Whose archive it is, and what of; *user_id is NULL when there is none. */
imu_err *imu_archive_owner(imu_db *db, apr_pool_t *p, const char *name, const char **user_id,
                           imu_archive_source *source);
/** Takes it out for good; *taken is 0 when somebody was faster. The file is the caller's to delete.
 */
imu_err *imu_archive_take(imu_db *db, apr_pool_t *p, const char *name, int *taken);

#endif
