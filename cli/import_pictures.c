/*
 * import_pictures.c: pictures with their files.
 *
 * A page of pictures at a time: the files are placed and on the disk before the rows are committed.
 */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <apr_strings.h>

#include "cli/import.h"
#include "cli/media.h"
#include "mod_invokemu/auth/identity.h"
#include "mod_invokemu/store/files.h"
#include "mod_invokemu/store/picture_check.h"
#include "mod_invokemu/store/picture_files.h"
#include "mod_invokemu/util/ids.h"
#include "mod_invokemu/util/jsons.h"

#define MAX_DEPTH 8 /* of folders below theirs of pictures */

/* "a/b/c" without a way out of the folder it is below. */
static int is_subfolder(const char *path)
{
    if (*path == '/' || strchr(path, '\\') || strstr(path, "//"))
        return 0;
    for (const char *part = path; part; part = strchr(part, '/')) {
        part += *part == '/';
        if (*part == '.')
            return 0;
    }
    return 1;
}

/* Root works for the server: a second name of somebody else's file could be taken from it. */
static cli_how how_for(cli_importer *im, int from)
{
    struct stat file, root;

    if (getuid() == 0 && (fstat(from, &file) != 0 || stat(im->c->opt.root, &root) != 0 ||
                          file.st_uid != root.st_uid))
        return CLI_COPY;
    return im->how;
}

/* Opens a file of theirs, below their folder of pictures or thumbnails. */
static int open_theirs(cli_importer *im, apr_pool_t *p, const imu_rows *r, int i,
                       const char *folder, const char *name)
{
    const char *sub = imu_text(r, i, "image_subfolder");

    return cli_open_below(p, apr_pstrcat(p, im->outputs, folder, NULL),
                          apr_pstrcat(p, sub, *sub ? "/" : "", name, NULL));
}

static void made_anew(cli_importer *im, const char *name)
{
    cli_import_count(im, "thumbnails made anew", 1);
    cli_import_note(im, "the thumbnail of %s is missing there, and made anew here", name);
}

static void make_thumbnail(cli_importer *im, apr_pool_t *p, const char *name, const char *to)
{
    imu_err *err;

    if (cli_exists(to)) {
        cli_import_count(im, "thumbnails made anew", 0);
        return;
    }
    if (im->dry) {
        made_anew(im, name);
        return;
    }
    err = im->no_media ? imu_error(p, 503, "no_media", "the media process can't be asked")
                       : cli_thumbnail(im->c, p, imu_picture_path(p, im->c->opt.root, name), to);
    im->no_media = im->no_media || imu_error_is(err, "no_media");
    if (!err)
        made_anew(im, name);
    else
        cli_import_left(im, "thumbnail", name,
                        im->no_media ? "the media process can't be asked (--media); invokemu "
                                       "doctor --fix makes it later"
                                     : err->detail);
}

/* A thumbnail of theirs, or a new one. */
static imu_err *place_thumbnail(cli_importer *im, apr_pool_t *p, const imu_rows *r, int i)
{
    const char *name = imu_text(r, i, "image_name");
    const char *to = imu_thumbnail_path(p, im->c->opt.root, name);
    int from = open_theirs(im, p, r, i, "/images/thumbnails", strrchr(to, '/') + 1);
    imu_err *err = NULL;

    if (from < 0) {
        make_thumbnail(im, p, name, to);
        return NULL;
    }
    if (!im->dry)
        err = cli_place_open(p, from, to, how_for(im, from), &im->placed);
    close(from);
    return err;
}

/* from is open. */
static imu_err *place(cli_importer *im, apr_pool_t *p, const imu_rows *r, int i, int from)
{
    imu_err *err = NULL;

    if (!im->dry)
        err = cli_place_open(p, from,
                             imu_picture_path(p, im->c->opt.root, imu_text(r, i, "image_name")),
                             how_for(im, from), &im->placed);
    return err ? err : place_thumbnail(im, p, r, i);
}

/* To the letter, if it is JSON. */
static const char *metadata_of(cli_importer *im, apr_pool_t *p, const imu_rows *r, int i)
{
    const char *text = imu_text(r, i, "metadata");

    if (!text || imu_json_object_text(p, text))
        return text;
    cli_import_left(im, "metadata of a picture", imu_text(r, i, "image_name"), "it can't be read");
    return NULL;
}

static int is_among(const char *word, const char *const *words)
{
    while (*words && (!word || strcmp(word, *words) != 0))
        words++;
    return *words != NULL;
}

/* Whether the row says what one of ours has to say. */
static int is_sound(const imu_rows *r, int i)
{
    static const char *const origins[] = {"internal", "external", NULL};
    static const char *const categories[] = {"general", "mask", "control", "user", "other", NULL};
    apr_int64_t width = imu_int(r, i, "width"), height = imu_int(r, i, "height");

    return is_among(imu_text(r, i, "image_origin"), origins) &&
           is_among(imu_text(r, i, "image_category"), categories) && width > 0 && height > 0 &&
           width <= INT32_MAX && height <= INT32_MAX;
}

static imu_err *insert(cli_importer *im, apr_pool_t *p, const imu_rows *r, int i, int *taken)
{
    const char *name = imu_text(r, i, "image_name"), *board = imu_text(r, i, "board_id");
    const char *placed = cli_import_time(p, imu_text(r, i, "placed_at"));
    imu_err *err = imu_db_exec(
        im->db, p, taken, "import_image", "ssssiisssbbss", name,
        cli_import_owner(im, imu_text(r, i, "user_id")), imu_text(r, i, "image_origin"),
        imu_text(r, i, "image_category"), imu_int(r, i, "width"), imu_int(r, i, "height"),
        imu_text(r, i, "session_id"), imu_text(r, i, "node_id"), metadata_of(im, p, r, i),
        imu_bool(r, i, "is_intermediate"), imu_bool(r, i, "starred"),
        cli_import_time(p, imu_text(r, i, "created_at")),
        cli_import_time(p, imu_text(r, i, "updated_at")));

    if (!err && *taken && board)
        err = imu_db_exec(im->db, p, NULL, "import_place", "ssss", name, placed, placed, board);
    return err;
}

/* Why a picture can't be taken in by what its row says, or NULL. */
static const char *hindrance(cli_importer *im, apr_pool_t *p, const imu_rows *r, int i)
{
    const char *name = imu_text(r, i, "image_name"), *dot = strrchr(name, '.');

    if (imu_text(r, i, "deleted_at"))
        return "it was deleted there";
    if (*name == '.' || strpbrk(name, "/\\") || !is_subfolder(imu_text(r, i, "image_subfolder")))
        return "its path leads out of the folder of pictures";
    if (!dot || strcmp(dot, ".png") != 0)
        return "its name does not end in .png, as those of pictures do here";
    if (!imu_picture_file_ok(name) || strcmp(imu_visible_text(p, name), name) != 0)
        return "its name can't be one here";
    if (cli_import_odd_text(r, i))
        return "what its row holds is no UTF-8";
    if (!is_sound(r, i))
        return "its row has no size, or names an origin or category that there is not";
    return cli_import_nobody(im, p, r, i);
}

/* Whether what lies here under the picture's name is what would be brought. */
static int is_ours_the_same(cli_importer *im, apr_pool_t *p, const char *name, int from)
{
    const char *path = imu_picture_path(p, im->c->opt.root, name);
    int fd, same;

    if (!cli_exists(path))
        return 1;
    fd = cli_open_file(path);
    same = fd >= 0 && imu_is_same_file(fd, from);
    if (fd >= 0)
        close(fd);
    return same;
}

/* Why a picture can't be taken in by what is here under its name. What belongs to nobody here is
 * not somebody else's. */
static imu_err *look_here(cli_importer *im, apr_pool_t *p, const imu_rows *r, int i, int from,
                          const char **why)
{
    const char *name = imu_text(r, i, "image_name"), *owner;
    const char *to = cli_import_owner(im, imu_text(r, i, "user_id"));
    imu_rows *here;
    imu_err *err = imu_db_select(im->db, p, &here, "import_image_owner", "s", name);

    if (err)
        return err;
    owner = here->count ? imu_text(here, 0, "user_id") : to;
    if (!is_ours_the_same(im, p, name, from))
        *why = "another picture of that name is here already";
    else if (strcmp(owner, to) != 0 && strcmp(owner, IMU_SYSTEM_USER) != 0)
        *why = apr_psprintf(p, "it is here already, and belongs to %s", imu_text(here, 0, "email"));
    else if (strcmp(owner, to) != 0)
        im->nobodys = 1;
    return NULL;
}

static int is_left(cli_importer *im, const imu_rows *r, int i)
{
    return apr_hash_get(im->left_pictures, imu_text(r, i, "image_name"), APR_HASH_KEY_STRING) !=
           NULL;
}

/* The workflow lies in the file alone; reading that is the media process's. */
static imu_err *take_workflow(cli_importer *im, apr_pool_t *p, const imu_rows *r, int i)
{
    const char *name = imu_text(r, i, "image_name"), *workflow, *graph;
    imu_rows *there;
    imu_err *err;

    if (!imu_bool(r, i, "has_workflow") || is_left(im, r, i))
        return NULL;
    if ((err = imu_db_select(im->db, p, &there, "import_documents_there", "s", name)) ||
        there->count)
        return err;
    if (im->dry) {
        cli_import_count(im, "workflows in pictures", 1);
        return NULL;
    }
    err = im->no_media ? imu_error(p, 503, "no_media", "the media process can't be asked")
                       : cli_documents(im->c, p, imu_picture_path(p, im->c->opt.root, name),
                                       &workflow, &graph);
    im->no_media = im->no_media || imu_error_is(err, "no_media");
    if (err) {
        cli_import_left(im, "workflow in picture", name,
                        im->no_media ? "the media process can't be asked: name its socket with "
                                       "--media and import once more"
                                     : err->detail);
        return NULL;
    }
    if (!workflow) {
        cli_import_left(im, "workflow in picture", name, "its file holds none");
        return NULL;
    }
    if ((err = imu_db_begin(im->db)))
        return err;
    if (!(err = imu_db_exec(im->db, p, NULL, "import_documents", "sss", name, workflow, graph)))
        err = imu_db_exec(im->db, p, NULL, "import_mark_workflow", "s", name);
    if (!(err = imu_db_end(im->db, err)))
        cli_import_count(im, "workflows in pictures", 1);
    return err;
}

/* Places the files, or says why not. */
static imu_err *bring(cli_importer *im, apr_pool_t *p, const imu_rows *r, int i, const char **why)
{
    int from = open_theirs(im, p, r, i, "/images", imu_text(r, i, "image_name"));
    imu_err *err = NULL;

    if (from < 0) {
        *why = cli_why_closed(p, errno);
        return NULL;
    }
    if (!imu_png_is_whole(from))
        *why = "its file is no whole PNG picture";
    else
        err = look_here(im, p, r, i, from, why);
    if (!err && !*why)
        err = place(im, p, r, i, from);
    close(from);
    return err;
}

static imu_err *prepare(cli_importer *im, apr_pool_t *p, const imu_rows *r, int i)
{
    const char *name = imu_text(r, i, "image_name"), *why = hindrance(im, p, r, i);
    imu_err *err = why ? NULL : bring(im, p, r, i, &why);

    if (why) {
        apr_hash_set(im->left_pictures, apr_pstrdup(im->p, name), APR_HASH_KEY_STRING, "");
        cli_import_left(im, "picture", name, why);
    }
    return err;
}

static imu_err *take_picture(cli_importer *im, apr_pool_t *p, const imu_rows *r, int i)
{
    const char *name = imu_text(r, i, "image_name");
    int taken = 0;
    imu_err *err;

    if (is_left(im, r, i) || (!im->dry && !cli_exists(imu_picture_path(p, im->c->opt.root, name))))
        return NULL;
    if (!(err = insert(im, p, r, i, &taken)))
        cli_import_count(im, "pictures", taken);
    return err;
}

static imu_err *on_disk(cli_importer *im)
{
    return im->dry
               ? NULL
               : cli_sync(im->p, apr_pstrcat(im->p, im->c->opt.root, "/" IMU_PICTURES_DIR, NULL));
}

typedef struct walker {
    cli_importer *im;
    int depth;
} walker;

/* Files of theirs that no row names stay where they are. */
static imu_err *look_for_row(void *baton, const char *path, const char *name)
{
    walker *w = baton, below = {w->im, w->depth + 1};
    const char *dot = strrchr(name, '.');
    struct stat st;
    imu_rows *row;
    imu_err *err;

    if (cli_look(path, &st) != 0)
        return NULL;
    if (S_ISDIR(st.st_mode))
        return w->depth < MAX_DEPTH && !(w->depth == 0 && strcmp(name, "thumbnails") == 0)
                   ? cli_each(w->im->p, path, look_for_row, &below)
                   : NULL;
    if (!dot || strcmp(dot, ".png") != 0)
        return NULL;
    err = imu_db_select(w->im->old, w->im->p, &row, "old_image", "s", name);
    if (!err && row->count == 0)
        cli_import_left(w->im, "file", name, "no row says whose it is; it stays where it is");
    return err;
}

imu_err *cli_import_pictures(cli_importer *im)
{
    walker w = {im, 0};
    imu_err *err = cli_import_pages(
        im, "old_images",
        &(cli_import_steps){.prepare = prepare, .settle = on_disk, .take = take_picture});

    if (!err)
        err = cli_import_pages(im, "old_images", &(cli_import_steps){.prepare = take_workflow});
    if (!err)
        err = cli_each(im->p, apr_pstrcat(im->p, im->outputs, "/images", NULL), look_for_row, &w);
    if (!err)
        err = imu_db_exec(im->db, im->p, NULL, "import_cover_without_picture", "");
    return err;
}
