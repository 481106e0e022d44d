/*
 * early-end.c: preloaded into httpd, tells the first child of its MPM to end while that makes an
 * allocator, as if in the middle of malloc. What the handler of a signal did then would break
 * the heap: it aborts.
 */
#include <apr_allocator.h>
#include <dlfcn.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

typedef apr_status_t create_fn(apr_allocator_t **);
typedef void exit_fn(int);

static atomic_int *children; /* of the MPM; shared by all processes */
static pid_t server;
static volatile sig_atomic_t is_busy;

__attribute__((constructor)) static void begin(void)
{
    void *shared =
        mmap(NULL, sizeof *children, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);

    server = getpid();
    children = shared == MAP_FAILED ? NULL : shared;
}

static int is_of_mpm(void *caller)
{
    Dl_info info;

    return dladdr(caller, &info) != 0 && strstr(info.dli_fname, "mod_mpm_") != NULL;
}

apr_status_t apr_allocator_create(apr_allocator_t **allocator)
{
    if (children && getpid() != server && is_of_mpm(__builtin_return_address(0)) &&
        atomic_fetch_add(children, 1) == 0) {
        is_busy = 1;
        raise(SIGTERM);
        is_busy = 0;
    }
    return ((create_fn *)dlsym(RTLD_NEXT, "apr_allocator_create"))(allocator);
}

void exit(int status)
{
    if (is_busy)
        abort();
    ((exit_fn *)dlsym(RTLD_NEXT, "exit"))(status);
    __builtin_unreachable();
}
