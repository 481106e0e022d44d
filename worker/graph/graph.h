/*
 * graph.h: a session graph, and its execution.
 *
 * imu_graph is the posted graph, checked: known node types, field values of the declared types,
 * edges between fields that fit, no cycle, all counts bounded. imu_exec expands and runs it the way
 * InvokeAI's GraphExecutionState does: each posted ("source") node becomes one or more prepared
 * nodes with UUIDs, `iterate` multiplies what follows it, `collect` joins it again, and a prepared
 * node runs once all the nodes that feed it have.
 *
 * Both belong to the run thread and know nothing of sockets, models or pictures.
 */
#ifndef IMU_GRAPH_H
#define IMU_GRAPH_H

#include "worker/nodes/node.h"

#define IMU_GRAPH_MAX_NODES    2000
#define IMU_GRAPH_MAX_EDGES    10000
#define IMU_GRAPH_MAX_PREPARED 10000
#define IMU_GRAPH_MAX_DEPTH    64                 /* nesting of any value */
#define IMU_GRAPH_MAX_VALUE    (1024u * 1024)     /* one node's result or inputs, as JSON text */
#define IMU_GRAPH_MAX_TOTAL    (4u * 1024 * 1024) /* all of them in one run; and the posted graph */
#define IMU_GRAPH_MAX_LINKS    20000              /* edges between prepared nodes */

typedef struct imu_graph imu_graph;

/** Checks a posted graph {id, nodes, edges}. @return the graph, or NULL with the error. */
imu_graph *imu_graph_load(const json_t *graph, imu_error *err);
void imu_graph_free(imu_graph *g);

typedef struct imu_exec imu_exec;

/** A prepared node that is about to run. Valid until imu_exec_free. */
typedef struct imu_prepared {
    const char *id;
    const char *source_id;
    const imu_node_type *type;
    const json_t *node;   /**< the posted node with its new id and the values its edges brought */
    const json_t *inputs; /**< every declared input, checked */
    size_t index;
} imu_prepared;

/** Starts the execution of session {id, graph}; keeps g, which must outlive it. NULL without
 * memory. */
imu_exec *imu_exec_new(const char *session_id, const imu_graph *g);
void imu_exec_free(imu_exec *x);

/**
 * Picks the next node to run and fills its inputs.
 * @return 1 with *out; 0 when all is done; -1 with the error (out->id is then the node at fault, or
 * NULL)
 */
int imu_exec_next(imu_exec *x, imu_prepared *out, imu_error *err);
/** Takes over the result of a node. @return 0, or -1 with the error (too large, too many
 * iterations). */
int imu_exec_complete(imu_exec *x, const imu_prepared *p, json_t *result, imu_error *err);
/** Notes that a node failed; the session ends with it. */
void imu_exec_fail(imu_exec *x, const char *prepared_id, const char *text);
/** The whole execution state as a new JSON object, or NULL without memory. */
json_t *imu_exec_state(const imu_exec *x);
/** The state of a session whose graph was refused: nothing prepared. */
json_t *imu_exec_empty_state(const char *session_id, const json_t *graph);

#endif
