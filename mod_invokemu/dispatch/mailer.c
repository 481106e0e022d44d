/*
 * mailer.c: takes the mail that has been due for longest, makes its text and sends it; again after
 * a pause when that failed, until it is given up.
 */
#include "mod_invokemu/dispatch/mailer.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

#include <apr_strings.h>

#include "mod_invokemu/mail/message.h"
#include "mod_invokemu/mail/template.h"
#include "mod_invokemu/store/mail.h"
#include "mod_invokemu/util/clock.h"
#include "mod_invokemu/util/ids.h"

#define KEEP_ENDED  apr_time_from_sec(30 * 24 * 3600)
#define PURGE_EVERY apr_time_from_sec(3600)

/* How often is looked, how long a mail may take, the first pause after a failure, the longest, and
 * how long it is tried; in milliseconds. */
typedef struct pace {
    int look, send, pause, pause_max, give_up;
} pace;
static const pace usual = {2000, 45000, 60 * 1000, 2 * 3600 * 1000, 24 * 3600 * 1000};
static const pace tests = {50, 4000, 200, 1600, 60 * 1000};

struct imu_mailer {
    const imu_dispatch_conf *conf;
    int stop_fd;
    pthread_t thread;
    atomic_int over;
    apr_pool_t *pool;
    imu_db *db;
    apr_time_t purged;
};

static const pace *pace_of(const imu_mailer *m)
{
    return m->conf->test_hook ? &tests : &usual;
}

static void complain(const imu_err *err, const char *what)
{
    if (err)
        imu_dlog(IMU_LOG_ERR, "IMU0460: %s: %s", what, err->log ? err->log : err->detail);
}

static int stopped(void *baton)
{
    imu_mailer *m = baton;

    return atomic_load(&m->over) || imu_dispatch_wait(m->stop_fd, 0);
}

/* ---- one mail ---- */

static imu_err *make_text(const imu_mailer *m, apr_pool_t *p, const imu_rows *mail,
                          const char **text)
{
    const imu_mail_conf *conf = &m->conf->mail;
    const char *kind = imu_text(mail, 0, "kind"), *name = imu_text(mail, 0, "to_name");
    const char *address = imu_text(mail, 0, "to_address"), *link = imu_text(mail, 0, "link");
    const char *admin = imu_text(mail, 0, "invited_by");
    imu_mail_words words = {name && *name ? name : address,
                            address,
                            conf->public_url,
                            link,
                            imu_mail_validity(kind),
                            admin && *admin ? admin : "an administrator"};
    imu_mail_parts parts = {.from_address = conf->from_address,
                            .from_name = conf->from_name,
                            .to_address = address,
                            .to_name = name,
                            .date = imu_clock_now(),
                            .id = imu_uuid4(p)};
    const char *source;
    imu_err *err = imu_mail_template_read(p, conf->templates, kind, &source);

    if (!err)
        err = imu_mail_template_fill(p, source, &words, &parts.subject, &parts.body);
    return err ? err : imu_mail_message(p, &parts, text);
}

/* The pause after that many attempts. */
static apr_interval_time_t pause_after(const pace *at, apr_int64_t attempts)
{
    apr_int64_t ms = at->pause;

    while (--attempts > 0 && ms < at->pause_max)
        ms *= 2;
    return apr_time_from_msec(ms < at->pause_max ? ms : at->pause_max);
}

static void keep_result(imu_mailer *m, apr_pool_t *p, const imu_rows *mail, imu_sent sent,
                        const char *why)
{
    apr_int64_t id = imu_int(mail, 0, "mail_id");
    const char *kind = imu_text(mail, 0, "kind");
    apr_interval_time_t pause = pause_after(pace_of(m), imu_int(mail, 0, "attempts") + 1);
    apr_time_t made = imu_time_parse(imu_text(mail, 0, "created_at"));
    int too_old = imu_clock_now() - made > apr_time_from_msec((apr_int64_t)pace_of(m)->give_up);

    if (sent == IMU_MAIL_SENT) {
        imu_dlog(IMU_LOG_INFO, "IMU0461: mail %" APR_INT64_T_FMT " (%s) was sent", id, kind);
        complain(imu_mail_end(m->db, p, id, NULL), "a mail was sent, and will be again");
    } else if (sent == IMU_MAIL_REFUSED || too_old) {
        imu_dlog(IMU_LOG_WARNING, "IMU0462: mail %" APR_INT64_T_FMT " (%s) was given up: %s", id,
                 kind, why);
        complain(imu_mail_end(m->db, p, id, why), "a failed mail can't be noted");
    } else if (!stopped(m)) {
        imu_dlog(IMU_LOG_INFO, "IMU0463: mail %" APR_INT64_T_FMT " (%s) will be tried again: %s",
                 id, kind, why);
        complain(imu_mail_note(m->db, p, id, why, imu_clock_now() + pause),
                 "a failed mail can't be noted");
    }
}

static imu_err *send_one(imu_mailer *m, apr_pool_t *p, const imu_rows *mail)
{
    int patience = pace_of(m)->send;
    const char *text = NULL, *why = "";
    int claimed = 0;
    imu_sent sent = IMU_MAIL_LATER;
    imu_err *err = imu_mail_claim(m->db, p, mail,
                                  imu_clock_now() + 2 * apr_time_from_msec(patience), &claimed);

    if (err || !claimed)
        return err;
    if ((err = make_text(m, p, mail, &text)))
        why = err->detail;
    else
        sent = imu_smtp_send(&m->conf->mail, p, imu_text(mail, 0, "to_address"), text, patience,
                             stopped, m, &why);
    keep_result(m, p, mail, sent, why);
    return NULL;
}

/* @return 1 when there was something to do */
static int next_mail(imu_mailer *m, apr_pool_t *p)
{
    imu_rows *mail;
    imu_err *err = imu_mail_due(m->db, p, &mail);

    if (!err && !mail->count)
        return 0;
    if (!err && strcmp(imu_text(mail, 0, "kind"), IMU_MAIL_FORGOT) == 0)
        err = imu_mail_resolve(m->db, p, mail, m->conf->mail.public_url);
    else if (!err)
        err = send_one(m, p, mail);
    complain(err, "the queue of mails can't be worked on");
    return !err;
}

/* ---- the thread ---- */

static void purge(imu_mailer *m, apr_pool_t *p)
{
    apr_time_t now = imu_clock_now();

    if (now - m->purged < PURGE_EVERY)
        return;
    m->purged = now;
    complain(imu_mail_purge(m->db, p, now - KEEP_ENDED), "old mails can't be removed");
}

static void work(imu_mailer *m)
{
    while (!stopped(m)) {
        apr_pool_t *p;
        int more = 0;

        if (apr_pool_create(&p, m->pool) == APR_SUCCESS) {
            m->db->pool = p;
            more = next_mail(m, p);
            purge(m, p);
            m->db->pool = m->pool;
            apr_pool_destroy(p);
        }
        if (!more)
            imu_dispatch_wait(m->stop_fd, pace_of(m)->look);
    }
}

static void *run(void *baton)
{
    imu_mailer *m = baton;
    imu_err *err = imu_db_open(m->pool, m->conf->database, m->conf->write_lock, &m->db);

    complain(err, "no mail can be sent");
    if (!err)
        work(m);
    if (m->db)
        imu_db_close(m->db);
    return NULL;
}

imu_mailer *imu_mailer_start(const imu_dispatch_conf *conf, int stop_fd)
{
    imu_mailer *m;

    if (!conf->mail.on)
        return NULL;
    m = calloc(1, sizeof *m);
    if (m && imu_smtp_init() && apr_pool_create(&m->pool, NULL) == APR_SUCCESS) {
        m->conf = conf;
        m->stop_fd = stop_fd;
        if (pthread_create(&m->thread, NULL, run, m) == 0)
            return m;
        apr_pool_destroy(m->pool);
    }
    free(m);
    imu_dlog(IMU_LOG_ERR, "IMU0464: no mail is sent: there is no thread for it");
    return NULL;
}

void imu_mailer_stop(imu_mailer *m)
{
    if (!m)
        return;
    atomic_store(&m->over, 1);
    pthread_join(m->thread, NULL);
    apr_pool_destroy(m->pool);
    free(m);
}
