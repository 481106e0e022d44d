#include "mod_invokemu/store/queue_batch.h"

#include <string.h>

#include <apr_strings.h>

#include "mod_invokemu/store/queue_graph.h"
#include "mod_invokemu/util/ids.h"
#include "mod_invokemu/util/jsons.h"

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

/* What is stored at a time: nobody else can write meanwhile. */
#define SLICE_BYTES ((apr_size_t)1024 * 1024)
#define SLICE_JOBS  200

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

/* ---- storing, in slices: nobody waits for more than one of them ---- */

typedef struct job_text {
    const char *session_id;
    const char *fields; /* or NULL */
    const char *session;
} job_text;

typedef struct batch_store {
    const imu_queue_scope *s;
    const imu_batch *b;
    const char *queue_id; /* a hidden one until all slices are there */
    const char *workflow; /* or NULL */
    apr_int64_t next;     /* number of the next job */
    apr_int64_t priority;
    apr_size_t left; /* what the jobs of this batch may still take */
    int full;        /* the queue has no more room */
    json_t *ids;
} batch_store;

static imu_err *check_size(batch_store *st, apr_size_t own, apr_size_t workflow)
{
    if (own > MAX_SESSION_BYTES || workflow > MAX_WORKFLOW_BYTES)
        return imu_error(st->s->p, 413, "job_too_large",
                         "A job is too large. Its graph and values may have at most %lu KiB "
                         "together, its workflow %lu KiB.",
                         (unsigned long)(MAX_SESSION_BYTES / 1024),
                         (unsigned long)(MAX_WORKFLOW_BYTES / 1024));
    if (own + workflow > st->left)
        return imu_error(
            st->s->p, 413, "batch_too_large",
            "The jobs of this batch are too large together. At most %lu MiB can be queued at once.",
            (unsigned long)(MAX_BATCH_BYTES / 1048576));
    st->left -= own + workflow;
    return NULL;
}

/* Writes the texts of the next jobs, before anybody has to wait for them. */
static imu_err *build_slice(batch_store *st, apr_pool_t *p, apr_array_header_t *jobs)
{
    apr_size_t workflow = st->workflow ? strlen(st->workflow) : 0, size = 0;

    while (st->next < st->b->requested && jobs->nelts < SLICE_JOBS && size < SLICE_BYTES) {
        job_text *job = apr_array_push(jobs);
        json_t *values = values_of(st->b, st->next++), *graph = graph_with(st->b, values);
        json_t *session = imu_session_new(p, graph, &job->session_id);
        apr_size_t own;
        imu_err *err;

        job->session = imu_json_compact(p, session);
        job->fields = json_array_size(values) ? imu_json_compact(p, values) : NULL;
        json_decref(session);
        json_decref(graph);
        json_decref(values);
        if (!job->session)
            return imu_error_internal(st->s->p, "a session could not be written as JSON");
        own = strlen(job->session) + (job->fields ? strlen(job->fields) : 0);
        if ((err = check_size(st, own, workflow)))
            return err;
        size += own + workflow;
    }
    return NULL;
}

static imu_err *insert_slice(batch_store *st, apr_pool_t *p, const apr_array_header_t *jobs)
{
    const imu_queue_scope *s = st->s;
    const imu_batch *b = st->b;
    imu_queue_standing standing = {0};
    imu_err *err = imu_queue_standing_of(s, &standing);
    apr_int64_t item_id;

    for (int i = 0; !err && i < jobs->nelts && i < standing.room; i++) {
        const job_text *job = &APR_ARRAY_IDX(jobs, i, job_text);
        imu_queue_row row = {.batch_id = b->batch_id,
                             .session_id = job->session_id,
                             .session = job->session,
                             .origin = b->origin,
                             .destination = b->destination,
                             .fields = job->fields,
                             .workflow = st->workflow,
                             .priority = st->priority};

        err = imu_queue_put(s, p, st->queue_id, s->who->user_id, &row, &item_id);
        if (!err)
            json_array_append_new(st->ids, json_integer(item_id));
    }
    st->full = jobs->nelts > standing.room;
    return err;
}

static imu_err *store_slice(batch_store *st, apr_pool_t *p, const apr_array_header_t *jobs)
{
    imu_err *err = imu_db_begin(st->s->db);

    return err ? err : imu_db_end(st->s->db, insert_slice(st, p, jobs));
}

/*
 * A name that nobody can ask for and the dispatcher passes over: a slash is in no queue's name. As
 * long as the real one, so that a row is renamed where it lies.
 */
static const char *hidden_name(apr_pool_t *p, const char *queue_id)
{
    char *name = apr_pstrdup(p, imu_random_token(p, strlen(queue_id)));

    name[0] = '/';
    name[strlen(queue_id)] = '\0';
    return name;
}

static imu_err *store_slices(batch_store *st, apr_pool_t *sub)
{
    imu_err *err = NULL;

    while (!err && !st->full && st->next < st->b->requested) {
        apr_array_header_t *jobs = apr_array_make(sub, 64, sizeof(job_text));
        int first = st->next == 0;

        err = build_slice(st, sub, jobs);
        if (!err && first && st->next < st->b->requested)
            st->queue_id = hidden_name(st->s->p, st->s->queue_id);
        if (!err && (err = store_slice(st, sub, jobs)))
            err = imu_error_keep(st->s->p, err);
        apr_pool_clear(sub);
    }
    return err;
}

/* All of it appears at once, or is taken away again; what a crash leaves is swept later. */
static imu_err *settle(const batch_store *st, imu_err *err)
{
    const imu_queue_scope *s = st->s;
    int n = 0;

    if (st->queue_id == s->queue_id)
        return err;
    if (!err)
        err = imu_db_exec(s->db, s->p, &n, "queue_publish", "ssss", s->queue_id, st->queue_id,
                          s->who->user_id, st->b->batch_id);
    if (!err && (size_t)n == json_array_size(st->ids))
        return NULL;
    if (!err)
        err =
            imu_error(s->p, 409, "batch_gone", "The jobs were taken away while they were stored.");
    do {
        imu_err *why = imu_db_exec(s->db, s->p, &n, "queue_abandon", "ssss", s->queue_id,
                                   st->queue_id, s->who->user_id, st->b->batch_id);

        if (why)
            return err;
    } while (n > 0);
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
    batch_store st = {.s = s, .b = b, .queue_id = s->queue_id, .left = MAX_BATCH_BYTES};
    apr_pool_t *sub;
    imu_rows *rows;
    imu_err *err;

    st.ids = imu_json_own(s->p, json_array());
    st.workflow = imu_json_compact(s->p, b->workflow);
    if (b->prepend) {
        if ((err = imu_db_select(s->db, s->p, &rows, "queue_next_priority", "ss", s->queue_id,
                                 s->who->user_id)))
            return err;
        st.priority = imu_int(rows, 0, "priority");
    }
    if (apr_pool_create(&sub, s->p) != APR_SUCCESS)
        return imu_error_internal(s->p, "no memory");
    err = settle(&st, store_slices(&st, sub));
    apr_pool_destroy(sub);
    if (err)
        return err;
    *result =
        imu_json_own(s->p, json_pack("{s:s, s:i, s:I, s:o, s:I, s:O}", "queue_id", s->queue_id,
                                     "enqueued", (int)json_array_size(st.ids), "requested",
                                     (json_int_t)b->requested, "batch", batch_echo(b), "priority",
                                     (json_int_t)st.priority, "item_ids", st.ids));
    return NULL;
}
