/* See confine.h. */
#include "worker/confine.h"

#include <errno.h>
#include <fcntl.h>
#include <libgen.h>
#include <limits.h>
#include <linux/landlock.h>
#include <seccomp.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#ifndef LANDLOCK_ACCESS_FS_TRUNCATE /* since version 3 of the interface, younger than Debian 12's  \
                                       headers */
#define LANDLOCK_ACCESS_FS_TRUNCATE (1ull << 14)
#endif

#define READS (LANDLOCK_ACCESS_FS_READ_FILE | LANDLOCK_ACCESS_FS_READ_DIR)
#define RUNS  (READS | LANDLOCK_ACCESS_FS_EXECUTE)
#define USES  (READS | LANDLOCK_ACCESS_FS_WRITE_FILE)
#define FILES                                                                                      \
    (LANDLOCK_ACCESS_FS_READ_FILE | LANDLOCK_ACCESS_FS_EXECUTE | LANDLOCK_ACCESS_FS_WRITE_FILE)
#define FIRST_VERSION (2 * LANDLOCK_ACCESS_FS_MAKE_SYM - 1) /* all rights up to that one */

/* Libraries, and what the C library and OpenMP ask about the machine. */
static const struct place {
    const char *path;
    __u64 rights;
} places[] = {
    {"/usr", RUNS},  {"/lib", RUNS},      {"/lib64", RUNS},
    {"/opt", RUNS},  {"/etc", READS},     {"/proc", READS},
    {"/sys", READS}, {"/dev/null", USES}, {"/dev/urandom", READS},
};

/* Lets `rights` to what lies at `path`; a path that isn't there needs none. */
static int allow(int rules, const char *path, __u64 rights)
{
    struct stat st;
    struct landlock_path_beneath_attr rule = {.allowed_access = rights};
    rule.parent_fd = open(path, O_PATH | O_CLOEXEC);
    if (rule.parent_fd < 0)
        return errno == ENOENT ? 0 : -1;
    int rc = fstat(rule.parent_fd, &st);
    if (rc == 0 && !S_ISDIR(st.st_mode))
        rule.allowed_access &= FILES;
    if (rc == 0)
        rc = (int)syscall(SYS_landlock_add_rule, rules, LANDLOCK_RULE_PATH_BENEATH, &rule, 0);
    close(rule.parent_fd);
    return rc;
}

/* The folder that a file lies in, "." for one without. */
static int allow_beside(int rules, const char *file, __u64 rights)
{
    char copy[PATH_MAX];
    if (snprintf(copy, sizeof copy, "%s", file) >= (int)sizeof copy) {
        errno = ENAMETOOLONG;
        return -1;
    }
    return allow(rules, dirname(copy), rights);
}

static int add_places(int rules, const imu_options *o)
{
    char self[PATH_MAX] = "";
    ssize_t n = readlink("/proc/self/exe", self, sizeof self - 1);
    int rc = 0;
    for (size_t i = 0; rc == 0 && i < sizeof places / sizeof places[0]; i++)
        rc = allow(rules, places[i].path, places[i].rights);
    /* The driver of a GPU keeps its memory in its devices and beside them. */
    if (rc == 0 && access("/dev/nvidiactl", F_OK) == 0)
        rc = allow(rules, "/dev", USES);
    if (rc == 0 && n > 0)
        rc = allow_beside(rules, self, RUNS); /* the plugin that a GPU is used by */
    if (rc == 0)
        rc = allow(rules, o->models ? o->models : "/", READS);
    if (rc == 0 && o->tokenizers)
        rc = allow(rules, o->tokenizers, READS);
    return rc ? rc : allow_beside(rules, o->socket, LANDLOCK_ACCESS_FS_REMOVE_FILE);
}

/* @return 1 when the kernel has no Landlock, 0 when it is on, -1 with errno */
static int confine_files(const imu_options *o)
{
    long version = syscall(SYS_landlock_create_ruleset, NULL, 0, LANDLOCK_CREATE_RULESET_VERSION);
    struct landlock_ruleset_attr attr = {.handled_access_fs = FIRST_VERSION};
    if (version < 1)
        return 1;
    if (version >= 2)
        attr.handled_access_fs |= LANDLOCK_ACCESS_FS_REFER;
    if (version >= 3)
        attr.handled_access_fs |= LANDLOCK_ACCESS_FS_TRUNCATE;
    int rules = (int)syscall(SYS_landlock_create_ruleset, &attr, sizeof attr, 0);
    if (rules < 0)
        return -1;
    int rc = add_places(rules, o);
    if (rc == 0)
        rc = (int)syscall(SYS_landlock_restrict_self, rules, 0);
    close(rules);
    return rc;
}

/* Nothing of this has a part in rendering. With the sanitizers, a report starts a program and looks
 * into the process. */
static const int refused[] = {
#if !defined(__SANITIZE_ADDRESS__)
    SCMP_SYS(execve),
    SCMP_SYS(execveat),
    SCMP_SYS(ptrace),
#endif
    SCMP_SYS(process_vm_readv),
    SCMP_SYS(process_vm_writev),
    SCMP_SYS(pidfd_getfd),
    SCMP_SYS(mount),
    SCMP_SYS(umount2),
    SCMP_SYS(pivot_root),
    SCMP_SYS(chroot),
    SCMP_SYS(unshare),
    SCMP_SYS(setns),
    SCMP_SYS(open_tree),
    SCMP_SYS(move_mount),
    SCMP_SYS(fsopen),
    SCMP_SYS(fsmount),
    SCMP_SYS(open_by_handle_at),
    SCMP_SYS(name_to_handle_at),
    SCMP_SYS(bpf),
    SCMP_SYS(perf_event_open),
    SCMP_SYS(userfaultfd),
    SCMP_SYS(io_uring_setup),
    SCMP_SYS(io_uring_enter),
    SCMP_SYS(io_uring_register),
    SCMP_SYS(keyctl),
    SCMP_SYS(add_key),
    SCMP_SYS(request_key),
    SCMP_SYS(init_module),
    SCMP_SYS(finit_module),
    SCMP_SYS(delete_module),
    SCMP_SYS(kexec_load),
    SCMP_SYS(kexec_file_load),
    SCMP_SYS(reboot),
    SCMP_SYS(swapon),
    SCMP_SYS(swapoff),
    SCMP_SYS(acct),
    SCMP_SYS(settimeofday),
    SCMP_SYS(clock_settime),
    SCMP_SYS(adjtimex),
    SCMP_SYS(clock_adjtime),
    SCMP_SYS(sethostname),
    SCMP_SYS(setdomainname),
    SCMP_SYS(chmod),
    SCMP_SYS(fchmodat),
    SCMP_SYS(chown),
    SCMP_SYS(lchown),
    SCMP_SYS(fchownat),
    SCMP_SYS(setuid),
    SCMP_SYS(setgid),
    SCMP_SYS(setreuid),
    SCMP_SYS(setregid),
    SCMP_SYS(setresuid),
    SCMP_SYS(setresgid),
    SCMP_SYS(setgroups),
};

/* @return 0, or a negative errno value, as libseccomp has it */
static int confine_calls(void)
{
    scmp_filter_ctx filter = seccomp_init(SCMP_ACT_ALLOW);
    if (!filter)
        return -ENOMEM;
    int rc = 0;
    for (size_t i = 0; rc == 0 && i < sizeof refused / sizeof refused[0]; i++)
        rc = seccomp_rule_add(filter, SCMP_ACT_ERRNO(EPERM), refused[i], 0);
    /* Drivers talk among themselves by local sockets. */
    if (rc == 0)
        rc = seccomp_rule_add(filter, SCMP_ACT_ERRNO(EPERM), SCMP_SYS(socket), 1,
                              SCMP_A0(SCMP_CMP_NE, AF_UNIX));
    if (rc == 0)
        rc = seccomp_load(filter);
    seccomp_release(filter);
    return rc;
}

int imu_confine(const imu_options *o)
{
    if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0)) {
        fprintf(stderr, "invokemu-worker: prctl: %s\n", strerror(errno));
        return -1;
    }
    int rc = confine_files(o);
    if (rc < 0) {
        fprintf(stderr, "invokemu-worker: Landlock: %s\n", strerror(errno));
        return -1;
    }
    if (rc > 0)
        fprintf(
            stderr,
            "This kernel has no Landlock: what the worker reads is limited by its user alone.\n");
    rc = confine_calls();
    if (rc < 0)
        fprintf(stderr, "invokemu-worker: seccomp: %s\n", strerror(-rc));
    return rc < 0 ? -1 : 0;
}
