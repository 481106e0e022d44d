/* scheduler_held.c: jobs that wait for a model. One that an import brought lies outside
 * InvokeMUModels until that is named anew: its jobs would all fail, and are held instead. */
#include "mod_invokemu/dispatch/scheduler_internal.h"

#include "mod_invokemu/store/models.h"
#include "mod_invokemu/store/queue_graph.h"
#include "mod_invokemu/util/jsons.h"

/* Whether jobs with that model are to wait for it. */
static imu_err *is_awaited(imu_scheduler *s, apr_pool_t *p, const char *key, int *awaited)
{
    imu_rows *rows;
    imu_err *err = imu_model_get(s->d->db, p, key, &rows);

    *awaited = !err && rows->count > 0 && imu_model_is_outside(p, s->d->conf->models_dir, rows, 0);
    return err;
}

/* The first of the session's models that is to be waited for, or NULL. */
static imu_err *awaited_model(imu_scheduler *s, apr_pool_t *p, const json_t *session,
                              const char **model)
{
    json_t *keys = imu_json_own(p, json_object()), *one;
    imu_err *err = NULL;
    const char *key;
    int awaited;

    *model = NULL;
    imu_graph_note_models(keys, json_object_get(json_object_get(session, "graph"), "nodes"));
    json_object_foreach (keys, key, one) {
        if (err || *model)
            break;
        if (!(err = is_awaited(s, p, key, &awaited)) && awaited)
            *model = key;
    }
    return err;
}

imu_err *imu_scheduler_hold(imu_scheduler *s, apr_pool_t *p, const imu_job *job,
                            const json_t *session, int *held)
{
    const char *model;
    int done;
    imu_err *err = awaited_model(s, p, session, &model);

    *held = !err && model;
    if (!*held || (err = imu_run_hold(s->d->db, p, job->item_id, model, &done)))
        return err;
    if (done) {
        imu_dlog(IMU_LOG_INFO,
                 "IMU0437: job %" APR_INT64_T_FMT " waits: its model %s lies outside the model "
                 "folder (InvokeMUModels)",
                 job->item_id, model);
        imu_run_tell_status(s->d, p, job->item_id);
    }
    return NULL;
}

void imu_scheduler_unhold(imu_scheduler *s, apr_pool_t *p)
{
    imu_rows *models;
    int awaited;

    if (imu_run_log(NULL, imu_run_held_for(s->d->db, p, &models), "held jobs can't be looked for"))
        return;
    for (int i = 0; i < models->count; i++) {
        const char *key = imu_text(models, i, "held_for");

        if (!imu_run_log(NULL, is_awaited(s, p, key, &awaited), "a model can't be looked at") &&
            !awaited)
            imu_run_log(NULL, imu_run_unhold(s->d->db, p, key), "held jobs can't be let go");
    }
}
