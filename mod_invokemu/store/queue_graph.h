/*
 * queue_graph.h: checks a graph, and the values a batch puts into it, before anything is queued.
 * The rules for fields, values and edges are the worker's own (worker/nodes/declaration.h); the
 * table of its nodes is generated when the server is built, so that both know the same ones.
 */
#ifndef IMU_QUEUE_GRAPH_H
#define IMU_QUEUE_GRAPH_H

#include "mod_invokemu/validate.h"
#include "worker/nodes/declaration.h"

#define IMU_GRAPH_MAX_NAME 512 /**< bytes of a field's name */

/** The nodes that jobs may have, NULL-terminated; without what the worker does for them. */
extern const imu_node_type *const imu_nodes_known[];

/**
 * Checks {id, nodes, edges}, and fills in those of the three that are missing. Faults are below
 * what the check has stepped into.
 */
void imu_graph_check(apr_pool_t *p, imu_check *c, json_t *graph);
/** The input of that name of a checked node, or NULL when its type has none. */
const imu_field *imu_graph_input(const json_t *node, const char *field);
/** Notes the key that value holds, when the node loads a model by it. What merely speaks of a
 * model, such as metadata, may speak of one that is gone.
 * @param keys  object whose keys are those of the models */
void imu_graph_note_model(json_t *keys, const json_t *node, const char *field, const json_t *value);
/** The same for all that stands in nodes. */
void imu_graph_note_models(json_t *keys, const json_t *nodes);
/** Records why a value does not fit a field, if it doesn't. @return whether it fits */
int imu_graph_check_value(apr_pool_t *p, imu_check *c, const imu_field *field, const char *name,
                          const json_t *value);

#endif
