/* A backup as one file. Whatever is in it, what is taken out are plain files below the folder that
 * was named. */
#include "cli/backup.h"
#include "tests/unit/pool.h"

#include <ftw.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <unistd.h>

#define LARGEST (1 << 20) /* bytes of a file: sparse ones claim any size */

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static char base[] = "/tmp/imu-fuzz-tar-XXXXXX";

static void tidy(void)
{
    (void)rmdir(base);
}

static void set_up(void)
{
    const struct rlimit limit = {LARGEST, LARGEST};

    if (!mkdtemp(base) || atexit(tidy) != 0 || signal(SIGXFSZ, SIG_IGN) == SIG_ERR ||
        setrlimit(RLIMIT_FSIZE, &limit) != 0)
        abort();
}

static int look(const char *path, const struct stat *st, int kind, struct FTW *ftw)
{
    (void)path;
    (void)kind;
    if (!S_ISDIR(st->st_mode) && (!S_ISREG(st->st_mode) || st->st_nlink != 1))
        abort();
    /* Nothing beside the one folder. */
    if (ftw->level == 1 && strcmp(path + ftw->base, "in") != 0)
        abort();
    return 0;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static int ready;
    const char *folder;
    int fd = memfd_create("backup.tar", MFD_CLOEXEC);

    if (!ready)
        set_up();
    ready = 1;
    (void)pool_text(data, 0);
    folder = apr_pstrcat(pool, base, "/in", NULL);
    if (fd >= 0 && write(fd, data, size) == (ssize_t)size) {
        (void)cli_tar_read(pool, apr_psprintf(pool, "/proc/self/fd/%d", fd), folder);
        if (nftw(base, look, 16, FTW_PHYS) != 0)
            abort();
    }
    if (fd >= 0)
        close(fd);
    if (cli_remove_tree(pool, folder))
        abort();
    apr_pool_clear(pool);
    return 0;
}
