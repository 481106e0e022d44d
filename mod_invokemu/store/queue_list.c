/*
 * queue_list.c: many items at once, as text. An item carries a whole session, so they are read one
 * by one, and no more of them than fit into an answer.
 */
#include "mod_invokemu/store/queue.h"

#include <stdlib.h>
#include <string.h>

#include "mod_invokemu/util/jsons.h"

/* Bytes of sessions, workflows, values and errors in one answer. Items beyond that come with an
 * empty session under their own id, and without the rest; each alone has it all. */
#define LIST_BYTES ((apr_size_t)16 * 1024 * 1024)

typedef struct text_buffer {
    char *data;
    size_t used, room;
} text_buffer;

static int add_text(const char *text, size_t len, void *baton)
{
    text_buffer *b = baton;

    if (b->used + len + 1 > b->room) {
        size_t room = (b->used + len + 1) * 3 / 2 + 4096;
        char *grown = realloc(b->data, room);

        if (!grown)
            return -1;
        b->data = grown;
        b->room = room;
    }
    memcpy(b->data + b->used, text, len);
    b->used += len;
    b->data[b->used] = '\0';
    return 0;
}

static apr_status_t free_text(void *data)
{
    free(data);
    return APR_SUCCESS;
}

static apr_size_t size_of(const imu_rows *parts)
{
    apr_size_t size = 0;

    for (int c = 0; parts->count > 0 && c < parts->columns; c++)
        size += parts->cells[c] ? strlen(parts->cells[c]) : 0;
    return size;
}

static imu_err *add_item(const imu_queue_scope *s, const imu_rows *rows, int row, int summaries,
                         apr_pool_t *sub, apr_size_t *left, text_buffer *out)
{
    imu_rows *parts = NULL;
    json_t *item;
    imu_err *err;
    int rc;

    if (*left > 0 && imu_queue_item_visible(s, rows, row)) {
        if ((err = imu_queue_item_parts(s, sub, imu_int(rows, row, "item_id"), summaries, &parts)))
            return imu_error_keep(s->p, err);
        if (size_of(parts) > *left) {
            *left = 0;
            parts = NULL;
        } else {
            *left -= size_of(parts);
        }
    }
    item = imu_queue_item_json(s, rows, row, parts, summaries);
    rc = row > 0 ? add_text(",", 1, out) : 0;
    if (rc == 0)
        rc = json_dump_callback(item, add_text, out, JSON_COMPACT);
    json_decref(item);
    return rc == 0 ? NULL : imu_error_internal(s->p, "no memory for a list of jobs");
}

static imu_err *items_text(const imu_queue_scope *s, const imu_rows *rows, int summaries,
                           const char **text, apr_size_t *len)
{
    text_buffer out = {0};
    apr_size_t left = LIST_BYTES;
    apr_pool_t *sub;
    imu_err *err = NULL;

    if (apr_pool_create(&sub, s->p) != APR_SUCCESS || add_text("[", 1, &out) != 0)
        return imu_error_internal(s->p, "no memory for a list of jobs");
    for (int i = 0; !err && i < rows->count; i++) {
        err = add_item(s, rows, i, summaries, sub, &left, &out);
        apr_pool_clear(sub);
    }
    apr_pool_destroy(sub);
    if (!err && add_text("]", 1, &out) != 0)
        err = imu_error_internal(s->p, "no memory for a list of jobs");
    apr_pool_cleanup_register(s->p, out.data, free_text, apr_pool_cleanup_null);
    *text = out.data;
    *len = out.used;
    return err;
}

imu_err *imu_queue_list(const imu_queue_scope *s, const char *destination, const char **text,
                        apr_size_t *len)
{
    const char *user = imu_queue_scope_user(s);
    imu_rows *rows;
    imu_err *err = imu_db_select(s->db, s->p, &rows, "queue_list", "sssss", s->queue_id,
                                 destination, destination, user, user);

    return err ? err : items_text(s, rows, 0, text, len);
}

imu_err *imu_queue_list_by_ids(const imu_queue_scope *s, const json_t *ids, int summaries,
                               const char **text, apr_size_t *len)
{
    const char *list = imu_json_compact(s->p, ids);
    imu_rows *rows;
    imu_err *err;

    if (!list)
        return imu_error_internal(s->p, "no memory for a list of item ids");
    err = imu_db_select(s->db, s->p, &rows, "queue_list_by_ids", "ss", list, s->queue_id);
    return err ? err : items_text(s, rows, summaries, text, len);
}

imu_err *imu_queue_latest(const imu_queue_scope *s, const char *user_id, const char *status,
                          apr_int64_t limit, imu_rows **rows)
{
    return imu_db_select(s->db, s->p, rows, "queue_latest", "sssssi", s->queue_id, user_id, user_id,
                         status, status, limit);
}
