/* The inside of imu_graph, shared by graph.c (checks) and exec.c (execution). */
#ifndef IMU_GRAPH_INTERNAL_H
#define IMU_GRAPH_INTERNAL_H

#include "worker/graph/graph.h"

struct edge {
    size_t from, to; /* node indexes */
    const char *from_field, *to_field;
    const imu_field *to_type; /* NULL for a field that an IMU_N_EXTRA node did not declare */
};

struct node {
    const char *id;
    const imu_node_type *type;
    json_t *values; /* the posted node, declared fields checked */
    size_t *in;     /* indexes of edges that end here, in the posted order */
    size_t n_in;
    size_t *parents; /* distinct node indexes that feed this one */
    size_t n_parents;
};

struct imu_graph {
    json_t *posted;
    struct node *nodes;
    size_t n_nodes;
    struct edge *edges;
    size_t n_edges;
    size_t *order; /* node indexes, each after those that feed it */
};

#endif
