/*
 * workflows.c: /api/v1/workflows: making, reading, changing, sharing and deleting one workflow of
 * the library.
 */
#include "mod_invokemu/api/workflows.h"

#include <string.h>

#include <apr_strings.h>
#include <apr_time.h>

#include "mod_invokemu/api/handlers.h"
#include "mod_invokemu/events/news.h"
#include "mod_invokemu/util/ids.h"
#include "mod_invokemu/util/jsons.h"
#include "mod_invokemu/validate.h"

#define MAX_TEXT  100000
#define MAX_ITEMS 100000
/* The tag that marks shared workflows for clients that know only tags. */
#define SHARED_TAG "shared"

imu_err *imu_workflow_may(imu_req *req, const char *id, imu_workflow_rule *rule, imu_workflow **w)
{
    imu_db *db;
    imu_err *err = imu_req_db(req, &db);

    if (!err)
        err = imu_workflow_get(db, req->p, id, w);
    if (err)
        return err;
    if (!*w)
        return imu_error(req->p, 404, "workflow_not_found",
                         "This workflow does not exist (any more).");
    if (!rule(&req->who, &(*w)->facts))
        return imu_error(req->p, 403, "workflow_forbidden",
                         "This workflow is not yours to do this with.");
    return NULL;
}

/* ---- on the wire ---- */

static json_t *record(const imu_workflow *w)
{
    return json_pack("{s:s, s:s, s:s, s:s, s:s?, s:s, s:b}", "workflow_id", w->id, "name", w->name,
                     "created_at", w->created_at, "updated_at", w->updated_at, "opened_at",
                     w->opened_at, "user_id", w->facts.owner_id, "is_public", w->facts.is_public);
}

/* The address changes with the workflow, so that browsers do not go on showing an old picture. */
static json_t *thumbnail_url(imu_req *req, const imu_workflow *w)
{
    if (!w->thumbnail)
        return json_null();
    return json_string(apr_psprintf(req->p, "/api/v1/workflows/i/%s/thumbnail?%" APR_TIME_T_FMT,
                                    w->id, imu_time_parse(w->updated_at)));
}

json_t *imu_workflow_json(imu_req *req, const imu_workflow *w)
{
    json_t *json = record(w), *document = json_loads(w->document, 0, NULL);

    json_object_set_new(json, "workflow", document ? document : json_object());
    json_object_set_new(json, "thumbnail_url", thumbnail_url(req, w));
    return json;
}

json_t *imu_workflow_item_json(imu_req *req, const imu_workflow *w)
{
    json_t *json = record(w);

    json_object_set_new(json, "description", json_string(w->description));
    json_object_set_new(json, "category", json_string(w->category));
    json_object_set_new(json, "tags", json_string(w->tags));
    json_object_set_new(json, "thumbnail_url", thumbnail_url(req, w));
    return json;
}

static imu_err *reply_workflow(imu_req *req, const char *id)
{
    imu_workflow *w;
    imu_err *err = imu_workflow_may(req, id, imu_policy_workflow_read, &w);

    return err ? err : imu_reply_json(req, 200, imu_workflow_json(req, w));
}

static void tell(const char *event, const imu_workflow *w, int was_public)
{
    imu_workflow_announce(event, w->id, w->facts.owner_id, was_public, w->facts.is_public);
}

/* ---- reading a workflow ---- */

static void check_meta(imu_check *c, const json_t *workflow, imu_workflow *w)
{
    static const char *const categories[] = {"user", "default", NULL};
    json_t *meta = imu_check_object(c, workflow, "meta", IMU_REQUIRED);

    if (!meta)
        return;
    imu_check_text(c, meta, "version", IMU_REQUIRED, 1, 100);
    w->category = imu_check_choice(c, meta, "category", IMU_REQUIRED, categories);
}

/* Reads {"workflow": {...}} into w, without its id. *workflow stays the body's. */
static imu_err *read_body(imu_req *req, imu_workflow *w, json_t **workflow)
{
    static const char *const texts[] = {"author", "version", "contact", "notes", NULL};
    imu_check *c = imu_check_new(req->p, "body");
    json_t *body;
    imu_err *err = imu_body_object(req, &body);

    if (err)
        return err;
    if (!(*workflow = imu_check_object(c, body, "workflow", IMU_REQUIRED)))
        return imu_check_end(c);
    w->name = imu_check_text(c, *workflow, "name", IMU_REQUIRED, 0, 1000);
    w->description = imu_check_text(c, *workflow, "description", IMU_REQUIRED, 0, MAX_TEXT);
    w->tags = imu_check_text(c, *workflow, "tags", IMU_REQUIRED, 0, MAX_TEXT);
    for (int i = 0; texts[i]; i++)
        imu_check_text(c, *workflow, texts[i], IMU_REQUIRED, 0, MAX_TEXT);
    imu_check_array(c, *workflow, "exposedFields", IMU_REQUIRED, MAX_ITEMS);
    imu_check_array(c, *workflow, "nodes", IMU_REQUIRED, MAX_ITEMS);
    imu_check_array(c, *workflow, "edges", IMU_REQUIRED, MAX_ITEMS);
    imu_check_object(c, *workflow, "form", IMU_NULLABLE);
    check_meta(c, *workflow, w);
    if ((err = imu_check_end(c)))
        return err;
    if (strcmp(w->category, "default") == 0)
        return imu_error(req->p, 400, "workflow_default",
                         "Default workflows come with the program and cannot be made or changed.");
    return NULL;
}

/* ---- handlers ---- */

void imu_workflow_audit(imu_req *req, imu_audit_action action, const imu_workflow *w,
                        json_t *detail)
{
    imu_audit_foreign(
        req,
        (imu_audit_fact){
            .action = action, .target_id = w->id, .target_name = w->name, .detail = detail},
        w->facts.owner_id);
}

imu_err *imu_api_workflow_create(imu_req *req)
{
    imu_workflow w = {0};
    json_t *workflow;
    imu_db *db;
    imu_err *err = read_body(req, &w, &workflow);

    if (err)
        return err;
    w.id = imu_uuid4(req->p);
    w.facts.owner_id = req->who.user_id;
    w.facts.is_public = req->who.via == IMU_VIA_SYSTEM;
    json_object_set_new(workflow, "id", json_string(w.id));
    w.document = imu_json_compact(req->p, workflow);
    if ((err = imu_req_db(req, &db)) || (err = imu_workflow_insert(db, req->p, &w)))
        return err;
    tell("workflow_created", &w, 0);
    return reply_workflow(req, w.id);
}

imu_err *imu_api_workflow_get(imu_req *req)
{
    return reply_workflow(req, imu_param(req, "workflow_id"));
}

/* The id in the body says which workflow is meant, as upstream has it, and is the one that access
 * is decided by. */
imu_err *imu_api_workflow_change(imu_req *req)
{
    imu_workflow w = {0}, *before;
    imu_check *c = imu_check_new(req->p, "body");
    json_t *workflow, *changes = NULL;
    imu_err *err = read_body(req, &w, &workflow);

    if (err)
        return err;
    w.id = imu_check_text(c, workflow, "id", IMU_REQUIRED, 1, 255);
    if ((err = imu_check_end(c)) ||
        (err = imu_workflow_may(req, w.id, imu_policy_workflow_edit, &before)))
        return err;
    w.facts = before->facts;
    w.document = imu_json_compact(req->p, workflow);
    if ((err = imu_workflow_update(req->db, req->p, &w)))
        return err;
    tell("workflow_updated", &w, before->facts.is_public);
    if (w.name && strcmp(before->name, w.name) != 0)
        changes = json_pack("{s:s}", "new_name", w.name);
    imu_workflow_audit(req, IMU_AUDIT_WORKFLOW_CHANGED, before, changes);
    return reply_workflow(req, w.id);
}

imu_err *imu_api_workflow_delete(imu_req *req)
{
    imu_workflow *w;
    imu_err *err =
        imu_workflow_may(req, imu_param(req, "workflow_id"), imu_policy_workflow_edit, &w);

    if (err || (err = imu_workflow_delete(req->db, req->p, w->id)))
        return err;
    imu_workflow_thumbnail_remove(req, w->id);
    tell("workflow_deleted", w, 0);
    imu_workflow_audit(req, IMU_AUDIT_WORKFLOW_DELETED, w, NULL);
    return imu_reply_json(req, 200, json_null());
}

imu_err *imu_api_workflow_opened(imu_req *req)
{
    imu_workflow *w;
    imu_err *err =
        imu_workflow_may(req, imu_param(req, "workflow_id"), imu_policy_workflow_edit, &w);

    if (err || (err = imu_workflow_opened(req->db, req->p, w->id)))
        return err;
    return imu_reply_json(req, 200, json_null());
}

char *imu_workflow_tag(char *text)
{
    apr_size_t len;

    text += strspn(text, " \t");
    len = strlen(text);
    while (len > 0 && strchr(" \t", text[len - 1]))
        text[--len] = '\0';
    return text;
}

/* The list of tags with or without the one for shared workflows. */
static const char *retagged(apr_pool_t *p, const char *tags, int is_public)
{
    const char *out = "";
    char *rest = apr_pstrdup(p, tags), *next, *tag;

    for (tag = apr_strtok(rest, ",", &next); tag; tag = apr_strtok(NULL, ",", &next)) {
        tag = imu_workflow_tag(tag);
        if (*tag && strcmp(tag, SHARED_TAG) != 0)
            out = apr_pstrcat(p, out, *out ? ", " : "", tag, NULL);
    }
    return is_public ? apr_pstrcat(p, out, *out ? ", " : "", SHARED_TAG, NULL) : out;
}

imu_err *imu_api_workflow_share(imu_req *req)
{
    imu_check *c = imu_check_new(req->p, "body");
    int was_public, is_public;
    json_t *body, *document;
    imu_workflow *w;
    imu_err *err;

    if ((err =
             imu_workflow_may(req, imu_param(req, "workflow_id"), imu_policy_workflow_edit, &w)) ||
        (err = imu_body_object(req, &body)))
        return err;
    is_public = imu_check_bool(c, body, "is_public", IMU_REQUIRED, 0);
    if ((err = imu_check_end(c)))
        return err;
    was_public = w->facts.is_public;
    w->facts.is_public = is_public;
    w->tags = retagged(req->p, w->tags, is_public);
    document = imu_json_own(req->p, json_loads(w->document, 0, NULL));
    json_object_set_new(document, "tags", json_string(w->tags));
    w->document = imu_json_compact(req->p, document);
    if ((err = imu_workflow_update(req->db, req->p, w)))
        return err;
    tell("workflow_updated", w, was_public);
    if (is_public != was_public)
        imu_audit(req, (imu_audit_fact){.action = IMU_AUDIT_WORKFLOW_VISIBILITY,
                                        .target_id = w->id,
                                        .target_name = w->name,
                                        .detail = json_pack("{s:b}", "is_public", is_public)});
    return reply_workflow(req, w->id);
}
