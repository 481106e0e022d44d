#include "mod_invokemu/store/queue_batch.h"

#include <string.h>

#include <apr_strings.h>

#include "mod_invokemu/store/queue_graph.h"
#include "mod_invokemu/util/ids.h"

/* Bounds far above what clients send, far below what hurts. */
#define MAX_GROUPS 20
#define MAX_DATA   200
#define MAX_ITEMS  10000
#define MAX_RUNS   10000
#define MAX_LABEL  256
/* Graph and values of one job: the dispatcher reads them in one go, between the events of
 * everybody. Clients' largest graphs have some ten thousand bytes. */
#define MAX_SESSION_BYTES  ((apr_size_t)1024 * 1024)
#define MAX_WORKFLOW_BYTES ((apr_size_t)2 * 1024 * 1024)
#define MAX_BATCH_BYTES                                                                            \
    ((apr_size_t)256 * 1024 *                                                                      \
     1024) /* all jobs of a batch: nobody else can write while they are stored */

json_t *imu_session_new(apr_pool_t *p, json_t *graph, const char **session_id)
{
    *session_id = imu_uuid4(p);
    return json_pack(
        "{s:s, s:O, s:{s:s, s:{}, s:[]}, s:[], s:[], s:{}, s:{}, s:[], s:[], s:{}, s:{}}", "id",
        *session_id, "graph", graph, "execution_graph", "id", imu_uuid4(p), "nodes", "edges",
        "executed", "executed_history", "results", "errors", "workflow_call_stack",
        "workflow_call_history", "prepared_source_mapping", "source_prepared_mapping");
}

/* ---- checks ---- */

/* Values that a batch may put into a field: texts, numbers, references such as {image_name},
 * and lists of them. */
static int datum_value_ok(const json_t *v)
{
    return json_is_string(v) || json_is_number(v) || json_is_object(v) || json_is_array(v);
}

/* The values of a datum against the field that they are meant for. */
static void check_items(apr_pool_t *p, imu_check *c, const json_t *datum, const imu_field *input)
{
    const char *field = json_string_value(json_object_get(datum, "field_name"));
    json_t *items = json_object_get(datum, "items"), *one;
    size_t i;

    imu_check_enter(c, json_string_value(json_object_get(datum, "node_path")));
    json_array_foreach (items, i, one) {
        if (!datum_value_ok(one) || json_typeof(one) != json_typeof(json_array_get(items, 0))) {
            imu_check_fault(c, field, "value_error", "All items in a batch must have the same type",
                            NULL);
            break;
        }
        if (!imu_graph_check_value(p, c, input, field, one))
            break;
    }
    imu_check_leave(c);
}

static void check_datum(imu_check *c, const json_t *datum, const json_t *nodes, json_t *seen,
                        apr_pool_t *p)
{
    const char *path = json_string_value(json_object_get(datum, "node_path"));
    const char *field = json_string_value(json_object_get(datum, "field_name"));
    json_t *items = json_object_get(datum, "items");
    const imu_field *input;
    const char *key;

    if (!path || !field || !*field || strlen(field) > IMU_GRAPH_MAX_NAME ||
        (items && !json_is_array(items))) {
        imu_check_fault(c, NULL, "missing", "Batch data has node_path, field_name and items", NULL);
        return;
    }
    if (!json_object_get(nodes, path)) {
        imu_check_fault(c, NULL, "value_error",
                        apr_psprintf(p, "Node \"%.80s\" not found in graph", path), NULL);
        return;
    }
    input = imu_graph_input(json_object_get(nodes, path), field);
    if (!input) {
        imu_check_fault(c, NULL, "value_error",
                        apr_psprintf(p, "Field \"%.80s\" not found in node \"%.80s\"", field, path),
                        NULL);
        return;
    }
    key = apr_pstrcat(p, path, "\n", field, NULL);
    if (json_object_get(seen, key))
        imu_check_fault(c, NULL, "value_error",
                        "Each batch data must have unique node_id and field_name", NULL);
    json_object_set_new(seen, key, json_true());
    if (json_array_size(items) > MAX_ITEMS)
        imu_check_fault(c, NULL, "too_long", "Batch data has at most 10000 items", NULL);
    else
        check_items(p, c, datum, input);
}

/* Checks one zipped group. @return its length */
static size_t check_group(imu_check *c, const json_t *group, const json_t *nodes, json_t *seen,
                          apr_pool_t *p)
{
    size_t length = json_array_size(json_object_get(json_array_get(group, 0), "items"));
    json_t *datum;
    size_t i;

    if (!json_is_array(group) || json_array_size(group) > MAX_DATA) {
        imu_check_fault(c, NULL, "list_type", "Batch data is a list of lists", NULL);
        return 0;
    }
    json_array_foreach (group, i, datum) {
        check_datum(c, datum, nodes, seen, p);
        if (json_array_size(json_object_get(datum, "items")) != length)
            imu_check_fault(c, NULL, "value_error",
                            "Zipped batch items must all have the same length", NULL);
    }
    return length;
}

static void check_data(apr_pool_t *p, imu_check *c, imu_batch *b)
{
    json_t *seen = imu_json_own(p, json_object()), *nodes = json_object_get(b->graph, "nodes"),
           *group;
    size_t i;

    if (!b->data)
        return;
    if (json_array_size(b->data) > MAX_GROUPS) {
        imu_check_fault(c, NULL, "too_long", "Batch data has at most 20 groups", NULL);
        return;
    }
    json_array_foreach (b->data, i, group) {
        size_t n = check_group(c, group, nodes, seen, p);

        /* As in any product, a group of nothing makes nothing: upstream queues no job then either.
         */
        b->requested *= (apr_int64_t)n;
        if (b->requested > (apr_int64_t)MAX_ITEMS * MAX_RUNS) {
            imu_check_fault(c, NULL, "too_long", "This batch would make too many jobs", NULL);
            return;
        }
    }
}

imu_err *imu_batch_parse(apr_pool_t *p, json_t *body, imu_batch *b)
{
    imu_check *c = imu_check_new(p, "body");
    json_t *batch = imu_check_object(c, body, "batch", IMU_REQUIRED);
    imu_err *err;

    memset(b, 0, sizeof *b);
    b->prepend = imu_check_bool(c, body, "prepend", 0, 0);
    if ((err = imu_check_end(c)))
        return err;
    imu_check_enter(c, "batch");
    b->batch_id = imu_check_text(c, batch, "batch_id", IMU_NULLABLE, 1, MAX_LABEL);
    b->origin = imu_check_text(c, batch, "origin", IMU_NULLABLE, 0, MAX_LABEL);
    b->destination = imu_check_text(c, batch, "destination", IMU_NULLABLE, 0, MAX_LABEL);
    b->data = imu_check_array(c, batch, "data", IMU_NULLABLE, MAX_GROUPS);
    b->graph = imu_check_object(c, batch, "graph", IMU_REQUIRED);
    b->workflow = imu_check_object(c, batch, "workflow", IMU_NULLABLE);
    b->runs = imu_check_int(c, batch, "runs", 0, 1, MAX_RUNS, 1);
    b->requested = b->runs;
    if ((err = imu_check_end(c)))
        return err;
    if (!b->batch_id)
        b->batch_id = imu_uuid4(p);
    imu_check_enter(c, "graph");
    imu_graph_check(p, c, b->graph);
    imu_check_leave(c);
    if ((err = imu_check_end(c)))
        return err;
    imu_check_enter(c, "data");
    check_data(p, c, b);
    return imu_check_end(c);
}

/* ---- expansion ---- */

/* Item number n of a batch: which element of each group it takes, counting like an odometer whose
 * last group turns fastest. */
static json_t *values_of(const imu_batch *b, apr_int64_t n)
{
    size_t at[MAX_GROUPS] = {0}, g, i;
    json_t *values = json_array(), *group, *datum;

    for (g = json_array_size(b->data); g-- > 0;) {
        size_t length = json_array_size(
            json_object_get(json_array_get(json_array_get(b->data, g), 0), "items"));

        at[g] = (size_t)(n % (apr_int64_t)length);
        n /= (apr_int64_t)length;
    }
    json_array_foreach (b->data, g, group)
        json_array_foreach (group, i, datum) {
            json_t *value = json_array_get(json_object_get(datum, "items"), at[g]);

            if (value)
                json_array_append_new(
                    values,
                    json_pack("{s:O, s:O, s:O}", "node_path", json_object_get(datum, "node_path"),
                              "field_name", json_object_get(datum, "field_name"), "value", value));
        }
    return values;
}

/* The batch's graph with these values in place; unchanged nodes are shared with the original. New
 * reference. */
static json_t *graph_with(const imu_batch *b, const json_t *values)
{
    const json_t *original = json_object_get(b->graph, "nodes");
    json_t *graph = json_copy(b->graph), *nodes = json_copy((json_t *)original), *one;
    size_t i;

    json_object_set_new(graph, "nodes", nodes);
    json_array_foreach (values, i, one) {
        const char *path = json_string_value(json_object_get(one, "node_path"));
        json_t *node = json_object_get(nodes, path);

        if (node == json_object_get(original, path)) {
            node = json_copy(node);
            json_object_set_new(nodes, path, node);
        }
        json_object_set(node, json_string_value(json_object_get(one, "field_name")),
                        json_object_get(one, "value"));
    }
    return graph;
}

/* *left is what the jobs of this batch may still take. */
static imu_err *insert_item(const imu_queue_scope *s, const imu_batch *b, apr_int64_t n,
                            apr_int64_t priority, const char *workflow, apr_pool_t *sub,
                            apr_int64_t *item_id, apr_size_t *left)
{
    json_t *values = imu_json_own(sub, values_of(b, n));
    json_t *graph = imu_json_own(sub, graph_with(b, values));
    const char *session_id, *now = imu_now(sub);
    json_t *session = imu_json_own(sub, imu_session_new(sub, graph, &session_id));
    char *text = json_dumps(session, JSON_COMPACT),
         *fields = json_array_size(values) ? json_dumps(values, JSON_COMPACT) : NULL;
    apr_size_t session_size = (text ? strlen(text) : 0) + (fields ? strlen(fields) : 0),
               workflow_size = workflow ? strlen(workflow) : 0, size = session_size + workflow_size;
    imu_rows *rows = NULL;
    imu_err *err;

    if (!text)
        err = imu_error_internal(s->p, "a session could not be written as JSON");
    else if (session_size > MAX_SESSION_BYTES || workflow_size > MAX_WORKFLOW_BYTES)
        err = imu_error(s->p, 413, "job_too_large",
                        "A job is too large. Its graph and values may have at most %lu KiB "
                        "together, its workflow %lu KiB.",
                        (unsigned long)(MAX_SESSION_BYTES / 1024),
                        (unsigned long)(MAX_WORKFLOW_BYTES / 1024));
    else if (size > *left)
        err = imu_error(
            s->p, 413, "batch_too_large",
            "The jobs of this batch are too large together. At most %lu MiB can be queued at once.",
            (unsigned long)(MAX_BATCH_BYTES / 1048576));
    else
        err = imu_db_select(s->db, sub, &rows, "queue_insert", "ssssisssssiss", s->queue_id,
                            b->batch_id, session_id, s->who->user_id, priority, b->origin,
                            b->destination, fields, text, workflow, (apr_int64_t)0, now, now);
    if (!err && rows->count == 1)
        *item_id = imu_int(rows, 0, "item_id");
    *left -= err ? 0 : size;
    free(text);
    free(fields);
    return err ? imu_error_keep(s->p, err) : NULL;
}

static imu_err *insert_all(const imu_queue_scope *s, const imu_batch *b, json_t *ids,
                           apr_int64_t *priority)
{
    char *workflow = b->workflow ? json_dumps(b->workflow, JSON_COMPACT) : NULL;
    apr_pool_t *sub;
    imu_rows *rows;
    imu_err *err;
    apr_size_t left = MAX_BATCH_BYTES;
    apr_int64_t room;

    if ((err = imu_queue_room(s, &room)))
        goto out;
    if (b->prepend) {
        if ((err = imu_db_select(s->db, s->p, &rows, "queue_next_priority", "ss", s->queue_id,
                                 s->who->user_id)))
            goto out;
        *priority = imu_int(rows, 0, "priority");
    }
    if (apr_pool_create(&sub, s->p) != APR_SUCCESS) {
        err = imu_error_internal(s->p, "no memory");
        goto out;
    }
    for (apr_int64_t n = 0; !err && n < b->requested && n < room; n++) {
        apr_int64_t item_id = 0;

        err = insert_item(s, b, n, *priority, workflow, sub, &item_id, &left);
        json_array_append_new(ids, json_integer(item_id));
        apr_pool_clear(sub);
    }
    apr_pool_destroy(sub);
out:
    free(workflow);
    return err;
}

static json_t *batch_echo(const imu_batch *b)
{
    json_t *o = json_pack("{s:s, s:O, s:I}", "batch_id", b->batch_id, "graph", b->graph, "runs",
                          (json_int_t)b->runs);

    json_object_set_new(o, "origin", b->origin ? json_string(b->origin) : json_null());
    json_object_set_new(o, "destination",
                        b->destination ? json_string(b->destination) : json_null());
    json_object_set_new(o, "data", b->data ? json_incref(b->data) : json_null());
    json_object_set_new(o, "workflow", b->workflow ? json_incref(b->workflow) : json_null());
    return o;
}

imu_err *imu_batch_enqueue(const imu_queue_scope *s, const imu_batch *b, json_t **result)
{
    json_t *ids = imu_json_own(s->p, json_array());
    apr_int64_t priority = 0;
    imu_err *err = imu_db_begin(s->db);

    if (err)
        return err;
    if ((err = imu_db_end(s->db, insert_all(s, b, ids, &priority))))
        return err;
    *result = imu_json_own(
        s->p, json_pack("{s:s, s:i, s:I, s:o, s:I, s:O}", "queue_id", s->queue_id, "enqueued",
                        (int)json_array_size(ids), "requested", (json_int_t)b->requested, "batch",
                        batch_echo(b), "priority", (json_int_t)priority, "item_ids", ids));
    return NULL;
}
