/*
 * backup.h: what a backup is. A folder, or the same as one tar file:
 *
 *   manifest.json   {"invokemu_backup": 1, "schema": N, "made_at": TIME, "pictures": N}, written
 * last databases/invokemu.db outputs/images, outputs/images/thumbnails,
 * outputs/workflow_thumbnails, outputs/style_presets
 *
 * Each row of a picture has its file, and each file its row, at one moment of a server that may
 * run. Models and archives for download are not in it.
 */
#ifndef IMU_CLI_BACKUP_H
#define IMU_CLI_BACKUP_H

#include "cli/files.h"

#define CLI_BACKUP_FORMAT   1
#define CLI_BACKUP_MANIFEST "manifest.json"
#define CLI_BACKUP_DATABASE "databases/invokemu.db"

/** Folders of files in a backup, below its top and below the root; NULL at the end. */
extern const char *const cli_backup_folders[];

typedef struct cli_manifest {
    int schema;
    int pictures;
    const char *made_at;
} cli_manifest;

/** Reads the text of a manifest. @return 422 for what is none, or of a later form */
imu_err *cli_manifest_read(apr_pool_t *p, const char *text, apr_size_t len, cli_manifest *manifest);

/** Writes a folder into one tar file, which then is on the disk. */
imu_err *cli_tar_write(apr_pool_t *p, const char *folder, const char *file);
/** Takes a tar file apart into a folder. Nothing in it can lead out of there. */
imu_err *cli_tar_read(apr_pool_t *p, const char *file, const char *folder);

#endif
