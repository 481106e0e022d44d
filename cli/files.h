/*
 * files.h: many files from one folder to another, for backup, restore and import. A file appears
 * under its name when it is whole. Durability comes at the end, by cli_sync, for all of them at
 * once.
 */
#ifndef IMU_CLI_FILES_H
#define IMU_CLI_FILES_H

#include <sys/stat.h>

#include "cli/cli.h"

typedef enum cli_how {
    CLI_LINK_OR_COPY, /**< a second name of the same file where the disk allows it */
    CLI_COPY
} cli_how;

/** When it is root who works: takes the rights of the owner of the server's folder from now on. */
imu_err *cli_work_for_owner(cli *c);
/** The last thing: gives those rights back, so that a leak checker may look into the process. */
void cli_work_is_done(void);
/** Takes the rights that fit what is done next: root's own for a path outside of the server's
 * folders, the server's user's below them, and again for NULL. The functions below do so by
 * themselves. Keeps errno. */
void cli_as(const char *path);

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
/** The same from an open file. */
imu_err *cli_place_open(apr_pool_t *p, int from, const char *to, cli_how how, cli_placed *placed);
/** The folder that a path with a '/' lies in. */
const char *cli_folder_of(apr_pool_t *p, const char *path);
/** What to say when something could not be done to a path: errno tells why. @param doing  "write"
 * @return 507 "disk_full" when the disk is full, else 500 */
imu_err *cli_cannot(apr_pool_t *p, const char *doing, const char *path);
/** Whether a path is that folder, or in it, as it is written. */
int cli_is_below(const char *path, const char *folder);
/** The path itself when it leads to something, else the nearest one above it that does. */
const char *cli_nearest(apr_pool_t *p, const char *path);
/** Makes a folder and those above it. @param mode  of the ones that are new */
imu_err *cli_make_folders(apr_pool_t *p, const char *path, mode_t mode);
/** Calls what for each entry of a folder but "." and ".."; a folder that does not exist has none.
 */
imu_err *cli_each(apr_pool_t *p, const char *folder,
                  imu_err *(*what)(void *baton, const char *path, const char *name), void *baton);
/** Removes a folder with all in it. What is not there is no error. */
imu_err *cli_remove_tree(apr_pool_t *p, const char *path);
/** Waits until everything written to the disk of path is there. */
imu_err *cli_sync(apr_pool_t *p, const char *path);
/** lstat. @return 0 or -1 */
int cli_look(const char *path, struct stat *st);
/** Whether it is a plain file, and no link. */
int cli_is_file(const char *path);
/** Whether a file below the root can be read, and passes a check of picture_check.h. */
int cli_is_whole(const char *path, int (*check)(int fd));
/** Opens for reading, but no link. @return a descriptor or -1 */
int cli_open_file(const char *path);
/** Opens a file for reading by its path below a folder, of which no part may be a link or "..".
 * @return a descriptor, or -1 with errno (ELOOP or ENOTDIR: a link) */
int cli_open_below(apr_pool_t *p, const char *folder, const char *path);
/** What to say when it could not be opened. @param code  errno */
const char *cli_why_closed(apr_pool_t *p, int code);
/** Makes a file that was not there. @return a descriptor for writing, or -1 with errno */
int cli_open_new(const char *path, mode_t mode);
/** @return 0, or -1 with errno */
int cli_unlink(const char *path);
/** Makes one folder that was not there. */
int cli_mkdir(const char *path, mode_t mode);
/** imu_rename_new, with the rights for to. */
int cli_rename_new(const char *from, const char *to);
/** Whether a path leads to something. */
int cli_exists(const char *path);
/** Whether another process has the database open. */
int cli_database_in_use(apr_pool_t *p, const char *database);
/** Holds a lock until the process ends. @return 409 "busy" when another process has it */
imu_err *cli_alone(apr_pool_t *p, const char *file);
/** Says that this process works on a folder, until it ends. A file system without locks is no
 * reason not to. */
void cli_at_work(const char *folder);
/** Whether another process works on that folder, or holds that file's lock. */
int cli_is_worked_on(const char *path);
/** Writes a small file whole. */
imu_err *cli_write_file(apr_pool_t *p, const char *path, const char *text);

#endif
