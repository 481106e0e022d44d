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
/** Makes a written archive known, and forgets old ones with their files. */
imu_err *imu_archive_add(imu_db *db, apr_pool_t *p, const char *root, const char *name,
                         const char *user_id);
/** Whose archive it is; *user_id is NULL when there is none. */
imu_err *imu_archive_owner(imu_db *db, apr_pool_t *p, const char *name, const char **user_id);
/** Takes it out for good; *taken is 0 when somebody was faster. The file is the caller's to delete.
 */
imu_err *imu_archive_take(imu_db *db, apr_pool_t *p, const char *name, int *taken);

#endif
