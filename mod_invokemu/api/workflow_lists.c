/*
 * workflow_lists.c: /api/v1/workflows: the library as lists and as counts.
 */
#include <string.h>

#include <apr_strings.h>

#include "mod_invokemu/api/handlers.h"
#include "mod_invokemu/api/workflows.h"
#include "mod_invokemu/util/jsons.h"
#include "mod_invokemu/validate.h"

#define MAX_PER_PAGE 1000
#define MAX_LIST     100000
#define MAX_TAGS     200

static const char *const categories[] = {"user", "default", NULL};

/* The values of a repeated parameter as JSON text, or NULL when there are none. */
static imu_err *read_list(imu_req *req, const char *name, const char *const *words,
                          const char **text)
{
    json_t *list;
    imu_err *err = imu_query_list(req, name, &list);

    *text = NULL;
    if (err || json_array_size(list) == 0)
        return err;
    if (json_array_size(list) > MAX_TAGS)
        return imu_invalid(req->p, "query", name, "too_long", "List should have at most 200 items");
    for (size_t i = 0; words && i < json_array_size(list); i++) {
        const char *value = json_string_value(json_array_get(list, i));
        int k = 0;

        while (words[k] && strcmp(words[k], value) != 0)
            k++;
        if (!words[k])
            return imu_invalid(req->p, "query", name, "enum",
                               "Input should be one of the known values");
    }
    *text = imu_json_compact(req->p, list);
    return NULL;
}

static imu_err *read_filter(imu_req *req, imu_workflow_filter *f)
{
    imu_err *err;

    memset(f, 0, sizeof *f);
    if ((err = read_list(req, "categories", categories, &f->categories)) ||
        (err = imu_query_bool(req, "is_public", -1, &f->is_public)) ||
        (err = imu_query_bool(req, "has_been_opened", -1, &f->opened)))
        return err;
    return NULL;
}

static imu_err *read_list_filter(imu_req *req, imu_workflow_filter *f)
{
    static const char *const columns[] = {"created_at", "updated_at", "opened_at",
                                          "name",       "is_public",  NULL};
    static const char *const directions[] = {"ASC", "DESC", NULL};
    const char *direction;
    imu_err *err;

    if ((err = read_filter(req, f)) || (err = read_list(req, "tags", NULL, &f->tags)) ||
        (err = imu_query_text(req, "query", 1000, NULL, &f->search)) ||
        (err = imu_query_choice(req, "order_by", columns, "name", &f->order)) ||
        (err = imu_query_choice(req, "direction", directions, "ASC", &direction)))
        return err;
    if (f->search && !*f->search)
        f->search = NULL;
    f->descending = strcmp(direction, "DESC") == 0;
    return NULL;
}

imu_err *imu_api_workflow_list(imu_req *req)
{
    apr_int64_t page, per_page, pages = 1;
    imu_workflow_filter filter;
    imu_workflow_list list;
    imu_rows *all;
    json_t *items;
    imu_db *db;
    imu_err *err;

    if ((err = imu_query_int(req, "page", 0, APR_INT32_MAX, 0, &page)) ||
        (err = imu_query_int(req, "per_page", 1, MAX_PER_PAGE, MAX_LIST, &per_page)) ||
        (err = read_list_filter(req, &filter)) || (err = imu_req_db(req, &db)) ||
        (err = imu_workflows_facets(db, req->p, &req->who, &filter, &all)) ||
        (err =
             imu_workflows_list(db, req->p, &req->who, &filter, per_page, page * per_page, &list)))
        return err;
    if (per_page <= MAX_PER_PAGE)
        pages = (all->count + per_page - 1) / per_page;
    else
        per_page = all->count;
    items = json_array();
    for (int i = 0; i < list.count; i++)
        json_array_append_new(items, imu_workflow_item_json(req, &list.items[i]));
    return imu_reply_json(req, 200,
                          json_pack("{s:I, s:I, s:I, s:i, s:o}", "page", (json_int_t)page, "pages",
                                    (json_int_t)pages, "per_page", (json_int_t)per_page, "total",
                                    all->count, "items", items));
}

/* Calls back for each tag of each row, without the spaces around it. */
static void each_tag(apr_pool_t *p, const imu_rows *rows,
                     void (*take)(json_t *found, const char *tag), json_t *found)
{
    for (int i = 0; i < rows->count; i++) {
        char *rest = apr_pstrdup(p, imu_text(rows, i, "tags")), *next, *tag;

        for (tag = apr_strtok(rest, ",", &next); tag; tag = apr_strtok(NULL, ",", &next)) {
            tag = imu_workflow_tag(tag);
            if (*tag)
                take(found, tag);
        }
    }
}

static void note(json_t *found, const char *tag)
{
    json_object_set_new(found, tag, json_true());
}

static void count(json_t *found, const char *tag)
{
    json_t *number = json_object_get(found, tag);

    if (number)
        json_integer_set(number, json_integer_value(number) + 1);
}

static imu_err *read_facets(imu_req *req, imu_rows **rows)
{
    imu_workflow_filter filter;
    imu_db *db;
    imu_err *err;

    if ((err = read_filter(req, &filter)) || (err = imu_req_db(req, &db)))
        return err;
    return imu_workflows_facets(db, req->p, &req->who, &filter, rows);
}

imu_err *imu_api_workflow_tags(imu_req *req)
{
    json_t *found = imu_json_own(req->p, json_object()), *list, *yes;
    const char *tag;
    imu_rows *rows;
    imu_err *err = read_facets(req, &rows);

    if (err)
        return err;
    each_tag(req->p, rows, note, found);
    list = json_array();
    json_object_foreach (found, tag, yes)
        json_array_append_new(list, json_string(tag));
    return imu_reply_json(req, 200, list);
}

imu_err *imu_api_workflow_counts_by_tag(imu_req *req)
{
    json_t *asked, *counts, *tag;
    imu_rows *rows;
    size_t i;
    imu_err *err = imu_query_list(req, "tags", &asked);

    if (err)
        return err;
    if (json_array_size(asked) > MAX_TAGS)
        return imu_invalid(req->p, "query", "tags", "too_long",
                           "List should have at most 200 items");
    if ((err = read_facets(req, &rows)))
        return err;
    counts = json_object();
    json_array_foreach (asked, i, tag)
        json_object_set_new(counts, json_string_value(tag), json_integer(0));
    each_tag(req->p, rows, count, counts);
    return imu_reply_json(req, 200, counts);
}

imu_err *imu_api_workflow_counts_by_category(imu_req *req)
{
    json_t *asked, *counts, *word;
    imu_rows *rows;
    size_t i;
    imu_err *err;

    if ((err = imu_query_list(req, "categories", &asked)) || (err = read_facets(req, &rows)))
        return err;
    counts = json_object();
    json_array_foreach (asked, i, word)
        json_object_set_new(counts, json_string_value(word), json_integer(0));
    for (int r = 0; r < rows->count; r++)
        count(counts, imu_text(rows, r, "category"));
    return imu_reply_json(req, 200, counts);
}
