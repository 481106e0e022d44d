/*
 * end-at-rename.c: preloaded into a program, ends it at its n-th attempt to rename something
 * without replacing what is there, as a power cut would. IMU_END_AT says which; "f" behind it: that
 * one and no other fails instead.
 */
#include <dlfcn.h>
#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <unistd.h>

typedef int rename_fn(int, const char *, int, const char *, unsigned);

int renameat2(int from_folder, const char *from, int to_folder, const char *to, unsigned flags)
{
    static int n;
    const char *when = getenv("IMU_END_AT");
    char *rest = NULL;

    if (when && ++n == strtol(when, &rest, 10)) {
        if (*rest != 'f')
            kill(getpid(), SIGKILL);
        errno = EBUSY;
        return -1;
    }
    return ((rename_fn *)dlsym(RTLD_NEXT, "renameat2"))(from_folder, from, to_folder, to, flags);
}
