/* What a confined worker can and can't do, each seen from inside, in a process of its own. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>

#include "worker/confine.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/landlock.h>
#include <pthread.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ptrace.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

static char folder[] = "/tmp/imu-confine-XXXXXX";
static char models[64], run[64], socket_file[96], model[96], picture[64], outward[96];
static bool landlock;

static void write_file(const char *path)
{
    FILE *f = fopen(path, "w");
    assert_non_null(f);
    assert_int_equal(fputs("x", f) < 0, 0);
    assert_int_equal(fclose(f), 0);
}

static int set_up(void **state)
{
    (void)state;
    assert_non_null(mkdtemp(folder));
    snprintf(models, sizeof models, "%s/models", folder);
    snprintf(model, sizeof model, "%s/unet.safetensors", models);
    snprintf(outward, sizeof outward, "%s/outward", models);
    snprintf(run, sizeof run, "%s/run", folder);
    snprintf(socket_file, sizeof socket_file, "%s/worker.sock", run);
    snprintf(picture, sizeof picture, "%s/picture.png", folder);
    assert_int_equal(mkdir(models, 0700), 0);
    assert_int_equal(mkdir(run, 0700), 0);
    write_file(model);
    write_file(socket_file);
    write_file(picture);
    assert_int_equal(symlink(picture, outward), 0);
    landlock = syscall(SYS_landlock_create_ruleset, NULL, 0, LANDLOCK_CREATE_RULESET_VERSION) > 0;
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    unlink(outward);
    unlink(model);
    unlink(picture);
    unlink(socket_file);
    rmdir(models);
    rmdir(run);
    return rmdir(folder);
}

/* Runs act in a confined process. @return what it returned, 0..100 */
static int confined(const char *where, int (*act)(void))
{
    const imu_options o = {.socket = socket_file, .models = where};
    int status;
    pid_t pid = fork();
    assert_true(pid >= 0);
    if (pid == 0)
        _exit(imu_confine(&o) ? 101 : act());
    assert_int_equal(waitpid(pid, &status, 0), pid);
    assert_true(WIFEXITED(status));
    return WEXITSTATUS(status);
}

/* 0 when the file could be opened, else errno. */
static int opened(const char *path, int flags)
{
    int fd = open(path, flags | O_CLOEXEC, 0600);
    int rc = fd < 0 ? errno : 0;
    if (fd >= 0)
        close(fd);
    return rc;
}

static int read_model(void)
{
    return opened(model, O_RDONLY);
}
static int read_picture(void)
{
    return opened(picture, O_RDONLY);
}
static int read_outward(void)
{
    return opened(outward, O_RDONLY);
}
static int write_model(void)
{
    return opened(model, O_WRONLY);
}
static int shorten_picture(void)
{
    return truncate(picture, 0) ? errno : 0;
}
static int make_file(void)
{
    char path[128];
    snprintf(path, sizeof path, "%s/new", models);
    return opened(path, O_WRONLY | O_CREAT);
}
static int remove_model(void)
{
    return unlink(model) ? errno : 0;
}
static int remove_socket(void)
{
    return unlink(socket_file) ? errno : 0;
}

static void *look(void *out)
{
    *(int *)out = read_picture();
    return NULL;
}
static int read_in_thread(void)
{
    pthread_t thread;
    int rc = 0;
    if (pthread_create(&thread, NULL, look, &rc) || pthread_join(thread, NULL))
        return 100;
    return rc;
}

static int network(void)
{
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    return fd < 0 ? errno : 0;
}
static int netlink(void)
{
    int fd = socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, 0);
    return fd < 0 ? errno : 0;
}
static int local(void)
{
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    return fd < 0 ? errno : 0;
}
static int make_namespace(void)
{
    return unshare(CLONE_NEWUSER) ? errno : 0;
}
#if !defined(__SANITIZE_ADDRESS__)
static int run_program(void)
{
    char *argv[] = {(char *)"true", NULL};
    execv("/bin/true", argv);
    return errno;
}
static int trace(void)
{
    return ptrace(PTRACE_TRACEME, 0, NULL, NULL) ? errno : 0;
}
#endif

static void reads_models_and_nothing_else(void **state)
{
    (void)state;
    assert_int_equal(confined(models, read_model), 0);
    if (!landlock)
        skip();
    assert_int_equal(confined(models, read_picture), EACCES);
    assert_int_equal(confined(models, read_outward), EACCES);
    assert_int_equal(confined(models, read_in_thread), EACCES);
    assert_int_equal(confined(NULL, read_picture), 0);
}

static void writes_nothing(void **state)
{
    (void)state;
    if (!landlock)
        skip();
    assert_int_equal(confined(models, write_model), EACCES);
    assert_int_equal(confined(models, make_file), EACCES);
    assert_int_equal(confined(models, remove_model), EACCES);
    assert_int_equal(confined(models, shorten_picture), EACCES);
    assert_int_equal(confined(NULL, write_model), EACCES);
    assert_int_equal(confined(models, remove_socket), 0);
}

static void calls_nothing_that_rendering_does_not_need(void **state)
{
    (void)state;
    assert_int_equal(confined(models, network), EPERM);
    assert_int_equal(confined(models, netlink), EPERM);
    assert_int_equal(confined(models, local), 0);
    assert_int_equal(confined(models, make_namespace), EPERM);
#if !defined(__SANITIZE_ADDRESS__)
    assert_int_equal(confined(models, run_program), EPERM);
    assert_int_equal(confined(models, trace), EPERM);
#endif
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(reads_models_and_nothing_else),
        cmocka_unit_test(writes_nothing),
        cmocka_unit_test(calls_nothing_that_rendering_does_not_need),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
