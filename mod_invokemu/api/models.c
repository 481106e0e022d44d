/*
 * models.c: /api/v2/models: what there is to render with. Models come from the folder of
 * InvokeMUModels; administrators may change how one is described, and take it off the list
 * (models_install.c brings it back). What this server doesn't do answers 501 and says what to do
 * instead.
 */
#include "mod_invokemu/api/handlers.h"
#include "mod_invokemu/api/audit.h"

#include <string.h>
#include <apr_strings.h>

#include "mod_invokemu/api/models.h"
#include "mod_invokemu/events/news.h"
#include "mod_invokemu/policy.h"
#include "mod_invokemu/store/model_cover.h"
#include "mod_invokemu/store/models.h"
#include "mod_invokemu/util/jsons.h"
#include "mod_invokemu/validate.h"

#define TEXT_MAX    512
#define ABOUT_MAX   10000
#define PHRASES_MAX 100

static imu_err *unknown(imu_req *req)
{
    return imu_error(req->p, 404, "model_not_found", "There is no such model.");
}

/** The model named in the path. @return 404, also for one that was removed */
static imu_err *named(imu_req *req, imu_rows **rows)
{
    imu_db *db;
    imu_err *err = imu_req_db(req, &db);

    if (!err)
        err = imu_model_get(db, req->p, imu_param(req, "key"), rows);
    if (!err && ((*rows)->count == 0 || imu_text(*rows, 0, "removed_at")))
        err = unknown(req);
    return err;
}

static const imu_model_cover *cover_of(const imu_req *req, const imu_rows *rows, int row)
{
    const char *dir = req->inst->models_dir, *place = imu_model_place(req->p, dir, rows, row);
    const imu_model_cover *cover = place ? imu_model_cover_find(req->p, place) : NULL;

    return cover || !dir ? cover : imu_model_cover_by_key(req->p, dir, imu_text(rows, row, "key"));
}

json_t *imu_models_shown(imu_req *req, const imu_rows *rows, int row, imu_model_view view)
{
    json_t *record = imu_json_parsed(rows, row, "record");
    const imu_model_cover *cover = cover_of(req, rows, row);

    /* Its version, because the address stays when the picture changes. */
    if (cover)
        json_object_set_new(record, "cover_image",
                            json_sprintf("/api/v2/models/i/%s/image?%s", imu_text(rows, row, "key"),
                                         cover->version));
    if (view.state == IMU_MODEL_USABLE)
        return record;
    json_object_set_new(record, "problem", json_string(imu_models_problem(req, &view)));
    json_object_set_new(record, "missing", json_boolean(imu_model_is_gone(view.state)));
    return record;
}

static imu_err *reply_one(imu_req *req, const imu_rows *rows)
{
    int row;

    if (rows->count == 0)
        return unknown(req);
    row = imu_models_best(req, rows);
    return imu_reply_json(req, 200,
                          imu_models_shown(req, rows, row, imu_models_view(req, rows, row)));
}

static int same(const json_t *record, const char *field, const char *wanted)
{
    const char *value = json_string_value(json_object_get(record, field));

    return !wanted || (value && strcmp(value, wanted) == 0);
}

static int among(const json_t *record, const char *field, const json_t *wanted)
{
    const char *value = json_string_value(json_object_get(record, field));
    json_t *one;
    size_t i;

    json_array_foreach (wanted, i, one) {
        if (value && strcmp(value, json_string_value(one)) == 0)
            return 1;
    }
    return json_array_size(wanted) == 0;
}

/** GET /api/v2/models/?base_models&model_type&model_name&model_format&direction. What can't be used
 * is listed last, and for administrators alone, who are also told whether there is a folder to look
 * for more in. */
imu_err *imu_api_models(imu_req *req)
{
    static const char *const directions[] = {"ASC", "DESC", NULL};
    const char *type, *name, *format, *direction;
    json_t *bases, *list, *rest, *answer;
    imu_rows *rows;
    int i;
    imu_db *db;
    imu_err *err;

    if ((err = imu_query_text(req, "model_type", TEXT_MAX, NULL, &type)) ||
        (err = imu_query_text(req, "model_name", TEXT_MAX, NULL, &name)) ||
        (err = imu_query_text(req, "model_format", TEXT_MAX, NULL, &format)) ||
        (err = imu_query_choice(req, "direction", directions, "ASC", &direction)) ||
        (err = imu_query_list(req, "base_models", &bases)) || (err = imu_req_db(req, &db)) ||
        (err = imu_model_list(db, req->p, &rows)))
        return err;
    list = json_array();
    rest = imu_json_own(req->p, json_array());
    for (i = 0; i < rows->count; i++) {
        int row = direction[0] == 'D' ? rows->count - 1 - i : i;
        imu_model_view view = imu_models_view(req, rows, row);
        json_t *record = imu_models_shown(req, rows, row, view);

        if (same(record, "type", type) && same(record, "name", name) &&
            same(record, "format", format) && among(record, "base", bases))
            json_array_append(view.state == IMU_MODEL_USABLE ? list : rest, record);
        json_decref(record);
    }
    answer = imu_json_own(req->p, json_pack("{s:o}", "models", list));
    if (imu_policy_model_problems(&req->who)) {
        json_array_extend(list, rest);
        json_object_set_new(answer, "model_folder", json_boolean(req->inst->models_dir != NULL));
    }
    return imu_reply_json(req, 200, json_incref(answer));
}

/** GET /api/v2/models/missing: records whose folder is gone or broken: what clients are not to
 * offer. */
imu_err *imu_api_models_missing(imu_req *req)
{
    json_t *list = json_array();
    imu_rows *rows;
    int i;
    imu_db *db;
    imu_err *err;

    imu_json_own(req->p, list);
    if ((err = imu_req_db(req, &db)) || (err = imu_model_list(db, req->p, &rows)))
        return err;
    for (i = 0; i < rows->count; i++) {
        imu_model_view view = imu_models_view(req, rows, i);

        if (view.state != IMU_MODEL_USABLE)
            json_array_append_new(list, imu_models_shown(req, rows, i, view));
    }
    return imu_reply_json(req, 200, json_pack("{s:O}", "models", list));
}

/** GET /api/v2/models/i/{key}. */
imu_err *imu_api_model(imu_req *req)
{
    imu_rows *rows;
    imu_err *err = named(req, &rows);

    return err ? err : reply_one(req, rows);
}

/** GET /api/v2/models/get_by_attrs?name&base&type. */
imu_err *imu_api_model_by_attrs(imu_req *req)
{
    const char *name, *base, *type;
    imu_rows *rows;
    imu_db *db;
    imu_err *err;

    if ((err = imu_query_required(req, "name", TEXT_MAX, &name)) ||
        (err = imu_query_required(req, "base", TEXT_MAX, &base)) ||
        (err = imu_query_required(req, "type", TEXT_MAX, &type)) || (err = imu_req_db(req, &db)) ||
        (err = imu_model_by_attrs(db, req->p, name, base, type, &rows)))
        return err;
    return reply_one(req, rows);
}

/** GET /api/v2/models/get_by_hash?hash. */
imu_err *imu_api_model_by_hash(imu_req *req)
{
    const char *hash;
    imu_rows *rows;
    imu_db *db;
    imu_err *err;

    if ((err = imu_query_required(req, "hash", TEXT_MAX, &hash)) || (err = imu_req_db(req, &db)) ||
        (err = imu_model_by_hash(db, req->p, hash, &rows)))
        return err;
    return reply_one(req, rows);
}

/** GET /api/v2/models/i/{key}/image: its cover (model_cover.h). Open to everybody, as
 * upstream has it: browsers show it without a token, and its address is a random id. */
imu_err *imu_api_model_image(imu_req *req)
{
    const imu_model_cover *cover;
    imu_rows *rows;
    imu_err *err = named(req, &rows);

    if (err)
        return err;
    if (!(cover = cover_of(req, rows, 0)))
        return imu_error(req->p, 404, "model_image_not_found", "This model has no picture.");
    return imu_reply_file(req, cover->path, cover->type,
                          apr_pstrcat(req->p, "\"", cover->version, "\"", NULL),
                          "private, max-age=300");
}

static void audit_model(imu_req *req, imu_audit_action action, const imu_rows *model)
{
    imu_audit(req, (imu_audit_fact){.action = action,
                                    .target_id = imu_text(model, 0, "key"),
                                    .target_name = imu_text(model, 0, "name")});
}

imu_err *imu_models_change_read(imu_req *req, const json_t *body, imu_model_change *change)
{
    static const char *const others[] = {"description", "trigger_phrases", "default_settings"};
    static const char *const predictions[] = {"epsilon", "v_prediction", "sample", NULL};
    imu_check *c = imu_check_new(req->p, "body");

    change->prediction = imu_check_choice(c, body, "prediction_type", IMU_NULLABLE, predictions);
    change->name = imu_check_text(c, body, "name", IMU_NULLABLE, 1, TEXT_MAX);
    imu_check_text(c, body, "description", IMU_NULLABLE, 0, ABOUT_MAX);
    imu_check_texts(c, body, "trigger_phrases", IMU_NULLABLE, PHRASES_MAX, TEXT_MAX);
    imu_check_object(c, body, "default_settings", IMU_NULLABLE);
    change->given = imu_json_own(req->p, json_object());
    for (size_t i = 0; i < sizeof others / sizeof others[0]; i++)
        json_object_set(change->given, others[i], json_object_get(body, others[i]));
    return imu_check_end(c);
}

imu_err *imu_models_change_put(imu_req *req, const imu_rows *model, const imu_model_change *change,
                               json_t **record)
{
    *record = imu_json_own(req->p, imu_json_parsed(model, 0, "record"));
    json_object_update(*record, change->given);
    if (change->name)
        json_object_set_new(*record, "name", json_string(change->name));
    /* A folder says it itself. */
    if (change->prediction && strcmp(imu_json_word(*record, "type", ""), "main") == 0 &&
        strcmp(imu_json_word(*record, "format", ""), "checkpoint") == 0) {
        json_object_set_new(*record, "prediction_type", json_string(change->prediction));
        json_object_set_new(*record, IMU_MODEL_PREDICTION_GIVEN, json_true());
    }
    json_object_set_new(*record, IMU_MODEL_EDITED, json_true());
    return imu_model_put(req->db, req->p, imu_text(model, 0, "path"), *record);
}

/** PATCH /api/v2/models/i/{key}: name, description, trigger phrases, default settings, and
 * what a model of one file predicts. */
imu_err *imu_api_model_patch(imu_req *req)
{
    imu_model_change change;
    json_t *body, *record;
    imu_rows *rows;
    imu_err *err;

    if ((err = imu_body_object(req, &body)) || (err = imu_models_change_read(req, body, &change)) ||
        (err = named(req, &rows)) || (err = imu_models_change_put(req, rows, &change, &record)))
        return err;
    audit_model(req, IMU_AUDIT_MODEL_CHANGED, rows);
    imu_models_tell();
    return imu_reply_json(req, 200, json_incref(record));
}

/** PUT convert/{key}, POST reidentify, PATCH and DELETE i/{key}/image: 404 for an unknown key, else
 * a word on how. */
imu_err *imu_api_model_in_folder(imu_req *req)
{
    imu_rows *rows;
    imu_err *err = named(req, &rows);

    if (err)
        return err;
    return imu_error(req->p, 409, "model_in_folder",
                     "This model comes from the server's model folder (InvokeMUModels). Change it "
                     "there.");
}

/* Takes a model off the list. @return 404 */
static imu_err *take_off(imu_req *req, const char *key)
{
    imu_rows *rows;
    imu_db *db;
    imu_err *err;

    if ((err = imu_req_db(req, &db)) || (err = imu_model_get(db, req->p, key, &rows)))
        return err;
    if (rows->count == 0 || imu_text(rows, 0, "removed_at"))
        return unknown(req);
    err = imu_model_take_off(db, req->p, key, imu_models_view(req, rows, 0).state);
    if (!err)
        audit_model(req, IMU_AUDIT_MODEL_DELETED, rows);
    return err;
}

/** DELETE /api/v2/models/i/{key}: its files stay where they are. */
imu_err *imu_api_model_delete(imu_req *req)
{
    imu_err *err = take_off(req, imu_param(req, "key"));

    if (err)
        return err;
    imu_models_tell();
    return imu_reply_empty(req, 204);
}

/** POST /api/v2/models/i/bulk_delete: says of each model that stays why. */
imu_err *imu_api_models_bulk_delete(imu_req *req)
{
    json_t *body, *keys, *deleted, *failed, *one;
    imu_check *c;
    size_t i;
    imu_err *err = imu_body_object(req, &body);

    if (err)
        return err;
    c = imu_check_new(req->p, "body");
    keys = imu_check_texts(c, body, "keys", IMU_REQUIRED, 1000, TEXT_MAX);
    if ((err = imu_check_end(c)))
        return err;
    deleted = imu_json_own(req->p, json_array());
    failed = imu_json_own(req->p, json_array());
    json_array_foreach (keys, i, one) {
        if (!(err = take_off(req, json_string_value(one))))
            json_array_append(deleted, one);
        else if (err->status < 500)
            json_array_append_new(failed,
                                  json_pack("{s:O, s:s}", "key", one, "error", err->detail));
        else
            return err;
    }
    if (json_array_size(deleted))
        imu_models_tell();
    return imu_reply_json(req, 200, json_pack("{s:O, s:O}", "deleted", deleted, "failed", failed));
}

/** GET /api/v2/models/starter_models: none are offered. */
imu_err *imu_api_model_starters(imu_req *req)
{
    return imu_reply_json(req, 200, json_pack("{s:[], s:{}}", "starter_models", "starter_bundles"));
}

/** GET /api/v2/models/stats: the caches are the workers' own. */
imu_err *imu_api_model_stats(imu_req *req)
{
    return imu_reply_json(req, 200, json_null());
}

/** GET /api/v2/models/hf_login: no token is kept. */
imu_err *imu_api_model_hf_login(imu_req *req)
{
    return imu_reply_json(req, 200, json_string("unknown"));
}

/** POST /api/v2/models/empty_model_cache. */
imu_err *imu_api_model_cache_unsupported(imu_req *req)
{
    return imu_error(req->p, 501, "cache_unsupported",
                     "Each worker decides for itself which models it keeps in memory.");
}
