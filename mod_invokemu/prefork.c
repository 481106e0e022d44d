/*
 * prefork.c: the prefork MPM ends a child within the handler of SIGTERM or SIGHUP: it destroys the
 * child's pools there and then, whatever the child was doing. In the middle of malloc that breaks
 * the heap (seen while a child looked up its groups, and between two requests), in the middle of a
 * request it aborts in apr_reslist, because mod_dbd's connection is in use, and takes the event
 * thread's connections away under its hands. So a child does not hear these signals while hooks
 * prepare it, and afterwards it ends at once, as if killed: nothing that we keep minds.
 */
#include "mod_invokemu/prefork.h"

#include <ap_mpm.h>
#include <http_config.h>
#include <http_core.h>
#include <mpm_common.h>
#include <signal.h>
#include <unistd.h>

static const int endings[] = {SIGTERM, SIGHUP};
#define ENDINGS (sizeof endings / sizeof endings[0])

static sigset_t held;

/* One process in the foreground (httpd -X) is left alone: its end is that of the whole server. */
static int is_prefork_child(void)
{
    int threaded = 1;

    return ap_mpm_query(AP_MPMQ_IS_THREADED, &threaded) == APR_SUCCESS &&
           threaded == AP_MPMQ_NOT_SUPPORTED && !ap_exists_config_define("ONE_PROCESS");
}

static void end_child(int sig)
{
    (void)sig;
    _exit(0);
}

static void take_over_signals(void)
{
    struct sigaction action;

    for (size_t i = 0; i < ENDINGS; i++) {
        if (sigaction(endings[i], NULL, &action) != 0 || action.sa_flags & SA_SIGINFO ||
            action.sa_handler == SIG_DFL || action.sa_handler == SIG_IGN)
            continue;
        action.sa_handler = end_child;
        sigaction(endings[i], &action, NULL);
    }
}

static void hold_signals(void)
{
    sigemptyset(&held);
    for (size_t i = 0; i < ENDINGS && is_prefork_child(); i++)
        sigaddset(&held, endings[i]);
    pthread_sigmask(SIG_BLOCK, &held, NULL);
}

static void hear_signals(void)
{
    pthread_sigmask(SIG_UNBLOCK, &held, NULL);
}

/* Other processes than children drop their privileges too, so that nothing may stay held. */
static int privileges_begin(apr_pool_t *p, server_rec *s)
{
    (void)p;
    (void)s;
    hold_signals();
    return OK;
}

static int privileges_end(apr_pool_t *p, server_rec *s)
{
    (void)p;
    (void)s;
    hear_signals();
    return OK;
}

static void child_begin(apr_pool_t *pchild, server_rec *s)
{
    (void)pchild;
    (void)s;
    hold_signals();
}

static void child_ready(apr_pool_t *pchild, server_rec *s)
{
    (void)pchild;
    (void)s;
    if (is_prefork_child())
        take_over_signals();
    hear_signals();
}

void imu_prefork_register_hooks(void)
{
    ap_hook_drop_privileges(privileges_begin, NULL, NULL, APR_HOOK_REALLY_FIRST);
    ap_hook_drop_privileges(privileges_end, NULL, NULL, APR_HOOK_REALLY_LAST);
    ap_hook_child_init(child_begin, NULL, NULL, APR_HOOK_REALLY_FIRST);
    ap_hook_child_init(child_ready, NULL, NULL, APR_HOOK_REALLY_LAST);
}
