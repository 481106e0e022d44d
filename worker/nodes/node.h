/*
 * node.h: what a node is. Each node is declared once, in the file of its family, as an
 * imu_node_type; the executor checks inputs against that declaration and the OpenAPI schema is
 * generated from it.
 *
 * Declarations are constant. A call belongs to the run thread.
 */
#ifndef IMU_NODE_H
#define IMU_NODE_H

#include "worker/util.h"

/** What a field holds. Names on the wire are those of InvokeAI's schemas. */
enum imu_type {
    IMU_T_ANY,
    IMU_T_INT,
    IMU_T_FLOAT,
    IMU_T_STRING,
    IMU_T_BOOL,
    IMU_T_ENUM, /**< a string out of `choices` */
    IMU_T_IMAGE,
    IMU_T_LATENTS,
    IMU_T_CONDITIONING,
    IMU_T_UNET,
    IMU_T_CLIP,
    IMU_T_VAE,
    IMU_T_MODEL,
    IMU_T_METADATA,
    IMU_T_METADATA_ITEM,
    IMU_T_COLOR,
    IMU_T_BOARD,
    IMU_T_OTHER, /**< an object of the schema `ref`, which no node here makes */
};

enum {                        /* of a field */
       IMU_F_LIST = 1,        /**< an array of it */
       IMU_F_OR_LIST = 2,     /**< it or an array of it */
       IMU_F_NULLABLE = 4,    /**< may be null */
       IMU_F_REQUIRED = 8,    /**< must have a value when the node runs */
       IMU_F_CONNECTION = 16, /**< only by an edge */
       IMU_F_DIRECT = 32,     /**< only by value */
       IMU_F_TEXTAREA = 64,
       IMU_F_HIDDEN = 128,
       IMU_F_MIN = 256,
       IMU_F_MAX = 512,
       IMU_F_ABOVE_MIN = 1024, /**< the minimum itself is excluded */
       IMU_F_BELOW_MAX = 2048, /**< the maximum itself is excluded */
};

typedef struct imu_field {
    const char *name; /**< NULL ends a list of fields */
    enum imu_type type;
    unsigned flags;
    const char *title;    /**< NULL: made from the name */
    const char *help;     /**< one sentence for the person who builds a workflow */
    const char *fallback; /**< default value as JSON text; NULL: null */
    double min, max;      /**< with IMU_F_MIN, IMU_F_MAX */
    int multiple_of;      /**< 0: any */
    const char *const *choices;
    const char *const *labels; /**< titles of the choices, or NULL */
    const char *ref;           /**< schema name, for IMU_T_OTHER */
    const char *ui_type;       /**< overrides how a client draws it */
    int ui_order;              /**< position plus one; 0: as declared */
    const char *model_base;    /**< for models: space-separated bases */
    const char *model_type;
} imu_field;

typedef struct imu_output_type {
    const char *name; /**< schema name, "IntegerOutput" */
    const char *type; /**< "integer_output" */
    const char *help;
    const imu_field *fields;
} imu_output_type;

enum {                     /* of a node */
       IMU_N_NO_CACHE = 1, /**< `use_cache` is off unless asked for */
       IMU_N_BOARD = 2,    /**< has `board` */
       IMU_N_METADATA = 4, /**< has `metadata` */
       IMU_N_EXTRA = 8,    /**< takes fields that are not declared */
       IMU_N_ITERATE = 16, /**< expanded by the executor, one for each item */
       IMU_N_COLLECT = 32, /**< takes any number of edges at `item` */
};

typedef struct imu_call imu_call;

typedef struct imu_node_type {
    const char *type; /**< "add" */
    const char *name; /**< schema name, "AddInvocation" */
    const char *title;
    const char *version; /**< upstream's, because clients compare it */
    const char *category;
    const char *tags; /**< space-separated */
    const char *help;
    unsigned flags;
    const imu_field *inputs;
    const imu_output_type *output;
    /** Does the work: 0 with call->out set, or -1 with call->error. Longer ones ask
     * imu_call_cancelled. */
    int (*run)(imu_call *call);
} imu_node_type;

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
/** The field of that name in the list, or NULL. */
const imu_field *imu_field_find(const imu_field *list, const char *name);
/** The declared input of a node, its board and metadata included, or NULL. */
const imu_field *imu_node_input(const imu_node_type *type, const char *name);

/**
 * Checks a value against a field and makes it that type where nothing is lost (5 for a float, 5.0
 * for an integer, a number for a text).
 * @return a new reference, or NULL with the error
 */
json_t *imu_value_take(const imu_field *field, json_t *value, imu_error *err);
/** Whether an output of type `from` may feed an input `to`. */
bool imu_field_connects(const imu_field *from, const imu_field *to);

/* ---- schemas (schema.c) ---- */

/** {type: schema} of all nodes, as in HELLO. */
json_t *imu_schema_nodes(void);
/** {name: schema} of all outputs. */
json_t *imu_schema_outputs(void);
/** {"components": {"schemas": ...}} with all of them by schema name. */
json_t *imu_schema_document(void);

#endif
