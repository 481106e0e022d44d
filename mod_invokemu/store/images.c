#include "mod_invokemu/store/images.h"

#include <apr_hash.h>
#include <apr_strings.h>

#include "mod_invokemu/util/ids.h"
#include "mod_invokemu/util/jsons.h"

/* The nine arguments that every list statement starts with. */
#define FILTER                                                                                     \
    "sissi"                                                                                        \
    "ss"                                                                                           \
    "ii"

static void read_image(const imu_rows *rows, int row, imu_image *image)
{
    image->image_name = imu_text(rows, row, "image_name");
    image->owner_id = imu_text(rows, row, "user_id");
    image->origin = imu_text(rows, row, "image_origin");
    image->category = imu_text(rows, row, "image_category");
    image->subfolder = imu_text(rows, row, "image_subfolder");
    image->session_id = imu_text(rows, row, "session_id");
    image->node_id = imu_text(rows, row, "node_id");
    image->created_at = imu_text(rows, row, "created_at");
    image->updated_at = imu_text(rows, row, "updated_at");
    image->board_id = imu_text(rows, row, "board_id");
    image->prompt = imu_text(rows, row, "prompt");
    image->owner_name = imu_text(rows, row, "owner_name");
    image->width = (int)imu_int(rows, row, "width");
    image->height = (int)imu_int(rows, row, "height");
    image->is_intermediate = imu_bool(rows, row, "is_intermediate");
    image->starred = imu_bool(rows, row, "starred");
    image->has_workflow = imu_bool(rows, row, "has_workflow");
}

static void read_facts(const imu_rows *rows, int row, imu_image *image)
{
    image->facts.owner_id = image->owner_id;
    image->facts.board = NULL;
    if (!image->board_id)
        return;
    image->board.owner_id = imu_text(rows, row, "board_owner");
    image->board.visibility = imu_visibility_of(imu_text(rows, row, "board_visibility"));
    image->board.permission = imu_permission_of(imu_text(rows, row, "permission"));
    image->facts.board = &image->board;
}

/* What each list statement is told; scope is a board, a person, or nothing. */
typedef struct list_args {
    const char *list, *names, *count;
    const char *scope, *term;
    apr_int64_t loose, intermediate, starred_first, down;
} list_args;

static list_args arguments(apr_pool_t *p, const imu_image_filter *f)
{
    list_args a = {"images_all_list",
                   "images_all_names",
                   "images_all_count",
                   NULL,
                   NULL,
                   !f->uncategorized ? 0
                   : f->unseen       ? 2
                                     : 1,
                   f->intermediate,
                   f->starred_first != 0,
                   f->descending != 0};

    if (f->board_id) {
        a.list = "images_board_list";
        a.names = "images_board_names";
        a.count = "images_board_count";
        a.scope = f->board_id;
    } else if (f->owner_id) {
        a.list = "images_own_list";
        a.names = "images_own_names";
        a.count = "images_own_count";
        a.scope = f->owner_id;
    }
    if (f->search && *f->search)
        a.term = imu_json_escaped(p, f->search);
    return a;
}

imu_err *imu_images_list(imu_db *db, apr_pool_t *p, const imu_image_filter *filter,
                         apr_int64_t limit, apr_int64_t offset, imu_image_list *list)
{
    list_args a = arguments(p, filter);
    imu_rows *rows;
    imu_err *err = imu_db_select(db, p, &rows, a.list, FILTER "ii", a.scope, a.loose,
                                 filter->origin, filter->categories, a.intermediate, a.term,
                                 filter->day, a.starred_first, a.down, limit, offset);

    if (err)
        return err;
    list->count = rows->count;
    list->items = apr_pcalloc(p, sizeof(imu_image) * (apr_size_t)(rows->count + 1));
    for (int i = 0; i < rows->count; i++)
        read_image(rows, i, &list->items[i]);
    if ((err = imu_db_select(db, p, &rows, a.count, FILTER, a.scope, a.loose, filter->origin,
                             filter->categories, a.intermediate, a.term, filter->day,
                             a.starred_first, a.down)))
        return err;
    list->total = imu_int(rows, 0, "total");
    return NULL;
}

imu_err *imu_images_names(imu_db *db, apr_pool_t *p, const imu_image_filter *filter, json_t **names,
                          apr_int64_t *starred)
{
    list_args a = arguments(p, filter);
    imu_rows *rows;
    imu_err *err = imu_db_select(db, p, &rows, a.names, FILTER, a.scope, a.loose, filter->origin,
                                 filter->categories, a.intermediate, a.term, filter->day,
                                 a.starred_first, a.down);

    if (err)
        return err;
    *names = imu_json_own(p, json_array());
    *starred = 0;
    for (int i = 0; i < rows->count; i++) {
        json_array_append_new(*names, json_string(imu_text(rows, i, "image_name")));
        *starred += imu_bool(rows, i, "starred");
    }
    return NULL;
}

imu_err *imu_image_get(imu_db *db, apr_pool_t *p, const char *viewer_id, const char *name,
                       imu_image **image)
{
    imu_rows *rows;
    imu_err *err = imu_db_select(db, p, &rows, "image_get", "ss", viewer_id, name);

    *image = NULL;
    if (err || rows->count == 0)
        return err;
    *image = apr_pcalloc(p, sizeof **image);
    read_image(rows, 0, *image);
    read_facts(rows, 0, *image);
    return NULL;
}

/* Sorts rows into the order of names. Facts point into the items, so those are filled in place. */
static void in_order(apr_pool_t *p, const imu_rows *rows, const json_t *names, imu_image_list *list)
{
    apr_hash_t *by_name = apr_hash_make(p);
    const json_t *name;
    size_t i;

    for (int r = 0; r < rows->count; r++) {
        int *row = apr_palloc(p, sizeof *row);

        *row = r;
        apr_hash_set(by_name, imu_text(rows, r, "image_name"), APR_HASH_KEY_STRING, row);
    }
    list->count = 0;
    list->items = apr_pcalloc(p, sizeof(imu_image) * (apr_size_t)(rows->count + 1));
    json_array_foreach (names, i, name) {
        const int *row = apr_hash_get(by_name, json_string_value(name), APR_HASH_KEY_STRING);

        if (!row)
            continue;
        read_image(rows, *row, &list->items[list->count]);
        read_facts(rows, *row, &list->items[list->count]);
        list->count++;
        apr_hash_set(by_name, json_string_value(name), APR_HASH_KEY_STRING, NULL);
    }
    list->total = list->count;
}

imu_err *imu_images_by_names(imu_db *db, apr_pool_t *p, const char *viewer_id, const json_t *names,
                             imu_image_list *list)
{
    imu_rows *rows;
    imu_err *err =
        imu_db_select(db, p, &rows, "images_by_names", "ss", viewer_id, imu_json_compact(p, names));

    if (!err)
        in_order(p, rows, names, list);
    return err;
}

imu_err *imu_image_metadata(imu_db *db, apr_pool_t *p, const char *name, const char **metadata)
{
    imu_rows *rows;
    imu_err *err = imu_db_select(db, p, &rows, "image_metadata", "s", name);

    *metadata = err ? NULL : imu_text(rows, 0, "metadata");
    return err;
}

imu_err *imu_image_documents(imu_db *db, apr_pool_t *p, const char *name, const char **workflow,
                             const char **graph)
{
    imu_rows *rows;
    imu_err *err = imu_db_select(db, p, &rows, "image_documents", "s", name);

    *workflow = err ? NULL : imu_text(rows, 0, "workflow");
    *graph = err ? NULL : imu_text(rows, 0, "graph");
    return err;
}

static const char *flag_text(int flag)
{
    return flag == IMU_IMAGE_KEEP ? NULL : flag ? "1" : "0";
}

imu_err *imu_image_change(imu_db *db, apr_pool_t *p, const char *name,
                          const imu_image_changes *changes)
{
    return imu_db_exec(db, p, NULL, "image_update", "ssssss", changes->category,
                       changes->session_id, flag_text(changes->is_intermediate),
                       flag_text(changes->starred), imu_now(p), name);
}

imu_err *imu_images_star(imu_db *db, apr_pool_t *p, const json_t *names, int starred)
{
    return imu_db_exec(db, p, NULL, "images_star", "iss", (apr_int64_t)(starred != 0), imu_now(p),
                       imu_json_compact(p, names));
}

imu_err *imu_images_delete(imu_db *db, apr_pool_t *p, const json_t *names)
{
    return imu_db_exec(db, p, NULL, "images_delete", "s", imu_json_compact(p, names));
}

imu_err *imu_images_intermediate_count(imu_db *db, apr_pool_t *p, const char *owner_id,
                                       apr_int64_t *count)
{
    imu_rows *rows;
    imu_err *err = imu_db_select(db, p, &rows, "images_intermediate_count", "s", owner_id);

    *count = err ? 0 : imu_int(rows, 0, "total");
    return err;
}

imu_err *imu_images_intermediates_delete(imu_db *db, apr_pool_t *p, int *deleted)
{
    json_t *names = imu_json_own(p, json_array());
    imu_rows *rows;
    imu_err *err = imu_db_select(db, p, &rows, "images_intermediate_names", "");

    *deleted = 0;
    if (err || rows->count == 0)
        return err;
    for (int i = 0; i < rows->count; i++)
        json_array_append_new(names, json_string(imu_text(rows, i, "image_name")));
    return imu_db_exec(db, p, deleted, "images_delete", "s", imu_json_compact(p, names));
}
