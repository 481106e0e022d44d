/* Expands and runs a checked graph. See graph.h.
 *
 * A source node is prepared as soon as all the nodes that feed it are; `iterate` only once they
 * have run, because its list decides how many copies there will be. Each prepared node remembers
 * through which iterations it came (its path), and takes as inputs those prepared nodes whose paths
 * agree with each other: the natural join of the paths. Ready nodes are taken last in, first out,
 * so that the first iteration's picture is finished before the second one's noise is drawn. */
#include "worker/graph/graph_internal.h"

#include <stdlib.h>
#include <string.h>

#define BAD "InvalidGraph"

struct step {
    size_t iterator; /* node index of an iterate */
    size_t prepared; /* which of its copies */
};

struct input {
    size_t edge;
    size_t prepared;
};

struct prepared {
    char id[IMU_UUID_SIZE];
    size_t source;
    struct step *path;
    size_t n_path;
    struct input *inputs;
    size_t n_inputs;
    size_t item;    /* iterate: its index */
    size_t total;   /* iterate: the list's length */
    size_t missing; /* inputs whose nodes have not run */
    json_t *node;
    json_t *values;
    json_t *result;
    bool done;
};

struct source {
    size_t *copies;
    size_t n_copies, cap;
    size_t left; /* copies that have not run */
    bool prepared;
};

struct imu_exec {
    const imu_graph *g;
    char *session_id;
    struct prepared *prepared;
    size_t n_prepared, cap;
    struct source *sources;
    size_t *ready;
    size_t n_ready;
    json_t *executed, *history, *errors;
    size_t total_bytes, links;
    bool failed;
};

static int out_of_memory(imu_error *err)
{
    return imu_refuse(err, "OutOfMemory", "Not enough memory to run the graph.");
}

imu_exec *imu_exec_new(const char *session_id, const imu_graph *g)
{
    imu_exec *x = calloc(1, sizeof *x);
    if (!x)
        return NULL;
    x->g = g;
    x->session_id = strdup(session_id);
    x->sources = calloc(g->n_nodes + 1, sizeof *x->sources);
    x->ready = calloc(IMU_GRAPH_MAX_PREPARED, sizeof *x->ready);
    x->executed = json_array();
    x->history = json_array();
    x->errors = json_object();
    if (!x->session_id || !x->sources || !x->ready || !x->executed || !x->history || !x->errors) {
        imu_exec_free(x);
        return NULL;
    }
    return x;
}

void imu_exec_free(imu_exec *x)
{
    if (!x)
        return;
    for (size_t i = 0; i < x->n_prepared; i++) {
        struct prepared *p = &x->prepared[i];
        free(p->path);
        free(p->inputs);
        json_decref(p->node);
        json_decref(p->values);
        json_decref(p->result);
    }
    for (size_t i = 0; x->sources && i < x->g->n_nodes; i++)
        free(x->sources[i].copies);
    free(x->prepared);
    free(x->sources);
    free(x->ready);
    free(x->session_id);
    json_decref(x->executed);
    json_decref(x->history);
    json_decref(x->errors);
    free(x);
}

/* ---- expansion ---- */

static const struct step *path_find(const struct step *path, size_t n, size_t iterator)
{
    for (size_t i = 0; i < n; i++)
        if (path[i].iterator == iterator)
            return &path[i];
    return NULL;
}

/* Adds other's steps to path when they agree. @return false when they contradict each other. */
static bool path_join(struct step *path, size_t *n, const struct prepared *other)
{
    for (size_t i = 0; i < other->n_path; i++) {
        const struct step *mine = path_find(path, *n, other->path[i].iterator);
        if (mine && mine->prepared != other->path[i].prepared)
            return false;
        if (!mine)
            path[(*n)++] = other->path[i];
    }
    return true;
}

static struct prepared *add_prepared(imu_exec *x, size_t source, imu_error *err)
{
    struct source *s = &x->sources[source];
    if (x->n_prepared == IMU_GRAPH_MAX_PREPARED) {
        imu_refuse(err, "TooManyNodes", "The graph's iterations give more than %d nodes.",
                   IMU_GRAPH_MAX_PREPARED);
        return NULL;
    }
    if (x->n_prepared == x->cap) {
        size_t cap = x->cap ? 2 * x->cap : 64;
        struct prepared *grown = realloc(x->prepared, cap * sizeof *grown);
        if (!grown) {
            out_of_memory(err);
            return NULL;
        }
        x->prepared = grown;
        x->cap = cap;
    }
    if (s->n_copies == s->cap) {
        size_t cap = s->cap ? 2 * s->cap : 4;
        size_t *grown = realloc(s->copies, cap * sizeof *grown);
        if (!grown) {
            out_of_memory(err);
            return NULL;
        }
        s->copies = grown;
        s->cap = cap;
    }
    struct prepared *p = &x->prepared[x->n_prepared];
    memset(p, 0, sizeof *p);
    imu_new_uuid(p->id);
    p->source = source;
    s->copies[s->n_copies++] = x->n_prepared++;
    s->left++;
    return p;
}

/* Copies the path and, for every edge, the prepared node that feeds it. `feeding` is indexed like
 * the node's parents; NULL takes every copy of each parent (collect). */
static int fill_prepared(imu_exec *x, struct prepared *p, const size_t *feeding,
                         const struct step *path, size_t n_path, imu_error *err)
{
    const struct node *n = &x->g->nodes[p->source];
    size_t count = 0;
    for (size_t k = 0; k < n->n_in; k++)
        count += feeding ? 1 : x->sources[x->g->edges[n->in[k]].from].n_copies;
    x->links += count;
    if (x->links > IMU_GRAPH_MAX_LINKS)
        return imu_refuse(err, "TooManyNodes",
                          "The graph's iterations give more than %d connections.",
                          IMU_GRAPH_MAX_LINKS);
    p->inputs = calloc(count + 1, sizeof *p->inputs);
    p->path = calloc(n_path + 2, sizeof *p->path);
    p->node = json_copy(n->values);
    if (!p->inputs || !p->path || !p->node ||
        json_object_set_new(p->node, "id", json_string(p->id)))
        return out_of_memory(err);
    if (n_path)
        memcpy(p->path, path, n_path * sizeof *path);
    p->n_path = n_path;
    for (size_t k = 0; k < n->n_in; k++) {
        size_t from = x->g->edges[n->in[k]].from;
        const struct source *s = &x->sources[from];
        for (size_t c = 0; c < (feeding ? 1 : s->n_copies); c++) {
            size_t parent = 0;
            while (feeding && n->parents[parent] != from)
                parent++;
            size_t index = feeding ? feeding[parent] : s->copies[c];
            p->inputs[p->n_inputs++] = (struct input){.edge = n->in[k], .prepared = index};
            p->missing += !x->prepared[index].done;
        }
    }
    return 0;
}

/* The list that an iterate node goes through, from its edge or its own value; NULL when it is none.
 */
static const json_t *iterate_list(const imu_exec *x, const struct node *n, const size_t *feeding)
{
    const json_t *list = json_object_get(n->values, "collection");
    for (size_t k = 0; k < n->n_in; k++) {
        const struct edge *e = &x->g->edges[n->in[k]];
        size_t parent = 0;
        if (strcmp(e->to_field, "collection"))
            continue;
        while (n->parents[parent] != e->from)
            parent++;
        list = json_object_get(x->prepared[feeding[parent]].result, e->from_field);
    }
    return json_is_array(list) ? list : NULL;
}

static int add_copies(imu_exec *x, size_t source, const size_t *feeding, const struct step *path,
                      size_t n_path, imu_error *err)
{
    const struct node *n = &x->g->nodes[source];
    size_t copies = 1;
    bool iterate = n->type->flags & IMU_N_ITERATE;
    if (iterate) {
        const json_t *list = iterate_list(x, n, feeding);
        if (!list)
            return imu_refuse(err, "InvalidInput",
                              "Node \"%.80s\" (iterate): its collection is not a list.", n->id);
        copies = json_array_size(list);
    }
    for (size_t i = 0; i < copies; i++) {
        struct prepared *p = add_prepared(x, source, err);
        if (!p || fill_prepared(x, p, feeding, path, n_path, err))
            return -1;
        if (iterate) {
            p->item = i;
            p->total = copies;
            p->path[p->n_path++] = (struct step){.iterator = source, .prepared = x->n_prepared - 1};
        }
    }
    return 0;
}

/* All combinations of the parents' copies whose paths agree, parent by parent. */
static int join_parents(imu_exec *x, size_t source, size_t parent, size_t *feeding,
                        const struct step *path, size_t n_path, imu_error *err)
{
    const struct node *n = &x->g->nodes[source];
    if (parent == n->n_parents)
        return add_copies(x, source, feeding, path, n_path, err);
    const struct source *s = &x->sources[n->parents[parent]];
    for (size_t c = 0; c < s->n_copies; c++) {
        const struct prepared *other = &x->prepared[s->copies[c]];
        size_t joined_n = n_path;
        struct step *joined = calloc(n_path + other->n_path + 1, sizeof *joined);
        if (!joined)
            return out_of_memory(err);
        if (n_path)
            memcpy(joined, path, n_path * sizeof *path);
        feeding[parent] = s->copies[c];
        int rc = 0;
        if (path_join(joined, &joined_n, other))
            rc = join_parents(x, source, parent + 1, feeding, joined, joined_n, err);
        free(joined);
        if (rc)
            return rc;
    }
    return 0;
}

static bool can_prepare(const imu_exec *x, size_t source)
{
    const struct node *n = &x->g->nodes[source];
    for (size_t k = 0; k < n->n_parents; k++) {
        const struct source *s = &x->sources[n->parents[k]];
        if (!s->prepared || ((n->type->flags & IMU_N_ITERATE) && s->left > 0))
            return false;
    }
    return true;
}

static int note_executed(imu_exec *x, const char *id, bool source)
{
    if (json_array_append_new(x->executed, json_string(id)))
        return -1;
    return source ? json_array_append_new(x->history, json_string(id)) : 0;
}

static int prepare(imu_exec *x, size_t source, imu_error *err)
{
    const struct node *n = &x->g->nodes[source];
    struct source *s = &x->sources[source];
    int rc;
    if (n->type->flags & IMU_N_COLLECT) {
        struct prepared *p = add_prepared(x, source, err);
        rc = p ? fill_prepared(x, p, NULL, NULL, 0, err) : -1;
    } else {
        size_t *feeding = calloc(n->n_parents + 1, sizeof *feeding);
        rc = feeding ? join_parents(x, source, 0, feeding, NULL, 0, err) : out_of_memory(err);
        free(feeding);
    }
    if (rc)
        return -1;
    s->prepared = true;
    /* An empty list leaves nothing to run: the node counts as executed. */
    if (s->n_copies == 0 && note_executed(x, n->id, true))
        return out_of_memory(err);
    for (size_t c = 0; c < s->n_copies; c++)
        if (x->prepared[s->copies[c]].missing == 0)
            x->ready[x->n_ready++] = s->copies[c];
    return 0;
}

/* Prepares what can be prepared now; in reverse order, because ready nodes are taken from the end.
 */
static int prepare_all(imu_exec *x, imu_error *err)
{
    size_t first_ready = x->n_ready;
    for (size_t i = 0; i < x->g->n_nodes; i++) {
        size_t source = x->g->order[i];
        if (!x->sources[source].prepared && can_prepare(x, source) && prepare(x, source, err))
            return -1;
    }
    for (size_t a = first_ready, b = x->n_ready; a + 1 < b; a++, b--) {
        size_t swap = x->ready[a];
        x->ready[a] = x->ready[b - 1];
        x->ready[b - 1] = swap;
    }
    return 0;
}

/* ---- running ---- */

/* Appends what an edge brings to a collect node: items after the lists given at `collection`. */
static int collect_inputs(imu_exec *x, struct prepared *p, imu_error *err)
{
    json_t *list = json_array();
    for (int pass = 0; list && pass < 2; pass++) {
        for (size_t k = 0; k < p->n_inputs; k++) {
            const struct edge *e = &x->g->edges[p->inputs[k].edge];
            json_t *value =
                json_object_get(x->prepared[p->inputs[k].prepared].result, e->from_field);
            bool whole = !strcmp(e->to_field, "collection");
            if (whole != (pass == 0))
                continue;
            if (whole && !json_is_array(value)) {
                json_decref(list);
                return imu_refuse(err, "InvalidInput",
                                  "What is connected to \"collection\" is not a list.");
            }
            if (whole ? json_array_extend(list, value)
                      : json_array_append(list, value ? value : json_null())) {
                json_decref(list);
                return out_of_memory(err);
            }
        }
    }
    return list && !json_object_set_new(p->node, "collection", list) ? 0 : out_of_memory(err);
}

static int edge_inputs(imu_exec *x, struct prepared *p, imu_error *err)
{
    for (size_t k = 0; k < p->n_inputs; k++) {
        const struct edge *e = &x->g->edges[p->inputs[k].edge];
        json_t *value = json_object_get(x->prepared[p->inputs[k].prepared].result, e->from_field);
        if (!value)
            value = json_null();
        json_t *taken = e->to_type ? imu_value_take(e->to_type, value, err) : json_incref(value);
        if (!taken)
            return -1;
        if (json_object_set_new(p->node, e->to_field, taken))
            return out_of_memory(err);
    }
    return 0;
}

static json_t *fallback(const imu_field *f)
{
    return f->fallback ? json_loads(f->fallback, JSON_DECODE_ANY, NULL) : json_null();
}

/* Every declared input: the value that was posted or brought by an edge, else the default. */
static json_t *make_values(const struct prepared *p, const imu_node_type *type, imu_error *err)
{
    json_t *values = type->flags & IMU_N_EXTRA ? json_copy(p->node) : json_object();
    for (const imu_field *f = type->inputs; values && f->name; f++) {
        json_t *value = json_incref(json_object_get(p->node, f->name));
        if (!value)
            value = fallback(f);
        if ((f->flags & IMU_F_REQUIRED) && json_is_null(value)) {
            imu_refuse(err, "MissingInput", "The input \"%s\" has no value and no connection.",
                       f->name);
            json_decref(value);
            json_decref(values);
            return NULL;
        }
        if (json_object_set_new(values, f->name, value)) {
            json_decref(values);
            values = NULL;
        }
    }
    static const char *const common[] = {"board", "metadata", "is_intermediate", "use_cache"};
    for (size_t i = 0; values && i < sizeof common / sizeof common[0]; i++) {
        json_t *value = json_object_get(p->node, common[i]);
        if (value)
            json_object_set(values, common[i], value);
    }
    if (!values)
        out_of_memory(err);
    return values;
}

/* A copy of iterate sees its own item. The list itself is not repeated in each: that would grow
 * with its square. */
static int iterate_inputs(imu_exec *x, struct prepared *p, imu_error *err)
{
    const json_t *list = json_object_get(p->node, "collection");
    for (size_t k = 0; k < p->n_inputs; k++) {
        const struct edge *e = &x->g->edges[p->inputs[k].edge];
        if (!strcmp(e->to_field, "collection"))
            list = json_object_get(x->prepared[p->inputs[k].prepared].result, e->from_field);
    }
    json_t *item = json_array_get(list, p->item);
    p->values = json_pack("{s:O,s:I,s:I}", "item", item, "index", (json_int_t)p->item, "total",
                          (json_int_t)p->total);
    json_object_del(p->node, "collection");
    if (!p->values || json_object_set_new(p->node, "index", json_integer((json_int_t)p->item)))
        return out_of_memory(err);
    return 0;
}

static int take_inputs(imu_exec *x, struct prepared *p, imu_error *err)
{
    const imu_node_type *type = x->g->nodes[p->source].type;
    if (type->flags & IMU_N_ITERATE)
        return iterate_inputs(x, p, err);
    if (type->flags & IMU_N_COLLECT ? collect_inputs(x, p, err) : edge_inputs(x, p, err))
        return -1;
    size_t bytes = imu_json_size(p->node, IMU_GRAPH_MAX_VALUE, IMU_GRAPH_MAX_DEPTH);
    x->total_bytes += bytes;
    if (bytes > IMU_GRAPH_MAX_VALUE || x->total_bytes > IMU_GRAPH_MAX_TOTAL)
        return imu_refuse(err, "TooLarge", "The values that reach this node are too large.");
    p->values = make_values(p, type, err);
    return p->values ? 0 : -1;
}

int imu_exec_next(imu_exec *x, imu_prepared *out, imu_error *err)
{
    memset(out, 0, sizeof *out);
    if (x->failed)
        return 0;
    if (prepare_all(x, err))
        return -1;
    if (x->n_ready == 0)
        return 0;
    size_t index = x->ready[--x->n_ready];
    struct prepared *p = &x->prepared[index];
    out->id = p->id;
    out->source_id = x->g->nodes[p->source].id;
    out->type = x->g->nodes[p->source].type;
    out->index = index;
    int rc = take_inputs(x, p, err);
    out->node = p->node;
    out->inputs = p->values;
    return rc ? -1 : 1;
}

int imu_exec_complete(imu_exec *x, const imu_prepared *done, json_t *result, imu_error *err)
{
    struct prepared *p = &x->prepared[done->index];
    struct source *s = &x->sources[p->source];
    size_t bytes = imu_json_size(result, IMU_GRAPH_MAX_VALUE, IMU_GRAPH_MAX_DEPTH);
    p->result = result;
    p->done = true;
    x->total_bytes += bytes;
    if (bytes > IMU_GRAPH_MAX_VALUE || x->total_bytes > IMU_GRAPH_MAX_TOTAL) {
        json_decref(p->result);
        p->result = NULL;
        return imu_refuse(err, "TooLarge",
                          "The result of this node, or all results together, are too large.");
    }
    if (note_executed(x, p->id, false) ||
        (--s->left == 0 && note_executed(x, x->g->nodes[p->source].id, true)))
        return out_of_memory(err);
    /* Backwards, so that the first waiting node comes to lie on top. */
    for (size_t i = x->n_prepared; i-- > 0;) {
        struct prepared *next = &x->prepared[i];
        size_t before = next->missing;
        if (next->done || before == 0)
            continue;
        for (size_t k = 0; k < next->n_inputs; k++)
            next->missing -= next->inputs[k].prepared == done->index;
        if (next->missing == 0)
            x->ready[x->n_ready++] = i;
    }
    return 0;
}

void imu_exec_fail(imu_exec *x, const char *prepared_id, const char *text)
{
    x->failed = true;
    json_object_set_new(x->errors, prepared_id, json_string(text));
}

/* ---- the state as JSON ---- */

static json_t *edge_end(const char *node, const char *field)
{
    return json_pack("{s:s,s:s}", "node_id", node, "field", field);
}

static json_t *execution_graph(const imu_exec *x)
{
    json_t *nodes = json_object(), *edges = json_array();
    const char *id = imu_json_str(x->g->posted, "id");
    for (size_t i = 0; i < x->n_prepared; i++) {
        const struct prepared *p = &x->prepared[i];
        json_object_set(nodes, p->id, p->node);
        for (size_t k = 0; k < p->n_inputs; k++) {
            const struct edge *e = &x->g->edges[p->inputs[k].edge];
            json_array_append_new(
                edges, json_pack("{s:o,s:o}", "source",
                                 edge_end(x->prepared[p->inputs[k].prepared].id, e->from_field),
                                 "destination", edge_end(p->id, e->to_field)));
        }
    }
    return json_pack("{s:s,s:o,s:o}", "id", id ? id : x->session_id, "nodes", nodes, "edges",
                     edges);
}

/* Adds what is known of each prepared node to the maps of the state. */
static void add_maps(const imu_exec *x, json_t *state)
{
    json_t *results = json_object(), *to_source = json_object(), *to_prepared = json_object();
    json_t *paths = json_object(), *indegree = json_object();
    for (size_t i = 0; i < x->n_prepared; i++) {
        const struct prepared *p = &x->prepared[i];
        const char *source = x->g->nodes[p->source].id;
        if (p->result)
            json_object_set(results, p->id, p->result);
        json_object_set_new(to_source, p->id, json_string(source));
        json_t *list = json_object_get(to_prepared, source);
        if (!list && (list = json_array()))
            json_object_set_new(to_prepared, source, list);
        json_array_append_new(list, json_string(p->id));
        json_t *path = json_array();
        for (size_t k = 0; k < p->n_path; k++)
            json_array_append_new(path,
                                  json_integer((json_int_t)x->prepared[p->path[k].prepared].item));
        json_object_set_new(paths, p->id, path);
        json_object_set_new(indegree, p->id, json_integer((json_int_t)p->missing));
    }
    json_object_set_new(state, "results", results);
    json_object_set(state, "errors", x->errors);
    json_object_set_new(state, "workflow_call_stack", json_array());
    json_object_set_new(state, "workflow_call_history", json_array());
    json_object_set_new(state, "prepared_source_mapping", to_source);
    json_object_set_new(state, "source_prepared_mapping", to_prepared);
    json_object_set_new(state, "prepared_iteration_paths", paths);
    json_object_set_new(state, "ready_order", json_array());
    json_object_set_new(state, "indegree", indegree);
}

json_t *imu_exec_state(const imu_exec *x)
{
    json_t *state = json_object();
    if (!state)
        return NULL;
    json_object_set_new(state, "id", json_string(x->session_id));
    json_object_set(state, "graph", x->g->posted);
    json_object_set_new(state, "execution_graph", execution_graph(x));
    json_object_set(state, "executed", x->executed);
    json_object_set(state, "executed_history", x->history);
    add_maps(x, state);
    return state;
}

json_t *imu_exec_empty_state(const char *session_id, const json_t *graph)
{
    const char *id = imu_json_str(graph, "id");
    return json_pack(
        "{s:s,s:O,s:{s:s,s:{},s:[]},s:[],s:[],s:{},s:{},s:[],s:[],s:{},s:{},s:{},s:[],s:{}}", "id",
        session_id, "graph", graph, "execution_graph", "id", id ? id : session_id, "nodes", "edges",
        "executed", "executed_history", "results", "errors", "workflow_call_stack",
        "workflow_call_history", "prepared_source_mapping", "source_prepared_mapping",
        "prepared_iteration_paths", "ready_order", "indegree");
}
