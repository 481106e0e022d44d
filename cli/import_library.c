/*
 * import_library.c: workflows, style presets, what clients keep, models, jobs; and what has no
 * place here.
 */
#include <errno.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <apr_strings.h>

#include "cli/import.h"
#include "mod_invokemu/auth/identity.h"
#include "mod_invokemu/store/model_cover.h"
#include "mod_invokemu/store/model_state.h"
#include "mod_invokemu/store/models.h"
#include "mod_invokemu/store/picture_check.h"
#include "mod_invokemu/store/previews.h"
#include "mod_invokemu/util/ids.h"
#include "mod_invokemu/util/jsons.h"

/* Why nobody should be shown what was opened as a preview, or NULL. */
static const char *no_preview(int fd)
{
    struct stat st;

    if (fstat(fd, &st) != 0 || st.st_size > IMU_PREVIEW_MAX_FILE)
        return "its file is too large";
    return imu_webp_is_whole(fd) ? NULL : "its file is no whole WebP picture";
}

/* from is open. */
static imu_err *bring_preview(cli_importer *im, apr_pool_t *p, int from, const char *folder,
                              const char *to)
{
    imu_err *err;

    if (im->dry)
        return NULL;
    err = cli_make_folders(p, apr_pstrcat(p, im->c->opt.root, "/", folder, NULL), 0750);
    return err ? err : cli_place_open(p, from, to, CLI_COPY, &im->placed);
}

/* The picture that stands for a workflow or preset, below another folder's. @param name  NULL when
 * there is none */
static imu_err *place_preview(cli_importer *im, apr_pool_t *p, const char *theirs, const char *id,
                              const char *folder, const char **name)
{
    const char *file = apr_pstrcat(p, id, ".webp", NULL);
    const char *path = apr_pstrcat(p, theirs, "/", file, NULL);
    const char *to = imu_preview_path(p, im->c->opt.root, folder, file), *why;
    int from = cli_open_below(p, im->from, path);
    imu_err *err = NULL;

    *name = NULL;
    if (from < 0 && errno == ENOENT)
        return NULL;
    if (from < 0)
        why = cli_why_closed(p, errno);
    else
        why = to ? no_preview(from) : "its name can't be one here";
    if (why)
        cli_import_left(im, "preview", path, why);
    else if (!(err = bring_preview(im, p, from, folder, to)))
        *name = file;
    if (from >= 0)
        close(from);
    return err;
}

/* Whether the value says that the thing came with their program. */
static int is_shipped(const char *value)
{
    return value && strcmp(value, "default") == 0;
}

static imu_err *take_workflow(cli_importer *im, apr_pool_t *p, const imu_rows *r, int i)
{
    const char *id = imu_text(r, i, "workflow_id"), *name = imu_text(r, i, "name"), *preview;
    const char *opened = imu_text(r, i, "opened_at");
    const char *description = imu_text(r, i, "description"), *tags = imu_text(r, i, "tags");
    const char *document = imu_text(r, i, "workflow");
    int taken = 0;
    imu_err *err;

    if (is_shipped(imu_text(r, i, "category")))
        return NULL;
    if (!document || !imu_json_object_text(p, document)) {
        cli_import_left(im, "workflow", name ? name : id, "it can't be read");
        return NULL;
    }
    if ((err =
             place_preview(im, p, "workflow_thumbnails", id, IMU_WORKFLOW_PREVIEWS_DIR, &preview)))
        return err;
    err = imu_db_exec(
        im->db, p, &taken, "import_workflow", "ssbssssssss", id,
        cli_import_owner(im, imu_text(r, i, "user_id")), imu_bool(r, i, "is_public"),
        cli_import_name(im, p, "workflow", id, name), description ? description : "",
        tags ? tags : "", document, preview, cli_import_time(p, imu_text(r, i, "created_at")),
        cli_import_time(p, imu_text(r, i, "updated_at")), cli_import_time_or_none(p, opened));
    if (!err)
        cli_import_count(im, "workflows", taken);
    return err;
}

static imu_err *take_preset(cli_importer *im, apr_pool_t *p, const imu_rows *r, int i)
{
    const char *id = imu_text(r, i, "id"), *name = imu_text(r, i, "name"), *preview;
    const char *data = imu_text(r, i, "preset_data");
    int taken = 0;
    imu_err *err;

    if (is_shipped(imu_text(r, i, "type")))
        return NULL;
    if (!data || !imu_json_object_text(p, data)) {
        cli_import_left(im, "style preset", name ? name : id, "it can't be read");
        return NULL;
    }
    if ((err = place_preview(im, p, "style_presets", id, IMU_PRESET_PREVIEWS_DIR, &preview)))
        return err;
    err = imu_db_exec(im->db, p, &taken, "import_preset", "ssbsssss", id,
                      cli_import_owner(im, imu_text(r, i, "user_id")), imu_bool(r, i, "is_public"),
                      cli_import_name(im, p, "style preset", id, name), data, preview,
                      cli_import_time(p, imu_text(r, i, "created_at")),
                      cli_import_time(p, imu_text(r, i, "updated_at")));
    if (!err)
        cli_import_count(im, "style presets", taken);
    return err;
}

static imu_err *take_state(cli_importer *im, apr_pool_t *p, const imu_rows *r, int i)
{
    const char *id = imu_text(r, i, "user_id"), *value = imu_text(r, i, "value");
    const char *owner = strcmp(id, IMU_SYSTEM_USER) == 0
                            ? cli_import_owner(im, id)
                            : apr_hash_get(im->accounts, id, APR_HASH_KEY_STRING);
    int taken = 0;
    imu_err *err;

    if (!owner) {
        if (apr_hash_get(im->left_out, id, APR_HASH_KEY_STRING))
            cli_import_left(im, "setting of a person", imu_text(r, i, "id"),
                            "the person got no account here");
        return NULL;
    }
    if (!value || !imu_is_clean_text(value)) {
        cli_import_left(im, "setting of a person", imu_text(r, i, "key"), "it is no text");
        return NULL;
    }
    err = imu_db_exec(im->db, p, &taken, "import_state", "ssss", owner, imu_text(r, i, "key"),
                      value, cli_import_time(p, imu_text(r, i, "updated_at")));
    if (!err)
        cli_import_count(im, "settings of people", taken);
    return err;
}

imu_err *cli_import_library(cli_importer *im)
{
    imu_err *err = cli_import_each(im, "old_workflows", take_workflow);

    if (!err && !(err = cli_import_each(im, "old_presets", take_preset)))
        err = cli_import_each(im, "old_states", take_state);
    return err;
}

/* ---- models ---- */

static int is_single_file(const char *path)
{
    struct stat st;

    return stat(path, &st) == 0 && S_ISREG(st.st_mode);
}

/* What is the matter with a model of one file that can't be used as it is. */
static void note_unusable(cli_importer *im, apr_pool_t *p, const char *name, const char *place)
{
    imu_model_view view = {.state = IMU_MODEL_USABLE};

    cli_as(place);
    if (is_single_file(place))
        view = imu_model_inspect(p, place);
    cli_as(NULL);
    if (view.state != IMU_MODEL_USABLE)
        cli_import_note(im, "model %s can't be used as it is (%s): %s%s%s", name ? name : "Unnamed",
                        place, view.why, view.log ? " Its reader says: " : "",
                        view.log ? view.log : "");
}

/* What lies there may be on the list with a key of ours, if the server was started on their folder
 * of models before. */
static imu_err *note_other_key(cli_importer *im, apr_pool_t *p, const char *key, const char *name)
{
    imu_rows *here;
    imu_err *err = imu_model_get(im->db, p, key, &here);

    if (!err && !here->count)
        cli_import_left(im, "model", name ? name : key,
                        "its place is on the list here already, under a key of this server's, "
                        "which stays; what names it by its key there does not find it");
    return err;
}

/* Their picture of a model stays where it is, too. */
static void note_cover(cli_importer *im, apr_pool_t *p, const char *key)
{
    const char *path = imu_model_cover_place(p, im->models, key);
    const imu_model_cover *cover;

    if (!path || !cli_exists(path))
        return;
    cli_as(path);
    cover = imu_model_cover_by_key(p, im->models, key);
    cli_as(NULL);
    if (!cover)
        cli_import_left(im, "picture of a model", path,
                        "only WebP files of at most 2 MiB are shown, and none behind a link");
}

/* Their record of a model, with the size of its files where that is not in it. */
static const char *with_size(apr_pool_t *p, const char *place, const char *config)
{
    json_t *record = imu_json_own(p, json_loads(config, 0, NULL));
    apr_int64_t size = 0;

    if (json_integer_value(json_object_get(record, "file_size")) > 0)
        return config;
    cli_as(place);
    if (is_single_file(place) || !imu_model_is_none(imu_model_inspect(p, place).state))
        size = imu_model_size(p, place);
    cli_as(NULL);
    if (size == 0)
        return config;
    json_object_set_new(record, "file_size", json_integer(size));
    return imu_json_compact(p, record);
}

static imu_err *take_model(cli_importer *im, apr_pool_t *p, const imu_rows *r, int i)
{
    const char *name = imu_text(r, i, "name"), *path = imu_text(r, i, "path");
    const char *config = imu_text(r, i, "config"), *hash = imu_text(r, i, "hash");
    const char *place = path && *path == '/' ? path : apr_pstrcat(p, im->models, "/", path, NULL);
    int taken = 0;
    imu_err *err;

    if (!path || !hash || !config || !imu_json_object_text(p, config)) {
        cli_import_left(im, "model", name ? name : imu_text(r, i, "id"),
                        "its record can't be read");
        return NULL;
    }
    note_unusable(im, p, name, place);
    note_cover(im, p, imu_text(r, i, "id"));
    if (!cli_exists(place))
        cli_import_note(im, "the file of model %s is missing: %s", name, place);
    err = imu_db_exec(im->db, p, &taken, "import_model", "sssssssss", imu_text(r, i, "id"), hash,
                      imu_text(r, i, "base"), imu_text(r, i, "type"),
                      cli_import_name(im, p, "model", imu_text(r, i, "id"), name), place,
                      with_size(p, place, config), cli_import_time(p, imu_text(r, i, "created_at")),
                      cli_import_time(p, imu_text(r, i, "updated_at")));
    if (err)
        return err;
    cli_import_count(im, "models", taken);
    return taken ? NULL : note_other_key(im, p, imu_text(r, i, "id"), name);
}

static imu_err *take_relation(cli_importer *im, apr_pool_t *p, const imu_rows *r, int i)
{
    int taken = 0;
    imu_err *err = imu_db_exec(im->db, p, &taken, "import_relation", "sss",
                               cli_import_time(p, imu_text(r, i, "created_at")),
                               imu_text(r, i, "model_key_2"), imu_text(r, i, "model_key_1"));

    if (!err)
        cli_import_count(im, "relations of models", taken);
    return err;
}

imu_err *cli_import_models(cli_importer *im)
{
    imu_err *err = cli_import_each(im, "old_models", take_model);

    if (!err)
        err = cli_import_each(im, "old_relations", take_relation);
    if (!err && json_object_get(im->counts, "models"))
        cli_import_note(im,
                        "models stay where they are: InvokeMUModels %s offers those of these "
                        "records that this server can use (folders as diffusers has them, "
                        "checkpoints and LoRAs of one file), with the pictures in its folder "
                        "model_images, and looks for others right below it, "
                        "no deeper; jobs that wait for one of them wait until then",
                        im->models);
    return err;
}

/* ---- jobs ---- */

/* As their own server does at its start: what was under way is not any more. */
static const char *status_of(const char *status)
{
    return !status || strcmp(status, "in_progress") == 0 || strcmp(status, "waiting") == 0
               ? "canceled"
               : status;
}

static imu_err *insert_job(cli_importer *im, apr_pool_t *p, const imu_rows *r, int i, int *taken)
{
    const char *started = imu_text(r, i, "started_at"), *ended = imu_text(r, i, "completed_at");
    const char *status = status_of(imu_text(r, i, "status"));
    const char *updated = cli_import_time(p, imu_text(r, i, "updated_at"));

    if (!cli_import_time_or_none(p, ended) && strcmp(status, "pending") != 0)
        ended = updated;
    return imu_db_exec(
        im->db, p, taken, "import_job", "ssssisssssssssssssss", imu_text(r, i, "queue_id"),
        imu_text(r, i, "batch_id"), cli_import_owner(im, imu_text(r, i, "user_id")), status,
        imu_int(r, i, "priority"), imu_text(r, i, "origin"), imu_text(r, i, "destination"),
        imu_text(r, i, "field_values"), imu_text(r, i, "session"), imu_text(r, i, "workflow"),
        imu_text(r, i, "error_type"), imu_text(r, i, "error_message"),
        imu_text(r, i, "error_traceback"), imu_text(r, i, "device"),
        cli_import_time(p, imu_text(r, i, "created_at")), updated,
        cli_import_time_or_none(p, started), cli_import_time_or_none(p, ended),
        imu_text(r, i, "retried_session"), imu_text(r, i, "session_id"));
}

static imu_err *take_job(cli_importer *im, apr_pool_t *p, const imu_rows *r, int i)
{
    const char *session = imu_text(r, i, "session");
    int taken = 0;
    imu_err *err;

    if (!session || !imu_json_object_text(p, session)) {
        cli_import_left(im, "job", imu_text(r, i, "item_id"), "what it was to do can't be read");
        return NULL;
    }
    if (!(err = insert_job(im, p, r, i, &taken)))
        cli_import_count(im, "jobs", taken);
    return err;
}

static imu_err *take_jobs(cli_importer *im, apr_pool_t *p, apr_int64_t *after, int *n)
{
    imu_rows *r;
    imu_err *err = imu_db_select(im->old, p, &r, "old_jobs", "i", *after);

    *n = err ? 0 : r->count;
    if (*n == 0)
        return err;
    *after = imu_int(r, r->count - 1, "item_id");
    return cli_import_take(im, p, r, "old_jobs", take_job);
}

static imu_err *no_setting(cli_importer *im, apr_pool_t *p, const imu_rows *r, int i)
{
    const char *key = imu_text(r, i, "key");

    (void)p;
    if (strcmp(key, "jwt_secret") == 0)
        cli_import_note(im, "the key of their sessions is not taken: everybody signs in anew");
    else
        cli_import_left(im, "setting", key, "it has no meaning here");
    return NULL;
}

static imu_err *no_prompt(cli_importer *im, apr_pool_t *p, const imu_rows *r, int i)
{
    (void)p;
    cli_import_left(im, "system prompt", imu_text(r, i, "name"),
                    "there is no place for system prompts here");
    return NULL;
}

static imu_err *no_video(cli_importer *im, apr_pool_t *p, const imu_rows *r, int i)
{
    (void)p;
    cli_import_left(im, "video", imu_text(r, i, "video_name"), "there is no place for videos here");
    return NULL;
}

/* Whoever is suspended here has nothing waiting. */
static imu_err *cancel_waiting(cli_importer *im)
{
    int n = 0;
    imu_err *err = imu_db_exec(im->db, im->p, &n, "import_cancel_waiting", "sss", imu_now(im->p),
                               imu_now(im->p), IMU_NO_PASSWORD);

    if (!err && n > 0)
        cli_import_note(im, "%d waiting job%s of suspended people %s canceled", n,
                        n == 1 ? "" : "s", n == 1 ? "is" : "are");
    return err;
}

imu_err *cli_import_jobs(cli_importer *im)
{
    apr_int64_t after = APR_INT64_MIN;
    apr_pool_t *sub;
    imu_err *err;
    int n;

    apr_pool_create(&sub, im->p);
    do {
        apr_pool_clear(sub);
        err = take_jobs(im, sub, &after, &n);
    } while (!err && n > 0);
    if (err)
        err = imu_error_keep(im->p, err);
    apr_pool_destroy(sub);
    if (!err && !(err = cancel_waiting(im)) &&
        !(err = cli_import_each(im, "old_settings", no_setting)) &&
        !(err = cli_import_each(im, "old_prompts", no_prompt)))
        err = cli_import_each(im, "old_videos", no_video);
    return err;
}
