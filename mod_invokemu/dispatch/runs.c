#include "mod_invokemu/dispatch/runs.h"

#include <stdlib.h>
#include <string.h>

#include <apr_base64.h>
#include <apr_strings.h>

#include "mod_invokemu/dispatch/hub.h"
#include "mod_invokemu/policy.h"
#include "mod_invokemu/store/boards.h"
#include "mod_invokemu/store/picture_files.h"
#include "mod_invokemu/store/queue_events.h"
#include "mod_invokemu/util/jsons.h"

apr_pool_t *imu_scratch(imu_dispatch *d)
{
    apr_pool_t *p;

    /* Without memory APR ends the process, as everywhere in httpd; the parent starts the next one.
     */
    apr_pool_create(&p, d->pool);
    d->db->pool = p;
    return p;
}

void imu_scratch_end(imu_dispatch *d, apr_pool_t *p)
{
    d->db->pool = d->pool;
    apr_pool_destroy(p);
}

imu_err *imu_run_log(const imu_job *job, imu_err *err, const char *what)
{
    if (err)
        imu_dlog(IMU_LOG_ERR, "IMU0420: job %" APR_INT64_T_FMT ": %s: %s", job ? job->item_id : 0,
                 what, err->log ? err->log : err->detail);
    return err;
}

imu_run *imu_run_add(imu_dispatch *d, imu_runs *runs, const imu_job *from)
{
    apr_pool_t *p;
    imu_run *run;
    imu_job *job;

    if (apr_pool_create(&p, d->pool) != APR_SUCCESS)
        return NULL;
    run = apr_pcalloc(p, sizeof *run);
    job = apr_pmemdup(p, from, sizeof *from);
    job->queue_id = apr_pstrdup(p, from->queue_id);
    job->batch_id = apr_pstrdup(p, from->batch_id);
    job->session_id = apr_pstrdup(p, from->session_id);
    job->user_id = apr_pstrdup(p, from->user_id);
    job->origin = apr_pstrdup(p, from->origin);
    job->destination = apr_pstrdup(p, from->destination);
    job->session = apr_pstrdup(p, from->session);
    job->workflow = apr_pstrdup(p, from->workflow);
    job->run_id = apr_pstrdup(p, from->run_id);
    run->pool = p;
    run->job = job;
    run->alone_since = imu_loop_now(d->loop);
    run->models = imu_json_own(p, json_object());
    run->next = runs->first;
    runs->first = run;
    return run;
}

void imu_run_remove(imu_runs *runs, imu_run *run)
{
    for (imu_run **at = &runs->first; *at; at = &(*at)->next) {
        if (*at == run) {
            *at = run->next;
            break;
        }
    }
    json_decref(run->invocation);
    json_decref(run->loading);
    apr_pool_destroy(run->pool);
}

imu_run *imu_run_by_id(const imu_runs *runs, const char *run_id)
{
    for (imu_run *run = runs->first; run; run = run->next)
        if (strcmp(run->job->run_id, run_id) == 0)
            return run;
    return NULL;
}

imu_run *imu_run_by_item(const imu_runs *runs, apr_int64_t item_id)
{
    for (imu_run *run = runs->first; run; run = run->next)
        if (run->job->item_id == item_id)
            return run;
    return NULL;
}

void imu_run_tell_status(imu_dispatch *d, apr_pool_t *p, apr_int64_t item_id)
{
    json_t *event;
    imu_err *err = imu_queue_status_event(d->db, p, item_id, &event);

    if (err) {
        /* Deleted in the meantime: whoever did it has told. */
        if (!imu_error_is(err, "item_not_found"))
            imu_run_log(NULL, err, "status event");
        return;
    }
    imu_hub_emit(d->hub, "queue_item_status_changed",
                 json_string_value(json_object_get(event, "user_id")), event);
}

static json_t *text_or_null(const char *text)
{
    return text ? json_string(text) : json_null();
}

/* What all invocation_* events carry. */
static json_t *event_new(const imu_job *job, json_t *invocation, const char *source_id)
{
    json_t *event = json_pack("{s:I, s:s, s:I, s:s, s:s, s:s}", "timestamp",
                              (json_int_t)apr_time_sec(apr_time_now()), "queue_id", job->queue_id,
                              "item_id", (json_int_t)job->item_id, "batch_id", job->batch_id,
                              "user_id", job->user_id, "session_id", job->session_id);

    json_object_set_new(event, "origin", text_or_null(job->origin));
    json_object_set_new(event, "destination", text_or_null(job->destination));
    json_object_set(event, "invocation", invocation);
    json_object_set_new(event, "invocation_source_id", json_string(source_id));
    return event;
}

static void emit(imu_dispatch *d, const char *name, const imu_run *run, json_t *event)
{
    if (!run->unwanted)
        imu_hub_emit(d->hub, name, run->job->user_id, event);
    json_decref(event);
}

void imu_run_tell_started(imu_dispatch *d, imu_run *run, const imu_worker_msg *msg)
{
    json_decref(run->invocation);
    run->invocation = json_incref(msg->invocation);
    emit(d, "invocation_started", run, event_new(run->job, msg->invocation, msg->source_id));
}

static json_t *data_url(const imu_worker_msg *msg, const void *preview, size_t len)
{
    size_t head = strlen(msg->mime) + sizeof "data:;base64,";
    char *url = malloc(head + (size_t)apr_base64_encode_len((int)len));
    json_t *image;

    if (!url)
        return json_null();
    apr_snprintf(url, head, "data:%s;base64,", msg->mime);
    apr_base64_encode_binary(url + head - 1, preview, (int)len);
    image = json_pack("{s:i, s:i, s:s}", "width", msg->preview_width, "height", msg->preview_height,
                      "dataURL", url);
    free(url);
    return image;
}

void imu_run_tell_progress(imu_dispatch *d, imu_run *run, const imu_worker_msg *msg,
                           const void *preview, size_t len)
{
    const char *device = run->worker ? imu_worker_device(run->worker) : NULL;
    json_t *invocation = msg->invocation;
    json_t *event;

    /* Progress names the node in short; its start told it in full. */
    if (run->invocation &&
        json_equal(json_object_get(run->invocation, "id"), json_object_get(invocation, "id")))
        invocation = run->invocation;
    event = event_new(run->job, invocation, msg->source_id);
    json_object_set_new(event, "message", json_string(msg->message ? msg->message : ""));
    json_object_set_new(event, "percentage",
                        msg->percentage < 0 ? json_null() : json_real(msg->percentage));
    json_object_set_new(event, "image", msg->mime ? data_url(msg, preview, len) : json_null());
    json_object_set_new(event, "device",
                        device && strcmp(device, "cpu") != 0 ? json_string(device) : json_null());
    emit(d, "invocation_progress", run, event);
}

void imu_run_tell_completed(imu_dispatch *d, const imu_run *run, const imu_worker_msg *msg)
{
    json_t *event = event_new(run->job, msg->invocation, msg->source_id);

    json_object_set(event, "result", msg->result);
    emit(d, "invocation_complete", run, event);
}

void imu_run_tell_failed(imu_dispatch *d, const imu_run *run, const imu_worker_msg *msg)
{
    json_t *event = event_new(run->job, msg->invocation, msg->source_id);

    json_object_set_new(event, "error_type",
                        json_string(msg->error_type ? msg->error_type : "Error"));
    json_object_set_new(event, "error_message",
                        json_string(msg->error_message ? msg->error_message : ""));
    json_object_set_new(event, "error_traceback",
                        json_string(msg->error_traceback ? msg->error_traceback : ""));
    emit(d, "invocation_error", run, event);
}

void imu_run_tell_loaded(imu_dispatch *d, imu_run *run)
{
    if (!run->loading)
        return;
    imu_hub_emit(d->hub, "model_load_complete", run->job->user_id, run->loading);
    json_decref(run->loading);
    run->loading = NULL;
}

/* Told of canceled runs too, so that starts and ends stay balanced. */
void imu_run_tell_model(imu_dispatch *d, imu_run *run, const imu_worker_msg *msg)
{
    json_t *record = json_object_get(run->models, msg->model_key);

    imu_run_tell_loaded(d, run);
    if (msg->complete || !json_is_object(record))
        return;
    run->loading =
        json_pack("{s:I, s:O, s:s}", "timestamp", (json_int_t)apr_time_sec(apr_time_now()),
                  "config", record, "user_id", run->job->user_id);
    json_object_set_new(run->loading, "submodel_type", text_or_null(msg->submodel));
    imu_hub_emit(d->hub, "model_load_started", run->job->user_id, run->loading);
}

/* The board a picture goes to: the one asked for, while its owner may put pictures there. */
static imu_err *board_for(imu_dispatch *d, apr_pool_t *p, const imu_job *job, const char *wanted,
                          const char **board_id)
{
    imu_identity owner = {.via = IMU_VIA_SYSTEM, .user_id = job->user_id};
    imu_board_facts *facts;
    int known;
    imu_err *err;

    *board_id = NULL;
    if (!wanted || strcmp(wanted, IMU_NO_BOARD) == 0)
        return NULL;
    if ((err = imu_run_owner(d->db, p, owner.user_id, &owner.is_admin, &known)) || !known)
        return err;
    if ((err = imu_board_facts_get(d->db, p, owner.user_id, wanted, &facts)))
        return err;
    if (facts && imu_policy_board_write(&owner, facts))
        *board_id = wanted;
    return NULL;
}

/* The posted graph as text, for the pictures that carry it; read out of the session once. */
static const char *graph_of(imu_run *run)
{
    json_t *session;

    if (run->graph)
        return run->graph;
    session = json_loads(run->job->session, 0, NULL);
    run->graph = imu_json_compact(run->pool, json_object_get(session, "graph"));
    json_decref(session);
    return run->graph;
}

static imu_err *store_picture(imu_dispatch *d, apr_pool_t *p, imu_run *run, const imu_frame *frame,
                              const imu_worker_msg *msg, const imu_made_picture *made)
{
    const imu_job *job = run->job;
    imu_picture picture = {.image_name = made->image_name,
                           .user_id = job->user_id,
                           .origin = "internal",
                           .category = made->category,
                           .width = made->width,
                           .height = made->height,
                           .is_intermediate = made->is_intermediate,
                           .session_id = job->session_id,
                           .node_id = msg->node_id,
                           .metadata = made->metadata,
                           .workflow = made->has_workflow ? job->workflow : NULL};
    const char *why = imu_memfd_check(frame->fds[made->fd], IMU_MAX_PICTURE_FILE);
    imu_err *err;

    if (!why)
        why = imu_memfd_check(frame->fds[made->thumbnail_fd], IMU_MAX_PICTURE_FILE);
    if (why)
        return imu_error(p, 422, "picture_invalid", "The worker sent %s.", why);
    if (made->has_workflow)
        picture.graph = graph_of(run);
    if ((err = board_for(d, p, job, made->board_id, &picture.board_id)))
        return err;
    return imu_picture_store(d->db, p, d->conf->root, &picture, frame->fds[made->fd],
                             frame->fds[made->thumbnail_fd]);
}

imu_stored imu_run_store(imu_dispatch *d, apr_pool_t *p, imu_run *run, const imu_frame *frame,
                         const imu_worker_msg *msg, const char **why)
{
    for (int i = 0; i < msg->n_pictures; i++) {
        imu_err *err = store_picture(d, p, run, frame, msg, &msg->pictures[i]);

        if (!err || imu_error_is(err, "picture_exists"))
            continue;
        imu_run_log(run->job, err, "a picture could not be stored");
        *why = err->detail;
        return err->status < 500 ? IMU_STORE_REFUSED : IMU_STORE_AGAIN;
    }
    return IMU_STORED;
}

imu_stored imu_run_finish(imu_dispatch *d, apr_pool_t *p, const imu_run *run,
                          const imu_outcome *outcome)
{
    int done;
    imu_err *err = imu_run_end(d->db, p, run->job->item_id, run->job->run_id, outcome, &done);

    if (imu_run_log(run->job, err, "its end could not be stored"))
        return IMU_STORE_AGAIN;
    if (done)
        imu_run_tell_status(d, p, run->job->item_id);
    return IMU_STORED;
}
