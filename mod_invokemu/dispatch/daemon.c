/*
 * daemon.c: the dispatcher as a process of httpd's: forked by the parent while it reads its
 * configuration, with the privileges of a child, started again when it dies, and gone with the
 * configuration's pool at each restart. mod_cgid keeps its daemon the same way.
 */
#include "mod_invokemu/dispatch/dispatcher.h"

#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <unistd.h>

#include <ap_listen.h>
#include <ap_mpm.h>
#include <http_config.h>
#include <http_log.h>
#include <mpm_common.h>

#include "mod_invokemu/config.h"
#include "mod_invokemu/config_mail.h"
#include "mod_invokemu/dispatch/dispatch.h"
#include "mod_invokemu/events/endpoint.h"

APLOG_USE_MODULE(invokemu);

/* Dying sooner than this after its start counts as a failed start. */
#define SHORT_LIFE    apr_time_from_sec(10)
#define LONGEST_PAUSE 30 /* seconds */

static struct keeper {
    apr_proc_t *proc; /* in pconf: looked at after this module has been unloaded */
    apr_pool_t *pconf;
    server_rec *server;
    apr_time_t started;
    int failures; /* short lives in a row */
} keeper;

static int stop_pipe[2];

/* ---- in the dispatcher ---- */

static void on_signal(int sig)
{
    int saved = errno;

    (void)sig;
    if (write(stop_pipe[1], "", 1) < 0) {
        /* the pipe is full of such bytes already */
    }
    errno = saved;
}

/* Restarts and stops of httpd reach us through SIGTERM from the parent alone. */
static int set_signals(void)
{
    static const int ignored[] = {SIGHUP, SIGINT, SIGPIPE, SIGUSR1, SIGWINCH};
    struct sigaction act = {.sa_handler = on_signal};
    sigset_t none;

    if (pipe2(stop_pipe, O_CLOEXEC | O_NONBLOCK) < 0 || sigaction(SIGTERM, &act, NULL) < 0)
        return -1;
    act.sa_handler = SIG_IGN;
    for (unsigned i = 0; i < sizeof ignored / sizeof ignored[0]; i++)
        if (sigaction(ignored[i], &act, NULL) < 0)
            return -1;
    act.sa_handler = SIG_DFL;
    sigemptyset(&none);
    return sigaction(SIGCHLD, &act, NULL) < 0 || sigprocmask(SIG_SETMASK, &none, NULL) < 0 ? -1 : 0;
}

static void log_line(int level, const char *line)
{
    ap_log_error(APLOG_MARK, level, 0, keeper.server, "%s", line);
}

static void fill_conf(imu_dispatch_conf *conf, const imu_instance *inst)
{
    *conf = (imu_dispatch_conf){.root = inst->root,
                                .database = inst->database,
                                .run_dir = inst->run_dir,
                                .models_dir = inst->models_dir,
                                .multiuser = inst->multiuser,
                                .fifo = inst->queue_mode == IMU_QUEUE_FIFO,
                                .queue_history = inst->queue_history,
                                .audit_days = inst->audit_days,
                                .min_free = inst->min_free,
                                .timeout_ms = imu_events_timeout_ms(keeper.server),
                                .person_sockets = inst->person_sockets,
                                .test_hook = inst->test_hook,
                                .mail = inst->mail,
                                .n_workers = inst->workers->nelts,
                                .workers = (const char **)inst->workers->elts,
                                .write_lock = inst->write_lock};
}

/* @return NULL without one; sign-in at the mail server then fails and says so */
static const char *mail_password(apr_pool_t *pool, const imu_instance *inst)
{
    const char *password = NULL, *why = NULL;

    if (inst->mail.on && inst->mail.user)
        why = imu_mail_password_read(pool, inst->mail_password_file, &password);
    if (why)
        ap_log_error(APLOG_MARK, APLOG_ERR, 0, keeper.server, "IMU0417: %s", why);
    return password;
}

/* Everything between fork and exit. @return exit status */
static int be_dispatcher(int pause_seconds, pid_t parent)
{
    imu_instance *inst = imu_instance_get();
    imu_dispatch_conf conf;
    const char *password;
    apr_pool_t *pool;
    apr_status_t rv;

    if (set_signals() < 0 || apr_pool_create(&pool, NULL) != APR_SUCCESS)
        return 1;
    apr_pool_tag(pool, "invokemu_dispatcher");
    ap_close_listeners();
    prctl(PR_SET_NAME, "imu-dispatcher");
    /* As long as we may read what only root can. The processes that answer requests never do. */
    password = mail_password(pool, inst);
    if (ap_run_drop_privileges(pool, keeper.server) != 0)
        return 1;
    /* After the change of user, which clears it. A parent that died before this call is told by
     * getppid. */
    if (prctl(PR_SET_PDEATHSIG, SIGTERM) < 0 || getppid() != parent)
        return 1;
    rv = apr_global_mutex_child_init(&inst->write_lock, apr_global_mutex_lockfile(inst->write_lock),
                                     pool);
    if (rv != APR_SUCCESS) {
        ap_log_error(APLOG_MARK, APLOG_CRIT, rv, keeper.server,
                     "IMU0409: the write lock can't be used in the dispatcher");
        return 1;
    }
    fill_conf(&conf, inst);
    conf.mail.password = password;
    imu_dlog_sink(log_line);
    if (pause_seconds > 0 && imu_dispatch_wait(stop_pipe[0], pause_seconds * 1000))
        return 0;
    return imu_dispatch_run(&conf, pool, stop_pipe[0]);
}

/* ---- in the parent ---- */

static int start(void);

static void pause_and_start(void)
{
    if (apr_time_now() - keeper.started < SHORT_LIFE)
        keeper.failures++;
    else
        keeper.failures = 0;
    if (start() != OK)
        ap_log_error(APLOG_MARK, APLOG_CRIT, errno, keeper.server,
                     "IMU0415: the dispatcher can't be started again");
}

static void on_child(int reason, void *data, apr_wait_t status)
{
    int state;

    switch (reason) {
    case APR_OC_REASON_DEATH:
    case APR_OC_REASON_LOST:
        apr_proc_other_child_unregister(data);
        if (ap_mpm_query(AP_MPMQ_MPM_STATE, &state) != APR_SUCCESS || state == AP_MPMQ_STOPPING)
            break;
        ap_log_error(APLOG_MARK, APLOG_ERR, 0, keeper.server,
                     "IMU0401: the dispatcher (pid %" APR_PID_T_FMT
                     ") has ended with status %d; starting another",
                     keeper.proc->pid, (int)status);
        pause_and_start();
        break;
    case APR_OC_REASON_RESTART:
        apr_proc_other_child_unregister(data);
        break;
    case APR_OC_REASON_UNREGISTER:
        /* The configuration's pool goes, and the process with it; the pool waits for its end. */
        kill(keeper.proc->pid, SIGTERM);
        break;
    default:
        break;
    }
}

static int start(void)
{
    int pause_seconds = keeper.failures == 0  ? 0
                        : keeper.failures > 5 ? LONGEST_PAUSE
                                              : 1 << (keeper.failures - 1);
    pid_t parent = getpid(), pid;
    sigset_t all, before;

    /* A signal between fork and set_signals would run the parent's handler in the new process. */
    sigfillset(&all);
    sigprocmask(SIG_SETMASK, &all, &before);
    pid = fork();
    if (pid == 0)
        _exit(be_dispatcher(pause_seconds, parent));
    sigprocmask(SIG_SETMASK, &before, NULL);
    if (pid < 0)
        return HTTP_INTERNAL_SERVER_ERROR;
    keeper.proc->pid = pid;
    keeper.started = apr_time_now();
    apr_proc_other_child_register(keeper.proc, on_child, keeper.proc, NULL, keeper.pconf);
    return OK;
}

int imu_dispatcher_start(apr_pool_t *pconf, server_rec *main_server)
{
    keeper = (struct keeper){
        .proc = apr_pcalloc(pconf, sizeof(apr_proc_t)), .pconf = pconf, .server = main_server};
    if (start() != OK) {
        ap_log_error(APLOG_MARK, APLOG_EMERG, errno, main_server,
                     "IMU0416: the dispatcher can't be started");
        return HTTP_INTERNAL_SERVER_ERROR;
    }
    /* Once for all: the pool looks at the pid of the one that is alive at its end. */
    apr_pool_note_subprocess(pconf, keeper.proc, APR_KILL_AFTER_TIMEOUT);
    return OK;
}
