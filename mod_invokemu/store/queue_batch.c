#include "mod_invokemu/store/queue_batch.h"

#include <string.h>

#include <apr_strings.h>

#include "mod_invokemu/util/ids.h"
#include "mod_invokemu/validate.h"

/* Bounds far above what clients send, far below what hurts. */
#define MAX_NODES  2000
#define MAX_EDGES  10000
#define MAX_GROUPS 20
#define MAX_DATA   200
#define MAX_ITEMS  10000
#define MAX_NAME   512
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

static void check_nodes(imu_check *c, const json_t *nodes)
{
    const char *id;
    json_t *node;

    if (json_object_size(nodes) > MAX_NODES) {
        imu_check_fault(c, "batch.graph.nodes", "too_long", "A graph has at most 2000 nodes", NULL);
        return;
    }
    json_object_foreach ((json_t *)nodes, id, node) {
        const char *own = json_string_value(json_object_get(node, "id"));
        const char *type = json_string_value(json_object_get(node, "type"));

        if (!json_is_object(node) || !type || !*type || strlen(type) > MAX_NAME)
            imu_check_fault(c, "batch.graph.nodes", "union_tag_not_found", "Every node has a type",
                            NULL);
        else if (!own || strcmp(own, id) != 0 || strlen(id) > MAX_NAME)
            imu_check_fault(c, "batch.graph.nodes", "value_error", "Node ids must match", NULL);
    }
}

/* One end of an edge: a node of the graph and the name of a field. */
static int edge_end_ok(const json_t *end, const json_t *nodes)
{
    const char *id = json_string_value(json_object_get(end, "node_id"));
    const char *field = json_string_value(json_object_get(end, "field"));

    return id && field && *field && strlen(field) <= MAX_NAME && json_object_get(nodes, id);
}

static void check_edges(imu_check *c, const json_t *edges, const json_t *nodes)
{
    json_t *edge;
    size_t i;

    json_array_foreach (edges, i, edge)
        if (!edge_end_ok(json_object_get(edge, "source"), nodes) ||
            !edge_end_ok(json_object_get(edge, "destination"), nodes))
            imu_check_fault(c, "batch.graph.edges", "value_error",
                            "Edge source or destination node does not exist in the graph", NULL);
}

/* Takes nodes without incoming edges away until none is left; what remains is a cycle (Kahn's
 * algorithm, as a count of passes). */
static int has_cycle(apr_pool_t *p, const json_t *nodes, const json_t *edges)
{
    json_t *degree = imu_json_own(p, json_object()), *left = imu_json_own(p, json_array()),
           *after = imu_json_own(p, json_object());
    const char *id;
    json_t *node, *edge, *to;
    size_t i, taken = 0;

    json_object_foreach ((json_t *)nodes, id, node) {
        json_object_set_new(degree, id, json_integer(0));
        json_object_set_new(after, id, json_array());
    }
    json_array_foreach (edges, i, edge) {
        json_t *n;

        to = json_object_get(json_object_get(edge, "destination"), "node_id");
        n = json_object_get(degree, json_string_value(to));
        json_integer_set(n, json_integer_value(n) + 1);
        json_array_append(json_object_get(after, json_string_value(json_object_get(
                                                     json_object_get(edge, "source"), "node_id"))),
                          to);
    }
    json_object_foreach (degree, id, node)
        if (json_integer_value(node) == 0)
            json_array_append_new(left, json_string(id));
    while (taken < json_array_size(left)) {
        const char *from = json_string_value(json_array_get(left, taken++));

        json_array_foreach (json_object_get(after, from), i, to) {
            json_t *n = json_object_get(degree, json_string_value(to));

            json_integer_set(n, json_integer_value(n) - 1);
            if (json_integer_value(n) == 0)
                json_array_append(left, to);
        }
    }
    return taken < json_object_size(nodes);
}

static void check_graph(apr_pool_t *p, imu_check *c, json_t *graph)
{
    json_t *nodes = json_object_get(graph, "nodes"), *edges = json_object_get(graph, "edges");
    json_t *id = json_object_get(graph, "id");

    if (!nodes)
        json_object_set_new(graph, "nodes", nodes = json_object());
    if (!edges)
        json_object_set_new(graph, "edges", edges = json_array());
    if (!id)
        json_object_set_new(graph, "id", json_string(imu_uuid4(p)));
    if (!json_is_object(nodes) || !json_is_array(edges) || json_array_size(edges) > MAX_EDGES ||
        (id && !json_is_string(id))) {
        imu_check_fault(c, "batch.graph", "value_error",
                        "A graph has nodes (an object) and edges (a list)", NULL);
        return;
    }
    check_nodes(c, nodes);
    check_edges(c, edges, nodes);
    if (!imu_check_end(c) && has_cycle(p, nodes, edges))
        imu_check_fault(c, "batch.graph", "value_error", "Graph contains cycles", NULL);
}

/* Values that a batch may put into a field: texts, numbers, and references such as {image_name}. */
static int datum_value_ok(const json_t *v)
{
    return json_is_string(v) || json_is_number(v) || json_is_object(v);
}

static void check_datum(imu_check *c, const json_t *datum, const json_t *nodes, json_t *seen,
                        apr_pool_t *p)
{
    const char *path = json_string_value(json_object_get(datum, "node_path"));
    const char *field = json_string_value(json_object_get(datum, "field_name"));
    json_t *items = json_object_get(datum, "items"), *one;
    const char *key;
    size_t i;

    if (!path || !field || !*field || strlen(field) > MAX_NAME ||
        (items && !json_is_array(items))) {
        imu_check_fault(c, "batch.data", "missing",
                        "Batch data has node_path, field_name and items", NULL);
        return;
    }
    if (!json_object_get(nodes, path)) {
        imu_check_fault(c, "batch.data", "value_error",
                        "Batch data names a node that is not in the graph", NULL);
        return;
    }
    if (strcmp(field, "id") == 0 || strcmp(field, "type") == 0)
        imu_check_fault(c, "batch.data", "value_error", "Batch data cannot change what a node is",
                        NULL);
    key = apr_pstrcat(p, path, "\n", field, NULL);
    if (json_object_get(seen, key))
        imu_check_fault(c, "batch.data", "value_error",
                        "Each batch data must have unique node_id and field_name", NULL);
    json_object_set_new(seen, key, json_true());
    if (json_array_size(items) > MAX_ITEMS)
        imu_check_fault(c, "batch.data", "too_long", "Batch data has at most 10000 items", NULL);
    json_array_foreach (items, i, one)
        if (!datum_value_ok(one) || json_typeof(one) != json_typeof(json_array_get(items, 0))) {
            imu_check_fault(c, "batch.data", "value_error",
                            "All items in a batch must have the same type", NULL);
            break;
        }
}

/* Checks one zipped group. @return its length */
static size_t check_group(imu_check *c, const json_t *group, const json_t *nodes, json_t *seen,
                          apr_pool_t *p)
{
    size_t length = json_array_size(json_object_get(json_array_get(group, 0), "items"));
    json_t *datum;
    size_t i;

    if (!json_is_array(group) || json_array_size(group) > MAX_DATA) {
        imu_check_fault(c, "batch.data", "list_type", "Batch data is a list of lists", NULL);
        return 0;
    }
    json_array_foreach (group, i, datum) {
        check_datum(c, datum, nodes, seen, p);
        if (json_array_size(json_object_get(datum, "items")) != length)
            imu_check_fault(c, "batch.data", "value_error",
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
        imu_check_fault(c, "batch.data", "too_long", "Batch data has at most 20 groups", NULL);
        return;
    }
    json_array_foreach (b->data, i, group) {
        size_t n = check_group(c, group, nodes, seen, p);

        /* As in any product, a group of nothing makes nothing: upstream queues no job then either.
         */
        b->requested *= (apr_int64_t)n;
        if (b->requested > (apr_int64_t)MAX_ITEMS * MAX_RUNS) {
            imu_check_fault(c, "batch.data", "too_long", "This batch would make too many jobs",
                            NULL);
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
    check_graph(p, c, b->graph);
    if ((err = imu_check_end(c)))
        return err;
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
    return !err || err->status == 413
               ? err
               : imu_error_internal(s->p, "%s", err->log ? err->log : err->detail);
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
