#include "mod_invokemu/store/picture_files.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <apr_strings.h>

#include "mod_invokemu/store/archives.h"
#include "mod_invokemu/store/files.h"
#include "mod_invokemu/store/ownership.h"
#include "mod_invokemu/util/ids.h"
#include "mod_invokemu/util/jsons.h"

#define UUID_LENGTH 36
#define MAX_SIDE    65535
#define MAX_NAME    240

const char *imu_picture_name_new(apr_pool_t *p)
{
    return apr_pstrcat(p, imu_uuid4(p), ".png", NULL);
}

int imu_picture_name_ok(const char *image_name)
{
    char uuid[UUID_LENGTH + 1];

    if (!image_name || strlen(image_name) != UUID_LENGTH + 4 ||
        strcmp(image_name + UUID_LENGTH, ".png") != 0)
        return 0;
    memcpy(uuid, image_name, UUID_LENGTH);
    uuid[UUID_LENGTH] = '\0';
    return imu_is_uuid(uuid);
}

int imu_picture_file_ok(const char *image_name)
{
    size_t len = image_name ? strlen(image_name) : 0;
    json_t *text;

    if (len <= 4 || len > MAX_NAME || image_name[0] == '.' ||
        strcmp(image_name + len - 4, ".png") != 0)
        return 0;
    for (const char *c = image_name; *c; c++)
        if ((unsigned char)*c < ' ' || strchr("/\\\"\x7f", *c))
            return 0;
    text = json_string(image_name); /* none for what is no UTF-8 */
    json_decref(text);
    return text != NULL;
}

const char *imu_picture_path(apr_pool_t *p, const char *root, const char *image_name)
{
    return apr_pstrcat(p, root, "/" IMU_PICTURES_DIR "/", image_name, NULL);
}

const char *imu_thumbnail_path(apr_pool_t *p, const char *root, const char *image_name)
{
    return apr_pstrcat(p, root, "/" IMU_THUMBNAILS_DIR "/",
                       apr_pstrmemdup(p, image_name, strlen(image_name) - 4), ".webp", NULL);
}

imu_err *imu_picture_folders(apr_pool_t *p, const char *root, uid_t uid, gid_t gid)
{
    static const char *const folders[] = {IMU_THUMBNAILS_DIR, IMU_ARCHIVES_DIR, "tmp"};
    imu_err *err = NULL;

    if (mkdir(root, 0750) != 0 && errno != EEXIST)
        return imu_error_internal(p, "cannot make the folder %s: %s", root, strerror(errno));
    for (unsigned i = 0; !err && i < sizeof folders / sizeof folders[0]; i++)
        err = imu_own_folders(p, root, folders[i], uid, gid);
    return err;
}

/* ---- storing ---- */

static int one_of(const char *word, const char *const *words)
{
    for (; word && *words; words++)
        if (strcmp(*words, word) == 0)
            return 1;
    return 0;
}

static imu_err *check_picture(apr_pool_t *p, const imu_picture *picture)
{
    static const char *const origins[] = {"internal", "external", NULL};
    static const char *const categories[] = {"general", "mask", "control", "user", "other", NULL};
    const char *what = NULL;

    if (!imu_picture_name_ok(picture->image_name))
        what = "its name";
    else if (!one_of(picture->origin, origins) || !one_of(picture->category, categories))
        what = "its origin or category";
    else if (picture->width < 1 || picture->height < 1 || picture->width > MAX_SIDE ||
             picture->height > MAX_SIDE)
        what = "its size";
    else if (!picture->user_id)
        what = "its owner";
    return what ? imu_error(p, 422, "picture_invalid",
                            "The picture cannot be stored: %s is not valid.", what)
                : NULL;
}

/* A text that is too long or not what it should be is left out: the picture is worth more than its
 * notes. */
static const char *kept_text(const char *text)
{
    return text && *text && strlen(text) <= IMU_MAX_PICTURE_TEXT ? text : NULL;
}

static imu_err *insert_row(imu_db *db, apr_pool_t *p, const imu_picture *picture)
{
    const char *now = imu_now(p);
    const char *metadata = imu_json_object_text(p, kept_text(picture->metadata));
    const char *workflow = kept_text(picture->workflow), *graph = kept_text(picture->graph);
    imu_err *err = imu_db_begin(db);

    if (err)
        return err;
    err = imu_db_exec(
        db, p, NULL, "image_insert", "ssssiisssiiss", picture->image_name, picture->user_id,
        picture->origin, picture->category, (apr_int64_t)picture->width,
        (apr_int64_t)picture->height, picture->session_id, picture->node_id, metadata,
        (apr_int64_t)(picture->is_intermediate != 0), (apr_int64_t)(workflow != NULL), now, now);
    if (!err && (workflow || graph))
        err = imu_db_exec(db, p, NULL, "image_documents_insert", "sss", picture->image_name,
                          workflow, graph);
    if (!err && picture->board_id)
        err = imu_db_exec(db, p, NULL, "image_onto_board", "ssss", picture->image_name, now, now,
                          picture->board_id);
    return imu_db_end(db, err);
}

static imu_err *exists(imu_db *db, apr_pool_t *p, const char *name)
{
    imu_rows *rows;
    imu_err *err = imu_db_select(db, p, &rows, "image_exists", "s", name);

    if (!err && rows->count > 0)
        err = imu_error(p, 409, "picture_exists", "A picture of this name is stored already.");
    return err;
}

imu_err *imu_picture_store(imu_db *db, apr_pool_t *p, const char *root, const imu_picture *picture,
                           int png_fd, int webp_fd)
{
    const char *png, *webp;
    imu_err *err;

    if ((err = check_picture(p, picture)) || (err = exists(db, p, picture->image_name)))
        return err;
    png = imu_picture_path(p, root, picture->image_name);
    webp = imu_thumbnail_path(p, root, picture->image_name);
    if ((err = imu_file_store(p, webp_fd, webp, IMU_FILE_WEBP, IMU_MAX_PICTURE_FILE)))
        return err;
    err = imu_file_store(p, png_fd, png, IMU_FILE_PNG, IMU_MAX_PICTURE_FILE);
    if (!err)
        err = insert_row(db, p, picture);
    /* Nobody has been told of this picture: without its row the files are nobody's. */
    if (err && (unlink(webp) != 0 || (unlink(png) != 0 && errno != ENOENT)))
        err = imu_error_log(p, err, "%s; and its file could not be removed: %s",
                            err->log ? err->log : err->detail, strerror(errno));
    return err;
}

/* ---- deleting ---- */

/* Notes name what a row named; a name of another form never had files of ours. */
static imu_err *remove_files(apr_pool_t *p, const char *root, const char *name)
{
    const char *paths[2];

    if (!imu_picture_file_ok(name))
        return NULL;
    paths[0] = imu_picture_path(p, root, name);
    paths[1] = imu_thumbnail_path(p, root, name);
    for (int i = 0; i < 2; i++)
        if (unlink(paths[i]) != 0 && errno != ENOENT)
            return imu_error_internal(p, "cannot remove %s: %s", paths[i], strerror(errno));
    return NULL;
}

imu_err *imu_pictures_purge(imu_db *db, apr_pool_t *p, const char *root, int *left)
{
    json_t *gone = imu_json_own(p, json_array());
    imu_rows *rows;
    imu_err *err = imu_db_select(db, p, &rows, "deleted_pictures_list", "");

    if (left)
        *left = 0;
    if (err || rows->count == 0)
        return err;
    for (int i = 0; !err && i < rows->count; i++) {
        const char *name = imu_text(rows, i, "image_name");

        if (!(err = remove_files(p, root, name)))
            json_array_append_new(gone, json_string(name));
    }
    if (json_array_size(gone) > 0) {
        imu_err *forget =
            imu_db_exec(db, p, NULL, "deleted_pictures_forget", "s", imu_json_compact(p, gone));

        err = err ? err : forget;
    }
    if (left)
        *left = !err && rows->count >= 1000;
    return err;
}
