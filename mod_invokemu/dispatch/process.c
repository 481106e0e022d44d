/*
 * process.c: the dispatcher from start to end, and what it does beside the queue: forgetting old
 * jobs and sign-ins, files, and downloads that nobody fetched.
 */
#include <errno.h>
#include <fcntl.h>
#include <malloc.h>
#include <poll.h>
#include <pthread.h>
#include <string.h>
#include <sys/file.h>
#include <unistd.h>

#include <apr_strings.h>

#include "mod_invokemu/auth/core_session.h"
#include "mod_invokemu/dispatch/children.h"
#include "mod_invokemu/dispatch/dispatch.h"
#include "mod_invokemu/dispatch/hub.h"
#include "mod_invokemu/dispatch/mailer.h"
#include "mod_invokemu/dispatch/scheduler.h"
#include "mod_invokemu/store/archives.h"
#include "mod_invokemu/store/audit.h"
#include "mod_invokemu/store/disk.h"
#include "mod_invokemu/store/picture_files.h"
#include "mod_invokemu/store/queue_run.h"
#include "mod_invokemu/util/ids.h"

#define LOCK_RETRY_MS    50
#define LOCK_PATIENCE_MS 10000
#define FIRST_KEEPING_MS 2000
#define KEEPING_MS       60000

int imu_dispatch_wait(int stop_fd, int wait_ms)
{
    struct pollfd pfd = {.fd = stop_fd, .events = POLLIN};

    return poll(&pfd, 1, wait_ms) > 0;
}

/*
 * One dispatcher for each run folder: an earlier one may still be ending, and one started by
 * mistake waits here for ever.
 * @return the lock's descriptor, or -1 when told to stop or when it can't be had
 */
static int take_lock(const imu_dispatch_conf *conf, apr_pool_t *p, int stop_fd)
{
    const char *path = apr_pstrcat(p, conf->run_dir, "/dispatch.lock", NULL);
    int fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
    int waited = 0;

    if (fd < 0) {
        imu_dlog(IMU_LOG_ERR, "IMU0402: the dispatcher can't open %s: %s", path, strerror(errno));
        return -1;
    }
    while (flock(fd, LOCK_EX | LOCK_NB) < 0) {
        if (imu_dispatch_wait(stop_fd, LOCK_RETRY_MS)) {
            close(fd);
            return -1;
        }
        waited += LOCK_RETRY_MS;
        if (waited == LOCK_PATIENCE_MS)
            imu_dlog(IMU_LOG_WARNING, "IMU0403: another dispatcher holds %s; this one waits", path);
    }
    return fd;
}

/*
 * The name under which this run folder's dispatcher claims jobs. It outlives the process, so that
 * the next one finds its own jobs without waiting for their lease to end; the lock sees to it that
 * only one uses it at a time.
 */
static const char *dispatcher_id(apr_pool_t *p, int lock_fd)
{
    char text[37] = "";
    const char *fresh;

    if (pread(lock_fd, text, 36, 0) == 36 && imu_is_uuid(text))
        return apr_pstrdup(p, text);
    fresh = imu_uuid4(p);
    if (ftruncate(lock_fd, 0) < 0 || pwrite(lock_fd, fresh, 36, 0) != 36)
        imu_dlog(IMU_LOG_WARNING, "IMU0404: the dispatcher's name can't be kept: %s",
                 strerror(errno));
    return fresh;
}

static void complain(const imu_err *err, const char *what)
{
    if (err)
        imu_dlog(IMU_LOG_ERR, "IMU0450: %s: %s", what, err->log ? err->log : err->detail);
}

static void keep_house(imu_dispatch *d, apr_pool_t *p)
{
    int gone = 0, left = 0, sessions = 0, entries = 0;

    complain(imu_run_prune_history(d->db, p, d->conf->queue_history, &gone),
             "old jobs can't be removed");
    complain(imu_session_purge(d->db, p, &sessions), "old sign-ins can't be removed");
    complain(imu_audit_purge(d->db, p, d->conf->audit_days, &entries),
             "old entries of the audit log can't be removed");
    complain(imu_pictures_purge(d->db, p, d->conf->root, &left),
             "files of deleted pictures can't be removed");
    complain(imu_archives_purge(d->db, p, d->conf->root), "old downloads can't be removed");
    if (gone || sessions)
        imu_dlog(IMU_LOG_DEBUG, "IMU0451: removed %d old jobs and %d old sign-ins", gone, sessions);
    imu_disk_reserve(p, d->conf->database);
    imu_timer_set(d->housekeeping,
                  gone >= 500 || entries >= 500 || left ? FIRST_KEEPING_MS : KEEPING_MS);
}

static void on_housekeeping(void *baton)
{
    imu_dispatch *d = baton;
    apr_pool_t *p;

    apr_pool_create(&p, d->pool);
    d->db->pool = p;
    keep_house(d, p);
    d->db->pool = d->pool;
    apr_pool_destroy(p);
}

/*
 * Mends what a power cut left between the pictures and their rows. A large gallery takes a while to
 * look through, so this has a thread and a connection of its own; the end of the process may come
 * in the middle of it.
 */
static void *sweep(void *baton)
{
    const imu_dispatch_conf *conf = baton;
    imu_sweep found;
    apr_pool_t *p;
    imu_db *db = NULL;
    imu_err *err;

    if (apr_pool_create(&p, NULL) != APR_SUCCESS)
        return NULL;
    err = imu_db_open(p, conf->database, conf->write_lock, &db);
    if (!err)
        err = imu_pictures_sweep(db, p, conf->root, &found);
    complain(err, "the pictures can't be looked through");
    if (!err && (found.temporary || found.deleted || found.orphans || found.previews))
        imu_dlog(
            IMU_LOG_INFO,
            "IMU0452: removed %d unfinished files, %d deleted pictures and %d previews of what "
            "is gone, put %d files without a row aside",
            found.temporary, found.deleted, found.previews, found.orphans);
    if (!err && found.missing)
        imu_dlog(IMU_LOG_WARNING, "IMU0453: the files of %d pictures are missing, such as %s",
                 found.missing, found.first_missing);
    apr_pool_destroy(p);
    return NULL;
}

static void start_sweep(const imu_dispatch_conf *conf)
{
    pthread_t thread;
    int rc = pthread_create(&thread, NULL, sweep, (void *)conf);

    if (rc == 0)
        rc = pthread_detach(thread);
    if (rc != 0)
        imu_dlog(IMU_LOG_WARNING, "IMU0454: the pictures are not looked through: %s", strerror(rc));
}

static void on_stop(void *baton, unsigned events)
{
    (void)events;
    imu_loop_stop(baton);
}

static void close_all(imu_dispatch *d)
{
    imu_children_free(d->children);
    imu_scheduler_free(d->scheduler);
    imu_hub_free(d->hub);
    imu_timer_remove(d->housekeeping);
}

/* Back to the system, which others may need it from. */
static void give_memory_back(void)
{
    malloc_trim(0);
}

static int open_all(imu_dispatch *d, const char *id)
{
    imu_hub_config hub = {.loop = d->loop,
                          .db = d->db,
                          .pool = d->pool,
                          .multiuser = d->conf->multiuser,
                          .timeout_ms = d->conf->timeout_ms,
                          .max_of_person = d->conf->person_sockets,
                          .trim = give_memory_back};
    const char *path = apr_pstrcat(d->pool, d->conf->run_dir, "/" IMU_DISPATCH_SOCKET, NULL);

    if (!(d->hub = imu_hub_new(&hub)) || !(d->scheduler = imu_scheduler_new(d, id)) ||
        !(d->housekeeping = imu_timer_add(d->loop, FIRST_KEEPING_MS, on_housekeeping, d))) {
        imu_dlog(IMU_LOG_ERR, "IMU0405: the dispatcher has no memory");
        return -1;
    }
    if (!(d->children = imu_children_new(d, path))) {
        imu_dlog(IMU_LOG_ERR, "IMU0406: the dispatcher can't listen on %s: %s", path,
                 strerror(errno));
        return -1;
    }
    return 0;
}

static int run_loop(imu_dispatch *d, const char *id, int stop_fd)
{
    imu_watch *stop = imu_watch_add(d->loop, stop_fd, IMU_LOOP_READ, on_stop, d->loop);
    int rc = stop ? open_all(d, id) : -1;

    if (rc == 0) {
        imu_dlog(IMU_LOG_INFO, "IMU0400: the dispatcher is ready");
        rc = imu_loop_run(d->loop);
        if (rc < 0)
            imu_dlog(IMU_LOG_ERR, "IMU0407: the dispatcher can't wait for events: %s",
                     strerror(errno));
        imu_scheduler_leave(d->scheduler);
    }
    close_all(d);
    imu_watch_remove(stop);
    return rc;
}

int imu_dispatch_run(const imu_dispatch_conf *conf, apr_pool_t *pool, int stop_fd)
{
    imu_dispatch d = {.conf = conf, .pool = pool};
    int lock_fd = take_lock(conf, pool, stop_fd), rc = -1;
    imu_mailer *mailer;
    imu_err *err;

    if (lock_fd < 0)
        return imu_dispatch_wait(stop_fd, 0) ? 0 : 1;
    if ((err = imu_db_open(pool, conf->database, conf->write_lock, &d.db))) {
        complain(err, "the dispatcher has no database");
    } else if (!(d.loop = imu_loop_new())) {
        imu_dlog(IMU_LOG_ERR, "IMU0408: the dispatcher has no event loop: %s", strerror(errno));
    } else {
        start_sweep(conf);
        mailer = imu_mailer_start(conf, stop_fd);
        rc = run_loop(&d, dispatcher_id(pool, lock_fd), stop_fd);
        imu_mailer_stop(mailer);
        imu_loop_free(d.loop);
    }
    if (d.db)
        imu_db_close(d.db);
    close(lock_fd);
    return rc == 0 ? 0 : 1;
}
