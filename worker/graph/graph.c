/* Reads a posted graph and refuses whatever could not run. See graph.h. */
#include "worker/graph/graph_internal.h"

#include <stdlib.h>
#include <string.h>

#define BAD "InvalidGraph"

static int load_node(struct node *n, const char *key, const json_t *posted, imu_error *err)
{
    const char *type = imu_json_str(posted, "type"), *id = imu_json_str(posted, "id");
    if (!json_is_object(posted) || !type)
        return imu_refuse(err, BAD, "Node \"%.80s\" has no type.", key);
    if (id && strcmp(id, key))
        return imu_refuse(err, BAD, "Node \"%.80s\" carries another id, \"%.80s\".", key, id);
    n->type = imu_node_find(type);
    if (!n->type)
        return imu_refuse(err, "UnknownNode", "This worker has no node of type \"%.80s\".", type);
    n->id = key;
    n->values = json_copy((json_t *)posted);
    if (!n->values || json_object_set_new(n->values, "id", json_string(key)))
        return imu_refuse(err, "OutOfMemory", "Not enough memory for the graph.");
    const char *name;
    json_t *value;
    json_object_foreach ((json_t *)posted, name, value) {
        const imu_field *field = imu_node_input(n->type, name);
        if (!field)
            continue;
        imu_error why;
        json_t *taken = imu_value_take(field, value, &why);
        if (!taken)
            return imu_refuse(err, "InvalidInput", "Node \"%.80s\" (%s): %.300s", key, type,
                              why.text);
        if (json_object_set_new(n->values, name, taken))
            return imu_refuse(err, "OutOfMemory", "Not enough memory for the graph.");
    }
    return 0;
}

static int load_nodes(imu_graph *g, json_t *index, imu_error *err)
{
    json_t *nodes = json_object_get(g->posted, "nodes"), *value;
    const char *key;
    if (!json_is_object(nodes))
        return imu_refuse(err, BAD, "The graph has no nodes object.");
    size_t n = json_object_size(nodes);
    if (n > IMU_GRAPH_MAX_NODES)
        return imu_refuse(err, BAD, "The graph has %zu nodes; at most %d are allowed.", n,
                          IMU_GRAPH_MAX_NODES);
    g->nodes = calloc(n ? n : 1, sizeof *g->nodes);
    if (!g->nodes)
        return imu_refuse(err, "OutOfMemory", "Not enough memory for the graph.");
    json_object_foreach (nodes, key, value) {
        if (!*key || strlen(key) > IMU_NODE_MAX_ID)
            return imu_refuse(err, BAD, "A node id must have 1 to %d bytes.", IMU_NODE_MAX_ID);
        struct node *slot = &g->nodes[g->n_nodes];
        g->n_nodes++;
        if (load_node(slot, key, value, err))
            return -1;
        if (json_object_set_new(index, key, json_integer((json_int_t)(g->n_nodes - 1))))
            return imu_refuse(err, "OutOfMemory", "Not enough memory for the graph.");
    }
    return 0;
}

/* One end of an edge: the node's index and the field name. */
static int load_end(const json_t *end, const json_t *index, size_t *node, const char **field,
                    imu_error *err)
{
    const char *id = imu_json_str(end, "node_id");
    *field = imu_json_str(end, "field");
    const json_t *i = id ? json_object_get(index, id) : NULL;
    if (!id || !*field)
        return imu_refuse(err, BAD, "An edge lacks a node_id or a field.");
    if (!i)
        return imu_refuse(err, BAD,
                          "An edge names the node \"%.80s\", which the graph doesn't have.", id);
    *node = (size_t)json_integer_value(i);
    return 0;
}

static int load_edge(imu_graph *g, struct edge *e, const json_t *posted, const json_t *index,
                     imu_error *err)
{
    if (load_end(json_object_get(posted, "source"), index, &e->from, &e->from_field, err) ||
        load_end(json_object_get(posted, "destination"), index, &e->to, &e->to_field, err))
        return -1;
    const struct node *from = &g->nodes[e->from], *to = &g->nodes[e->to];
    switch (imu_edge_check(from->type, e->from_field, to->type, e->to_field, &e->to_type)) {
    case IMU_EDGE_NO_OUTPUT:
        return imu_refuse(err, BAD, "Node \"%.80s\" (%s) has no output \"%.60s\".", from->id,
                          from->type->type, e->from_field);
    case IMU_EDGE_NO_INPUT:
        return imu_refuse(err, BAD, "Node \"%.80s\" (%s) has no input \"%.60s\".", to->id,
                          to->type->type, e->to_field);
    case IMU_EDGE_DIRECT:
        return imu_refuse(err, BAD, "The input \"%.60s\" of node \"%.80s\" takes no connection.",
                          e->to_field, to->id);
    case IMU_EDGE_TYPES:
        return imu_refuse(err, BAD,
                          "The output \"%.60s\" of node \"%.80s\" doesn't fit the input \"%.60s\" "
                          "of node \"%.80s\".",
                          e->from_field, from->id, e->to_field, to->id);
    default:
        return 0;
    }
}

static int load_edges(imu_graph *g, const json_t *index, imu_error *err)
{
    json_t *edges = json_object_get(g->posted, "edges"), *value;
    size_t i;
    if (!edges || json_is_null(edges))
        return 0;
    if (!json_is_array(edges))
        return imu_refuse(err, BAD, "The graph's edges are not a list.");
    size_t n = json_array_size(edges);
    if (n > IMU_GRAPH_MAX_EDGES)
        return imu_refuse(err, BAD, "The graph has %zu edges; at most %d are allowed.", n,
                          IMU_GRAPH_MAX_EDGES);
    g->edges = calloc(n ? n : 1, sizeof *g->edges);
    if (!g->edges)
        return imu_refuse(err, "OutOfMemory", "Not enough memory for the graph.");
    json_array_foreach (edges, i, value) {
        if (load_edge(g, &g->edges[i], value, index, err))
            return -1;
        g->n_edges++;
    }
    return 0;
}

/* Gives each node the list of its edges and of the nodes behind them. */
static int link_nodes(imu_graph *g, imu_error *err)
{
    for (size_t e = 0; e < g->n_edges; e++)
        g->nodes[g->edges[e].to].n_in++;
    for (size_t i = 0; i < g->n_nodes; i++) {
        struct node *n = &g->nodes[i];
        size_t count = n->n_in ? n->n_in : 1;
        n->in = calloc(count, sizeof *n->in);
        n->parents = calloc(count, sizeof *n->parents);
        if (!n->in || !n->parents)
            return imu_refuse(err, "OutOfMemory", "Not enough memory for the graph.");
        n->n_in = 0;
    }
    for (size_t e = 0; e < g->n_edges; e++) {
        struct node *n = &g->nodes[g->edges[e].to];
        n->in[n->n_in++] = e;
        size_t p = 0;
        while (p < n->n_parents && n->parents[p] != g->edges[e].from)
            p++;
        if (p == n->n_parents)
            n->parents[n->n_parents++] = g->edges[e].from;
    }
    return 0;
}

/* Only `item` and `collection` of collect take several edges; iterate must have its list by an edge
 * or value. */
static int check_fan_in(const imu_graph *g, imu_error *err)
{
    for (size_t i = 0; i < g->n_nodes; i++) {
        const struct node *n = &g->nodes[i];
        if (n->type->flags & IMU_N_COLLECT)
            continue;
        json_t *seen = json_object();
        for (size_t k = 0; seen && k < n->n_in; k++) {
            const char *field = g->edges[n->in[k]].to_field;
            if (json_object_get(seen, field)) {
                json_decref(seen);
                return imu_refuse(
                    err, BAD, "The input \"%.60s\" of node \"%.80s\" has more than one connection.",
                    field, n->id);
            }
            json_object_set_new(seen, field, json_true());
        }
        json_decref(seen);
    }
    return 0;
}

/* Kahn's algorithm in the posted order: stable, and what is left over lies on a cycle. */
static int sort_nodes(imu_graph *g, imu_error *err)
{
    size_t *left = calloc(g->n_nodes + 1, sizeof *left);
    size_t done = 0;
    g->order = calloc(g->n_nodes + 1, sizeof *g->order);
    if (!left || !g->order) {
        free(left);
        return imu_refuse(err, "OutOfMemory", "Not enough memory for the graph.");
    }
    for (size_t i = 0; i < g->n_nodes; i++) {
        left[i] = g->nodes[i].n_in;
        if (left[i] == 0)
            g->order[done++] = i;
    }
    for (size_t at = 0; at < done; at++) {
        for (size_t e = 0; e < g->n_edges; e++) {
            if (g->edges[e].from == g->order[at] && --left[g->edges[e].to] == 0)
                g->order[done++] = g->edges[e].to;
        }
    }
    free(left);
    if (done < g->n_nodes)
        return imu_refuse(err, BAD, "The graph's connections form a circle.");
    return 0;
}

imu_graph *imu_graph_load(const json_t *posted, imu_error *err)
{
    if (!json_is_object(posted)) {
        imu_refuse(err, BAD, "The graph is not an object.");
        return NULL;
    }
    if (imu_json_size(posted, IMU_GRAPH_MAX_TOTAL, IMU_GRAPH_MAX_DEPTH) > IMU_GRAPH_MAX_TOTAL) {
        imu_refuse(err, BAD, "The graph is larger than %u MiB or nested too deeply.",
                   IMU_GRAPH_MAX_TOTAL >> 20);
        return NULL;
    }
    imu_graph *g = calloc(1, sizeof *g);
    json_t *index = json_object();
    if (!g || !index) {
        imu_refuse(err, "OutOfMemory", "Not enough memory for the graph.");
        json_decref(index);
        free(g);
        return NULL;
    }
    g->posted = json_incref((json_t *)posted);
    int rc = load_nodes(g, index, err) || load_edges(g, index, err) || link_nodes(g, err) ||
             check_fan_in(g, err) || sort_nodes(g, err);
    json_decref(index);
    if (rc) {
        imu_graph_free(g);
        return NULL;
    }
    return g;
}

void imu_graph_free(imu_graph *g)
{
    if (!g)
        return;
    for (size_t i = 0; i < g->n_nodes; i++) {
        json_decref(g->nodes[i].values);
        free(g->nodes[i].in);
        free(g->nodes[i].parents);
    }
    free(g->nodes);
    free(g->edges);
    free(g->order);
    json_decref(g->posted);
    free(g);
}
