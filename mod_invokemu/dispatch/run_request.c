/*
 * run_request.c: what a worker is given for a job: the session, the models it names, and
 * descriptors of the pictures it names as far as its owner may see them.
 */
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <unistd.h>

#include <apr_strings.h>

#include "mod_invokemu/dispatch/runs.h"
#include "mod_invokemu/policy.h"
#include "mod_invokemu/store/images.h"
#include "mod_invokemu/store/picture_files.h"
#include "mod_invokemu/util/version.h"

#define MAX_MODELS  64
#define MAX_DEPTH   64
#define MAX_TRIGGER 128 /* bytes of a textual inversion's name */

typedef void found_fn(void *baton, const char *text);

/* Calls found for every text under key anywhere in value. */
static void walk(const json_t *value, const char *key, int depth, found_fn *found, void *baton)
{
    const char *name;
    json_t *one;
    size_t i;

    if (depth > MAX_DEPTH)
        return;
    if (json_is_array(value)) {
        json_array_foreach (value, i, one)
            walk(one, key, depth + 1, found, baton);
    } else if (json_is_object(value)) {
        json_object_foreach ((json_t *)value, name, one) {
            if (json_is_string(one) && strcmp(name, key) == 0)
                found(baton, json_string_value(one));
            else
                walk(one, key, depth + 1, found, baton);
        }
    }
}

/* A list without repetitions: an object whose keys are the texts. */
static void collect(void *baton, const char *text)
{
    json_object_set_new(baton, text, json_true());
}

json_t *imu_session_models(apr_pool_t *p, const json_t *session)
{
    json_t *set = json_object(), *list = imu_json_own(p, json_array()), *one;
    const char *key;

    walk(json_object_get(session, "graph"), "key", 0, collect, set);
    json_object_foreach (set, key, one)
        json_array_append_new(list, json_string(key));
    json_decref(set);
    return list;
}

/* Notes what stands in angle brackets in a text: names of textual inversions, as a prompt has them.
 */
static void collect_triggers(json_t *names, const char *text)
{
    for (const char *c = strchr(text, '<'); c; c = strchr(c + 1, '<')) {
        apr_size_t n = strcspn(c + 1, "<>");

        if (c[1 + n] == '>' && n > 0 && n < MAX_TRIGGER && json_object_size(names) < MAX_MODELS)
            json_object_setn_new(names, c + 1, n, json_true());
    }
}

/* All texts of a graph: prompts may come from any of them. */
static void walk_triggers(const json_t *value, int depth, json_t *names)
{
    const char *name;
    json_t *one;
    size_t i;

    if (depth > MAX_DEPTH)
        return;
    if (json_is_string(value))
        collect_triggers(names, json_string_value(value));
    json_array_foreach (value, i, one)
        walk_triggers(one, depth + 1, names);
    json_object_foreach ((json_t *)value, name, one)
        walk_triggers(one, depth + 1, names);
}

/* Nodes that choose a model by something else than its key: all of that type go along. */
static imu_err *add_choices(imu_dispatch *d, apr_pool_t *p, const json_t *nodes, json_t *keys)
{
    static const struct {
        const char *node, *model;
    } kinds[] = {{"esrgan", "spandrel_image_to_image"}, {"ip_adapter", "clip_vision"}};
    imu_err *err = NULL;

    for (unsigned i = 0; !err && i < sizeof kinds / sizeof kinds[0]; i++) {
        const char *id, *type;
        json_t *node;
        int wanted = 0;

        json_object_foreach ((json_t *)nodes, id, node) {
            type = json_string_value(json_object_get(node, "type"));
            wanted |= type && strcmp(type, kinds[i].node) == 0;
        }
        if (wanted)
            err = imu_run_models_of_type(d->db, p, kinds[i].model, keys);
    }
    return err;
}

/* The models that the session names by key, those that its nodes choose from, and the textual
 * inversions that its texts name. */
static imu_err *wanted_models(imu_dispatch *d, apr_pool_t *p, const json_t *session, json_t **keys)
{
    const json_t *nodes = json_object_get(json_object_get(session, "graph"), "nodes");
    json_t *names = imu_json_own(p, json_object()), *one;
    const char *name;
    imu_err *err;

    *keys = imu_session_models(p, session);
    err = add_choices(d, p, nodes, *keys);
    walk_triggers(nodes, 0, names);
    json_object_foreach (names, name, one)
        if (!err)
            err = imu_run_inversions(d->db, p, name, *keys);
    return err;
}

/* A path in the table is absolute, or relative to the folder of models. */
static const char *model_path(imu_dispatch *d, apr_pool_t *p, const char *path)
{
    if (path[0] == '/' || !d->conf->models_dir)
        return path;
    return apr_pstrcat(p, d->conf->models_dir, "/", path, NULL);
}

static imu_err *add_models(imu_dispatch *d, apr_pool_t *p, imu_run *run, const json_t *keys,
                           json_t *header)
{
    json_t *list = json_array(), *key;
    size_t i;

    json_object_set_new(header, "models", list);
    json_array_foreach (keys, i, key) {
        const char *path;
        json_t *record;
        imu_err *err;

        if (json_object_get(run->models, json_string_value(key)))
            continue; /* named in two ways */
        if ((err = imu_run_model(d->db, p, json_string_value(key), &path, &record)))
            return err;
        if (!path)
            continue; /* the node that needs it says so, better than we could */
        if (json_array_size(list) == MAX_MODELS)
            return imu_error(p, 422, "too_many_models", "The graph names more than %d models.",
                             MAX_MODELS);
        json_object_set(run->models, json_string_value(key), record);
        json_array_append_new(list, json_pack("{s:O, s:s, s:O}", "key", key, "path",
                                              model_path(d, p, path), "record", record));
    }
    return NULL;
}

/* Opens one picture when the job's owner may see it. *fd is -1 when not: its node will say that it
 * is missing. */
static imu_err *open_picture(imu_dispatch *d, apr_pool_t *p, const imu_identity *owner,
                             const char *name, int *fd)
{
    imu_image *image;
    imu_err *err;

    *fd = -1;
    if (!imu_picture_file_ok(name))
        return NULL;
    if ((err = imu_image_get(d->db, p, owner->user_id, name, &image)) || !image ||
        !imu_policy_picture_read(owner, &image->facts))
        return err;
    *fd = open(imu_picture_path(p, d->conf->root, name), O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
    if (*fd < 0 && errno != ENOENT)
        return imu_error_internal(p, "can't open picture %s: %s", name, strerror(errno));
    return NULL;
}

static imu_err *add_pictures(imu_dispatch *d, apr_pool_t *p, const imu_run *run,
                             const json_t *session, json_t *header, int *fds, int *n_fds)
{
    imu_identity owner = {.via = IMU_VIA_SYSTEM, .user_id = run->job->user_id};
    json_t *set = imu_json_own(p, json_object()), *list = json_array(), *one;
    const char *name;
    int known;
    imu_err *err = imu_run_owner(d->db, p, owner.user_id, &owner.is_admin, &known);

    json_object_set_new(header, "images", list);
    if (err || !known)
        return err;
    walk(json_object_get(session, "graph"), "image_name", 0, collect, set);
    json_object_foreach (set, name, one) {
        int fd;

        if ((err = open_picture(d, p, &owner, name, &fd)))
            return err;
        if (fd < 0)
            continue;
        if (*n_fds == IMU_WIRE_MAX_FDS) {
            close(fd);
            return imu_error(p, 422, "too_many_pictures", "The graph names more than %d pictures.",
                             IMU_WIRE_MAX_FDS);
        }
        json_array_append_new(list, json_pack("{s:s, s:i}", "image_name", name, "fd", *n_fds));
        fds[(*n_fds)++] = fd;
    }
    return NULL;
}

imu_err *imu_run_request(imu_dispatch *d, apr_pool_t *p, imu_run *run, json_t *session,
                         json_t **out, int *fds, int *n_fds)
{
    const imu_job *job = run->job;
    json_t *header, *keys;
    imu_err *err;

    *n_fds = 0;
    *out = NULL;
    if (!json_is_object(session))
        return imu_error(p, 422, "session_broken", "The stored session of this job can't be read.");
    header = imu_json_own(p, json_pack("{s:s, s:I, s:O, s:{s:s}}", "run_id", job->run_id, "item_id",
                                       (json_int_t)job->item_id, "session", session,
                                       "metadata_extra", "app_version", IMU_API_VERSION));
    json_object_set_new(header, "workflow",
                        job->workflow ? json_string(job->workflow) : json_null());
    if ((err = wanted_models(d, p, session, &keys)) ||
        (err = add_models(d, p, run, keys, header)) ||
        (err = add_pictures(d, p, run, session, header, fds, n_fds)))
        return err;
    *out = json_incref(header);
    return NULL;
}
