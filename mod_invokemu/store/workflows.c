#include "mod_invokemu/store/workflows.h"

#include <string.h>

#include "mod_invokemu/util/ids.h"

/* The nine arguments that both list statements start with. */
#define FILTER                                                                                     \
    "sii"                                                                                          \
    "sss"                                                                                          \
    "isi"

static void read_workflow(const imu_rows *rows, int row, imu_workflow *w)
{
    w->id = imu_text(rows, row, "workflow_id");
    w->name = imu_text(rows, row, "name");
    w->description = imu_text(rows, row, "description");
    w->category = imu_text(rows, row, "category");
    w->tags = imu_text(rows, row, "tags");
    w->thumbnail = imu_text(rows, row, "thumbnail");
    w->created_at = imu_text(rows, row, "created_at");
    w->updated_at = imu_text(rows, row, "updated_at");
    w->opened_at = imu_text(rows, row, "opened_at");
    w->facts.owner_id = imu_text(rows, row, "user_id");
    w->facts.is_public = imu_bool(rows, row, "is_public");
    w->facts.is_default = w->category && strcmp(w->category, "default") == 0;
}

imu_err *imu_workflow_insert(imu_db *db, apr_pool_t *p, const imu_workflow *w)
{
    const char *now = imu_now(p);

    return imu_db_exec(db, p, NULL, "workflow_insert", "ssisssssss", w->id, w->facts.owner_id,
                       (apr_int64_t)w->facts.is_public, w->name, w->description, w->category,
                       w->tags, w->document, now, now);
}

imu_err *imu_workflow_get(imu_db *db, apr_pool_t *p, const char *id, imu_workflow **w)
{
    imu_rows *rows;
    imu_err *err = imu_db_select(db, p, &rows, "workflow_get", "s", id);

    *w = NULL;
    if (err || rows->count == 0)
        return err;
    *w = apr_pcalloc(p, sizeof **w);
    read_workflow(rows, 0, *w);
    (*w)->document = imu_text(rows, 0, "workflow");
    return NULL;
}

imu_err *imu_workflow_update(imu_db *db, apr_pool_t *p, const imu_workflow *w)
{
    return imu_db_exec(db, p, NULL, "workflow_update", "ssssiss", w->name, w->description, w->tags,
                       w->document, (apr_int64_t)w->facts.is_public, imu_now(p), w->id);
}

imu_err *imu_workflow_opened(imu_db *db, apr_pool_t *p, const char *id)
{
    return imu_db_exec(db, p, NULL, "workflow_opened", "ss", imu_now(p), id);
}

imu_err *imu_workflow_thumbnail(imu_db *db, apr_pool_t *p, const char *id, const char *file)
{
    return imu_db_exec(db, p, NULL, "workflow_thumbnail", "sss", file, imu_now(p), id);
}

imu_err *imu_workflow_delete(imu_db *db, apr_pool_t *p, const char *id)
{
    return imu_db_exec(db, p, NULL, "workflow_delete", "s", id);
}

imu_err *imu_workflows_list(imu_db *db, apr_pool_t *p, const imu_identity *who,
                            const imu_workflow_filter *f, apr_int64_t limit, apr_int64_t offset,
                            imu_workflow_list *list)
{
    imu_rows *rows;
    imu_err *err = imu_db_select(db, p, &rows, "workflows_list", FILTER "ii", who->user_id,
                                 (apr_int64_t)imu_policy_sees_all(who), (apr_int64_t)f->is_public,
                                 f->categories, f->tags, f->search, (apr_int64_t)f->opened,
                                 f->order, (apr_int64_t)f->descending, limit, offset);

    if (err)
        return err;
    list->count = rows->count;
    list->items = apr_pcalloc(p, sizeof(imu_workflow) * (apr_size_t)(rows->count + 1));
    for (int i = 0; i < rows->count; i++)
        read_workflow(rows, i, &list->items[i]);
    return NULL;
}

imu_err *imu_workflows_facets(imu_db *db, apr_pool_t *p, const imu_identity *who,
                              const imu_workflow_filter *f, imu_rows **rows)
{
    return imu_db_select(db, p, rows, "workflows_facets", FILTER, who->user_id,
                         (apr_int64_t)imu_policy_sees_all(who), (apr_int64_t)f->is_public,
                         f->categories, f->tags, f->search, (apr_int64_t)f->opened, f->order,
                         (apr_int64_t)f->descending);
}
