/*
 * user.c: whose rights the command line works with. Root takes those of the server's user, whose
 * folder it works in: whatever links that user has laid there, root can do nothing by them that the
 * user could not. What lies elsewhere (a backup, the root of another server) is root's.
 */
#include <errno.h>
#include <grp.h>
#include <pwd.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <apr_strings.h>

#include "cli/files.h"

static struct {
    int on; /* root works for somebody else */
    uid_t uid;
    gid_t gid;
    const char *root, *databases; /* what is theirs */
} server;

/* Going on with other rights than meant is worse than not going on. */
static void take_rights(uid_t uid, gid_t gid)
{
    if ((geteuid() != 0 && seteuid(0) != 0) || setegid(gid) != 0 || seteuid(uid) != 0) {
        perror("invokemu: can't change rights");
        abort();
    }
}

void cli_as(const char *path)
{
    int code = errno, theirs;

    if (!server.on)
        return;
    theirs = !path || cli_is_below(path, server.root) || cli_is_below(path, server.databases);
    if ((geteuid() != 0) != theirs)
        take_rights(theirs ? server.uid : 0, theirs ? server.gid : 0);
    errno = code;
}

void cli_work_is_done(void)
{
    if (!server.on)
        return;
    take_rights(0, 0);
    (void)prctl(PR_SET_DUMPABLE, 1);
}

imu_err *cli_work_for_owner(cli *c)
{
    const char *slash = strrchr(c->opt.database, '/');
    const struct passwd *entry;
    struct stat st;

    if (geteuid() != 0 || stat(c->opt.root, &st) != 0 || st.st_uid == 0)
        return NULL;
    entry = getpwuid(st.st_uid);
    server.uid = st.st_uid;
    server.gid = entry ? entry->pw_gid : st.st_gid;
    server.root = c->opt.root;
    server.databases =
        apr_pstrmemdup(c->p, c->opt.database, slash ? (apr_size_t)(slash - c->opt.database) : 0);
    if (!*server.databases)
        server.databases = c->opt.database;
    if ((entry ? initgroups(entry->pw_name, server.gid) : setgroups(1, &server.gid)) != 0)
        return imu_error(c->p, 500, "rights", "can't take the rights of the owner of %s: %s",
                         c->opt.root, strerror(errno));
    server.on = 1;
    cli_as(NULL);
    return NULL;
}
