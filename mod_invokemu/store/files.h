/*
 * files.h: writing files so that a power cut leaves either the whole file or none. APR and POSIX
 * only.
 */
#ifndef IMU_FILES_H
#define IMU_FILES_H

#include "mod_invokemu/util/err.h"

/** Folders under the root folder. */
#define IMU_PICTURES_DIR   "outputs/images"
#define IMU_THUMBNAILS_DIR "outputs/images/thumbnails"
#define IMU_ORPHANS_DIR    "outputs/orphans"
#define IMU_TOKENIZERS_DIR "tokenizers"

/** Unfinished files start with this, in the folder of the finished one. */
#define IMU_TEMPORARY_PREFIX ".part-"

typedef enum imu_content_kind { IMU_FILE_ANY = 0, IMU_FILE_PNG, IMU_FILE_WEBP } imu_content_kind;

/**
 * Copies what fd holds, from its start, to a new file at path: temporary file, fsync, rename, fsync
 * of the folder. An existing file is replaced. fd stays open.
 * @param kind  how the content must begin
 * @param max   most bytes
 * @return code "picture_invalid" (422) for the wrong kind or too much, "disk_full" (507), else 500
 */
imu_err *imu_file_store(apr_pool_t *p, int fd, const char *path, imu_content_kind kind,
                        apr_int64_t max);

/**
 * Opens a nameless temporary file in folder (it vanishes when closed, whatever happens).
 * @param fd  close-on-exec, for reading and writing; closed with p
 */
imu_err *imu_file_temporary(apr_pool_t *p, const char *folder, int *fd);

/** A second, read-only descriptor of an open file, with its own position at the start; closed with
 * p. */
imu_err *imu_file_reopen(apr_pool_t *p, int fd, int *read_only);

/** Reads from that place on, fewer than len bytes only where the file ends. @return how many, or -1
 * with errno */
ssize_t imu_read_at(int fd, void *data, apr_size_t len, off_t at);

/** Whether two open files hold the same. */
int imu_is_same_file(int one, int other);

/** rename(2), but never over something. @return 0, or -1 with errno, EEXIST for what is there */
int imu_rename_new(const char *from, const char *to);

/** Writes all bytes. @return 0, or -1 with errno */
int imu_write_all(int fd, const void *data, apr_size_t len);

#endif
