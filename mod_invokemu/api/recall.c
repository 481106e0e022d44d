/*
 * recall.c: /api/v1/recall/{queue_id}: a program sets the generation settings that the caller's own
 * client shows. They are kept in the caller's client state and announced to their sockets. A
 * picture named here must be one that the caller may see.
 */
#include <float.h>
#include <string.h>

#include <apr_strings.h>

#include "mod_invokemu/api/gallery.h"
#include "mod_invokemu/api/handlers.h"
#include "mod_invokemu/api/models.h"
#include "mod_invokemu/events/publish.h"
#include "mod_invokemu/store/client_state.h"
#include "mod_invokemu/store/models.h"
#include "mod_invokemu/util/jsons.h"
#include "mod_invokemu/validate.h"

#define STATE_PREFIX "recall_"
#define MAX_TEXT     65536
#define MAX_NAME     512
#define MAX_LIST     100
#define MAX_INT      4294967295

typedef enum kind { KIND_TEXT, KIND_WHOLE, KIND_NUMBER, KIND_FLAG, KIND_LIST } kind;

/* What may be recalled, and within which bounds. */
static const struct {
    const char *name;
    kind kind;
    double min, max;
    const char *model_type; /* the text or the list's model_name names a model of this type */
} parameters[] = {
    {"positive_prompt", KIND_TEXT, 0, 0, NULL},
    {"negative_prompt", KIND_TEXT, 0, 0, NULL},
    {"model", KIND_TEXT, 0, 0, "main"},
    {"refiner_model", KIND_TEXT, 0, 0, "main"},
    {"vae_model", KIND_TEXT, 0, 0, "vae"},
    {"scheduler", KIND_TEXT, 0, 0, NULL},
    {"steps", KIND_WHOLE, 1, MAX_INT, NULL},
    {"refiner_steps", KIND_WHOLE, 0, MAX_INT, NULL},
    {"cfg_scale", KIND_NUMBER, -DBL_MAX, DBL_MAX, NULL},
    {"cfg_rescale_multiplier", KIND_NUMBER, -DBL_MAX, DBL_MAX, NULL},
    {"refiner_cfg_scale", KIND_NUMBER, -DBL_MAX, DBL_MAX, NULL},
    {"guidance", KIND_NUMBER, -DBL_MAX, DBL_MAX, NULL},
    {"width", KIND_WHOLE, 64, MAX_INT, NULL},
    {"height", KIND_WHOLE, 64, MAX_INT, NULL},
    {"seed", KIND_WHOLE, 0, MAX_INT, NULL},
    {"denoise_strength", KIND_NUMBER, 0, 1, NULL},
    {"refiner_denoise_start", KIND_NUMBER, 0, 1, NULL},
    {"clip_skip", KIND_WHOLE, 0, MAX_INT, NULL},
    {"seamless_x", KIND_FLAG, 0, 0, NULL},
    {"seamless_y", KIND_FLAG, 0, 0, NULL},
    {"refiner_positive_aesthetic_score", KIND_NUMBER, -DBL_MAX, DBL_MAX, NULL},
    {"refiner_negative_aesthetic_score", KIND_NUMBER, -DBL_MAX, DBL_MAX, NULL},
    {"loras", KIND_LIST, 0, 0, "lora"},
    {"control_layers", KIND_LIST, 0, 0, "controlnet"},
    {"ip_adapters", KIND_LIST, 0, 0, "ip_adapter"},
    {"reference_images", KIND_LIST, 0, 0, NULL},
};
#define N_PARAMETERS (sizeof parameters / sizeof parameters[0])

static void check_list(imu_check *c, const json_t *body, unsigned k)
{
    json_t *list = imu_check_array(c, body, parameters[k].name, IMU_NULLABLE, MAX_LIST), *one;
    int model = parameters[k].model_type != NULL;
    size_t i;

    json_array_foreach (list, i, one) {
        if (!json_is_object(one)) {
            imu_check_fault(c, parameters[k].name, "dict_type", "Input should be a list of objects",
                            NULL);
            return;
        }
        imu_check_text(c, one, "model_name", model ? IMU_REQUIRED : IMU_NULLABLE, 1, MAX_NAME);
        imu_check_text(c, one, "image_name", model ? IMU_NULLABLE : IMU_REQUIRED, 1, MAX_NAME);
        imu_check_number(c, one, "weight", 0, -10, 10, 1);
        imu_check_bool(c, one, "is_enabled", 0, 1);
        imu_check_number(c, one, "begin_step_percent", IMU_NULLABLE, 0, 1, 0);
        imu_check_number(c, one, "end_step_percent", IMU_NULLABLE, 0, 1, 1);
        imu_check_text(c, one, "control_mode", IMU_NULLABLE, 0, MAX_NAME);
        imu_check_text(c, one, "method", IMU_NULLABLE, 0, MAX_NAME);
        imu_check_text(c, one, "image_influence", IMU_NULLABLE, 0, MAX_NAME);
    }
}

static imu_err *check_body(imu_req *req, const json_t *body)
{
    const char *known[N_PARAMETERS + 1] = {NULL};
    imu_check *c = imu_check_new(req->p, "body");

    for (unsigned k = 0; k < N_PARAMETERS; k++) {
        known[k] = parameters[k].name;
        switch (parameters[k].kind) {
        case KIND_TEXT:
            imu_check_text(c, body, known[k], IMU_NULLABLE, 0, MAX_TEXT);
            break;
        case KIND_WHOLE:
            imu_check_int(c, body, known[k], IMU_NULLABLE, (json_int_t)parameters[k].min,
                          (json_int_t)parameters[k].max, 0);
            break;
        case KIND_NUMBER:
            imu_check_number(c, body, known[k], IMU_NULLABLE, parameters[k].min, parameters[k].max,
                             0);
            break;
        case KIND_FLAG:
            imu_check_bool(c, body, known[k], IMU_NULLABLE, 0);
            break;
        case KIND_LIST:
            check_list(c, body, k);
            break;
        }
    }
    imu_check_only(c, body, known);
    return imu_check_end(c);
}

/* The key of the model that is called name, one that can be used before others, or name itself when
 * it is a key already or nothing is called so. */
static imu_err *model_key(imu_req *req, const char *name, const char *type, const char **key)
{
    imu_rows *rows;
    imu_err *err = imu_model_list(req->db, req->p, &rows);

    *key = name;
    for (int i = 0; !err && i < rows->count; i++) {
        if (strcmp(imu_text(rows, i, "name"), name) != 0 ||
            strcmp(imu_text(rows, i, "type"), type) != 0)
            continue;
        if (imu_models_view(req, rows, i).state == IMU_MODEL_USABLE) {
            *key = imu_text(rows, i, "key");
            break;
        }
        if (*key == name)
            *key = imu_text(rows, i, "key");
    }
    return err;
}

/* {image_name, width, height} of a picture the caller may see. @return 403, for administrators 404
 */
static imu_err *picture_reference(imu_req *req, const char *name, json_t **reference)
{
    imu_image *image;
    imu_err *err = imu_gallery_picture_named(req, name, imu_policy_picture_read, &image);

    if (!err)
        *reference = json_pack("{s:s, s:i, s:i}", "image_name", name, "width", image->width,
                               "height", image->height);
    return err;
}

/* A list element as clients read it: the model by key, the picture with its size. */
static imu_err *resolve_element(imu_req *req, const json_t *in, const char *type, json_t *out)
{
    const char *model = json_string_value(json_object_get(in, "model_name")),
               *picture = json_string_value(json_object_get(in, "image_name"));
    const char *key;
    json_t *value, *reference;
    imu_err *err;

    json_object_foreach ((json_t *)in, key, value)
        if (strcmp(key, "model_name") != 0 && strcmp(key, "image_name") != 0 &&
            !json_is_null(value))
            json_object_set(out, key, value);
    if (model && type) {
        if ((err = model_key(req, model, type, &key)))
            return err;
        json_object_set_new(out, "model_key", json_string(key));
    }
    if (!picture)
        return NULL;
    if ((err = picture_reference(req, picture, &reference)))
        return err;
    json_object_set_new(out, "image", reference);
    return NULL;
}

static imu_err *resolve_list(imu_req *req, const json_t *list, const char *type, json_t *out)
{
    imu_err *err = NULL;
    json_t *one;
    size_t i;

    json_array_foreach (list, i, one) {
        json_t *element = json_object();

        json_array_append_new(out, element);
        if ((err = resolve_element(req, one, type, element)))
            break;
    }
    return err;
}

/* What the client is told: the given parameters resolved and, when strict, all others cleared. */
static imu_err *resolve(imu_req *req, const json_t *body, int strict, json_t *out)
{
    imu_err *err = NULL;

    for (unsigned k = 0; !err && k < N_PARAMETERS; k++) {
        const char *name = parameters[k].name, *key;
        json_t *given = json_object_get(body, name);

        if (!given || json_is_null(given)) {
            if (strict)
                json_object_set_new(out, name,
                                    parameters[k].kind == KIND_LIST ? json_array() : json_null());
        } else if (parameters[k].kind == KIND_LIST) {
            json_t *list = json_array();

            json_object_set_new(out, name, list);
            err = resolve_list(req, given, parameters[k].model_type, list);
        } else if (parameters[k].model_type) {
            if (!(err = model_key(req, json_string_value(given), parameters[k].model_type, &key)))
                json_object_set_new(out, name, json_string(key));
        } else {
            json_object_set(out, name, given);
        }
    }
    return err;
}

static imu_err *store(imu_req *req, const json_t *resolved)
{
    const char *name;
    json_t *value;
    imu_err *err = imu_db_begin(req->db);

    if (err)
        return err;
    json_object_foreach ((json_t *)resolved, name, value)
        if (!err)
            err = imu_client_state_set(req->db, req->p, req->who.user_id,
                                       apr_pstrcat(req->p, STATE_PREFIX, name, NULL),
                                       imu_json_compact(req->p, value));
    return imu_db_end(req->db, err);
}

static int given_count(const json_t *body)
{
    const char *name;
    json_t *value;
    int n = 0;

    json_object_foreach ((json_t *)body, name, value)
        n += !json_is_null(value);
    return n;
}

imu_err *imu_api_recall_update(imu_req *req)
{
    const char *queue = imu_param(req, "queue_id");
    json_t *body, *resolved = imu_json_own(req->p, json_object()), *event;
    int strict, append;
    imu_db *db;
    imu_err *err;

    if ((err = imu_query_bool(req, "strict", 0, &strict)) ||
        (err = imu_query_bool(req, "append", 0, &append)) || (err = imu_body_object(req, &body)) ||
        (err = check_body(req, body)))
        return err;
    if (strict && append)
        return imu_error(req->p, 400, "strict_and_append",
                         "strict clears what is not named and append keeps it: choose one.");
    if ((err = imu_req_db(req, &db)) || (err = resolve(req, body, strict, resolved)) ||
        (err = store(req, resolved)))
        return err;
    event = json_pack("{s:I, s:s, s:s, s:b, s:O}", "timestamp",
                      (json_int_t)apr_time_sec(apr_time_now()), "queue_id", queue, "user_id",
                      req->who.user_id, "append", append, "parameters", resolved);
    imu_publish("recall_parameters_updated", req->who.user_id, event);
    json_decref(event);
    return imu_reply_json(req, 200,
                          json_pack("{s:s, s:s, s:i, s:O}", "status", "success", "queue_id", queue,
                                    "updated_count", given_count(body), "parameters", resolved));
}

imu_err *imu_api_recall_get(imu_req *req)
{
    json_t *out = imu_json_own(req->p, json_object());
    imu_db *db;
    imu_err *err = imu_req_db(req, &db);

    for (unsigned k = 0; !err && k < N_PARAMETERS; k++) {
        const char *text;

        err = imu_client_state_get(db, req->p, req->who.user_id,
                                   apr_pstrcat(req->p, STATE_PREFIX, parameters[k].name, NULL),
                                   &text);
        if (!err && text)
            json_object_set_new(out, parameters[k].name, json_loads(text, JSON_DECODE_ANY, NULL));
    }
    if (err)
        return err;
    return imu_reply_json(req, 200,
                          json_pack("{s:s, s:s, s:O}", "status", "success", "queue_id",
                                    imu_param(req, "queue_id"), "parameters", out));
}
