#include "mod_invokemu/store/queue_graph.h"

#include <string.h>

#include <apr_strings.h>

#include "mod_invokemu/util/ids.h"

/* Bounds far above what clients send, far below what hurts. */
#define MAX_NODES 2000
#define MAX_EDGES 10000

/* The declaration of a node's type, or NULL when there is none. */
static const imu_node_type *type_of(const json_t *node)
{
    const char *type = json_string_value(json_object_get(node, "type"));

    return type ? imu_node_among(imu_nodes_known, type) : NULL;
}

const imu_field *imu_graph_input(const json_t *node, const char *field)
{
    static const imu_field any = {.name = "any", .type = IMU_T_ANY};
    const imu_node_type *type = type_of(node);

    if (type)
        return imu_node_input(type, field);
    return strcmp(field, "id") != 0 && strcmp(field, "type") != 0 ? &any : NULL;
}

void imu_graph_note_model(json_t *keys, const json_t *node, const char *field, const json_t *value)
{
    const char *key = json_string_value(json_object_get(value, "key"));
    const imu_field *input = key ? imu_graph_input(node, field) : NULL;

    if (input && input->type == IMU_T_MODEL && (input->flags & IMU_F_REQUIRED))
        json_object_set_new(keys, key, json_true());
}

void imu_graph_note_models(json_t *keys, const json_t *nodes)
{
    const char *id, *name;
    json_t *node, *value;

    json_object_foreach ((json_t *)nodes, id, node)
        json_object_foreach (node, name, value)
            imu_graph_note_model(keys, node, name, value);
}

/* ---- values ---- */

/* The words for a value of another kind than the field's. */
static const char *kind_fault(const imu_field *f, const char **msg)
{
    switch (f->type) {
    case IMU_T_INT:
        *msg = "Input should be a valid integer";
        return "int_type";
    case IMU_T_FLOAT:
        *msg = "Input should be a valid number";
        return "float_type";
    case IMU_T_STRING:
        *msg = "Input should be a valid string";
        return "string_type";
    case IMU_T_BOOL:
        *msg = "Input should be a valid boolean";
        return "bool_type";
    case IMU_T_IMAGE:
        *msg = "Input should be an object with image_name";
        return "model_type";
    case IMU_T_BOARD:
        *msg = "Input should be an object with board_id";
        return "model_type";
    case IMU_T_COLOR:
        *msg = "Input should be an object with r, g, b and a, each from 0 to 255";
        return "model_type";
    default:
        *msg = "Input should be an object of the type that this field takes";
        return "model_type";
    }
}

static const char *choices_of(apr_pool_t *p, const imu_field *f)
{
    const char *list = "";

    for (const char *const *one = f->choices; *one; one++)
        list = apr_pstrcat(p, list, *list ? ", '" : "'", *one, "'", NULL);
    return list;
}

/* The type of a fault and its sentence. */
static const char *misfit_fault(apr_pool_t *p, const imu_field *f, enum imu_misfit misfit,
                                const char **msg)
{
    int open = f->flags & (misfit == IMU_MISFIT_MIN ? IMU_F_ABOVE_MIN : IMU_F_BELOW_MAX);

    switch (misfit) {
    case IMU_MISFIT_NULL:
        *msg = "Input should not be null";
        return "null_type";
    case IMU_MISFIT_LIST:
        *msg = "Input should be a valid list";
        return "list_type";
    case IMU_MISFIT_MIN:
        *msg = apr_psprintf(p, "Input should be greater than %s%.15g", open ? "" : "or equal to ",
                            f->min);
        return open ? "greater_than" : "greater_than_equal";
    case IMU_MISFIT_MAX:
        *msg = apr_psprintf(p, "Input should be less than %s%.15g", open ? "" : "or equal to ",
                            f->max);
        return open ? "less_than" : "less_than_equal";
    case IMU_MISFIT_MULTIPLE:
        *msg = apr_psprintf(p, "Input should be a multiple of %d", f->multiple_of);
        return "multiple_of";
    case IMU_MISFIT_CHOICE:
        *msg = apr_pstrcat(p, "Input should be one of ", choices_of(p, f), NULL);
        return "literal_error";
    default:
        return kind_fault(f, msg);
    }
}

int imu_graph_check_value(apr_pool_t *p, imu_check *c, const imu_field *field, const char *name,
                          const json_t *value)
{
    const char *type, *msg;
    long at;
    enum imu_misfit misfit = imu_value_misfit(field, value, &at);

    if (!misfit)
        return 1;
    type = misfit_fault(p, field, misfit, &msg);
    imu_check_fault(c, name, type, msg, at < 0 ? value : json_array_get(value, (size_t)at));
    return 0;
}

/* ---- nodes ---- */

/* Fields that the type does not declare are left alone: clients send them, and nobody reads them.
 */
static void check_fields(apr_pool_t *p, imu_check *c, const imu_node_type *type, const json_t *node)
{
    const char *name;
    json_t *value;

    json_object_foreach ((json_t *)node, name, value) {
        const imu_field *field = imu_node_input(type, name);

        if (field)
            imu_graph_check_value(p, c, field, name, value);
    }
}

static void check_node(apr_pool_t *p, imu_check *c, const char *id, const json_t *node)
{
    const char *own = json_string_value(json_object_get(node, "id"));
    const char *name = json_string_value(json_object_get(node, "type"));
    const imu_node_type *type = type_of(node);

    if (!json_is_object(node) || !name || !*name)
        imu_check_fault(c, NULL, "union_tag_not_found", "Every node has a type", NULL);
    else if (!own || strcmp(own, id) != 0)
        imu_check_fault(c, NULL, "value_error", "Node ids must match", NULL);
    else if (!type)
        imu_check_fault(c, NULL, "union_tag_invalid",
                        apr_psprintf(p, "This server has no node of type \"%.80s\"", name), NULL);
    else
        check_fields(p, c, type, node);
}

static void check_nodes(apr_pool_t *p, imu_check *c, const json_t *nodes)
{
    const char *id;
    json_t *node;

    if (json_object_size(nodes) > MAX_NODES) {
        imu_check_fault(c, "nodes", "too_long", "A graph has at most 2000 nodes", NULL);
        return;
    }
    imu_check_enter(c, "nodes");
    json_object_foreach ((json_t *)nodes, id, node) {
        if (!*id || strlen(id) > IMU_NODE_MAX_ID) {
            imu_check_fault(c, NULL, "value_error", "A node's id has 1 to 200 bytes", NULL);
            continue;
        }
        imu_check_enter(c, id);
        check_node(p, c, id, node);
        imu_check_leave(c);
    }
    imu_check_leave(c);
}

/* ---- edges ---- */

/* One end of an edge: a node of the graph, and the name of a field. */
static const json_t *end_of(const json_t *edge, const char *which, const json_t *nodes,
                            const char **field)
{
    const json_t *end = json_object_get(edge, which);
    const char *id = json_string_value(json_object_get(end, "node_id"));

    *field = json_string_value(json_object_get(end, "field"));
    if (!id || !*field || !**field || strlen(*field) > IMU_GRAPH_MAX_NAME)
        return NULL;
    return json_object_get(nodes, id);
}

static const char *id_of(const json_t *node)
{
    return json_string_value(json_object_get(node, "id"));
}

/* An input's place in the table of first edges: the node's id and the field. */
typedef struct input_key {
    char text[IMU_NODE_MAX_ID + IMU_GRAPH_MAX_NAME + 2];
} input_key;

static input_key key_of(const json_t *node, const char *field)
{
    input_key key;

    apr_snprintf(key.text, sizeof key.text, "%s\n%s", id_of(node), field);
    return key;
}

/* The first edge into an input, or NULL. */
static json_t *edge_into(const json_t *inputs, const json_t *node, const char *field)
{
    return json_object_get(inputs, key_of(node, field).text);
}

static unsigned flags_of(const json_t *node)
{
    const imu_node_type *type = type_of(node);

    return type ? type->flags : 0;
}

/* Every input takes one edge; the inputs of a collector take any number. */
static int is_taken(json_t *inputs, const json_t *to, const char *field, json_t *edge)
{
    if (edge_into(inputs, to, field))
        return !(flags_of(to) & IMU_N_COLLECT);
    json_object_set(inputs, key_of(to, field).text, edge);
    return 0;
}

static const char *types_fault(apr_pool_t *p, const json_t *from, const char *output,
                               const json_t *to, const char *input)
{
    return apr_psprintf(p,
                        "Edge source and target types do not match: \"%.80s\" of node \"%.80s\" "
                        "and \"%.80s\" of node \"%.80s\"",
                        output, id_of(from), input, id_of(to));
}

/* @return what is wrong with an edge, or NULL */
static const char *edge_fault(apr_pool_t *p, json_t *edge, const json_t *nodes, json_t *inputs)
{
    const char *output, *input;
    const json_t *from = end_of(edge, "source", nodes, &output),
                 *to = end_of(edge, "destination", nodes, &input);
    const imu_field *to_type;

    if (!from || !to)
        return "Edge source or destination node does not exist in the graph";
    switch (imu_edge_check(type_of(from), output, type_of(to), input, &to_type)) {
    case IMU_EDGE_NO_OUTPUT:
        return apr_psprintf(p, "Edge source field \"%.80s\" does not exist in node \"%.80s\"",
                            output, id_of(from));
    case IMU_EDGE_NO_INPUT:
        return apr_psprintf(p, "Edge destination field \"%.80s\" does not exist in node \"%.80s\"",
                            input, id_of(to));
    case IMU_EDGE_DIRECT:
        return apr_psprintf(p, "Field \"%.80s\" of node \"%.80s\" takes no edge", input, id_of(to));
    case IMU_EDGE_TYPES:
        return types_fault(p, from, output, to, input);
    default:
        break;
    }
    if (is_taken(inputs, to, input, edge))
        return apr_psprintf(p, "Field \"%.80s\" of node \"%.80s\" takes one edge, not several",
                            input, id_of(to));
    return NULL;
}

/* What an output holds. A collector and an iteration hand on what they were given: the type is that
 * of the first edge into them, through at most so many of them. */
#define MAX_THROUGH 8

static imu_field held_by(const json_t *nodes, const json_t *inputs, const json_t *node,
                         const char *output, int through)
{
    static const imu_field any = {.name = "any", .type = IMU_T_ANY};
    const imu_node_type *type = type_of(node);
    imu_field held = type ? *imu_field_find(type->output->fields, output) : any;
    const json_t *edge = NULL;
    int one = 0;

    if (through == MAX_THROUGH || held.type != IMU_T_ANY)
        return held;
    if (flags_of(node) & IMU_N_COLLECT) {
        edge = edge_into(inputs, node, "item");
        one = edge != NULL;
    }
    if (!edge && (flags_of(node) & (IMU_N_COLLECT | IMU_N_ITERATE)))
        edge = edge_into(inputs, node, "collection");
    if (edge) {
        const char *field;
        const json_t *from = end_of(edge, "source", nodes, &field);
        imu_field given = held_by(nodes, inputs, from, field, through + 1);

        if (given.type == IMU_T_ANY || (one && (given.flags & IMU_F_LIST)))
            return held; /* unknown, or a list of lists, which has no type here */
        given.flags = held.flags;
        return given;
    }
    return held;
}

/* Edges out of collectors and iterations, whose types only show with all edges known, and edges
 * into one collector, which are of one type. @return what is wrong, or NULL */
static const char *through_fault(apr_pool_t *p, const json_t *edge, const json_t *nodes,
                                 const json_t *inputs)
{
    const char *output, *input, *first_output;
    const json_t *from = end_of(edge, "source", nodes, &output),
                 *to = end_of(edge, "destination", nodes, &input);
    const imu_field *to_type = imu_graph_input(to, input);
    imu_field held, first;

    if ((flags_of(from) & (IMU_N_COLLECT | IMU_N_ITERATE)) && to_type) {
        held = held_by(nodes, inputs, from, output, 0);
        if (!imu_field_connects(&held, to_type))
            return types_fault(p, from, output, to, input);
    }
    if (!(flags_of(to) & IMU_N_COLLECT))
        return NULL;
    held = held_by(nodes, inputs, from, output, 0);
    from = end_of(edge_into(inputs, to, input), "source", nodes, &first_output);
    first = held_by(nodes, inputs, from, first_output, 0);
    if (imu_field_connects(&held, &first) || imu_field_connects(&first, &held))
        return NULL;
    return apr_psprintf(p, "Collector \"%.80s\" must gather values of one type", id_of(to));
}

static void check_edges(apr_pool_t *p, imu_check *c, const json_t *edges, const json_t *nodes)
{
    json_t *inputs = imu_json_own(p, json_object()), *edge;
    const char *msg;
    size_t i;

    json_array_foreach (edges, i, edge)
        if ((msg = edge_fault(p, edge, nodes, inputs)))
            imu_check_fault(c, "edges", "value_error", msg, NULL);
    if (imu_check_end(c))
        return;
    json_array_foreach (edges, i, edge)
        if ((msg = through_fault(p, edge, nodes, inputs)))
            imu_check_fault(c, "edges", "value_error", msg, NULL);
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

void imu_graph_check(apr_pool_t *p, imu_check *c, json_t *graph)
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
        imu_check_fault(c, NULL, "value_error", "A graph has nodes (an object) and edges (a list)",
                        NULL);
        return;
    }
    check_nodes(p, c, nodes);
    if (imu_check_end(c))
        return; /* edges are judged by the types of nodes */
    check_edges(p, c, edges, nodes);
    if (!imu_check_end(c) && has_cycle(p, nodes, edges))
        imu_check_fault(c, NULL, "value_error", "Graph contains cycles", NULL);
}
