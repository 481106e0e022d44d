/*
 * archives.h: ZIP files of pictures, made for one person, fetched once, and gone after a day, or
 * before, when the same person has newer ones and together they are too many or too large. While
 * one is being sent it counts as its person's still: its bytes are on the disk until the last is
 * read.
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
    apr_int64_t room;          /**< bytes that it may take, by imu_archive_room */
    const json_t *names;       /**< array of picture names, checked */
    int (*wanted)(void *user); /**< called often, and may wait; 0: to end with
                                    imu_archive_busy */
    void *user;
} imu_archive_job;

/** 429 "packing_busy": others pack too many. */
imu_err *imu_archive_busy(apr_pool_t *p);
/**
 * Writes the pictures' files into a ZIP, stored as they are. Pictures whose file is gone are left
 * out. Takes no database, so that none is held meanwhile.
 * @return 429 when it is wanted no more, or takes more than its room; 507 "disk_full", or
 * "disk_low" when it would take too much of what is free; else 500. Nothing is left behind then
 */
imu_err *imu_archive_write(apr_pool_t *p, const imu_archive_job *job, const char *name);
/** Deletes the file of an archive that an error ended. @return the error */
imu_err *imu_archive_discard(apr_pool_t *p, const char *root, const char *name, imu_err *err);
/** What must be open to whoever fetches an archive: the pictures in it that are not its maker's
 * own, and the board whose pictures they were, or NULL. */
typedef struct imu_archive_source {
    const char *board_id;
    json_t *lent; /**< array of picture names; owned by the pool */
} imu_archive_source;

/**
 * What a new archive of a person may take beside those that are being sent to them.
 * @param bytes  of pictures
 * @return 429 "downloads_underway" when there is no room at all
 */
imu_err *imu_archive_room(imu_db *db, apr_pool_t *p, const char *root, const char *user_id,
                          apr_int64_t *bytes);
/**
 * Makes a written archive known. Of the same person's, those beyond ten, or eight GiB, give way
 * with their files, the oldest first, but none that is being sent.
 * @return 429 "downloads_underway" when there is no room beside these
 */
imu_err *imu_archive_add(imu_db *db, apr_pool_t *p, const char *root, const char *name,
                         const char *user_id, const imu_archive_source *source);
/** Whose archive it is, and what of; *user_id is NULL when there is none, or it is a day old. */
imu_err *imu_archive_owner(imu_db *db, apr_pool_t *p, const char *name, const char **user_id,
                           imu_archive_source *source);
/** Deletes an archive and its file, unless it is being sent: then it goes after that. */
imu_err *imu_archive_drop(imu_db *db, apr_pool_t *p, const char *root, const char *name);
/** Deletes what nobody fetched in a day, also files of accounts that are gone. */
imu_err *imu_archives_purge(imu_db *db, apr_pool_t *p, const char *root);

/** @return whether its file is there */
int imu_archive_there(apr_pool_t *p, const char *root, const char *name);
/**
 * Takes an archive to send it. Nobody else can fetch it meanwhile, and its person has it still; its
 * file is deleted when p ends, sent or not. The row stays until the next archive of its person, or
 * a day: without a file it is none. Should the process be killed, the archive can be fetched again.
 * @return whether it was there, and nobody else had it
 */
int imu_archive_take(apr_pool_t *p, const char *root, const char *name);

#endif
