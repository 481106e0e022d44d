#include "mod_invokemu/api/models.h"

#include "mod_invokemu/policy.h"
#include "mod_invokemu/store/models.h"
#include "mod_invokemu/store/queue_graph.h"
#include "worker/diffusion/model_files.h"

imu_model_view imu_models_view(imu_req *req, const imu_rows *rows, int row)
{
    return imu_model_look(req->p, req->inst->models_dir, rows, row);
}

int imu_models_best(imu_req *req, const imu_rows *rows)
{
    for (int i = 0; rows->count > 1 && i < rows->count; i++)
        if (imu_models_view(req, rows, i).state == IMU_MODEL_USABLE)
            return i;
    return 0;
}

const char *imu_models_problem(const imu_req *req, const imu_model_view *view)
{
    return imu_policy_model_problems(&req->who) ? view->why : IMU_MODEL_UNUSABLE;
}

static void note_data(json_t *keys, const json_t *nodes, const json_t *data)
{
    json_t *group, *datum, *value;
    size_t i, k, n;

    json_array_foreach (data, i, group)
        json_array_foreach (group, k, datum)
            json_array_foreach (json_object_get(datum, "items"), n, value)
                imu_graph_note_model(
                    keys,
                    json_object_get(nodes, json_string_value(json_object_get(datum, "node_path"))),
                    json_string_value(json_object_get(datum, "field_name")), value);
}

imu_err *imu_models_check(imu_req *req, const json_t *graph, const json_t *data)
{
    json_t *keys = imu_json_own(req->p, json_object()), *nodes = json_object_get(graph, "nodes"),
           *one;
    const char *key;
    imu_rows *rows;
    imu_db *db;
    imu_err *err;

    imu_graph_note_models(keys, nodes);
    note_data(keys, nodes, data);
    if ((err = imu_req_db(req, &db)))
        return err;
    json_object_foreach (keys, key, one) {
        imu_model_view view;

        if ((err = imu_model_get(db, req->p, key, &rows)))
            return err;
        if (rows->count == 0)
            continue;
        view = imu_models_view(req, rows, 0);
        if (view.state == IMU_MODEL_USABLE)
            continue;
        return imu_policy_model_problems(&req->who)
                   ? imu_error(req->p, 409, "model_unusable",
                               "The model \"%s\" can't be used just now. %s",
                               imu_text(rows, 0, "name"), view.why)
                   : imu_error(req->p, 409, "model_unusable", "%s", IMU_MODEL_UNUSABLE);
    }
    return NULL;
}
