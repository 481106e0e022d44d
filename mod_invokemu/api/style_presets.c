/*
 * style_presets.c: /api/v1/style_presets: texts to put around a prompt, each with an optional
 * picture of what they do.
 *
 * The picture is kept as ROOT/outputs/style_presets/<random id>.webp; a new picture gets a new
 * name, so that no change can leave a row with another one's file.
 */
#include "mod_invokemu/api/style_presets.h"

#include <string.h>

#include <http_log.h>
#include <apr_strings.h>

#include "mod_invokemu/api/audit.h"
#include "mod_invokemu/api/handlers.h"
#include "mod_invokemu/store/previews.h"
#include "mod_invokemu/upload.h"
#include "mod_invokemu/util/ids.h"

APLOG_USE_MODULE(invokemu);

#define FOLDER       IMU_PRESET_PREVIEWS_DIR
#define CACHE_MULTI  "private, no-store"
#define CACHE_SINGLE "private, max-age=300"

typedef int preset_rule(const imu_identity *who, const imu_preset_facts *preset);

/* A preset by its id. @return 404, or 403 when rule refuses the caller */
static imu_err *preset_may(imu_req *req, const char *id, preset_rule *rule, imu_preset **preset)
{
    imu_db *db;
    imu_err *err = imu_req_db(req, &db);

    if (!err)
        err = imu_preset_get(db, req->p, id, preset);
    if (err)
        return err;
    if (!*preset)
        return imu_error(req->p, 404, "preset_not_found",
                         "This style preset does not exist (any more).");
    if (!rule(&req->who, &(*preset)->facts))
        return imu_error(req->p, 403, "preset_forbidden",
                         "This style preset is not yours to do this with.");
    return NULL;
}

/* ---- on the wire ---- */

/* The address changes with the preset, so that browsers do not go on showing an old picture. */
static json_t *image_url(imu_req *req, const imu_preset *preset)
{
    if (!preset->image)
        return json_null();
    return json_string(apr_psprintf(req->p, "/api/v1/style_presets/i/%s/image?%" APR_TIME_T_FMT,
                                    preset->id, imu_time_parse(preset->updated_at)));
}

static json_t *preset_json(imu_req *req, const imu_preset *preset)
{
    return json_pack(
        "{s:s, s:s, s:{s:s, s:s}, s:s, s:b, s:s, s:o}", "id", preset->id, "name", preset->name,
        "preset_data", "positive_prompt", preset->positive, "negative_prompt", preset->negative,
        "type", preset->facts.is_default ? "default" : "user", "is_public", preset->facts.is_public,
        "user_id", preset->facts.owner_id, "image", image_url(req, preset));
}

static imu_err *reply_preset(imu_req *req, const char *id)
{
    imu_preset *preset;
    imu_err *err = preset_may(req, id, imu_policy_preset_read, &preset);

    return err ? err : imu_reply_json(req, 200, preset_json(req, preset));
}

/* ---- reading a preset ---- */

int imu_preset_public_default(const imu_req *req)
{
    return req->who.via == IMU_VIA_SYSTEM;
}

imu_err *imu_preset_check_end(imu_req *req, imu_check *c)
{
    imu_err *err = imu_check_end(c);
    json_t *first, *loc;

    if (!err)
        return NULL;
    first = json_array_get(err->fields, 0);
    loc = json_object_get(first, "loc");
    return imu_error(req->p, 400, "preset_invalid", "The style preset is not valid: %s: %s.",
                     json_string_value(json_array_get(loc, json_array_size(loc) - 1)),
                     json_string_value(json_object_get(first, "msg")));
}

/* Reads the text part "data" into preset; what it does not say about is_public stays. */
static imu_err *read_data(imu_req *req, const imu_upload *upload, imu_preset *preset)
{
    static const char *const types[] = {"user", "default", NULL};
    const imu_part *part = imu_multipart_part(upload->form, "data");
    imu_check *c = imu_check_new(req->p, "data");
    const char *type;
    json_t *data;
    imu_err *err;

    if (!part || !part->text)
        return imu_invalid(req->p, "body", "data", "missing", "Field required");
    data = imu_json_own(req->p, json_loadb(part->text, part->text_len, 0, NULL));
    if (!json_is_object(data))
        return imu_error(req->p, 400, "preset_invalid",
                         "The style preset is not valid: its data is no JSON object.");
    preset->name = imu_check_text(c, data, "name", IMU_REQUIRED, 1, IMU_PRESET_NAME_MAX);
    preset->positive =
        imu_check_text(c, data, "positive_prompt", IMU_REQUIRED, 0, IMU_PRESET_TEXT_MAX);
    preset->negative =
        imu_check_text(c, data, "negative_prompt", IMU_REQUIRED, 0, IMU_PRESET_TEXT_MAX);
    type = imu_check_choice(c, data, "type", IMU_REQUIRED, types);
    preset->facts.is_public =
        imu_check_bool(c, data, "is_public", IMU_NULLABLE, preset->facts.is_public);
    if ((err = imu_preset_check_end(req, c)))
        return err;
    preset->facts.is_default = strcmp(type, "default") == 0;
    return NULL;
}

/* The house's own presets are made by administrators. */
static imu_err *type_may(imu_req *req, const imu_preset *preset)
{
    if (!preset->facts.is_default || imu_policy_preset_default(&req->who))
        return NULL;
    return imu_error(req->p, 403, "preset_default",
                     "Default style presets are made by administrators.");
}

/* ---- the picture ---- */

static void remove_image(imu_req *req, const char *name)
{
    imu_err *err = imu_preview_remove(req->p, req->inst->root, FOLDER, name);

    if (err)
        ap_log_rerror(APLOG_MARK, APLOG_WARNING, 0, req->r, "IMU0306: %s", err->log);
}

/* Puts the uploaded picture, if there is one, into a file of a new name: preset->image. */
static imu_err *store_image(imu_req *req, const imu_upload *upload, imu_preset *preset)
{
    struct imu_media_result *decoded = apr_pcalloc(req->p, sizeof *decoded);
    imu_err *err;

    preset->image = NULL;
    if (!upload->file)
        return NULL;
    if ((err = imu_upload_decode(req, upload, IMU_PREVIEW_SIDE, 0, 0, decoded)))
        return err;
    preset->image = apr_pstrcat(req->p, imu_uuid4(req->p), ".webp", NULL);
    return imu_preview_store(req->p, req->inst->root, FOLDER, preset->image, decoded->thumbnail_fd);
}

imu_err *imu_api_style_preset_image(imu_req *req)
{
    const char *path;
    imu_preset *preset;
    imu_err *err =
        preset_may(req, imu_param(req, "style_preset_id"), imu_policy_preset_read, &preset);

    if (err)
        return err;
    path = imu_preview_path(req->p, req->inst->root, FOLDER, preset->image);
    if (!path)
        return imu_error(req->p, 404, "no_image", "There is no picture of this style preset.");
    return imu_reply_file(req, path, "image/webp", NULL,
                          req->who.via == IMU_VIA_SYSTEM ? CACHE_SINGLE : CACHE_MULTI);
}

/* ---- handlers ---- */

static void audit_visibility(imu_req *req, const imu_preset *preset)
{
    imu_audit(req,
              (imu_audit_fact){.action = IMU_AUDIT_PRESET_VISIBILITY,
                               .target_id = preset->id,
                               .target_name = preset->name,
                               .detail = json_pack("{s:b}", "is_public", preset->facts.is_public)});
}

static void audit_foreign(imu_req *req, imu_audit_action action, const imu_preset *preset,
                          json_t *detail)
{
    imu_audit_foreign(req,
                      (imu_audit_fact){.action = action,
                                       .target_id = preset->id,
                                       .target_name = preset->name,
                                       .detail = detail},
                      preset->facts.owner_id);
}

/* Who sees it is an entry of its own. */
static void audit_change(imu_req *req, const imu_preset *before, const imu_preset *after)
{
    int renamed = strcmp(before->name, after->name) != 0;

    if (before->facts.is_public != after->facts.is_public)
        audit_visibility(req, after);
    if (renamed || strcmp(before->positive, after->positive) != 0 ||
        strcmp(before->negative, after->negative) != 0 || before->image || after->image ||
        before->facts.is_default != after->facts.is_default)
        audit_foreign(req, IMU_AUDIT_PRESET_CHANGED, before,
                      renamed ? json_pack("{s:s}", "new_name", after->name) : NULL);
}

imu_err *imu_api_style_presets(imu_req *req)
{
    imu_preset_list list;
    json_t *items;
    imu_db *db;
    imu_err *err;

    if ((err = imu_req_db(req, &db)) || (err = imu_presets_list(db, req->p, &req->who, &list)))
        return err;
    items = json_array();
    for (int i = 0; i < list.count; i++)
        json_array_append_new(items, preset_json(req, &list.items[i]));
    return imu_reply_json(req, 200, items);
}

imu_err *imu_api_style_preset_create(imu_req *req)
{
    imu_preset preset = {.id = imu_uuid4(req->p)};
    imu_upload upload;
    imu_db *db;
    imu_err *err;

    preset.facts.owner_id = req->who.user_id;
    preset.facts.is_public = imu_preset_public_default(req);
    /* The body may arrive slowly: nobody else should wait for this connection to the database
     * meanwhile. */
    imu_req_db_release(req);
    if ((err = imu_upload_read_optional(req, "image", &upload)) ||
        (err = read_data(req, &upload, &preset)) || (err = type_may(req, &preset)) ||
        (err = store_image(req, &upload, &preset)))
        return err;
    if ((err = imu_req_db(req, &db)) || (err = imu_preset_insert(db, req->p, &preset))) {
        remove_image(req, preset.image);
        return err;
    }
    if (preset.facts.is_public && req->inst->multiuser)
        audit_visibility(req, &preset);
    return reply_preset(req, preset.id);
}

imu_err *imu_api_style_preset_get(imu_req *req)
{
    return reply_preset(req, imu_param(req, "style_preset_id"));
}

/* The preset may have gone, or been given a new picture, while the upload arrived. One transaction,
 * so that of two changes at once the later one removes the picture of the earlier. */
static imu_err *write_change(imu_req *req, const imu_preset *preset)
{
    imu_preset *before = NULL;
    imu_db *db;
    imu_err *err = imu_req_db(req, &db);

    if (!err && !(err = imu_db_begin(db))) {
        err = preset_may(req, preset->id, imu_policy_preset_change, &before);
        if (!err)
            err = imu_preset_update(db, req->p, preset);
        err = imu_db_end(db, err);
    }
    remove_image(req, err || !before ? preset->image : before->image);
    if (!err && before)
        audit_change(req, before, preset);
    return err;
}

/* The whole preset is sent, as upstream has it: a picture that does not come along is taken away.
 */
imu_err *imu_api_style_preset_change(imu_req *req)
{
    const char *id = imu_param(req, "style_preset_id");
    imu_preset *preset;
    imu_upload upload;
    imu_err *err = preset_may(req, id, imu_policy_preset_change, &preset);

    imu_req_db_release(req);
    if (err || (err = imu_upload_read_optional(req, "image", &upload)) ||
        (err = read_data(req, &upload, preset)) || (err = type_may(req, preset)) ||
        (err = store_image(req, &upload, preset)) || (err = write_change(req, preset)))
        return err;
    return reply_preset(req, id);
}

imu_err *imu_api_style_preset_delete(imu_req *req)
{
    imu_preset *preset;
    imu_err *err =
        preset_may(req, imu_param(req, "style_preset_id"), imu_policy_preset_change, &preset);

    if (err || (err = imu_preset_delete(req->db, req->p, preset->id)))
        return err;
    remove_image(req, preset->image);
    audit_foreign(req, IMU_AUDIT_PRESET_DELETED, preset, NULL);
    return imu_reply_json(req, 200, json_null());
}
