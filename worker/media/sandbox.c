/* See sandbox.h. */
#include "worker/media/sandbox.h"

#include <errno.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <seccomp.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#define MEMORY_LIMIT                                                                               \
    (3ul * 1024 * 1024 * 1024) /* a picture of the largest size, its resized copy, the file */
#define FILE_LIMIT (1ul * 1024 * 1024 * 1024)

static struct sock_fprog program;

/* Calls that take no path and make nothing but memory. */
static const int allowed[] = {
    SCMP_SYS(read),         SCMP_SYS(pread64),
    SCMP_SYS(write),        SCMP_SYS(brk),
    SCMP_SYS(munmap),       SCMP_SYS(mremap),
    SCMP_SYS(madvise),      SCMP_SYS(exit),
    SCMP_SYS(exit_group),   SCMP_SYS(clock_gettime),
    SCMP_SYS(futex),        SCMP_SYS(getpid),
    SCMP_SYS(gettimeofday), SCMP_SYS(rt_sigreturn),
    SCMP_SYS(getrandom),
#if defined(__SANITIZE_ADDRESS__)
    SCMP_SYS(sched_yield),  SCMP_SYS(gettid),
    SCMP_SYS(sigaltstack),  SCMP_SYS(rt_sigprocmask),
    SCMP_SYS(rt_sigaction),
#endif
};

static int add_rules(scmp_filter_ctx ctx)
{
    int rc = 0;
    for (size_t i = 0; rc == 0 && i < sizeof allowed / sizeof allowed[0]; i++)
        rc = seccomp_rule_add(ctx, SCMP_ACT_ALLOW, allowed[i], 0);
    /* Memory, but never memory that can be executed, and no mapping of files. */
    if (rc == 0)
        rc = seccomp_rule_add(ctx, SCMP_ACT_ALLOW, SCMP_SYS(mmap), 2,
                              SCMP_A2(SCMP_CMP_MASKED_EQ, PROT_EXEC, 0),
                              SCMP_A3(SCMP_CMP_MASKED_EQ, MAP_ANONYMOUS, MAP_ANONYMOUS));
    if (rc == 0)
        rc = seccomp_rule_add(ctx, SCMP_ACT_ALLOW, SCMP_SYS(mprotect), 1,
                              SCMP_A2(SCMP_CMP_MASKED_EQ, PROT_EXEC, 0));
    return rc;
}

/* libseccomp writes the compiled filter to a descriptor only: fetch it from a memfd. */
static int export_program(scmp_filter_ctx ctx)
{
    struct stat st;
    int fd = memfd_create("filter", MFD_CLOEXEC);
    if (fd < 0)
        return -1;
    int rc = seccomp_export_bpf(ctx, fd);
    if (rc == 0 && fstat(fd, &st) == 0 && st.st_size > 0) {
        struct sock_filter *code = malloc((size_t)st.st_size);
        if (code && pread(fd, code, (size_t)st.st_size, 0) == st.st_size) {
            program.filter = code;
            program.len = (unsigned short)((size_t)st.st_size / sizeof *code);
        } else {
            free(code);
        }
    }
    close(fd);
    if (!program.filter)
        errno = rc < 0 ? -rc : EIO;
    return program.filter ? 0 : -1;
}

int imu_sandbox_prepare(void)
{
    if (program.filter)
        return 0;
    scmp_filter_ctx ctx = seccomp_init(SCMP_ACT_KILL_PROCESS);
    if (!ctx) {
        errno = ENOMEM;
        return -1;
    }
    int rc = add_rules(ctx);
    if (rc == 0)
        rc = export_program(ctx);
    else
        errno = -rc;
    seccomp_release(ctx);
    return rc == 0 ? 0 : -1;
}

static int limit(int what, rlim_t value)
{
    struct rlimit r = {.rlim_cur = value, .rlim_max = value};
    return setrlimit(what, &r);
}

int imu_sandbox_enter(unsigned cpu_seconds)
{
    if (!program.filter) {
        errno = EINVAL;
        return -1;
    }
    if (limit(RLIMIT_CPU, cpu_seconds) || limit(RLIMIT_FSIZE, FILE_LIMIT) ||
        limit(RLIMIT_CORE, 0) || limit(RLIMIT_NPROC, 0))
        return -1;
#if !defined(__SANITIZE_ADDRESS__) /* whose shadow alone is larger */
    if (limit(RLIMIT_AS, MEMORY_LIMIT))
        return -1;
#endif
    if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) || prctl(PR_SET_DUMPABLE, 0, 0, 0, 0))
        return -1;
    return prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program, 0, 0);
}
