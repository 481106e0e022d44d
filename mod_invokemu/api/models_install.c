/*
 * models_install.c: /api/v2/models/install and /scan_folder. What can be installed lies right below
 * InvokeMUModels already: a folder that has appeared or was mended since the start. A model that
 * was removed comes back from wherever it lies, as those do that invokemu import brought. That
 * takes one request, so there is never an installation to list. Everything else is refused with a
 * word on how.
 */
#include "mod_invokemu/api/handlers.h"
#include "mod_invokemu/api/audit.h"

#include <string.h>
#include <http_log.h>
#include <apr_strings.h>

#include "mod_invokemu/api/models.h"
#include "mod_invokemu/events/news.h"
#include "mod_invokemu/events/publish.h"
#include "mod_invokemu/store/models.h"
#include "mod_invokemu/store/tokenizers.h"
#include "mod_invokemu/util/ids.h"
#include "mod_invokemu/util/jsons.h"

APLOG_USE_MODULE(invokemu);

#define PATH_MAX_LEN 4096
#define JOB_ID_MASK  0x7fffffff

static imu_err *no_folder(imu_req *req)
{
    return imu_error(req->p, 400, "no_model_folder",
                     "This server has no folder for models yet. The administrator guide says, "
                     "under Models, how to give it one (InvokeMUModels).");
}

static const char *without_slashes(apr_pool_t *p, const char *path)
{
    apr_size_t len = strlen(path);

    while (len > 1 && path[len - 1] == '/')
        len--;
    return apr_pstrmemdup(p, path, len);
}

static int is_removed(const imu_model_folder *f)
{
    return f->known->count && imu_text(f->known, 0, "removed_at");
}

static int is_installed(const imu_model_folder *f)
{
    return f->known->count && !is_removed(f) &&
           (f->view.state == IMU_MODEL_BROKEN ||
            !imu_model_is_unread(imu_text(f->known, 0, "hash")));
}

/* One folder as upstream says it, and what it is called, whether it was removed, and what is wrong
 * with it, which are additions of ours. */
static json_t *found(const imu_model_folder *f)
{
    const char *name = f->known->count ? imu_text(f->known, 0, "name") : f->name;

    return json_pack("{s:s, s:b, s:s, s:b, s:s*}", "path", f->path, "is_installed", is_installed(f),
                     "name", name, "removed", is_removed(f), "problem", f->view.why);
}

static int is_right_below(const char *dir, const char *path)
{
    apr_size_t len = strlen(dir);

    return strncmp(path, dir, len) == 0 && path[len] == '/' && !strchr(path + len + 1, '/');
}

static int is_removed_elsewhere(const imu_rows *rows, int i, const char *dir)
{
    return imu_text(rows, i, "removed_at") && !is_right_below(dir, imu_text(rows, i, "path"));
}

/* Adds what was removed and lies elsewhere. */
static imu_err *add_removed(imu_req *req, imu_db *db, const char *dir, json_t *list)
{
    imu_model_folder *folder;
    imu_rows *rows;
    imu_err *err = imu_model_list_all(db, req->p, &rows);

    for (int i = 0; !err && i < rows->count; i++) {
        const char *path = imu_text(rows, i, "path");

        if (!is_removed_elsewhere(rows, i, dir) ||
            (err = imu_model_folder_look(db, req->p, dir, path, &folder)) ||
            imu_model_is_gone(folder->view.state))
            continue;
        json_array_append_new(list, found(folder));
    }
    return err;
}

/** GET /api/v2/models/scan_folder?scan_path: the model folders right below InvokeMUModels, and what
 * was removed. */
imu_err *imu_api_models_scan_folder(imu_req *req)
{
    const char *dir = req->inst->models_dir, *path;
    apr_array_header_t *names;
    imu_db *db;
    imu_err *err;
    json_t *list;

    if ((err = imu_query_text(req, "scan_path", PATH_MAX_LEN, dir, &path)))
        return err;
    if (!dir)
        return no_folder(req);
    if (strcmp(without_slashes(req->p, path), dir) != 0)
        return imu_error(req->p, 400, "not_the_model_folder",
                         "Only the server's model folder is looked through: %s", dir);
    if ((err = imu_req_db(req, &db)) || (err = imu_model_folders(req->p, dir, &names)))
        return err;
    list = imu_json_own(req->p, json_array());
    for (int i = 0; i < names->nelts; i++) {
        imu_model_folder *folder;

        if ((err = imu_model_folder_look(db, req->p, dir, APR_ARRAY_IDX(names, i, const char *),
                                         &folder)))
            return err;
        if (is_removed(folder) || !imu_model_is_none(folder->view.state))
            json_array_append_new(list, found(folder));
    }
    if ((err = add_removed(req, db, dir, list)))
        return err;
    return imu_reply_json(req, 200, json_incref(list));
}

/* The folder that source names: its path, or its name alone. NULL when it is none right below
 * InvokeMUModels. */
static const char *folder_name(const imu_req *req, const char *source)
{
    const char *dir = req->inst->models_dir, *name = without_slashes(req->p, source);
    apr_size_t len = dir ? strlen(dir) : 0;

    if (!dir)
        return NULL;
    if (strncmp(name, dir, len) == 0 && name[len] == '/')
        name += len + 1;
    return *name && *name != '.' && !strchr(name, '/') && imu_is_clean_text(name) ? name : NULL;
}

/* What the installer is told of the model beside its folder; {} without a body. */
static imu_err *wanted_change(imu_req *req, imu_model_change *change)
{
    const char *length = apr_table_get(req->r->headers_in, "Content-Length");
    json_t *body = imu_json_own(req->p, json_object());
    imu_err *err = NULL;

    if ((length && strcmp(length, "0") != 0) ||
        apr_table_get(req->r->headers_in, "Transfer-Encoding"))
        err = imu_body_object(req, &body);
    return err ? err : imu_models_change_read(req, body, change);
}

/* @return 404, 409, 415 */
static imu_err *look(imu_req *req, const char *name, imu_model_folder **folder)
{
    imu_db *db;
    imu_err *err = imu_req_db(req, &db);

    if (err || (err = imu_model_folder_look(db, req->p, req->inst->models_dir, name, folder)))
        return err;
    if ((*folder)->view.state == IMU_MODEL_MISSING)
        return imu_error(req->p, 404, "no_such_folder",
                         "There is nothing called \"%.100s\" in the server's model folder.", name);
    if (is_installed(*folder))
        return imu_error(req->p, 409, "already_installed", "This model is on the list already.");
    if ((*folder)->view.state && !is_removed(*folder))
        return imu_error(req->p, 415, "not_a_usable_model",
                         "The folder \"%.100s\" holds no model that this server can use. %s", name,
                         (*folder)->view.why);
    return NULL;
}

/* The path of a model that was removed and lies elsewhere, by that path or by the one that its
 * record tells clients; NULL when there is none. */
static imu_err *removed_path(imu_req *req, const char *source, const char **path)
{
    const char *dir = req->inst->models_dir;
    imu_rows *rows;
    imu_db *db;
    imu_err *err;

    *path = NULL;
    if (!dir)
        return NULL;
    if ((err = imu_req_db(req, &db)) || (err = imu_model_list_all(db, req->p, &rows)))
        return err;
    for (int i = 0; !*path && i < rows->count; i++) {
        const json_t *record;

        if (!imu_text(rows, i, "removed_at") || is_right_below(dir, imu_text(rows, i, "path")))
            continue;
        record = imu_json_own(req->p, imu_json_parsed(rows, i, "record"));
        if (strcmp(imu_text(rows, i, "path"), source) == 0 ||
            strcmp(imu_json_word(record, "path", ""), source) == 0)
            *path = imu_text(rows, i, "path");
    }
    return NULL;
}

/* For models of one file. The model itself is installed without that, too. */
static void keep_tokenizers(imu_req *req, const imu_model_folder *folder)
{
    imu_err *err = imu_tokenizers_of_model(req->p, req->inst->root, folder->path);

    if (err)
        ap_log_rerror(APLOG_MARK, APLOG_WARNING, 0, req->r, "IMU0210: %s",
                      err->log ? err->log : err->detail);
}

/* Reading the weights takes a while, in which the connection is somebody else's. What was removed
 * and is broken, or lies elsewhere, comes back as it is. */
static imu_err *install(imu_req *req, imu_model_folder *folder, const char **key)
{
    imu_db *db;
    imu_err *err;

    if (folder->view.state || *folder->name == '/') {
        *key = imu_text(folder->known, 0, "key");
        return imu_model_restore(req->db, req->p, *key);
    }
    imu_req_db_release(req);
    if ((err = imu_model_folder_read(req->p, folder)))
        return err;
    if ((err = imu_req_db(req, &db)) || (err = imu_model_folder_register(db, req->p, folder, key)))
        return err;
    keep_tokenizers(req, folder);
    return NULL;
}

/* The same number in the job and in the event. */
static json_int_t job_id(const imu_req *req)
{
    return (json_int_t)(apr_time_as_msec(req->r->request_time) & JOB_ID_MASK);
}

static json_t *source_of(const imu_model_folder *folder)
{
    return json_pack("{s:s, s:b, s:s}", "path", folder->path, "inplace", 1, "type", "local");
}

static json_t *job(const imu_req *req, const imu_model_folder *folder,
                   const imu_model_change *change, json_t *record)
{
    json_t *config = json_copy(change->given);

    if (change->name)
        json_object_set_new(config, "name", json_string(change->name));
    return json_pack("{s:I, s:s, s:n, s:o, s:O, s:b, s:o, s:s, s:I, s:I, s:n, s:[], s:n, s:n}",
                     "id", job_id(req), "status", "completed", "error_reason", "config_in", config,
                     "config_out", record, "inplace", 1, "source", source_of(folder), "local_path",
                     folder->path, "bytes", (json_int_t)folder->size, "total_bytes",
                     (json_int_t)folder->size, "source_metadata", "download_parts", "error",
                     "error_traceback");
}

static void tell(const imu_req *req, const imu_model_folder *folder, const char *key,
                 json_t *record)
{
    json_t *news = json_pack("{s:I, s:I, s:o, s:s, s:I, s:O}", "timestamp",
                             (json_int_t)apr_time_sec(apr_time_now()), "id", job_id(req), "source",
                             source_of(folder), "key", key, "total_bytes", (json_int_t)folder->size,
                             "config", record);

    imu_publish("model_install_complete", NULL, news);
    json_decref(news);
    imu_models_tell();
}

/** POST /api/v2/models/install?source: a folder right below InvokeMUModels, or a model that was
 * removed. */
imu_err *imu_api_model_install(imu_req *req)
{
    imu_model_change change;
    imu_model_folder *folder;
    const char *source, *name, *key;
    json_t *record;
    imu_rows *rows;
    imu_err *err;

    if ((err = imu_query_required(req, "source", PATH_MAX_LEN, &source)) ||
        (err = wanted_change(req, &change)))
        return err;
    if (!(name = folder_name(req, source)) && (err = removed_path(req, source, &name)))
        return err;
    if (!name)
        return imu_api_model_install_unsupported(req);
    if ((err = look(req, name, &folder)) || (err = install(req, folder, &key)) ||
        (err = imu_model_get(req->db, req->p, key, &rows)))
        return err;
    if (rows->count == 0)
        return imu_error(req->p, 409, "gone", "Somebody else took this model off the list.");
    if ((change.name || change.prediction || json_object_size(change.given)) &&
        ((err = imu_models_change_put(req, rows, &change, &record)) ||
         (err = imu_model_get(req->db, req->p, key, &rows))))
        return err;
    record = imu_json_own(req->p, imu_models_shown(req, rows, 0, imu_models_view(req, rows, 0)));
    imu_audit(req, (imu_audit_fact){.action = IMU_AUDIT_MODEL_INSTALLED,
                                    .target_id = key,
                                    .target_name = imu_text(rows, 0, "name")});
    tell(req, folder, key, record);
    return imu_reply_json(req, 201, job(req, folder, &change, record));
}

/** GET /api/v2/models/install: they end before they could be listed. */
imu_err *imu_api_model_installs(imu_req *req)
{
    return imu_reply_json(req, 200, json_array());
}

/** One installation by its number. */
imu_err *imu_api_model_install_unknown(imu_req *req)
{
    return imu_error(req->p, 404, "install_not_found", "There is no such installation.");
}

/** DELETE /api/v2/models/install: forgets the ended ones. */
imu_err *imu_api_model_installs_prune(imu_req *req)
{
    return imu_reply_empty(req, 204);
}

/** What would have to be fetched or copied. */
imu_err *imu_api_model_install_unsupported(imu_req *req)
{
    return imu_error(req->p, 501, "install_unsupported",
                     "This server fetches and copies no models. Put the model's folder into the "
                     "server's model folder (InvokeMUModels), then choose \"Look for new models\" "
                     "on the page Models.");
}
