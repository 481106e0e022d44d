/*
 * picture_files.h: pictures on disk and their rows, kept in step.
 *
 * Files: ROOT/outputs/images/<name>.png and ROOT/outputs/images/thumbnails/<name>.webp, where
 * <name> is a UUID v4 and the picture's image_name is <name>.png. Storing: temporary file, fsync,
 * rename, fsync of the folder, then the row. Deleting: the row first; a trigger notes the name in
 * deleted_pictures, and the note goes once the files are gone. So after a power cut a row always
 * has its files, and a file that was to go still goes. Free of httpd; used by request handlers and
 * by the dispatcher.
 */
#ifndef IMU_PICTURE_FILES_H
#define IMU_PICTURE_FILES_H

#include "mod_invokemu/store/db.h"

/** Longest metadata, workflow or graph text that is kept with a picture, in bytes. */
#define IMU_MAX_PICTURE_TEXT (4 * 1024 * 1024)
/** Largest file that is accepted from a worker or the media process, in bytes. */
#define IMU_MAX_PICTURE_FILE ((apr_int64_t)1024 * 1024 * 1024)

/** Younger files without a row may belong to somebody who is storing a picture right now. */
#define IMU_SETTLED_SECONDS 3600

typedef struct imu_picture {
    const char *image_name; /**< UUID v4 and ".png" */
    const char *user_id;
    const char *origin;   /**< "internal" (made here) or "external" (uploaded) */
    const char *category; /**< "general", "mask", "control", "user" or "other" */
    int width;            /**< pixels */
    int height;           /**< pixels */
    int is_intermediate;
    const char *session_id; /**< of the job that made it, or NULL */
    const char *node_id;    /**< or NULL */
    const char *metadata;   /**< text of a JSON object, or NULL */
    const char *workflow;   /**< JSON text, or NULL */
    const char *graph;      /**< JSON text, or NULL */
    const char
        *board_id; /**< or NULL; whether its owner may write there is the caller's question */
} imu_picture;

/** A new random name for a picture. */
const char *imu_picture_name_new(apr_pool_t *p);
/** True for a UUID v4 followed by ".png": how pictures are named here. */
int imu_picture_name_ok(const char *image_name);
/** True also for what another server may have called a picture that was imported: UTF-8 of one path
 * element that ends with ".png", without quotes and control characters. */
int imu_picture_file_ok(const char *image_name);
/** Path of the PNG file. image_name must be that of a picture (imu_picture_file_ok). */
const char *imu_picture_path(apr_pool_t *p, const char *root, const char *image_name);
/** Path of the WebP thumbnail, likewise. */
const char *imu_thumbnail_path(apr_pool_t *p, const char *root, const char *image_name);

/**
 * Makes the folders under root that pictures and uploads need.
 * @param uid, gid  owner of the folders, or (uid_t)-1 and (gid_t)-1 to leave it
 */
imu_err *imu_picture_folders(apr_pool_t *p, const char *root, uid_t uid, gid_t gid);

/**
 * Stores a picture durably: when it returns NULL, files and row survive a power cut.
 * A board that is gone meanwhile leaves the picture uncategorized; metadata that is no JSON object
 * is left out.
 * @param png_fd   readable descriptor of a PNG file, read from its start; stays open
 * @param webp_fd  the same of its WebP thumbnail
 * @return code "picture_exists" (409) when that name is stored already (a repetition after a
 * reconnect), "picture_invalid" (422) for a bad name, word, size or file, "disk_full" (507), else
 * 500
 */
imu_err *imu_picture_store(imu_db *db, apr_pool_t *p, const char *root, const imu_picture *picture,
                           int png_fd, int webp_fd);

/**
 * Removes the files of pictures whose rows are gone (at most a thousand a call), by the notes in
 * deleted_pictures. Call after committing any deletion of pictures, boards or people.
 * @param left  may be NULL; 1 when there are more
 */
imu_err *imu_pictures_purge(imu_db *db, apr_pool_t *p, const char *root, int *left);

/** What imu_pictures_sweep found and did. */
typedef struct imu_sweep {
    int temporary; /**< unfinished files removed */
    int deleted;   /**< pictures whose files were still to go */
    int orphans;   /**< files without a row, moved to outputs/orphans */
    int previews;  /**< files of workflows and style presets that are gone, removed */
    int missing;   /**< rows whose file is gone: reported, never deleted, as the disk may merely not
                      be mounted */
    const char *first_missing; /**< one of those names, or NULL */
    int pictures;              /**< rows whose file was seen */
    /* Names (const char *) of what was counted above, as files or as pictures. */
    apr_array_header_t *temporary_names, *orphan_names, *preview_names, *missing_names;
    apr_array_header_t *bare_names; /**< pictures whose thumbnail is gone */
} imu_sweep;

/**
 * Finds and mends what a power cut left. Files younger than an hour are left alone: somebody may be
 * writing them. Run once when the dispatcher starts.
 * @param p  holds some hundred bytes for each picture: give one that is destroyed afterwards
 */
imu_err *imu_pictures_sweep(imu_db *db, apr_pool_t *p, const char *root, imu_sweep *sweep);
/** The same without changing anything. */
imu_err *imu_pictures_look(imu_db *db, apr_pool_t *p, const char *root, imu_sweep *sweep);

#endif
