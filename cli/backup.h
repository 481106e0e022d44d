/*
 * backup.h: what a backup is. A folder, or the same as one tar file:
 *
 *   manifest.json   {"invokemu_backup": 1, "schema": N, "made_at": TIME, "pictures": N,
 *                   "missing": N, "files": N, "bytes": N}, written last; earlier programs left out
 *                   the last three
 *   databases/invokemu.db
 *   outputs/images, outputs/images/thumbnails, outputs/workflow_thumbnails, outputs/style_presets
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
    apr_int64_t files, bytes; /**< in the folders of files; -1 when it does not say */
} cli_manifest;

/** Counts the files in the folders of a backup, or of what was made of one. */
imu_err *cli_backup_weigh(apr_pool_t *p, const char *top, apr_int64_t *files, apr_int64_t *bytes);

/** What is wrong with a backup that is about to be restored. */
typedef struct cli_backup_faults {
    int missing, torn;        /**< pictures whose files are not there, or cut short */
    apr_int64_t files, bytes; /**< what there is */
    const char *first;        /**< one of those pictures */
} cli_backup_faults;
/**
 * Brings the database of a backup, which is taken apart below the root, up to date, and looks
 * whether the files that its rows name are there, and whole.
 * @param from    as the backup is called
 * @param schema  set to the version that the database has now
 * @return 422 for a damaged database
 */
imu_err *cli_backup_check(apr_pool_t *p, const char *from, const char *top, int *schema,
                          cli_backup_faults *faults);

/** A restore, from the moment when all of it lies ready. */
typedef struct cli_exchange {
    const char *stage;  /**< name below the root's tmp: what is to be the data */
    const char *aside;  /**< name below the root: what was there; NULL when that was nothing */
    const char *backup; /**< as it was called */
    const char *made_at;
    int pictures, missing, torn, schema;
    apr_int64_t database, outputs; /**< file numbers of what lies ready; 0: not said, or none */
    int begun;                     /**< by a process that was broken off */
    int anew;                      /**< in place of one that was broken off and can't be finished */
} cli_exchange;
/** Looks whether an exchange was broken off, and which; e->begun says so. */
imu_err *cli_exchange_look(cli *c, cli_exchange *e);
/** Whether all that was to be restored still lies ready, or is in its place already. */
int cli_exchange_can_end(cli *c, const cli_exchange *e);
/** Whether a restore can move all that is there: it lies on one disk, and no links or mounts are in
 * the way. @return 409 "elsewhere", which names what is */
imu_err *cli_exchange_possible(const cli *c);
/**
 * Moves what is there aside, and what lies ready into its place; goes on where one that was broken
 * off has stopped. While that is not done, nobody else begins to work on the data. Sets e->aside.
 * An error undoes what it can.
 */
imu_err *cli_exchange_do(cli *c, cli_exchange *e);

/** Reads the text of a manifest. @return 422 for what is none, or of a later form */
imu_err *cli_manifest_read(apr_pool_t *p, const char *text, apr_size_t len, cli_manifest *manifest);

/** Writes a folder into one tar file, which then is on the disk.
 * @param fd  that file, empty and open for writing */
imu_err *cli_tar_write(apr_pool_t *p, const char *folder, const char *file, int fd);
/** Takes a tar file apart into a folder. Nothing in it can lead out of there. */
imu_err *cli_tar_read(apr_pool_t *p, const char *file, const char *folder);

#endif
