/*
 * picture_sweep.c: compares picture files with their rows once at start, and mends what a power cut
 * left between. Previews of workflows and style presets too, which the deletion of an account
 * leaves behind.
 */
#include "mod_invokemu/store/picture_files.h"

#include <dirent.h>
#include <errno.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include <apr_hash.h>
#include <apr_strings.h>

#include "mod_invokemu/store/files.h"
#include "mod_invokemu/store/orphans.h"
#include "mod_invokemu/store/previews.h"
#include "mod_invokemu/util/ids.h"

typedef struct sweeper {
    imu_db *db;
    apr_pool_t *p;
    const char *root;
    apr_hash_t *named; /* file names of all rows, without their ending; the value says which of the
                          files were seen: one of the four below */
    imu_sweep *found;
    int look; /* change nothing */
} sweeper;

/* What a folder holds, and so what becomes of a file there that no row names. */
typedef enum content { PICTURES, THUMBNAILS, PREVIEWS, TEMPORARY } content;

/* Which files of a row were seen; the hash holds their addresses. */
static const int states[] = {0, 1, 2, 3};
#define SEEN_PICTURE   1
#define SEEN_THUMBNAIL 2

/* The part of a file's name before its ending, or NULL for another one. */
static const char *stem(apr_pool_t *p, const char *name, const char *ending)
{
    size_t len = strlen(name), tail = strlen(ending);

    return len > tail && strcmp(name + len - tail, ending) == 0
               ? apr_pstrmemdup(p, name, len - tail)
               : NULL;
}

static void note(apr_array_header_t *names, const char *name)
{
    APR_ARRAY_PUSH(names, const char *) = apr_pstrdup(names->pool, name);
}

/* All names, page by page: a gallery may hold many more rows than one answer should. */
static imu_err *read_names(sweeper *s, const char *query, const char *column, const char *ending)
{
    const char *after = "", *name;
    imu_rows *rows;
    imu_err *err;

    do {
        if ((err = imu_db_select(s->db, s->p, &rows, query, "s", after)))
            return err;
        for (int i = 0; i < rows->count; i++) {
            after = imu_text(rows, i, column);
            if ((name = stem(s->p, after, ending)))
                apr_hash_set(s->named, name, APR_HASH_KEY_STRING, &states[0]);
        }
    } while (rows->count > 0);
    return NULL;
}

static int is_settled(const char *path)
{
    struct stat st;

    return lstat(path, &st) == 0 && S_ISREG(st.st_mode) &&
           st.st_mtime < time(NULL) - IMU_SETTLED_SECONDS;
}

static imu_err *cannot(sweeper *s, const char *doing, const char *path)
{
    return imu_error_internal(s->p, "cannot %s %s: %s", doing, path, strerror(errno));
}

/* A picture that nobody was told of is moved aside rather than removed: the database may merely be
 * an older copy. */
static imu_err *move_aside(sweeper *s, const char *path, const char *name)
{
    note(s->found->orphan_names, name);
    s->found->orphans++;
    return s->look ? NULL : imu_orphan_keep(s->p, s->root, path, name);
}

/* A preview is made from a picture that is elsewhere: nothing is lost with it. */
static imu_err *remove_preview(sweeper *s, const char *path, const char *name)
{
    note(s->found->preview_names, name);
    s->found->previews++;
    if (!s->look && unlink(path) != 0 && errno != ENOENT)
        return cannot(s, "remove", path);
    return NULL;
}

static imu_err *unfinished(sweeper *s, const char *path, const char *name)
{
    if (!is_settled(path))
        return NULL;
    note(s->found->temporary_names, name);
    s->found->temporary++;
    if (!s->look && unlink(path) != 0 && errno != ENOENT)
        return cannot(s, "remove", path);
    return NULL;
}

static imu_err *look_at(sweeper *s, const char *folder, const char *name, const char *ending,
                        content what)
{
    const char *path = apr_pstrcat(s->p, folder, "/", name, NULL), *key;
    const int *state;

    if (strncmp(name, IMU_TEMPORARY_PREFIX, sizeof IMU_TEMPORARY_PREFIX - 1) == 0)
        return unfinished(s, path, name);
    if (what == TEMPORARY || !(key = stem(s->p, name, ending)))
        return NULL;
    if ((state = apr_hash_get(s->named, key, APR_HASH_KEY_STRING))) {
        int files = *state | (what == PICTURES     ? SEEN_PICTURE
                              : what == THUMBNAILS ? SEEN_THUMBNAIL
                                                   : 0);

        apr_hash_set(s->named, key, APR_HASH_KEY_STRING, &states[files]);
        return NULL;
    }
    if (!is_settled(path))
        return NULL;
    if (what != PREVIEWS)
        return move_aside(s, path, name); /* imported pictures have any name */
    /* Removed for good is only what is called as we call previews. */
    return imu_is_uuid(key) ? remove_preview(s, path, name) : NULL;
}

static imu_err *sweep_folder(sweeper *s, const char *relative, const char *ending, content what)
{
    const char *folder = apr_pstrcat(s->p, s->root, "/", relative, NULL);
    DIR *dir = opendir(folder);
    struct dirent *entry;
    imu_err *err = NULL;

    if (!dir)
        return errno == ENOENT ? NULL : cannot(s, "read", folder);
    while (!err && (errno = 0, entry = readdir(dir)))
        err = look_at(s, folder, entry->d_name, ending, what);
    if (!err && errno)
        err = cannot(s, "read", folder);
    if (closedir(dir) != 0 && !err)
        err = cannot(s, "close", folder);
    return err;
}

static void count_missing(sweeper *s)
{
    for (apr_hash_index_t *i = apr_hash_first(s->p, s->named); i; i = apr_hash_next(i)) {
        const void *name;
        const char *picture;
        void *state;

        apr_hash_this(i, &name, NULL, &state);
        picture = apr_pstrcat(s->p, name, ".png", NULL);
        if (*(const int *)state & SEEN_PICTURE) {
            s->found->pictures++;
            if (!(*(const int *)state & SEEN_THUMBNAIL))
                note(s->found->bare_names, picture);
            continue;
        }
        s->found->missing++;
        note(s->found->missing_names, picture);
        if (!s->found->first_missing)
            s->found->first_missing = picture;
    }
}

/* Notes of deletions that a power cut kept from their files. */
static imu_err *finish_deletions(sweeper *s)
{
    imu_rows *rows;
    imu_err *err;
    int left = 1;

    while (left) {
        if ((err = imu_db_select(s->db, s->p, &rows, "deleted_pictures_list", "")) ||
            (!s->look && (err = imu_pictures_purge(s->db, s->p, s->root, &left))))
            return err;
        s->found->deleted += rows->count;
        left = left && !s->look;
    }
    return NULL;
}

/* With names of its own: a preview may be called like a picture. */
static imu_err *sweep_previews(const sweeper *pictures, const char *folder, const char *query)
{
    sweeper s = *pictures;
    imu_err *err;

    s.named = apr_hash_make(s.p);
    if ((err = read_names(&s, query, "name", ".webp")))
        return err;
    return sweep_folder(&s, folder, ".webp", PREVIEWS);
}

static imu_err *examine(sweeper *s)
{
    apr_array_header_t **lists[] = {&s->found->temporary_names, &s->found->orphan_names,
                                    &s->found->preview_names, &s->found->missing_names,
                                    &s->found->bare_names};
    imu_err *err;

    memset(s->found, 0, sizeof *s->found);
    for (size_t i = 0; i < sizeof lists / sizeof lists[0]; i++)
        *lists[i] = apr_array_make(s->p, 0, sizeof(const char *));
    if ((err = finish_deletions(s)) ||
        (err = read_names(s, "images_names_after", "image_name", ".png")) ||
        (err = sweep_folder(s, IMU_PICTURES_DIR, ".png", PICTURES)) ||
        (err = sweep_folder(s, IMU_THUMBNAILS_DIR, ".webp", THUMBNAILS)) ||
        (err = sweep_folder(s, "tmp", NULL, TEMPORARY)) ||
        (err = sweep_previews(s, IMU_WORKFLOW_PREVIEWS_DIR, "workflow_previews_after")) ||
        (err = sweep_previews(s, IMU_PRESET_PREVIEWS_DIR, "style_preset_previews_after")))
        return err;
    count_missing(s);
    return NULL;
}

imu_err *imu_pictures_sweep(imu_db *db, apr_pool_t *p, const char *root, imu_sweep *sweep)
{
    sweeper s = {db, p, root, apr_hash_make(p), sweep, 0};

    return examine(&s);
}

imu_err *imu_pictures_look(imu_db *db, apr_pool_t *p, const char *root, imu_sweep *sweep)
{
    sweeper s = {db, p, root, apr_hash_make(p), sweep, 1};

    return examine(&s);
}
