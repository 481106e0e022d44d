#include "mod_invokemu/dispatch/scheduler_internal.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <apr_strings.h>

#include "mod_invokemu/store/disk.h"
#include "mod_invokemu/util/ids.h"

#define RENEW_MS     (IMU_LEASE_SECONDS * 1000 / 3)
#define BUSY_REST_MS 3000
#define MAX_FAILURES 5 /* tries at storing one result */

/* ---- ends ---- */

static void forget(imu_scheduler *s, imu_run *run)
{
    imu_run_tell_loaded(s->d, run);
    imu_run_remove(&s->runs, run);
    imu_scheduler_wake(s);
}

/* Fails a job for a reason that its owner reads. @return IMU_STORE_AGAIN when even that could not
 * be stored */
static imu_stored fail_run(imu_scheduler *s, apr_pool_t *p, const imu_run *run, const char *type,
                           const char *message)
{
    imu_outcome outcome = {.status = "failed",
                           .error_type = type,
                           .error_message = message,
                           .error_traceback = apr_pstrcat(p, type, ": ", message, NULL)};

    return imu_run_finish(s->d, p, run, &outcome);
}

/* Gives a job back to the queue. refund: the attempt did not really take place. */
static void give_back(imu_scheduler *s, apr_pool_t *p, imu_run *run, int refund)
{
    int done;
    imu_err *err = imu_run_release(s->d->db, p, run->job->item_id, run->job->run_id, refund, &done);

    if (!imu_run_log(run->job, err, "it could not be given back") && done)
        imu_run_tell_status(s->d, p, run->job->item_id);
}

/* Its worker is gone for good: one more attempt, or the end. Only what may have killed it counts.
 */
static void lose(imu_scheduler *s, imu_run *run)
{
    apr_pool_t *p = imu_scratch(s->d);

    if (run->unwanted) {
        /* nothing to tell: its row ended already */
    } else if (run->spared) {
        give_back(s, p, run, 1);
    } else if (run->job->attempts >= IMU_MAX_ATTEMPTS) {
        imu_dlog(IMU_LOG_INFO,
                 "IMU0431: job %" APR_INT64_T_FMT " lost its worker again and has failed",
                 run->job->item_id);
        fail_run(s, p, run, "WorkerLost", "The worker stopped in the middle of this job, twice.");
    } else {
        imu_dlog(IMU_LOG_INFO,
                 "IMU0430: job %" APR_INT64_T_FMT " lost its worker and goes back to the queue",
                 run->job->item_id);
        give_back(s, p, run, 0);
    }
    imu_scratch_end(s->d, p);
    /* Where the database refused, the row keeps our name: imu_run_take_over finds it again. */
    forget(s, run);
}

/* Whether every worker has said what it has, so that what nobody named is lost. */
static int all_heard(const imu_scheduler *s)
{
    for (int i = 0; i < s->n_workers; i++)
        if (!imu_worker_is_ready(s->workers[i]) && !imu_worker_is_gone(s->workers[i]))
            return 0;
    return 1;
}

/* Loses the runs that nobody can have any more, and comes back for those that may still be found.
 */
static void judge_alone(imu_scheduler *s)
{
    int64_t now = imu_loop_now(s->d->loop), next = -1;
    int nobody = all_heard(s);
    imu_run *run, *after;

    for (run = s->runs.first; run; run = after) {
        int64_t left = run->alone_since + IMU_ALONE_MS - now;

        after = run->next;
        if (run->worker || run->hooked)
            continue;
        if (nobody || left <= 0 || run->unwanted)
            lose(s, run);
        else if (next < 0 || left < next)
            next = left;
    }
    imu_timer_set(s->alone, next);
}

static void on_alone(void *baton)
{
    judge_alone(baton);
}

/* ---- handing out ---- */

static imu_worker *pick_worker(const imu_scheduler *s, const json_t *models)
{
    imu_worker *best = NULL;
    size_t best_hits = 0;

    for (int i = 0; i < s->n_workers; i++) {
        size_t hits = 0, k;
        json_t *key;

        if (!imu_worker_is_idle(s->workers[i]))
            continue;
        json_array_foreach (models, k, key)
            hits += (size_t)imu_worker_has_model(s->workers[i], json_string_value(key));
        if (!best || hits > best_hits) {
            best = s->workers[i];
            best_hits = hits;
        }
    }
    return best;
}

/* Sends a claimed job to its worker. @return 0, or -1 when the worker took nothing */
static int send_run(imu_scheduler *s, apr_pool_t *p, imu_run *run, json_t *session,
                    imu_worker *worker)
{
    int fds[IMU_WIRE_MAX_FDS], n_fds = 0, rc = 0;
    json_t *header = NULL;
    imu_err *err = imu_run_request(s->d, p, run, session, &header, fds, &n_fds);

    if (err) {
        imu_run_log(run->job, err, "it can't be sent to a worker");
        fail_run(s, p, run, "JobRefused", err->detail);
        imu_run_remove(&s->runs, run);
    } else if (imu_worker_run(worker, run->job->run_id, header, fds, n_fds) == 0) {
        run->worker = run->last_worker = worker;
        imu_run_tell_status(s->d, p, run->job->item_id);
    } else if (errno == EMSGSIZE) {
        fail_run(s, p, run, "JobRefused", "This job is too large to be sent to a worker.");
        imu_run_remove(&s->runs, run);
    } else {
        give_back(s, p, run, 1);
        imu_run_remove(&s->runs, run);
        rc = -1;
    }
    json_decref(header);
    for (int i = 0; i < n_fds; i++)
        close(fds[i]);
    return rc;
}

/* With a nearly full disk jobs wait: what is running may still be stored. Looked at again with
 * every renewal of the leases. */
static int disk_is_low(imu_scheduler *s, apr_pool_t *p)
{
    imu_err *err = imu_disk_check(p, s->d->conf->root, s->d->conf->database, s->d->conf->min_free);

    if (err && !s->told_of_disk)
        imu_dlog(IMU_LOG_WARNING, "IMU0432: no job is started: %s", err->log);
    s->told_of_disk = err != NULL;
    return err != NULL;
}

/* Claims the next job and sends it. @return 1 when there may be more to do */
static int hand_out_one(imu_scheduler *s, apr_pool_t *p)
{
    imu_job *job = NULL;
    imu_worker *worker;
    imu_run *run;
    json_t *session;
    const char *device;
    apr_int64_t item_id;
    int held;
    imu_err *err;

    if (!pick_worker(s, NULL))
        return 0;
    err = imu_run_next(s->d->db, p, s->d->conf->fifo, &item_id);
    if (!err && item_id && disk_is_low(s, p))
        return 0;
    if (!err && item_id)
        err = imu_run_job(s->d->db, p, item_id, &job);
    if (imu_run_log(job, err, "the next job can't be read") || !job)
        return 0;
    session = imu_json_own(p, json_loads(job->session, 0, NULL));
    err = imu_scheduler_hold(s, p, job, session, &held);
    if (imu_run_log(job, err, "its models can't be looked at"))
        return 0;
    if (held)
        return 1;
    worker = pick_worker(s, imu_session_models(p, session));
    device = imu_worker_device(worker);
    /* "set only when running on a GPU" in the contract */
    err = imu_run_claim(s->d->db, p, s->id, item_id,
                        device && strcmp(device, "cpu") != 0 ? device : NULL, &job);
    if (imu_run_log(job, err, "it can't be claimed"))
        return 0;
    if (!job)
        return 1; /* somebody was faster */
    run = imu_run_add(s->d, &s->runs, job);
    return run && send_run(s, p, run, session, worker) == 0;
}

static void on_hand_out(void *baton)
{
    imu_scheduler *s = baton;
    int more = 1;

    while (more) {
        apr_pool_t *p = imu_scratch(s->d);

        more = hand_out_one(s, p);
        imu_scratch_end(s->d, p);
    }
}

void imu_scheduler_wake(imu_scheduler *s)
{
    imu_timer_set(s->hand_out, 0);
}

void imu_scheduler_look_again(imu_scheduler *s)
{
    imu_timer_set(s->renew, 0);
}

void imu_scheduler_cancel(imu_scheduler *s, apr_int64_t item_id)
{
    imu_run *run = imu_run_by_item(&s->runs, item_id);

    if (!run)
        return;
    if (run->worker) {
        run->unwanted = 1;
        imu_worker_cancel(run->worker, run->job->run_id);
    } else {
        forget(s, run);
    }
}

/* ---- what workers say ---- */

static void attach(imu_scheduler *s, imu_worker *worker, const imu_run_ref *ref, int running)
{
    imu_run *run = imu_run_by_id(&s->runs, ref->run_id);

    if (run && run->job->item_id == ref->item_id && !run->hooked) {
        run->worker = run->last_worker = worker;
        run->spared = 0;
        if (!run->unwanted)
            return;
    }
    if (running)
        imu_worker_cancel(worker, ref->run_id);
}

/* What that worker had before, and has no more. */
static void lose_of(imu_scheduler *s, const imu_worker *worker)
{
    imu_run *run, *after;

    for (run = s->runs.first; run; run = after) {
        after = run->next;
        if (!run->worker && run->last_worker == worker)
            lose(s, run);
    }
}

static void on_ready(void *baton, imu_worker *worker, const imu_hello *hello)
{
    imu_scheduler *s = baton;
    imu_run_ref ref;
    json_t *one;
    size_t i;

    if (hello->running.run_id)
        attach(s, worker, &hello->running, 1);
    json_array_foreach (hello->held, i, one)
        if (imu_run_ref_read(one, &ref))
            attach(s, worker, &ref, 0);
    lose_of(s, worker);
    judge_alone(s);
    imu_scheduler_count_workers(s);
    imu_scheduler_wake(s);
}

static void on_gone(void *baton, imu_worker *worker)
{
    lose_of(baton, worker);
    judge_alone(baton);
}

static void on_rested(void *baton, imu_worker *worker)
{
    (void)worker;
    imu_scheduler_wake(baton);
}

static void on_leaves(void *baton, imu_worker *worker)
{
    imu_scheduler *s = baton;
    imu_run *run, *after;

    for (run = s->runs.first; run; run = after) {
        after = run->next;
        if (run->worker == worker) {
            run->spared = 1;
            lose(s, run);
        }
    }
}

static void on_lost(void *baton, imu_worker *worker)
{
    imu_scheduler *s = baton;

    for (imu_run *run = s->runs.first; run; run = run->next) {
        if (run->worker == worker) {
            run->worker = NULL;
            run->alone_since = imu_loop_now(s->d->loop);
        }
    }
    judge_alone(s);
    imu_scheduler_count_workers(s);
}

/* A result that could not be stored: the worker keeps it, and sends it again after the next HELLO.
 */
static int later(imu_scheduler *s, apr_pool_t *p, imu_run *run, const char **why)
{
    if (++run->failures < MAX_FAILURES ||
        fail_run(s, p, run, "StorageError",
                 "The server could not store a result of this job. Its disk may be full.") !=
            IMU_STORED) {
        *why = "its result can't be stored now";
        return -1;
    }
    run->unwanted = 1;
    imu_worker_cancel(run->worker, run->job->run_id);
    return 0;
}

static int node_completed(imu_scheduler *s, apr_pool_t *p, imu_run *run, const imu_frame *frame,
                          const imu_worker_msg *msg, const char **why)
{
    const char *reason = NULL;

    if (!run->unwanted && msg->seq > run->last_seq) {
        switch (imu_run_store(s->d, p, run, frame, msg, &reason)) {
        case IMU_STORE_AGAIN:
            return later(s, p, run, why);
        case IMU_STORE_REFUSED:
            fail_run(s, p, run, "WorkerError", reason);
            run->unwanted = 1;
            imu_worker_cancel(run->worker, run->job->run_id);
            break;
        case IMU_STORED:
            run->failures = 0;
            run->last_seq = msg->seq;
            imu_run_tell_completed(s->d, run, msg);
            break;
        }
    }
    imu_worker_ack(run->worker, run->job->run_id, msg->seq);
    return 0;
}

/* Turns what the worker says about the end into what the row will say. */
static imu_outcome outcome_of(apr_pool_t *p, const imu_run *run, const imu_worker_msg *msg)
{
    imu_outcome outcome = {.status = msg->status,
                           .error_type = msg->error_type,
                           .error_message = msg->error_message,
                           .error_traceback = msg->error_traceback};

    /* Kept as it is: parsing what may be megabytes would keep everybody's events waiting. */
    if (msg->session_id && strcmp(msg->session_id, run->job->session_id) == 0 && msg->state_len &&
        msg->state[0] == '{' && !memchr(msg->state, '\0', msg->state_len)) {
        const char *text = apr_pstrmemdup(p, msg->state, msg->state_len);

        outcome.session = imu_is_clean_text(text) ? text : NULL;
    }
    if (strcmp(msg->status, "completed") == 0 && !outcome.session) {
        outcome.status = "failed";
        outcome.error_type = "WorkerError";
        outcome.error_message = "The worker ended this job without its results.";
    } else if (strcmp(msg->status, "failed") == 0 && !outcome.error_type) {
        outcome.error_type = "Error";
    }
    return outcome;
}

static int run_done(imu_scheduler *s, apr_pool_t *p, imu_run *run, const imu_worker_msg *msg,
                    const char **why)
{
    imu_worker *worker = run->worker;
    imu_outcome outcome;

    if (run->unwanted) {
        imu_worker_ack(worker, run->job->run_id, msg->seq);
        forget(s, run);
        return 0;
    }
    if (msg->error_type && strcmp(msg->error_type, "WorkerBusy") == 0) {
        imu_worker_rest(worker, BUSY_REST_MS);
        imu_worker_ack(worker, run->job->run_id, msg->seq);
        give_back(s, p, run, 1);
        forget(s, run);
        return 0;
    }
    if (strcmp(msg->status, "canceled") == 0) {
        /* Nobody here asked for it: the worker is going down. */
        imu_worker_ack(worker, run->job->run_id, msg->seq);
        lose(s, run);
        return 0;
    }
    outcome = outcome_of(p, run, msg);
    if (imu_run_finish(s->d, p, run, &outcome) == IMU_STORE_AGAIN)
        return later(s, p, run, why);
    imu_worker_ack(worker, run->job->run_id, msg->seq);
    forget(s, run);
    return 0;
}

static int about_run(imu_scheduler *s, apr_pool_t *p, imu_run *run, const imu_frame *frame,
                     const imu_worker_msg *msg, const char **why)
{
    switch (frame->type) {
    case IMU_WIRE_NODE_STARTED:
        imu_run_tell_started(s->d, run, msg);
        return 0;
    case IMU_WIRE_PROGRESS:
        imu_run_tell_progress(s->d, run, msg, frame->payload, frame->payload_len);
        return 0;
    case IMU_WIRE_NODE_COMPLETED:
        return node_completed(s, p, run, frame, msg, why);
    case IMU_WIRE_NODE_FAILED:
        imu_run_tell_failed(s->d, run, msg);
        return 0;
    case IMU_WIRE_MODEL_LOAD:
        imu_run_tell_model(s->d, run, msg);
        return 0;
    default:
        return run_done(s, p, run, msg, why);
    }
}

static int on_message(void *baton, imu_worker *worker, const imu_frame *frame,
                      const imu_worker_msg *msg, const char **why)
{
    imu_scheduler *s = baton;
    imu_run *run = imu_run_by_id(&s->runs, msg->run.run_id);
    apr_pool_t *p;
    int rc;

    if (!run || run->job->item_id != msg->run.item_id || run->worker != worker) {
        /* Of an attempt that counts no more: let the worker drop it. */
        if (msg->seq > 0)
            imu_worker_ack(worker, msg->run.run_id, msg->seq);
        if (frame->type == IMU_WIRE_DONE)
            imu_scheduler_wake(s);
        return 0;
    }
    p = imu_scratch(s->d);
    rc = about_run(s, p, run, frame, msg, why);
    imu_scratch_end(s->d, p);
    return rc;
}

/* ---- start, and every ten seconds ---- */

static void take_over(imu_scheduler *s, apr_pool_t *p)
{
    apr_array_header_t *jobs;
    imu_err *err = imu_run_take_over(s->d->db, p, s->id, &jobs);

    imu_run_log(NULL, err, "jobs in progress can't be taken over");
    for (int i = 0; i < jobs->nelts; i++) {
        const imu_job *job = APR_ARRAY_IDX(jobs, i, imu_job *);

        imu_run *run = imu_run_by_id(&s->runs, job->run_id);

        if (!run && (run = imu_run_add(s->d, &s->runs, job)))
            run->spared = job->left;
    }
    judge_alone(s);
}

static void on_renew(void *baton)
{
    imu_scheduler *s = baton;
    apr_pool_t *p = imu_scratch(s->d);
    imu_run *run, *after;

    for (run = s->runs.first; run; run = after) {
        int still = 1;

        after = run->next;
        if (run->unwanted)
            continue;
        if (!imu_run_log(run->job,
                         imu_run_renew(s->d->db, p, run->job->item_id, run->job->run_id, &still),
                         "its lease can't be renewed") &&
            !still)
            imu_scheduler_cancel(s, run->job->item_id);
    }
    take_over(s, p);
    imu_scheduler_unhold(s, p);
    imu_scratch_end(s->d, p);
    imu_scheduler_count_workers(s);
    imu_scheduler_wake(s);
    imu_timer_set(s->renew, RENEW_MS);
}

imu_scheduler *imu_scheduler_new(imu_dispatch *d, const char *dispatcher_id)
{
    static const imu_worker_handler handler = {on_ready, on_message, on_leaves,
                                               on_lost,  on_gone,    on_rested};
    imu_scheduler *s = calloc(1, sizeof *s);

    if (!s)
        return NULL;
    s->d = d;
    s->id = dispatcher_id;
    s->told_of_workers = -1;
    s->workers = calloc((size_t)d->conf->n_workers + 1, sizeof(void *));
    s->hand_out = imu_timer_add(d->loop, -1, on_hand_out, s);
    s->alone = imu_timer_add(d->loop, -1, on_alone, s);
    s->renew = imu_timer_add(d->loop, 0, on_renew, s);
    if (!s->workers || !s->hand_out || !s->alone || !s->renew) {
        imu_scheduler_free(s);
        return NULL;
    }
    for (int i = 0; i < d->conf->n_workers; i++) {
        imu_worker *worker = imu_worker_new(d->loop, d->conf->workers[i], &handler, s);

        if (!worker) {
            imu_scheduler_free(s);
            return NULL;
        }
        s->workers[s->n_workers++] = worker;
    }
    return s;
}

void imu_scheduler_leave(imu_scheduler *s)
{
    apr_pool_t *p = imu_scratch(s->d);

    for (imu_run *run = s->runs.first; run; run = run->next)
        if ((run->worker || run->spared) && !run->unwanted)
            imu_run_log(run->job, imu_run_leave(s->d->db, p, run->job->item_id, run->job->run_id),
                        "it can't be noted that it is left");
    imu_scratch_end(s->d, p);
}

void imu_scheduler_free(imu_scheduler *s)
{
    if (!s)
        return;
    for (int i = 0; s->workers && i < s->n_workers; i++)
        imu_worker_free(s->workers[i]);
    while (s->runs.first)
        imu_run_remove(&s->runs, s->runs.first);
    imu_timer_remove(s->hand_out);
    imu_timer_remove(s->alone);
    imu_timer_remove(s->renew);
    free(s->workers);
    free(s);
}
