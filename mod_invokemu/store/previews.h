/*
 * previews.h: the small pictures that stand for a workflow or a style preset.
 *
 * Files: ROOT/<folder>/<UUID>.webp; the row of what they stand for holds the file's name. The
 * file is written before the row names it and removed after the row has let go of it, so a row
 * always has its file; a file that no row names is out of reach, and goes with the sweep at the
 * next start.
 */
#ifndef IMU_PREVIEWS_H
#define IMU_PREVIEWS_H

#include "mod_invokemu/util/err.h"

/** Folders under the root folder, for the parameter folder below. */
#define IMU_WORKFLOW_PREVIEWS_DIR "outputs/workflow_thumbnails"
#define IMU_PRESET_PREVIEWS_DIR   "outputs/style_presets"

/** Longest side of a preview, pixels. */
#define IMU_PREVIEW_SIDE 256
/** Largest file of one, in bytes. */
#define IMU_PREVIEW_MAX_FILE ((apr_int64_t)4 * 1024 * 1024)

/** Path of the file of that name, or NULL when name is none a preview can have. */
const char *imu_preview_path(apr_pool_t *p, const char *root, const char *folder, const char *name);
/**
 * Stores a preview durably; one of that name is replaced.
 * @param fd  readable descriptor of a WebP file, read from its start; stays open
 * @return "picture_invalid" (422), "disk_full" (507), else 500
 */
imu_err *imu_preview_store(apr_pool_t *p, const char *root, const char *folder, const char *name,
                           int fd);
/** Removes a preview. None of that name, or NULL, is no error. */
imu_err *imu_preview_remove(apr_pool_t *p, const char *root, const char *folder, const char *name);

#endif
