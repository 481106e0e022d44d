/*
 * models.c: the list of models on the command line. A server that runs takes changes into account
 * with the next request; pages that are open are told.
 */
#include "cli/cli.h"

#include <stdio.h>
#include <string.h>

#include <apr_file_info.h>
#include <apr_strings.h>

#include "mod_invokemu/events/news.h"
#include "mod_invokemu/store/models.h"
#include "mod_invokemu/store/tokenizers.h"
#include "mod_invokemu/util/ids.h"

#define MEGABYTE 1e6

/* A model of the list as the server finds it. */
static imu_model_view look(const cli *c, const imu_rows *rows, int row)
{
    return imu_model_look(c->p, c->server.models, rows, row);
}

static const char *state_word(const cli *c, const imu_rows *rows, int row, imu_model_state state)
{
    switch (state) {
    case IMU_MODEL_USABLE:
        return "usable";
    case IMU_MODEL_MISSING:
        return "gone";
    case IMU_MODEL_FOREIGN:
        return imu_model_is_outside(c->p, c->server.models, rows, row) ? "elsewhere"
                                                                       : "another kind";
    case IMU_MODEL_BROKEN:
        return "broken";
    case IMU_MODEL_UNKNOWN:
        return "not read yet";
    case IMU_MODEL_REMOVED:
        return "removed";
    }
    return "unknown";
}

static json_t *model_json(json_t *record, const char *state, const imu_model_view *view)
{
    json_object_set_new(record, "state", json_string(state));
    json_object_set_new(record, "problem", view->why ? json_string(view->why) : json_null());
    return record;
}

imu_err *cli_models_list(cli *c)
{
    imu_rows *rows;
    imu_err *err = imu_model_list_all(c->db, c->p, &rows);
    json_t *list;

    if (err)
        return err;
    list = imu_json_own(c->p, json_array());
    for (int i = 0; i < rows->count; i++) {
        imu_model_view view = look(c, rows, i);
        const char *state = state_word(c, rows, i, view.state);
        json_t *record = imu_json_parsed(rows, i, "record");
        double size = (double)json_integer_value(json_object_get(record, "file_size"));

        if (c->opt.json) {
            json_array_append_new(list, model_json(record, state, &view));
            continue;
        }
        json_decref(record);
        cli_say(c, "%s  %-8s %-6s %8.1f MB  %-12s  %s", imu_text(rows, i, "key"),
                imu_text(rows, i, "base"), imu_text(rows, i, "type"), size / MEGABYTE, state,
                imu_text(rows, i, "name"));
        if (view.why)
            cli_say(c, "    %s", view.why);
    }
    if (c->opt.json)
        cli_print_json(list);
    return NULL;
}

static const char *folder_of(const imu_rows *rows, int row)
{
    const char *path = imu_text(rows, row, "path"), *slash = strrchr(path, '/');

    return slash ? slash + 1 : path;
}

static int answers_to(const imu_rows *rows, int row, const char *what)
{
    return strcmp(imu_text(rows, row, "key"), what) == 0 ||
           strcmp(imu_text(rows, row, "name"), what) == 0 ||
           strcmp(folder_of(rows, row), what) == 0;
}

/* The one model of the wanted kind that has this key, this name or this folder. */
static imu_err *find(cli *c, int removed, imu_rows **rows, int *row)
{
    const char *what = c->opt.plain;
    imu_err *err = imu_model_list_all(c->db, c->p, rows);
    int n = 0;

    if (err)
        return err;
    for (int i = 0; i < (*rows)->count; i++) {
        if (!answers_to(*rows, i, what) || (imu_text(*rows, i, "removed_at") != NULL) != removed)
            continue;
        *row = i;
        n++;
    }
    if (n == 1)
        return NULL;
    if (n > 1)
        return imu_error(c->p, 409, "several", "%d models are called \"%s\": give the key", n,
                         what);
    return imu_error(c->p, 404, "no_model",
                     removed ? "no model that was removed is called \"%s\""
                             : "no model on the list is called \"%s\"",
                     what);
}

static void changed(cli *c, const imu_rows *rows, int row, imu_audit_action action,
                    const char *before, const char *after)
{
    const char *key = imu_text(rows, row, "key"), *name = imu_text(rows, row, "name");

    imu_models_tell();
    cli_note(c, (imu_audit_fact){.action = action, .target_id = key, .target_name = name});
    cli_done(c, json_pack("{s:s, s:s}", "key", key, "name", name), "%s%s%s", before, name, after);
}

imu_err *cli_models_remove(cli *c)
{
    imu_rows *rows;
    int row;
    imu_err *err = find(c, 0, &rows, &row);

    if (!err)
        err = imu_model_take_off(c->db, c->p, imu_text(rows, row, "key"), look(c, rows, row).state);
    if (!err)
        changed(c, rows, row, IMU_AUDIT_MODEL_DELETED, "Removed ", " from the list.");
    return err;
}

imu_err *cli_models_restore(cli *c)
{
    imu_rows *rows;
    int row;
    imu_err *err = find(c, 1, &rows, &row);

    if (!err)
        err = imu_model_restore(c->db, c->p, imu_text(rows, row, "key"));
    if (!err)
        changed(c, rows, row, IMU_AUDIT_MODEL_INSTALLED, "", " is back on the list.");
    return err;
}

imu_err *cli_models_scan(cli *c)
{
    const char *given = c->opt.models ? c->opt.models : c->server.models;
    imu_rows *before, *after;
    const char *dir;
    apr_finfo_t info;
    apr_status_t rv;
    imu_err *err;

    if (!given)
        given = apr_pstrcat(c->p, c->opt.root, "/models", NULL);
    rv = apr_stat(&info, given, APR_FINFO_TYPE, c->p);
    if (rv != APR_SUCCESS || info.filetype != APR_DIR)
        return imu_error(c->p, 404, "no_folder", "%s is no folder: name one with --models", given);
    /* Models are known by their whole path, as the server's configuration says it. */
    if (!(dir = cli_whole_path(c->p, given)) || !imu_is_clean_text(dir))
        return imu_error(c->p, 422, "folder", "%s can't be made a whole path in UTF-8", given);
    if ((err = imu_model_list_all(c->db, c->p, &before)) || (err = imu_models_scan(c->db, dir)) ||
        (err = imu_model_list_all(c->db, c->p, &after)) ||
        (err = imu_tokenizers_remember(c->db, c->p, c->opt.root)))
        return err;
    imu_models_tell();
    cli_done(c, json_pack("{s:i, s:i}", "known", after->count, "new", after->count - before->count),
             "Looked through %s: %d %s known, %d of them new.", dir, after->count,
             after->count == 1 ? "model is" : "models are", after->count - before->count);
    return NULL;
}
