/*
 * files.h: many files from one folder to another, for backup, restore and import. A file appears
 * under its name when it is whole. Durability comes at the end, by cli_sync, for all of them at
 * once.
 */
#ifndef IMU_CLI_FILES_H
#define IMU_CLI_FILES_H

#include "cli/cli.h"

typedef enum cli_how {
    CLI_LINK_OR_COPY, /**< a second name of the same file where the disk allows it */
    CLI_COPY
} cli_how;

/** How many files came which way. */
typedef struct cli_placed {
    int linked, copied, there;
} cli_placed;

/**
 * Puts the file from under the name to. One that is there already stays.
 * @param gone  may be NULL; set to 1, without an error, when from does not exist
 * @return 500 "unreadable" when from is there and can't be opened
 */
imu_err *cli_place(apr_pool_t *p, const char *from, const char *to, cli_how how, cli_placed *placed,
                   int *gone);
/** Makes a folder and those above it. @param mode  of the ones that are new */
imu_err *cli_make_folders(apr_pool_t *p, const char *path, mode_t mode);
/** Calls what for each entry of a folder but "." and ".."; a folder that does not exist has none.
 */
imu_err *cli_each(apr_pool_t *p, const char *folder,
                  imu_err *(*what)(void *baton, const char *path, const char *name), void *baton);
/** Removes a folder with all in it. What is not there is no error. */
imu_err *cli_remove_tree(apr_pool_t *p, const char *path);
/** When it is root who works: gives the folder, and all in it, to the owner of `like`. */
imu_err *cli_give_to_owner(apr_pool_t *p, const char *path, const char *like);
/** Waits until everything written to the disk of path is there. */
imu_err *cli_sync(apr_pool_t *p, const char *path);
/** Whether a path leads to something. */
int cli_exists(const char *path);
/** Whether another process has the database open. */
int cli_database_in_use(apr_pool_t *p, const char *database);
/** Holds a lock until the process ends. @return 409 "busy" when another process has it */
imu_err *cli_alone(apr_pool_t *p, const char *file);
/** Writes a small file whole. */
imu_err *cli_write_file(apr_pool_t *p, const char *path, const char *text);

#endif
