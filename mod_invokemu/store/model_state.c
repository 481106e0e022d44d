#include "mod_invokemu/store/model_state.h"

#include <errno.h>
#include <pthread.h>
#include <stdint.h>
#include <string.h>
#include <sys/stat.h>
#include <apr_file_info.h>
#include <apr_strings.h>

#include "worker/diffusion/file_kind.h"
#include "worker/diffusion/json_file.h"
#include "worker/diffusion/model_files.h"
#include "worker/diffusion/model_kind.h"

#define CONFIG_MAX (1024 * 1024)

#define SLOTS         256
#define PATH_MAX_KEPT 256
#define WHY_MAX       320

/* What was found in a folder whose files had this mark. A table of fixed size, in which one folder
 * may push out another: then it is looked at again. */
typedef struct slot {
    char dir[PATH_MAX_KEPT];
    char why[WHY_MAX];
    uint64_t mark;
    imu_model_state state;
} slot;

static slot remembered[SLOTS];
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;

json_t *imu_model_json(apr_pool_t *p, const char *dir, const char *name)
{
    json_t *value;

    return imu_json_read(dir, name, CONFIG_MAX, &value, NULL) ? NULL : imu_json_own(p, value);
}

static const char *last_name(const char *dir)
{
    const char *slash = strrchr(dir, '/');

    return slash ? slash + 1 : dir;
}

static imu_model_view view(imu_model_state state, const char *why)
{
    return (imu_model_view){.state = state, .why = why};
}

static int ends_with_one_of(const char *path, const char *const *ends)
{
    const char *dot = strrchr(path, '.');

    while (dot && *ends && strcasecmp(dot, *ends) != 0)
        ends++;
    return dot && *ends;
}

/* The kinds of file that Python unpickles. */
static const char *const pickles[] = {".pt", ".bin", ".ckpt", ".pth", NULL};

/* @param where  more words, or "" */
static imu_model_view gone(apr_pool_t *p, const char *path, const char *where)
{
    static const char *const others[] = {".safetensors", ".gguf", NULL};
    int is_file = ends_with_one_of(path, pickles) || ends_with_one_of(path, others);

    return view(IMU_MODEL_MISSING,
                apr_psprintf(p, "The %s \"%.100s\" is gone%s.", is_file ? "file" : "folder",
                             last_name(path), where));
}

/* Whether anything lies there; what the server may not look at may. */
static int is_there(const char *path)
{
    struct stat st;

    return stat(path, &st) == 0 || (errno != ENOENT && errno != ENOTDIR);
}

static int is_file(const char *path)
{
    struct stat st;

    return stat(path, &st) == 0 && S_ISREG(st.st_mode);
}

static imu_model_view of_flaw(apr_pool_t *p, const imu_flaw *flaw)
{
    imu_model_view v = {.state = IMU_MODEL_BROKEN,
                        .log = *flaw->why ? apr_pstrdup(p, flaw->why) : NULL};

    switch (flaw->kind) {
    case IMU_FLAW_MISSING:
        v.why = apr_psprintf(p, "Its file %s is missing.", flaw->file);
        break;
    case IMU_FLAW_NO_WEIGHTS:
        v.why = strcmp(flaw->file, ".") == 0
                    ? "It holds no weights in safetensors form."
                    : apr_psprintf(p, "Its folder %s holds no weights in safetensors form.",
                                   flaw->file);
        break;
    case IMU_FLAW_UNREADABLE:
        v.why = apr_psprintf(p, "Its file %s can't be read by the server.", flaw->file);
        break;
    case IMU_FLAW_NOT_JSON:
        v.why = apr_psprintf(p, "Its file %s is damaged: it holds no JSON.", flaw->file);
        break;
    case IMU_FLAW_PICKLE:
        v.why = apr_psprintf(p,
                             "Its file %s may hold programs, which this server never runs: "
                             "convert it to safetensors first.",
                             flaw->file);
        break;
    default:
        v.why = apr_psprintf(p, "Its file %s is damaged or not complete.", flaw->file);
    }
    return v;
}

/* The pipelines of diffusers whose folders the worker runs. */
static int is_known_pipeline(const char *kind)
{
    static const char *const known[] = {
        "StableDiffusionPipeline", "StableDiffusionInpaintPipeline", "StableDiffusionXLPipeline",
        "StableDiffusionXLInpaintPipeline", "StableDiffusionXLImg2ImgPipeline"};

    for (unsigned i = 0; kind && i < sizeof known / sizeof known[0]; i++)
        if (strcmp(kind, known[i]) == 0)
            return 1;
    return 0;
}

/* The kind of model that the index and the UNet's configuration speak of. */
static imu_model_view of_kind(apr_pool_t *p, const char *dir)
{
    const json_t *index = imu_model_json(p, dir, "model_index.json"),
                 *unet = imu_model_json(p, dir, "unet/config.json");
    imu_model_kind kind;

    if (!index)
        return view(IMU_MODEL_BROKEN, "Its file model_index.json is damaged: it holds no JSON.");
    if (!is_known_pipeline(json_string_value(json_object_get(index, "_class_name"))))
        return view(IMU_MODEL_FOREIGN, "It is of a kind that this server does not run: its "
                                       "model_index.json names no Stable Diffusion pipeline.");
    imu_model_kind_of(unet, NULL, &kind);
    if (strcmp(kind.variant, "depth") == 0)
        return view(IMU_MODEL_FOREIGN, "It is of a kind that this server does not run: it wants "
                                       "a depth map beside the picture.");
    return view(IMU_MODEL_USABLE, NULL);
}

int imu_model_single(const char *path, imu_file_kind *kind)
{
    imu_safetensors *st;
    int known;

    if (!imu_is_weights_file(path))
        return imu_folder_kind_of(path, kind);
    if (imu_st_open(path, &st, NULL))
        return 0;
    known = imu_file_kind_of(st, path, kind);
    imu_st_close(st);
    return known;
}

/* Of a model that is one file. What is no model by its header is left alone, like any other file.
 */
static imu_model_view inspect_file(apr_pool_t *p, const char *path)
{
    imu_file_kind kind;
    imu_safetensors *st;
    imu_fault fault;
    imu_model_view v;

    if (imu_model_single(path, &kind))
        return view(IMU_MODEL_USABLE, NULL);
    if (!imu_st_open(path, &st, &fault)) {
        imu_st_close(st);
        return view(IMU_MODEL_FOREIGN, "It is of a kind that this server does not run: its tensors "
                                       "are of no model or LoRA that is known here.");
    }
    v = view(IMU_MODEL_BROKEN, "The file is damaged or not complete.");
    /* The reader names the path first; the log's reader knows it already. */
    v.log = apr_pstrdup(p, strncmp(fault.text, path, strlen(path)) ? fault.text
                                                                   : fault.text + strlen(path));
    return v;
}

/* Of a path where there is neither a pipeline nor a single network. */
static imu_model_view no_model(const char *path)
{
    return view(IMU_MODEL_FOREIGN,
                is_file(path)
                    ? "It is of a kind that this server does not run: models of one file have to "
                      "be safetensors."
                    : "It is of a kind that this server does not run: its folder holds no "
                      "model_index.json, and no network that is known here.");
}

imu_model_view imu_model_inspect(apr_pool_t *p, const char *dir)
{
    apr_finfo_t info;
    apr_status_t rv =
        apr_stat(&info, apr_pstrcat(p, dir, "/model_index.json", NULL), APR_FINFO_TYPE, p);
    imu_file_kind single;
    imu_model_view v;
    imu_flaw flaw;

    if (!is_there(dir))
        return gone(p, dir, "");
    if (imu_is_weights_file(dir))
        return inspect_file(p, dir);
    if (is_file(dir) && ends_with_one_of(dir, pickles))
        return view(IMU_MODEL_FOREIGN,
                    "Files of its kind (.pt, .bin, .ckpt, .pth) may hold programs, which this "
                    "server never runs: convert it to safetensors first.");
    if (APR_STATUS_IS_ENOENT(rv) && imu_model_single(dir, &single))
        return imu_network_files_check(dir, &flaw) ? of_flaw(p, &flaw)
                                                   : view(IMU_MODEL_USABLE, NULL);
    if (APR_STATUS_IS_ENOENT(rv) || APR_STATUS_IS_ENOTDIR(rv))
        return no_model(dir);
    if (rv != APR_SUCCESS && rv != APR_INCOMPLETE) {
        v = view(IMU_MODEL_BROKEN, "Its folder can't be read by the server.");
        v.log = apr_psprintf(p, "%pm", &rv);
        return v;
    }
    v = of_kind(p, dir);
    return v.state || !imu_model_files_check(dir, &flaw) ? v : of_flaw(p, &flaw);
}

static slot *slot_of(const char *dir)
{
    uint64_t sum = 5381;

    for (const char *c = dir; *c; c++)
        sum = sum * 33 + (unsigned char)*c;
    return &remembered[sum % SLOTS];
}

/* imu_model_inspect, but for files that have not changed. */
static imu_model_view inspect_once(apr_pool_t *p, const char *dir)
{
    uint64_t mark = imu_model_files_mark(dir);
    slot *s = slot_of(dir);
    imu_model_view v = {.why = NULL};
    int known;

    pthread_mutex_lock(&lock);
    if ((known = s->mark == mark && strcmp(s->dir, dir) == 0))
        v = view(s->state, *s->why ? apr_pstrdup(p, s->why) : NULL);
    pthread_mutex_unlock(&lock);
    if (known)
        return v;
    v = imu_model_inspect(p, dir);
    v.log = NULL;
    if (strlen(dir) >= PATH_MAX_KEPT || (v.why && strlen(v.why) >= WHY_MAX))
        return v;
    pthread_mutex_lock(&lock);
    s->mark = mark;
    s->state = v.state;
    apr_cpystrn(s->dir, dir, PATH_MAX_KEPT);
    apr_cpystrn(s->why, v.why ? v.why : "", WHY_MAX);
    pthread_mutex_unlock(&lock);
    return v;
}

const char *imu_model_place(apr_pool_t *p, const char *dir, const imu_rows *rows, int row)
{
    const char *path = imu_text(rows, row, "path");
    apr_size_t len = dir ? strlen(dir) : 0;

    if (path[0] != '/' && dir)
        return apr_pstrcat(p, dir, "/", path, NULL);
    return dir && (strncmp(path, dir, len) != 0 || path[len] != '/') ? NULL : path;
}

int imu_model_is_outside(apr_pool_t *p, const char *dir, const imu_rows *rows, int row)
{
    return !imu_text(rows, row, "removed_at") && !imu_model_place(p, dir, rows, row) &&
           is_there(imu_text(rows, row, "path"));
}

imu_model_view imu_model_look(apr_pool_t *p, const char *dir, const imu_rows *rows, int row)
{
    const char *path = imu_text(rows, row, "path"), *place = imu_model_place(p, dir, rows, row);
    imu_model_view v;

    if (imu_text(rows, row, "removed_at"))
        return view(IMU_MODEL_REMOVED, "It was removed; the page Models brings it back.");
    /* Not remembered: of what is no model the files don't tell whether it is there. */
    if (!is_there(place ? place : path))
        return gone(p, path,
                    !place ? "; it lay outside the server's model folder"
                    : dir  ? " from the server's model folder"
                           : "");
    if (!place)
        return view(IMU_MODEL_FOREIGN,
                    "It lies outside the server's model folder (InvokeMUModels).");
    v = inspect_once(p, place);
    if (v.state == IMU_MODEL_USABLE && imu_model_is_unread(imu_text(rows, row, "hash")))
        return view(IMU_MODEL_UNKNOWN, "Its files are in order by now: \"Look for new models\" on "
                                       "the page Models reads them.");
    return v;
}

int imu_model_is_unread(const char *hash)
{
    return strncmp(hash, IMU_MODEL_UNREAD, strlen(IMU_MODEL_UNREAD)) == 0;
}

int imu_model_is_gone(imu_model_state state)
{
    return state == IMU_MODEL_MISSING;
}

int imu_model_is_none(imu_model_state state)
{
    return state == IMU_MODEL_MISSING || state == IMU_MODEL_FOREIGN;
}
