/* See run.h. */
#include "worker/run.h"
#include "worker/graph/graph.h"
#include "worker/options.h"

#include <errno.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define MAX_HELD 512 /* results that may wait for their ACK before the run pauses */

struct job {
    json_t *header; /* owns the texts below */
    const char *run_id;
    json_int_t item_id;
    int fds[IMU_WIRE_MAX_FDS];
    int n_fds;
    imu_env env; /* its `cancelled` is set from the I/O thread, under the runner's lock */
};

struct imu_runner {
    pthread_t thread;
    pthread_mutex_t lock;
    pthread_cond_t wake;
    imu_models *models;
    imu_outbox *outbox;
    struct job *job; /* the job that waits or runs */
    bool waiting, poked, quit, lost;
    json_int_t seq;
    size_t nodes_run;
};

static void free_job(struct job *job)
{
    for (int i = 0; i < job->n_fds; i++)
        if (job->fds[i] >= 0)
            close(job->fds[i]);
    json_decref(job->header);
    free(job);
}

/* ---- reporting ---- */

/* A header that begins with whom it is about. */
static json_t *about(const imu_runner *r, const imu_prepared *p)
{
    json_t *h = json_pack("{s:s,s:I}", "run_id", r->job->run_id, "item_id", r->job->item_id);
    if (p) {
        json_object_set_new(h, "node_id", json_string(p->id));
        json_object_set_new(h, "source_id", json_string(p->source_id));
        json_object_set(h, "invocation", (json_t *)p->node);
    }
    return h;
}

static int report(imu_runner *r, uint8_t type, json_t *header, const imu_bytes *payload)
{
    imu_message m = {.type = type,
                     .header = header,
                     .payload = payload ? payload->data : NULL,
                     .payload_len = payload ? payload->len : 0};
    int rc = header ? imu_outbox_put(r->outbox, &m) : -1;
    json_decref(header);
    return rc;
}

static void on_progress(void *user, const imu_call *call, const struct imu_progress_note *note)
{
    imu_runner *r = user;
    json_t *h = json_pack("{s:s,s:I,s:s,s:s,s:{s:s,s:s},s:s,s:i,s:i}", "run_id", r->job->run_id,
                          "item_id", r->job->item_id, "node_id", call->id, "source_id",
                          call->source_id, "invocation", "id", call->id, "type", call->type->type,
                          "message", note->message, "step", note->step, "total", note->total);
    json_object_set_new(
        h, "percentage",
        json_real(note->total > 0 ? (double)note->step / note->total : note->share));
    json_object_set_new(h, "image",
                        note->image ? json_pack("{s:i,s:i,s:s}", "width", note->width, "height",
                                                note->height, "mime", note->mime)
                                    : json_null());
    report(r, IMU_WIRE_PROGRESS, h, note->image);
}

static void on_model_load(void *user, const char *key, const char *part, bool complete)
{
    imu_runner *r = user;
    json_t *h = about(r, NULL);
    json_object_set_new(h, "key", json_string(key));
    json_object_set_new(h, "submodel", json_string(part));
    json_object_set_new(h, "complete", json_boolean(complete));
    report(r, IMU_WIRE_MODEL_LOAD, h, NULL);
}

static int report_completed(imu_runner *r, const imu_prepared *p, const json_t *result,
                            imu_call *call)
{
    json_t *h = about(r, p);
    json_object_set_new(h, "seq", json_integer(++r->seq));
    json_object_set(h, "result", (json_t *)result);
    json_object_set(h, "images", call->images);
    imu_message m = {.type = IMU_WIRE_NODE_COMPLETED,
                     .header = h,
                     .fds = call->fds,
                     .n_fds = call->n_fds,
                     .keep = true};
    call->n_fds = 0;
    int rc = h ? imu_outbox_put(r->outbox, &m) : -1;
    json_decref(h);
    return rc;
}

static json_t *traceback(const imu_prepared *p, const imu_error *err)
{
    char text[1200];
    const char *why = *err->detail ? err->detail : err->text;
    if (!p || !p->id)
        return json_string(err->text);
    snprintf(text, sizeof text, "%s in node \"%.200s\" (%s): %s", err->type, p->source_id,
             p->type->type, why);
    json_t *value = json_string(text);
    return value ? value : json_string(err->text);
}

static void report_failed(imu_runner *r, const imu_prepared *p, const imu_error *err)
{
    json_t *h = about(r, p);
    json_object_set_new(h, "error_type", json_string(err->type));
    json_object_set_new(h, "error_message", json_string(err->text));
    json_object_set_new(h, "error_traceback", traceback(p, err));
    report(r, IMU_WIRE_NODE_FAILED, h, NULL);
}

static json_t *done_header(imu_runner *r, const char *status, const json_t *session,
                           const imu_prepared *p, const imu_error *err)
{
    json_t *h = about(r, NULL);
    json_object_set_new(h, "seq", json_integer(r->seq));
    json_object_set_new(h, "status", json_string(status));
    json_t *id = json_object_get(session, "id");
    json_object_set(h, "session_id", id ? id : json_null());
    json_object_set_new(h, "error_type", err ? json_string(err->type) : json_null());
    json_object_set_new(h, "error_message", err ? json_string(err->text) : json_null());
    json_object_set_new(h, "error_traceback", err ? traceback(p, err) : json_null());
    json_object_set_new(h, "loaded", imu_models_loaded(r->models));
    return h;
}

/* Ends the job: DONE is in the outbox in the same moment in which the runner is free again. */
static void finish(imu_runner *r, const char *status, json_t *session, const imu_prepared *p,
                   const imu_error *err)
{
    r->seq++;
    json_t *h = done_header(r, status, session, p, err);
    char *text = json_dumps(session, JSON_COMPACT);
    pthread_mutex_lock(&r->lock);
    if (!r->quit) {
        imu_message m = {.type = IMU_WIRE_DONE,
                         .header = h,
                         .payload = text,
                         .payload_len = text ? strlen(text) : 0,
                         .keep = true};
        if (m.payload_len > IMU_WIRE_MAX_STATE || imu_outbox_put(r->outbox, &m)) {
            imu_error large = {.type = "TooLarge",
                               .text = "The session's state is too large to be sent."};
            json_t *small = done_header(r, "failed", NULL, NULL, &large);
            m.header = small;
            m.payload_len = 0;
            if (imu_outbox_put(r->outbox, &m))
                fprintf(stderr, "run %s: its end could not be reported\n", r->job->run_id);
            json_decref(small);
        }
    }
    struct job *job = r->job;
    r->job = NULL;
    r->lost = imu_models_lost(r->models) != NULL;
    pthread_mutex_unlock(&r->lock);
    json_decref(h);
    free(text);
    free_job(job);
}

/* ---- one run ---- */

/* Waits while the dispatcher is far behind; a cancel ends the wait. */
static void wait_for_acks(imu_runner *r, imu_env *env)
{
    struct timespec pause = {.tv_nsec = 20 * 1000 * 1000};
    while (imu_outbox_count(r->outbox) > MAX_HELD && !atomic_load(&env->cancelled))
        nanosleep(&pause, NULL);
}

/* Runs one prepared node and reports it. @return 0, or -1 with the error */
static int run_node(imu_runner *r, imu_env *env, imu_exec *x, const imu_prepared *p, imu_error *err)
{
    imu_call call = {.type = p->type,
                     .id = p->id,
                     .source_id = p->source_id,
                     .in = p->inputs,
                     .env = env,
                     .error = err};
    call.images = json_array();
    report(r, IMU_WIRE_NODE_STARTED, about(r, p), NULL);
    imu_refuse(err, "InternalError", "The node failed without saying why.");
    int rc = call.images ? p->type->run(&call) : -1;
    if (!rc && atomic_load(&env->cancelled))
        rc = imu_call_stop(&call);
    if (!rc && json_object_set_new(call.out, "type", json_string(p->type->output->type)))
        rc = imu_refuse(err, "OutOfMemory", "Not enough memory for the result.");
    json_t *result = call.out;
    if (!rc)
        rc = imu_exec_complete(x, p, json_incref(result), err);
    if (!rc && report_completed(r, p, result, &call))
        rc = imu_refuse(err, "TooLarge", "The result of this node is too large to be sent.");
    for (int i = 0; i < call.n_fds; i++)
        close(call.fds[i]);
    json_decref(result);
    json_decref(call.images);
    r->nodes_run++;
    return rc;
}

/* Runs all nodes. @return 1 completed, 0 canceled, -1 failed with *p and *err saying where and why
 */
static int run_nodes(imu_runner *r, imu_env *env, imu_exec *x, imu_prepared *p, imu_error *err)
{
    for (;;) {
        wait_for_acks(r, env);
        if (atomic_load(&env->cancelled))
            return 0;
        int rc = imu_exec_next(x, p, err);
        if (rc == 0)
            return 1;
        if (rc == 1 && run_node(r, env, x, p, err) == 0)
            continue;
        if (atomic_load(&env->cancelled))
            return 0;
        if (p->id) {
            json_t *text = traceback(p, err);
            imu_exec_fail(x, p->id, json_string_value(text));
            json_decref(text);
            report_failed(r, p, err);
        }
        return -1;
    }
}

/* The pictures that came with the run. Descriptors move from the job to the environment. */
static int take_images(struct job *job, imu_env *env, imu_error *err)
{
    const json_t *image;
    size_t i;
    json_array_foreach (json_object_get(job->header, "images"), i, image) {
        const char *name = imu_json_str(image, "image_name");
        json_int_t index = json_integer_value(json_object_get(image, "fd"));
        if (!name || index < 0 || index >= job->n_fds || job->fds[index] < 0)
            return imu_refuse(err, "InvalidRun", "A picture of the run has no name or no file.");
        int fd = job->fds[index];
        job->fds[index] = -1;
        if (imu_env_add_image(env, name, fd))
            return imu_refuse(err, "InvalidRun", "A picture of the run can't be used.");
    }
    return 0;
}

static int set_up(imu_runner *r, struct job *job, imu_env *env, char **graph_text, imu_error *err)
{
    const json_t *graph = json_object_get(json_object_get(job->header, "session"), "graph");
    env->model_rows = json_object_get(job->header, "models");
    env->metadata_extra = json_object_get(job->header, "metadata_extra");
    env->workflow = imu_json_str(job->header, "workflow");
    env->models = r->models;
    env->progress = on_progress;
    env->model_load = on_model_load;
    env->user = r;
    *graph_text = json_dumps(graph, JSON_COMPACT);
    env->graph = *graph_text;
    return take_images(job, env, err);
}

static void log_run(const imu_runner *r, const char *status, int64_t started, const imu_error *err)
{
    double seconds = (double)(imu_clock_ms() - started) / 1000;
    const char *why = !err ? "" : *err->detail ? err->detail : err->text;
    fprintf(stderr, "run %s item %lld: %s, %zu nodes, %.2f s%s%s%s%s\n", r->job->run_id,
            (long long)r->job->item_id, status, r->nodes_run, seconds, err ? ", " : "",
            err ? err->type : "", err ? ": " : "", why);
    const char *lost = imu_models_lost(r->models);
    if (lost)
        fprintf(stderr,
                "device lost (%s): %s; the worker ends with status %d to be started again\n",
                imu_models_device(r->models), lost, IMU_EXIT_LOST);
}

static void run_job(imu_runner *r)
{
    struct job *job = r->job;
    imu_env *env = &job->env;
    const json_t *session = json_object_get(job->header, "session"),
                 *posted = json_object_get(session, "graph");
    const char *session_id = imu_json_str(session, "id");
    int64_t started = imu_clock_ms();
    imu_error err = {.type = ""};
    imu_prepared at = {.id = NULL};
    char *graph_text = NULL;
    r->seq = 0;
    r->nodes_run = 0;
    int rc = set_up(r, job, env, &graph_text, &err);
    imu_graph *g = rc ? NULL : imu_graph_load(posted, &err);
    imu_exec *x = g ? imu_exec_new(session_id ? session_id : job->run_id, g) : NULL;
    if (g && !x)
        imu_refuse(&err, "OutOfMemory", "Not enough memory for the run.");
    rc = x ? run_nodes(r, env, x, &at, &err) : -1;
    const char *status = rc > 0 ? "completed" : rc == 0 ? "canceled" : "failed";
    json_t *state =
        x ? imu_exec_state(x) : imu_exec_empty_state(session_id ? session_id : job->run_id, posted);
    imu_models_note_loaded(r->models);
    log_run(r, status, started, rc < 0 ? &err : NULL);
    imu_env_clear(env);
    finish(r, status, state, &at, rc < 0 ? &err : NULL);
    json_decref(state);
    imu_exec_free(x);
    imu_graph_free(g);
    free(graph_text);
}

static void *run_thread(void *arg)
{
    imu_runner *r = arg;
    pthread_mutex_lock(&r->lock);
    while (!r->quit && !r->lost) {
        if (!r->waiting && !r->poked) {
            pthread_cond_wait(&r->wake, &r->lock);
            continue;
        }
        bool run = r->waiting;
        r->poked = r->waiting = false;
        pthread_mutex_unlock(&r->lock);
        imu_models_do_unload(r->models);
        if (run)
            run_job(r);
        pthread_mutex_lock(&r->lock);
    }
    pthread_mutex_unlock(&r->lock);
    return NULL;
}

/* ---- the I/O thread's side ---- */

imu_runner *imu_runner_new(imu_models *models, imu_outbox *outbox, imu_error *err)
{
    imu_runner *r = calloc(1, sizeof *r);
    if (!r) {
        imu_refuse(err, "OutOfMemory", "Not enough memory.");
        return NULL;
    }
    r->models = models;
    r->outbox = outbox;
    pthread_mutex_init(&r->lock, NULL);
    pthread_cond_init(&r->wake, NULL);
    int rc = pthread_create(&r->thread, NULL, run_thread, r);
    if (rc) {
        imu_refuse(err, "InternalError", "The run thread does not start: %s.", strerror(rc));
        free(r);
        return NULL;
    }
    return r;
}

void imu_runner_free(imu_runner *r)
{
    if (!r)
        return;
    pthread_mutex_lock(&r->lock);
    r->quit = true;
    if (r->job)
        atomic_store(&r->job->env.cancelled, true);
    pthread_cond_signal(&r->wake);
    pthread_mutex_unlock(&r->lock);
    pthread_join(r->thread, NULL);
    if (r->job)
        free_job(r->job);
    pthread_mutex_destroy(&r->lock);
    pthread_cond_destroy(&r->wake);
    free(r);
}

int imu_runner_start(imu_runner *r, json_t *header, const int *fds, int n_fds)
{
    struct job *job = calloc(1, sizeof *job);
    const char *run_id = imu_json_str(header, "run_id");
    const json_t *item_id = json_object_get(header, "item_id");
    if (!job) {
        for (int i = 0; i < n_fds; i++)
            close(fds[i]);
        return -1;
    }
    job->header = json_incref(header);
    job->run_id = run_id;
    job->item_id = json_integer_value(item_id);
    for (; job->n_fds < n_fds; job->n_fds++)
        job->fds[job->n_fds] = fds[job->n_fds];
    if (!run_id || strlen(run_id) != IMU_UUID_SIZE - 1 || !json_is_integer(item_id) ||
        !json_is_object(json_object_get(json_object_get(header, "session"), "graph"))) {
        free_job(job);
        return -1;
    }
    pthread_mutex_lock(&r->lock);
    bool busy = r->job != NULL;
    bool again = busy && !strcmp(r->job->run_id, run_id);
    if (!busy) {
        r->job = job;
        r->waiting = true;
        pthread_cond_signal(&r->wake);
    }
    pthread_mutex_unlock(&r->lock);
    if (busy)
        free_job(job);
    return busy && !again;
}

bool imu_runner_cancel(imu_runner *r, const char *run_id)
{
    pthread_mutex_lock(&r->lock);
    bool mine = r->job && !strcmp(r->job->run_id, run_id);
    if (mine)
        atomic_store(&r->job->env.cancelled, true);
    pthread_mutex_unlock(&r->lock);
    return mine;
}

bool imu_runner_lost(imu_runner *r)
{
    pthread_mutex_lock(&r->lock);
    bool lost = r->lost;
    pthread_mutex_unlock(&r->lock);
    return lost;
}

void imu_runner_poke(imu_runner *r)
{
    pthread_mutex_lock(&r->lock);
    r->poked = true;
    pthread_cond_signal(&r->wake);
    pthread_mutex_unlock(&r->lock);
}

json_t *imu_runner_status(imu_runner *r)
{
    pthread_mutex_lock(&r->lock);
    json_t *running =
        r->job ? json_pack("{s:s,s:I}", "run_id", r->job->run_id, "item_id", r->job->item_id)
               : json_null();
    json_t *held = imu_outbox_held(r->outbox);
    pthread_mutex_unlock(&r->lock);
    return json_pack("{s:o,s:o}", "running", running, "held", held);
}
