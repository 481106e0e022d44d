/*
 * hook.c: moves a job through its life without a worker, for tests of what people see, or the clock
 * by which sessions and links end, by so many seconds. Reachable only in a server started with -D
 * InvokeMUTestHook.
 */
#include <string.h>

#include "mod_invokemu/dispatch/scheduler_internal.h"
#include "mod_invokemu/util/clock.h"

/* A grey pixel. */
static const unsigned char PREVIEW[] = {
    0x89, 0x50, 0x4e, 0x47, 0x0d, 0x0a, 0x1a, 0x0a, 0x00, 0x00, 0x00, 0x0d, 0x49, 0x48,
    0x44, 0x52, 0x00, 0x00, 0x00, 0x01, 0x00, 0x00, 0x00, 0x01, 0x08, 0x00, 0x00, 0x00,
    0x00, 0x3a, 0x7e, 0x9b, 0x55, 0x00, 0x00, 0x00, 0x0a, 0x49, 0x44, 0x41, 0x54, 0x78,
    0xda, 0x63, 0x68, 0x00, 0x00, 0x00, 0x82, 0x00, 0x81, 0xda, 0x45, 0x08, 0x3b, 0x00,
    0x00, 0x00, 0x00, 0x49, 0x45, 0x4e, 0x44, 0xae, 0x42, 0x60, 0x82};

/* A message about the first node of the graph, as a worker would send it. */
static imu_worker_msg message(apr_pool_t *p, const imu_run *run)
{
    json_t *session = imu_json_own(p, json_loads(run->job->session, 0, NULL));
    json_t *nodes = json_object_get(json_object_get(session, "graph"), "nodes");
    void *first = json_object_iter(nodes);
    imu_worker_msg msg = {
        .node_id = "hook", .source_id = "hook", .percentage = 0.5, .message = "Denoising"};

    if (first) {
        msg.node_id = msg.source_id = json_object_iter_key(first);
        msg.invocation = json_object_iter_value(first);
    } else {
        msg.invocation = imu_json_own(p, json_pack("{s:s, s:s}", "id", "hook", "type", "string"));
    }
    return msg;
}

static const char *start(imu_scheduler *s, apr_pool_t *p, apr_int64_t item_id)
{
    imu_worker_msg msg;
    imu_job *job;
    imu_run *run;
    imu_err *err = imu_run_claim(s->d->db, p, s->id, item_id, NULL, &job);

    if (imu_run_log(NULL, err, "hook"))
        return "The database refused.";
    if (!job)
        return "That job is not pending.";
    if (!(run = imu_run_add(s->d, &s->runs, job)))
        return "no memory";
    run->hooked = 1;
    imu_run_tell_status(s->d, p, item_id);
    msg = message(p, run);
    imu_run_tell_started(s->d, run, &msg);
    return NULL;
}

static const char *progress(imu_scheduler *s, apr_pool_t *p, imu_run *run)
{
    imu_worker_msg msg = message(p, run);

    msg.mime = "image/png";
    msg.preview_width = msg.preview_height = 64;
    imu_run_tell_progress(s->d, run, &msg, PREVIEW, sizeof PREVIEW);
    return NULL;
}

static const char *loading(imu_scheduler *s, apr_pool_t *p, imu_run *run)
{
    imu_worker_msg msg = message(p, run);

    msg.message = "Loading the model";
    msg.percentage = 0.25;
    imu_run_tell_progress(s->d, run, &msg, NULL, 0);
    return NULL;
}

static const char *end(imu_scheduler *s, apr_pool_t *p, imu_run *run, const imu_outcome *outcome)
{
    imu_stored stored = imu_run_finish(s->d, p, run, outcome);

    if (stored == IMU_STORED)
        imu_run_remove(&s->runs, run);
    return stored == IMU_STORED ? NULL : "The end could not be stored.";
}

static const char *fail(imu_scheduler *s, apr_pool_t *p, imu_run *run)
{
    static const imu_outcome failed = {.status = "failed",
                                       .error_type = "HookError",
                                       .error_message = "The test hook failed this job.",
                                       .error_traceback =
                                           "HookError: The test hook failed this job."};
    imu_worker_msg msg = message(p, run);

    msg.error_type = failed.error_type;
    msg.error_message = failed.error_message;
    msg.error_traceback = failed.error_traceback;
    imu_run_tell_failed(s->d, run, &msg);
    return end(s, p, run, &failed);
}

static const char *step_of_run(imu_scheduler *s, apr_pool_t *p, const char *step,
                               apr_int64_t item_id)
{
    static const imu_outcome completed = {.status = "completed"};
    imu_run *run = imu_run_by_item(&s->runs, item_id);

    if (!run || !run->hooked)
        return "The hook has not started that job.";
    if (strcmp(step, "loading") == 0)
        return loading(s, p, run);
    if (strcmp(step, "progress") == 0)
        return progress(s, p, run);
    if (strcmp(step, "complete") == 0)
        return end(s, p, run, &completed);
    if (strcmp(step, "fail") == 0)
        return fail(s, p, run);
    return "The steps are start, loading, progress, complete, fail and clock.";
}

const char *imu_scheduler_hook(imu_scheduler *s, const char *step, apr_int64_t item_id)
{
    apr_pool_t *p;
    const char *why;

    if (strcmp(step, "clock") == 0) {
        imu_clock_move(apr_time_from_sec(item_id));
        return NULL;
    }
    p = imu_scratch(s->d);
    why = strcmp(step, "start") == 0 ? start(s, p, item_id) : step_of_run(s, p, step, item_id);
    imu_scratch_end(s->d, p);
    return why;
}
