/*
 * dispatch.h: the inside of the dispatcher process, shared by its files. One thread; free of httpd
 * but for daemon.c, so that unit tests run it.
 *
 *   daemon.c     the process: fork, privileges, signals, respawn
 *   process.c    puts the parts together and runs them; housekeeping
 *   mailer.c     a thread that sends mails; smtp.c hands one to the mail server
 *   children.c   httpd children and the test hook on dispatch.sock
 *   workers.c    connections to workers; worker_frames.c checks what they say
 *   scheduler.c  which job runs where; runs.c its course and end; run_request.c what a worker is
 * given; hook.c the test hook hub.c        Socket.IO sessions and rooms
 */
#ifndef IMU_DISPATCH_H
#define IMU_DISPATCH_H

#include <sys/types.h>

#include "mod_invokemu/dispatch/conn.h"
#include "mod_invokemu/dispatch/smtp.h"
#include "mod_invokemu/store/db.h"

struct imu_hub;
struct imu_scheduler;
struct imu_children;

/** Settings, copied from the configuration before the fork. */
typedef struct imu_dispatch_conf {
    const char *root;       /**< folder of pictures */
    const char *database;   /**< SQLite file */
    const char *run_dir;    /**< sockets */
    const char *models_dir; /**< models with a relative path lie here; or NULL */
    int multiuser;
    int fifo;             /**< first come, first served, instead of turns between people */
    int queue_history;    /**< ended jobs kept for each person */
    int audit_days;       /**< days that entries of the audit log are kept */
    apr_int64_t min_free; /**< bytes of the disk that stay free: below, no job starts */
    int timeout_ms;       /**< smallest Timeout of the virtual hosts */
    int person_sockets;   /**< event sockets of one person */
    int test_hook;
    imu_mail_conf mail;
    int n_workers;
    const char **workers;           /**< socket paths */
    apr_global_mutex_t *write_lock; /**< or NULL */
} imu_dispatch_conf;

typedef struct imu_dispatch {
    const imu_dispatch_conf *conf;
    apr_pool_t *pool; /**< lives as long as the process */
    imu_loop *loop;
    imu_db *db;
    struct imu_hub *hub;
    struct imu_scheduler *scheduler;
    struct imu_children *children;
    imu_timer *housekeeping;
} imu_dispatch;

/**
 * Is the dispatcher: takes the lock of its run folder (waiting for an earlier dispatcher to end),
 * opens everything and runs until stop_fd becomes readable.
 * @return exit status of the process
 */
int imu_dispatch_run(const imu_dispatch_conf *conf, apr_pool_t *pool, int stop_fd);
/** Waits for the word to stop, at most wait_ms. @return 1 when it has come */
int imu_dispatch_wait(int stop_fd, int wait_ms);

#endif
