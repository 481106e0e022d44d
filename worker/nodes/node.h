/*
 * node.h: what a node is. Each node is declared once (declaration.h), in the file of its family;
 * the executor and the server check graphs against that declaration, and the OpenAPI schema is
 * generated from it.
 *
 * Declarations are constant. A call belongs to the run thread.
 */
#ifndef IMU_NODE_H
#define IMU_NODE_H

#include "worker/nodes/declaration.h"
#include "worker/util.h"

/** One execution of a prepared node. */
struct imu_call {
    const imu_node_type *type;
    const char *id;        /**< prepared id */
    const char *source_id; /**< id in the posted graph */
    const json_t *in;      /**< every declared input, checked; extra fields too with IMU_N_EXTRA */
    json_t *out;           /**< output fields; the executor adds `type` */
    struct imu_env *env;
    imu_error *error;
    json_t *images; /**< descriptions of the pictures made, for NODE_COMPLETED */
    int fds[32];    /**< their descriptors, two each */
    int n_fds;
};

/* Inputs, already checked; a missing optional number is 0, a missing text NULL. */
json_int_t imu_in_int(const imu_call *call, const char *name);
double imu_in_float(const imu_call *call, const char *name);
const char *imu_in_text(const imu_call *call, const char *name);
bool imu_in_bool(const imu_call *call, const char *name);
const json_t *imu_in(const imu_call *call, const char *name);
/** True for an input with a value other than null. */
bool imu_in_given(const imu_call *call, const char *name);

/** Sets call->out; takes the reference. @return 0, or -1 with an error when value is NULL. */
int imu_out(imu_call *call, json_t *value);

/* ---- registry (registry.c) ---- */

/** The node of that type, or NULL. */
const imu_node_type *imu_node_find(const char *type);
/** All nodes, NULL-terminated. */
const imu_node_type *const *imu_node_all(void);

/**
 * Checks a value against a field and makes it that type where nothing is lost (5 for a float, 5.0
 * for an integer, a number for a text).
 * @return a new reference, or NULL with the error
 */
json_t *imu_value_take(const imu_field *field, json_t *value, imu_error *err);

/* ---- schemas (schema.c) ---- */

/** {type: schema} of all nodes, as in HELLO. */
json_t *imu_schema_nodes(void);
/** {name: schema} of all outputs. */
json_t *imu_schema_outputs(void);
/** {"components": {"schemas": ...}} with all of them by schema name. */
json_t *imu_schema_document(void);

#endif
