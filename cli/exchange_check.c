/*
 * exchange_check.c: whether a restore can put what is there aside. It moves whole folders by
 * renaming them, which ends at the borders of a file system and of a mount. A link would go aside
 * alone, and a disk that is mounted deeper down along with its folder: both without an error, and
 * what was restored would then lie on the wrong disk.
 */
#include "cli/backup.h"

#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <string.h>
#include <sys/stat.h>

#include <apr_strings.h>

#define MAX_FOLDERS 16 /* open at a time */
#define ADVICE                                                                                     \
    "Nothing was changed. Restore to a new folder with --root and move the data from there to "    \
    "where it belongs, or let all of it lie on one disk, without links and mounts, and restore "   \
    "then"

/* What a walk over a folder works on; nftw hands nothing through. */
static struct {
    const struct statx *root;
    const char *strange; /* what is on another disk or mount; in pool */
    apr_pool_t *pool;
} walk;

static int look(const char *path, int flags, struct statx *st)
{
    int rc;

    cli_as(path);
    rc = statx(AT_FDCWD, path, flags, STATX_TYPE | STATX_MNT_ID, st);
    cli_as(NULL);
    return rc;
}

/* One disk may be mounted in parts, at several places: renaming ends there as well. */
static int are_together(const struct statx *one, const struct statx *other)
{
    return one->stx_dev_major == other->stx_dev_major &&
           one->stx_dev_minor == other->stx_dev_minor &&
           (!(one->stx_mask & other->stx_mask & STATX_MNT_ID) ||
            one->stx_mnt_id == other->stx_mnt_id);
}

static int look_at_folder(const char *path, const struct stat *st, int kind, struct FTW *ftw)
{
    struct statx here;

    (void)st;
    (void)ftw;
    if ((kind != FTW_D && kind != FTW_DNR) || look(path, AT_SYMLINK_NOFOLLOW, &here) != 0 ||
        are_together(walk.root, &here))
        return 0;
    walk.strange = apr_pstrdup(walk.pool, path);
    return 1;
}

static imu_err *elsewhere(const cli *c, const char *path)
{
    return imu_error(c->p, 409, "elsewhere",
                     "%s is on another disk than %s, or a mount of its own, and a restore can't "
                     "move it. " ADVICE,
                     path, c->opt.root);
}

/* A link that is to be moved itself. */
static imu_err *no_link(const cli *c, const char *path)
{
    struct statx st;

    if (look(path, AT_SYMLINK_NOFOLLOW, &st) != 0 || !S_ISLNK(st.stx_mode))
        return NULL;
    return imu_error(c->p, 409, "elsewhere",
                     "%s is a link, and a restore would move that rather than what it leads "
                     "to. " ADVICE,
                     path);
}

/* A folder that things are moved out of, or into: links may lead there, if only on the same disk.
 */
static imu_err *within_reach(const cli *c, const char *folder, const struct statx *root)
{
    const char *there = cli_nearest(c->p, folder);
    struct statx st;

    return look(there, 0, &st) != 0 || are_together(root, &st) ? NULL : elsewhere(c, folder);
}

static imu_err *check_database(const cli *c, const struct statx *root)
{
    const char *db = c->opt.database;
    struct statx st;
    imu_err *err = within_reach(c, cli_folder_of(c->p, db), root);

    if (err || (err = no_link(c, db)))
        return err;
    return look(db, AT_SYMLINK_NOFOLLOW, &st) != 0 || are_together(root, &st) ? NULL
                                                                              : elsewhere(c, db);
}

static imu_err *check_outputs(const cli *c, const struct statx *root)
{
    const char *outputs = apr_pstrcat(c->p, c->opt.root, "/outputs", NULL);
    imu_err *err = no_link(c, outputs);

    for (size_t i = 0; !err && cli_backup_folders[i]; i++)
        err = no_link(c, apr_pstrcat(c->p, c->opt.root, "/", cli_backup_folders[i], NULL));
    if (err)
        return err;
    walk.root = root;
    walk.strange = NULL;
    walk.pool = c->p;
    (void)nftw(outputs, look_at_folder, MAX_FOLDERS, FTW_PHYS);
    walk.root = NULL;
    return walk.strange ? elsewhere(c, walk.strange) : NULL;
}

imu_err *cli_exchange_possible(const cli *c)
{
    struct statx root;
    imu_err *err;

    /* Where there is no root yet, it will be on the disk of what it is made in. */
    if (look(cli_nearest(c->p, c->opt.root), 0, &root) != 0)
        return imu_error(c->p, 500, "files", "can't look at %s: %s", c->opt.root, strerror(errno));
    if ((err = within_reach(c, apr_pstrcat(c->p, c->opt.root, "/tmp", NULL), &root)) ||
        (err = check_database(c, &root)))
        return err;
    return check_outputs(c, &root);
}
