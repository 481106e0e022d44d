/*
 * prefork.c: the prefork MPM ends a child within the handler of SIGTERM or SIGHUP: it destroys the
 * child's pools there and then, whatever the child was doing. In the middle of malloc that breaks
 * the heap (seen while a child looked up its groups, and between two requests), in the middle of a
 * request it aborts in apr_reslist, because mod_dbd's connection is in use, and takes the event
 * thread's connections away under its hands. So a child does not hear these signals from the moment
 * it is there until hooks have prepared it, and afterwards it ends at once, as if killed: nothing
 * that we keep minds.
 */
#include "mod_invokemu/prefork.h"

#include <ap_mpm.h>
#include <http_config.h>
#include <http_core.h>
#include <http_main.h>
#include <mpm_common.h>
#include <pthread.h>
#include <signal.h>
#include <unistd.h>

static const int endings[] = {SIGTERM, SIGHUP};
#define ENDINGS (sizeof endings / sizeof endings[0])

static sigset_t held;
static pid_t server_process; /* while it makes children; 0 before, and where there is no need */

/* One process in the foreground (httpd -X) is left alone: its end is that of the whole server. */
static int is_prefork(void)
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
    for (size_t i = 0; i < ENDINGS; i++)
        sigaddset(&held, endings[i]);
    pthread_sigmask(SIG_BLOCK, &held, NULL);
}

static void hear_signals(void)
{
    pthread_sigmask(SIG_UNBLOCK, &held, NULL);
}

/* Runs within fork: the next that the MPM does is to set its handlers, and then to make pools. */
static void process_begin(void)
{
    if (server_process && getppid() == server_process)
        hold_signals();
}

/* What fork made is no child but will be another program, which would inherit what is held. */
static apr_status_t process_is_program(void *unused)
{
    (void)unused;
    hear_signals();
    return APR_SUCCESS;
}

static apr_status_t configuration_is_over(void *unused)
{
    (void)unused;
    server_process = 0;
    return APR_SUCCESS;
}

static int children_begin(apr_pool_t *process_pool, ap_scoreboard_e kind)
{
    static int listens;

    (void)process_pool;
    (void)kind;
    if (!is_prefork())
        return OK;
    /* It is forgotten when the module is unloaded. */
    if (!listens && pthread_atfork(NULL, NULL, process_begin) != 0)
        return HTTP_INTERNAL_SERVER_ERROR;
    listens = 1;
    server_process = getpid();
    apr_pool_cleanup_register(ap_server_conf->process->pconf, NULL, configuration_is_over,
                              process_is_program);
    return OK;
}

/* Other processes than children drop their privileges too, so that nothing may stay held. */
static int privileges_begin(apr_pool_t *p, server_rec *s)
{
    (void)p;
    (void)s;
    if (is_prefork())
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
    if (is_prefork())
        hold_signals();
}

static void child_ready(apr_pool_t *pchild, server_rec *s)
{
    (void)pchild;
    (void)s;
    if (is_prefork())
        take_over_signals();
    hear_signals();
}

void imu_prefork_register_hooks(void)
{
    ap_hook_pre_mpm(children_begin, NULL, NULL, APR_HOOK_MIDDLE);
    ap_hook_drop_privileges(privileges_begin, NULL, NULL, APR_HOOK_REALLY_FIRST);
    ap_hook_drop_privileges(privileges_end, NULL, NULL, APR_HOOK_REALLY_LAST);
    ap_hook_child_init(child_begin, NULL, NULL, APR_HOOK_REALLY_FIRST);
    ap_hook_child_init(child_ready, NULL, NULL, APR_HOOK_REALLY_LAST);
}
