/*
 * model_scan.c: finds the models of InvokeMUModels. Each folder right below it that holds a
 * diffusers pipeline which the worker can run becomes a record, also one whose files are broken:
 * administrators are to see why it is not offered. An invokemu.json beside
 * model_index.json names and describes it. A record keeps its key for as long as its folder keeps
 * its place. A file right below it, NAME.safetensors, is a model too when it holds a LoRA, say, or
 * a whole model; so is a folder with one network. What else lies there is left alone.
 */
#include "mod_invokemu/store/models.h"

#include <stdlib.h>
#include <string.h>
#include <apr_file_info.h>
#include <apr_file_io.h>
#include <apr_strings.h>
#include <openssl/evp.h>

#include "mod_invokemu/util/ids.h"
#include "mod_invokemu/util/jsons.h"
#include "worker/diffusion/file_kind.h"
#include "worker/diffusion/json_file.h"
#include "worker/diffusion/model_files.h"
#include "worker/diffusion/sharded.h"
#include "worker/diffusion/model_kind.h"

#define FILE_END      ".safetensors"
#define MODELS_MAX    1000
#define FOLDERS_MAX   10000
#define DEPTH_MAX     4
#define READ_SIZE     (256 * 1024)
#define NAME_MAX_LEN  200
#define ABOUT_MAX_LEN 2000
#define IDEAS_MAX     24
#define IDEA_LETTERS  200

/** Bytes of all files below dir. */
static apr_int64_t folder_size(apr_pool_t *p, const char *dir, int depth)
{
    apr_int64_t total = 0;
    apr_finfo_t info;
    apr_dir_t *d;

    if (depth > DEPTH_MAX || apr_dir_open(&d, dir, p) != APR_SUCCESS)
        return 0;
    while (apr_dir_read(&info, APR_FINFO_NAME, d) == APR_SUCCESS) {
        const char *path = apr_pstrcat(p, dir, "/", info.name, NULL);

        if (info.name[0] == '.' ||
            apr_stat(&info, path, APR_FINFO_SIZE | APR_FINFO_TYPE, p) != APR_SUCCESS)
            continue;
        total += info.filetype == APR_DIR ? folder_size(p, path, depth + 1) : info.size;
    }
    apr_dir_close(d);
    return total;
}

apr_int64_t imu_model_size(apr_pool_t *p, const char *path)
{
    apr_finfo_t info;

    if (apr_stat(&info, path, APR_FINFO_SIZE | APR_FINFO_TYPE, p) == APR_SUCCESS &&
        info.filetype == APR_REG)
        return info.size;
    return folder_size(p, path, 0);
}

/** Adds what a file holds to a digest. @return 0 when it can't be read */
static int digest_file(apr_pool_t *p, const char *path, EVP_MD_CTX *ctx)
{
    apr_file_t *file;
    apr_size_t got = READ_SIZE;
    char *buf = apr_palloc(p, READ_SIZE);

    if (apr_file_open(&file, path, APR_FOPEN_READ | APR_FOPEN_BINARY, 0, p) != APR_SUCCESS)
        return 0;
    while (apr_file_read(file, buf, &got) == APR_SUCCESS) {
        EVP_DigestUpdate(ctx, buf, got);
        got = READ_SIZE;
    }
    apr_file_close(file);
    return 1;
}

/** Adds the weights of the UNet, or of a folder's one network, in one file or several; or the
 * model's one file. */
static int digest_weights(apr_pool_t *p, const char *dir, EVP_MD_CTX *ctx)
{
    imu_file_kind single;
    const char *net = imu_model_single(dir, &single) ? dir : apr_pstrcat(p, dir, "/unet", NULL),
               *name = imu_net_file_name(net);
    imu_shards *shards;
    int read = 1;

    if (imu_is_weights_file(dir))
        return digest_file(p, dir, ctx);
    if (!name || !imu_is_index(name))
        return name && digest_file(p, apr_pstrcat(p, net, "/", name, NULL), ctx);
    if (imu_shards_read(net, name, &shards, NULL))
        return 0;
    for (size_t i = 0; i < shards->count && read; i++)
        read = digest_file(p, apr_pstrcat(p, net, "/", shards->name[i], NULL), ctx);
    imu_shards_free(shards);
    return read;
}

/** "sha256:" and the digest of the weights. */
static imu_err *weights_hash(apr_pool_t *p, const char *dir, const char **hash)
{
    unsigned char digest[EVP_MAX_MD_SIZE];
    char hex[2 * EVP_MAX_MD_SIZE + 1];
    EVP_MD_CTX *ctx = EVP_MD_CTX_new();
    unsigned int n = 0, i;
    int read;

    if (!ctx)
        return imu_error_internal(p, "no memory for a digest");
    EVP_DigestInit_ex(ctx, EVP_sha256(), NULL);
    read = digest_weights(p, dir, ctx);
    EVP_DigestFinal_ex(ctx, digest, &n);
    EVP_MD_CTX_free(ctx);
    if (!read)
        return imu_error(p, 400, "no_weights", "The weights in %s can't be read.", dir);
    for (i = 0; i < n; i++)
        apr_snprintf(hex + 2 * i, 3, "%02x", digest[i]);
    *hash = apr_pstrcat(p, "sha256:", hex, NULL);
    return NULL;
}

/** Only what the client knows, and of the right kind. */
static json_t *default_settings(const json_t *about)
{
    static const char *const numbers[] = {"steps", "cfg_scale", "cfg_rescale_multiplier", "width",
                                          "height"};
    const json_t *given = json_object_get(about, "default_settings");
    const char *scheduler = imu_json_word(given, "scheduler", NULL);
    json_t *out;
    unsigned i;

    if (!json_is_object(given))
        return json_null();
    out = json_object();
    for (i = 0; i < sizeof numbers / sizeof numbers[0]; i++) {
        json_t *value = json_object_get(given, numbers[i]);

        if (json_is_number(value))
            json_object_set(out, numbers[i], value);
    }
    if (scheduler)
        json_object_set_new(out, "scheduler", json_string(scheduler));
    return out;
}

/* How many letters a text has: bytes that do not go on with one. */
static size_t letters(const char *text)
{
    size_t n = 0;

    for (; *text; text++)
        n += ((unsigned char)*text & 0xc0) != 0x80;
    return n;
}

/** Prompts that the model draws well, as its folder says; what is no such text is left out. NULL
 * for none. */
static json_t *suggestions(const json_t *about)
{
    json_t *out = json_array(), *one;
    size_t i;

    json_array_foreach (json_object_get(about, "suggestions"), i, one) {
        const char *text = json_string_value(one);

        if (text && *text && letters(text) <= IDEA_LETTERS && imu_is_clean_text(text) &&
            json_array_size(out) < IDEAS_MAX)
            json_array_append(out, one);
    }
    if (json_array_size(out))
        return out;
    json_decref(out);
    return NULL;
}

/** What an IP adapter's folder says of the encoder of pictures that it was made for. */
static json_t *encoder_of(const char *path)
{
    char *text;
    size_t size;
    json_t *name = NULL;

    if (imu_file_read(path, IMU_IP_ENCODER, NAME_MAX_LEN, &text, &size, NULL))
        return json_null();
    text[strcspn(text, "\r\n")] = 0;
    if (imu_is_clean_text(text))
        name = json_string(text);
    free(text);
    return name ? name : json_null();
}

/** What clients are told about a model that is one file, or a folder with one network. */
static json_t *make_single_record(apr_pool_t *p, const imu_file_kind *kind, const char *path,
                                  const char *name, const char *key, const char *hash,
                                  apr_int64_t size)
{
    int diffusers = strcmp(kind->format, "diffusers") == 0,
        invokeai = strcmp(kind->format, "invokeai") == 0, folder = diffusers || invokeai;
    const char *shown = folder ? name : apr_pstrndup(p, name, strlen(name) - strlen(FILE_END));
    json_t *record =
        json_pack("{s:s, s:s, s:s, s:I, s:s, s:n, s:s, s:s, s:n, s:n, s:n, s:s, s:n, s:n, s:s, "
                  "s:s}",
                  "key", key, "hash", hash, "path", name, "file_size", (json_int_t)size, "name",
                  strlen(shown) > NAME_MAX_LEN ? kind->type : shown, "description", "source", name,
                  "source_type", "path", "source_api_response", "source_url", "cover_image", "type",
                  kind->type, "trigger_phrases", "default_settings", "base", kind->base, "format",
                  kind->format);

    if (record && *kind->variant) {
        json_object_set_new(record, "variant", json_string(kind->variant));
        json_object_set_new(record, "prediction_type", json_string(kind->prediction));
        json_object_set_new(record, "config_path", json_null());
    }
    if (record && diffusers)
        json_object_set_new(record, "repo_variant", json_string(""));
    if (record && invokeai)
        json_object_set_new(record, "image_encoder_model_id", encoder_of(path));
    return imu_json_own(p, record);
}

/** What clients are told about the model in folder name. */
static json_t *make_record(apr_pool_t *p, const char *dir, const char *name, const char *key,
                           const char *hash, apr_int64_t size)
{
    const json_t *about = imu_model_json(p, dir, "invokemu.json"),
                 *unet = imu_model_json(p, dir, "unet/config.json");
    const json_t *scheduler = imu_model_json(p, dir, "scheduler/scheduler_config.json");
    imu_model_kind kind;
    const char *shown = imu_json_word(about, "name", name),
               *description = imu_json_word(about, "description", NULL);

    if (strlen(shown) > NAME_MAX_LEN)
        shown = name;
    if (description && strlen(description) > ABOUT_MAX_LEN)
        description = NULL;
    imu_model_kind_of(unet, scheduler, &kind);
    return imu_json_own(
        p,
        json_pack("{s:s, s:s, s:s, s:I, s:s, s:s?, s:s, s:s, s:n, s:n, s:n, s:s, s:n, s:o, s:s, "
                  "s:s, s:s, s:s, s:s, s:o*, s:o*, s:o*}",
                  "key", key, "hash", hash, "path", name, "file_size", (json_int_t)size, "name",
                  shown, "description", description, "source", name, "source_type", "path",
                  "source_api_response", "source_url", "cover_image", "type", "main",
                  "trigger_phrases", "default_settings", default_settings(about), "base", kind.base,
                  "format", "diffusers", "repo_variant", "", "variant", kind.variant,
                  "prediction_type", kind.prediction, "sample",
                  json_is_true(json_object_get(about, "sample")) ? json_true() : NULL, "untrained",
                  json_is_true(json_object_get(about, "untrained")) ? json_true() : NULL,
                  "suggestions", suggestions(about)));
}

static void keep_fields(json_t *record, const json_t *old, const char *const *fields)
{
    for (; *fields; fields++)
        if (json_object_get(old, *fields))
            json_object_set(record, *fields, json_object_get(old, *fields));
}

/** Whether a record was made by a scan of this folder, and not by another server. */
static int is_scanned(const json_t *record, const char *name)
{
    return strcmp(imu_json_word(record, "source_type", ""), "path") == 0 &&
           strcmp(imu_json_word(record, "source", ""), name) == 0;
}

/** What was said of a model outlives a scan, which renews what the files say. What an administrator
 * wrote over the API counts more than the folder's own description, and so does all that an import
 * brought. */
static void keep_words(json_t *record, const json_t *old, const char *name)
{
    static const char *const written[] = {"name", "description", "trigger_phrases",
                                          "default_settings", NULL};
    static const char *const brought[] = {"source",     "source_type", "source_api_response",
                                          "source_url", "usage_info",  "prediction_type",
                                          NULL};
    static const char *const edited[] = {IMU_MODEL_EDITED, NULL};
    static const char *const predicts[] = {"prediction_type", IMU_MODEL_PREDICTION_GIVEN, NULL};
    int imported = old && !is_scanned(old, name);

    if (imported || json_is_true(json_object_get(old, IMU_MODEL_EDITED)))
        keep_fields(record, old, written);
    if (imported)
        keep_fields(record, old, brought);
    keep_fields(record, old, edited);
    if (json_is_true(json_object_get(old, IMU_MODEL_PREDICTION_GIVEN)))
        keep_fields(record, old, predicts);
}

static imu_err *known_row(imu_db *db, apr_pool_t *p, const char *path, imu_rows **rows)
{
    return imu_db_select(db, p, rows, "model_by_path", "s", path);
}

static json_t *known_record(apr_pool_t *p, const imu_rows *known)
{
    return known->count ? imu_json_own(p, imu_json_parsed(known, 0, "record")) : NULL;
}

imu_err *imu_model_folder_look(imu_db *db, apr_pool_t *p, const char *dir, const char *name,
                               imu_model_folder **folder)
{
    imu_model_folder *f = apr_pcalloc(p, sizeof *f);

    f->name = apr_pstrdup(p, name);
    f->path = *name == '/' ? f->name : apr_pstrcat(p, dir, "/", name, NULL);
    f->view = imu_model_inspect(p, f->path);
    *folder = f;
    return known_row(db, p, f->path, &f->known);
}

imu_err *imu_model_folder_read(apr_pool_t *p, imu_model_folder *f)
{
    const json_t *old = known_record(p, f->known);

    f->size = imu_model_size(p, f->path);
    if (f->view.state == IMU_MODEL_BROKEN)
        return NULL;
    /* The digest of several gigabytes is taken once, and again when the folder has changed. */
    if (json_integer_value(json_object_get(old, "file_size")) == f->size &&
        !imu_model_is_unread(imu_text(f->known, 0, "hash"))) {
        f->hash = imu_text(f->known, 0, "hash");
        return NULL;
    }
    return weights_hash(p, f->path, &f->hash);
}

static imu_err *put_folder(imu_db *db, apr_pool_t *p, const imu_model_folder *f, const char **key)
{
    json_t *record;
    imu_rows *known;
    imu_file_kind kind;
    imu_err *err = known_row(db, p, f->path, &known);
    const char *hash;

    if (err)
        return err;
    *key = known->count ? imu_text(known, 0, "key") : imu_uuid4(p);
    hash = f->hash ? f->hash : apr_pstrcat(p, IMU_MODEL_UNREAD, *key, NULL);
    record = imu_model_single(f->path, &kind)
                 ? make_single_record(p, &kind, f->path, f->name, *key, hash, f->size)
                 : make_record(p, f->path, f->name, *key, hash, f->size);
    if (!record)
        return imu_error_internal(p, "the model in %s can't be described", f->path);
    keep_words(record, known_record(p, known), f->name);
    return imu_model_put(db, p, f->path, record);
}

static imu_err *write_folder(imu_db *db, apr_pool_t *p, const imu_model_folder *f, int restore,
                             const char **key)
{
    imu_err *err = imu_db_begin(db);

    if (err)
        return err;
    err = put_folder(db, p, f, key);
    if (!err && restore)
        err = imu_model_restore(db, p, *key);
    return imu_db_end(db, err);
}

imu_err *imu_model_folder_register(imu_db *db, apr_pool_t *p, const imu_model_folder *f,
                                   const char **key)
{
    return write_folder(db, p, f, 1, key);
}

static int by_name(const void *a, const void *b)
{
    return strcmp(*(const char *const *)a, *(const char *const *)b);
}

imu_err *imu_model_folders(apr_pool_t *p, const char *dir, apr_array_header_t **names)
{
    apr_finfo_t info;
    apr_dir_t *d;
    apr_status_t rv = apr_dir_open(&d, dir, p);

    *names = apr_array_make(p, 16, sizeof(const char *));
    if (APR_STATUS_IS_ENOENT(rv))
        return NULL;
    if (rv != APR_SUCCESS)
        return imu_error_internal(p, "the model folder %s can't be read (%d)", dir, rv);
    while ((*names)->nelts < FOLDERS_MAX && apr_dir_read(&info, APR_FINFO_NAME, d) == APR_SUCCESS)
        if (info.name[0] != '.' && imu_is_clean_text(info.name))
            APR_ARRAY_PUSH(*names, const char *) = apr_pstrdup(p, info.name);
    apr_dir_close(d);
    qsort((*names)->elts, (*names)->nelts, sizeof(const char *), by_name);
    return NULL;
}

/* @param n  how many models there were so far */
static imu_err *scan_one(imu_db *db, apr_pool_t *p, const char *dir, const char *name, int *n)
{
    imu_model_folder *folder;
    const char *key;
    imu_err *err = imu_model_folder_look(db, p, dir, name, &folder);

    if (err || imu_model_is_none(folder->view.state))
        return err;
    /* A file that is no whole safetensors file may be anything, a copy that is under way as well.
     */
    if (imu_is_weights_file(folder->path) && !folder->known->count && folder->view.state)
        return NULL;
    ++*n;
    /* What is known of a model is worth more than what its broken files say. */
    if (folder->known->count && folder->view.state == IMU_MODEL_BROKEN)
        return NULL;
    if ((err = imu_model_folder_read(p, folder)))
        return imu_error_is(err, "no_weights") ? NULL : err;
    return write_folder(db, p, folder, 0, &key);
}

imu_err *imu_models_scan(imu_db *db, const char *dir)
{
    apr_array_header_t *names;
    apr_pool_t *each;
    imu_err *err = imu_model_folders(db->pool, dir, &names);
    int n = 0;

    if (err)
        return err;
    if (apr_pool_create(&each, db->pool) != APR_SUCCESS)
        return imu_error_internal(db->pool, "no memory");
    for (int i = 0; !err && n < MODELS_MAX && i < names->nelts; i++) {
        apr_pool_clear(each);
        if ((err = scan_one(db, each, dir, APR_ARRAY_IDX(names, i, const char *), &n)))
            err = imu_error_internal(db->pool, "%s", err->log ? err->log : err->detail);
    }
    apr_pool_destroy(each);
    return err;
}
